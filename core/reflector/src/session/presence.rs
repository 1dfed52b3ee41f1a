//! What views show of themselves.

use bytes::Bytes;

use super::{Session, Turn};
use crate::Output;
use crate::view::{Arrival, View};

impl Session {
    /// A view shows this from now on. No client knows a view whose join is not ordered yet. Beyond the share of its address it
    /// shows nothing, rather than what it has shown before.
    pub(crate) fn show_presence(&mut self, turn: &mut Turn<'_>, arrival: Arrival, data: &[u8]) {
        let view = self.views.get(arrival).filter(|view| view.is_announced()).map(View::id);
        let Some(view) = view else { return };
        let fits = self.presences.growth(view, data) <= self.headroom.bytes;
        let data = if fits { data } else { &[] };
        self.presences.show(turn.now, turn.config.presence_interval, view, data);
        self.tell_presences(turn);
    }

    /// Lets members know if that is due. It waits for no storage, because nothing of it is stored.
    pub(super) fn tell_presences(&mut self, turn: &mut Turn<'_>) {
        if self.presences.take_due(turn.now) {
            turn.out.push(Output::Presences { session: self.key });
        }
    }

    /// Whether something is newer than this version.
    pub(crate) fn has_presences_after(&self, version: u64) -> bool {
        self.presences.has_newer(version)
    }

    pub(crate) fn presences_after(&self, version: u64) -> Option<(Bytes, u64)> {
        self.presences.after(version)
    }
}
