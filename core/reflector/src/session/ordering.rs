//! How messages get their order: events, joins and exits, requests for votes.

use bytes::Bytes;
use teatime_wire::{CloseReason, Event, Hold, Send, ServerMessage, Views as ViewsMessage, limits};

use super::flow::Reason;
use super::{Content, Refusal, Session, Turn};
use crate::Output;
use crate::config::Config;
use crate::log::PER_MESSAGE;
use crate::storage::RecordKind;
use crate::view::Arrival;
use crate::view::{Change, Follows};

impl Session {
    /// Orders what a view sends.
    pub(crate) fn send(
        &mut self,
        turn: &mut Turn<'_>,
        arrival: Arrival,
        send: &Send<'_>,
    ) -> Result<(), Refusal> {
        let limits = &turn.config.send_limits;
        let is_brimful = self.is_brimful(turn.config);
        let Some(view) = self.views.get_mut(arrival) else { return Ok(()) };
        match view.follows(send.counter) {
            Follows::Next => {}
            Follows::Again => return Ok(()),
            Follows::Gap(after) => {
                let detail = format!("send {} came after send {after}", send.counter);
                return Err((CloseReason::OutOfOrder, detail));
            }
        }
        if send.payload.len() > limits.max_payload as usize {
            let detail = format!("a payload of {} bytes", send.payload.len());
            return Err((CloseReason::TooLarge, detail));
        }
        if !view.take_from_rate(turn.now, limits, turn.config.stall_tolerance) {
            let detail = format!("more than {} events per second", limits.per_second);
            return Err((CloseReason::TooFast, detail));
        }
        if self.flow.is_held() {
            let bytes = view.held_bytes() + send.payload.len() as u64 + PER_MESSAGE;
            if bytes > turn.config.held_bytes_per_view {
                return Err((CloseReason::TooFast, "sent on although told to pause".into()));
            }
            if is_brimful {
                return Err((CloseReason::Full, "the log of the session is full".into()));
            }
            let Config { storage_backlog_bytes, log_reserve_bytes, .. } = turn.config;
            if self.gate.backlog() > storage_backlog_bytes + log_reserve_bytes {
                return Err((CloseReason::Full, "the storage is too slow".into()));
            }
            view.set_held_bytes(bytes);
        }
        view.accept(send.counter);
        let sender = view.id();
        self.begin_storing(turn);
        self.content = Content::Used;
        let (counter, payload) = (send.counter, send.payload);
        let (seq, time) = self.next_position(turn.now);
        let event = Event { seq, time, sender, counter, payload };
        self.order(turn, &ServerMessage::Event(event));
        Ok(())
    }

    /// The position of the next ordered message.
    pub(super) fn next_position(&mut self, now: u64) -> (u64, u64) {
        (self.log.newest() + 1, self.time.tell(now))
    }

    /// Logs an ordered message and sends it to all members.
    pub(super) fn order(&mut self, turn: &mut Turn<'_>, message: &ServerMessage<'_>) {
        let frame = Bytes::from(message.encode());
        self.log.push(frame.clone());
        if turn.out.has_storage() {
            self.store(turn, RecordKind::Ordered, frame.clone());
            if self.gate.backlog() > turn.config.storage_backlog_bytes {
                self.hold_for_storage(turn);
            }
        }
        self.broadcast(turn, frame);
        let snapshot_after_bytes = turn.config.snapshot_after_bytes;
        if self.log.events() >= turn.config.snapshot_after_events
            || self.log.bytes() >= snapshot_after_bytes.min(self.log_limit(turn.config))
        {
            self.log_has_grown(turn);
        }
    }

    /// Asks senders to pause, past the gate: the message depends on nothing.
    #[cold]
    fn hold_for_storage(&mut self, turn: &mut Turn<'_>) {
        if self.flow.is_held_by(Reason::StorageSlow) {
            return;
        }
        if self.flow.hold(Reason::StorageSlow) {
            self.views.all_held();
        }
        tracing::warn!(session = %self.id, "the storage is slow: senders are held back");
        let frame = ServerMessage::Hold(Hold::Pause).encode().into();
        turn.out.push(Output::Broadcast { session: self.key, frame });
    }

    pub(super) fn tell_hold(&mut self, turn: &mut Turn<'_>, hold: Hold) {
        self.broadcast(turn, ServerMessage::Hold(hold).encode().into());
    }

    pub(super) fn broadcast(&mut self, turn: &mut Turn<'_>, frame: Bytes) {
        self.last_broadcast = turn.now;
        self.emit(turn.out, Output::Broadcast { session: self.key, frame });
    }

    /// If joins or exits are to be told, that happens after the window that begins now, unless one has begun
    /// already.
    pub(super) fn gather(&mut self, turn: &Turn<'_>) {
        if self.gathered_at.is_none() && self.views.has_changes(turn.now) {
            self.gathered_at = Some(turn.now + turn.config.gather_window);
        }
    }

    pub(super) fn tell_changes(&mut self, turn: &mut Turn<'_>) {
        loop {
            let most = limits::MAX_VIEWS_PER_MESSAGE;
            let (exited, joined) = self.views.take_changes(turn.now, most);
            if exited.is_empty() && joined.is_empty() {
                return;
            }
            exited.iter().for_each(|(view, _)| self.presences.forget(*view));
            let (seq, time) = self.next_position(turn.now);
            let active = u32::try_from(self.views.announced()).unwrap_or(u32::MAX);
            let message = ViewsMessage {
                seq,
                time,
                exited: exited.iter().map(entry).collect(),
                joined: joined.iter().map(entry).collect(),
                active,
            };
            self.order(turn, &ServerMessage::Views(message));
        }
    }
}

fn entry(change: &Change) -> teatime_wire::View<'_> {
    teatime_wire::View { view_id: change.0, view_data: change.1.as_deref() }
}
