//! A participant of the simulator: a real client, with a clock of its own. It may be a liar.

mod health;
mod hindrances;
mod lie;

use std::collections::{BTreeMap, VecDeque};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use teatime_base::RoomKeys;
use teatime_reflector::ConnId;
use teatime_session::{Client, Config, PublishError, Receipt, Stepped};
use teatime_vm::{Payload, ViewId, Vm};

use self::health::Health;
use self::hindrances::Hindrances;
use crate::event::Event;
use crate::network::delay;
use crate::report::{Invariant, Outcome, Wrong};

/// Most frames of a connection that an attacker records.
const RECORDED: usize = 24;

/// The password of sessions that have one.
pub(crate) const PASSWORD: &str = "sesame";

pub(crate) struct Participant {
    client: Client,
    room: usize,
    is_alive: bool,
    is_liar: bool,
    connection: Option<ConnId>,
    /// The newest of its attempts to connect.
    attempt: u64,
    last_join: Vec<u8>,
    /// What it has sent on its connection, the first and the newest frames of it, for an attacker who records that.
    recorded: VecDeque<Vec<u8>>,
    /// The reflector has lied to it on its connection.
    is_deceived: bool,
    /// The snapshot of its newest welcome is junk.
    has_junk: bool,
    /// The oldest event that has not come back: which, and when it was published or last had reason to wait.
    awaited: Option<(Receipt, u64)>,
    /// When it steps next.
    step_at: Option<u64>,
    hindrances: Hindrances,
    health: Health,
    /// When it started, in the world's time.
    started: u64,
    /// How many µs its clock is ahead of the world's, and how many millionths faster it runs.
    jump: u64,
    ppm: u64,
    /// All accepted events, in the order of their counters.
    published: Vec<Event>,
    /// An action tried to publish something that no client may publish.
    refused: Option<String>,
    last_receipt: Option<Receipt>,
    /// What it shows the others: a number that grows. 0: nothing yet.
    shown: u64,
    /// What it has seen of the others.
    seen: BTreeMap<ViewId, u64>,
    /// Of the newest welcome.
    timeline: u64,
    /// The newest session time that it has seen, in µs.
    newest_time: u64,
    rng: ChaCha8Rng,
}

impl Participant {
    pub(crate) fn new(
        (config, keys): (Config, &RoomKeys),
        number: usize,
        now: u64,
        room: usize,
        is_liar: bool,
        seed: u64,
    ) -> Result<Self, Wrong> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut entropy = [0; 32];
        rng.fill_bytes(&mut entropy);
        // The view data differs each time, so this may fail although the session was started before.
        let client = Client::with_keys(config, keys, entropy).map_err(|error| {
            Wrong::new(Invariant::Start, format!("participant {}: {error}", number + 1))
        })?;
        let ppm = rng.next_u64() % 200;
        Ok(Self {
            client,
            room,
            is_alive: true,
            is_liar,
            connection: None,
            attempt: 0,
            last_join: Vec::new(),
            recorded: VecDeque::new(),
            is_deceived: false,
            has_junk: false,
            awaited: None,
            step_at: None,
            hindrances: Hindrances::default(),
            health: Health::default(),
            started: now,
            jump: rng.next_u64() % 1_000_000,
            ppm,
            published: Vec::new(),
            refused: None,
            last_receipt: None,
            shown: 0,
            seen: BTreeMap::new(),
            timeline: 0,
            newest_time: 0,
            rng,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(crate) fn vm(&self) -> Option<&Vm> {
        self.client.vm()
    }

    /// The position of its model.
    pub(crate) fn seq(&self) -> Option<u64> {
        self.vm().map(Vm::seq)
    }

    pub(crate) fn view_id(&self) -> ViewId {
        self.client.view_id()
    }

    pub(crate) fn room(&self) -> usize {
        self.room
    }

    pub(crate) fn is_liar(&self) -> bool {
        self.is_liar
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive
    }

    /// It has left, crashed, or given up.
    pub(crate) fn end(&mut self) {
        self.is_alive = false;
    }

    pub(crate) fn hindrances(&self) -> &Hindrances {
        &self.hindrances
    }

    pub(crate) fn hindrances_mut(&mut self) -> &mut Hindrances {
        &mut self.hindrances
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    pub(crate) fn health_mut(&mut self) -> &mut Health {
        &mut self.health
    }
}

/// Its clock and its random numbers.
impl Participant {
    /// The time of its own clock.
    pub(crate) fn clock(&self, world: u64) -> u64 {
        world + (world - self.started) * self.ppm / 1_000_000 + self.jump
    }

    pub(crate) fn jump(&mut self, by: u64) {
        self.jump += by;
    }

    /// The world's time at which its own clock shows `clock`, or a little later.
    pub(crate) fn world(&self, clock: u64) -> u64 {
        let ahead = clock.saturating_sub(self.jump);
        ahead - ahead.saturating_sub(self.started) * self.ppm / (1_000_000 + self.ppm)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.rng.next_u64() % limit.max(1)
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// How long its next frame is under way, in µs.
    pub(crate) fn delay(&mut self, has_noise: bool, has_faults: bool) -> u64 {
        delay(&mut self.rng, has_noise, has_faults)
    }

    /// Checks that the time of the session does not go back.
    pub(crate) fn check_time(&mut self, number: usize) -> Outcome {
        let time = self.client.external_now().as_micros();
        if time < self.newest_time {
            let before = self.newest_time;
            let what = format!("participant {}: time went from {before} to {time}", number + 1);
            return Err(Wrong::new(Invariant::Monotony, what));
        }
        self.newest_time = time;
        Ok(())
    }
}

/// Its connection and its session.
impl Participant {
    pub(crate) fn connection(&self) -> Option<ConnId> {
        self.connection
    }

    /// Begins another attempt to connect, and returns its number.
    pub(crate) fn begin_attempt(&mut self) -> u64 {
        self.attempt += 1;
        self.attempt
    }

    /// Whether it still waits for this attempt to connect.
    pub(crate) fn awaits(&self, attempt: u64) -> bool {
        self.is_alive && self.attempt == attempt && self.connection.is_none()
    }

    pub(crate) fn set_connection(&mut self, connection: ConnId) {
        self.connection = Some(connection);
    }

    /// It no longer has a connection. Returns the one that it had.
    pub(crate) fn take_connection(&mut self) -> Option<ConnId> {
        self.connection.take()
    }

    /// The newest join that it has sent.
    pub(crate) fn last_join(&self) -> &[u8] {
        &self.last_join
    }

    pub(crate) fn remember_join(&mut self, frame: &[u8]) {
        self.last_join = frame.to_vec();
        self.recorded.clear();
    }

    /// An attacker records what it sends.
    pub(crate) fn record(&mut self, frame: &[u8]) {
        if self.recorded.len() == RECORDED {
            // The join comes first.
            self.recorded.remove(1);
        }
        self.recorded.push_back(frame.to_vec());
    }

    /// What an attacker has recorded of its connection.
    pub(crate) fn recorded(&self) -> Vec<Vec<u8>> {
        self.recorded.iter().cloned().collect()
    }

    /// The reflector lies to it from now on.
    pub(crate) fn deceive(&mut self) {
        self.is_deceived = true;
    }

    /// Whether the reflector has lied to it on its connection.
    pub(crate) fn is_deceived(&self) -> bool {
        self.is_deceived
    }

    /// A welcome has arrived: from here on it sees what is.
    pub(crate) fn undeceive(&mut self) {
        if std::mem::take(&mut self.is_deceived) {
            // It may have seen a later time.
            self.newest_time = 0;
        }
    }

    /// A welcome has arrived, with a snapshot that is junk or not.
    pub(crate) fn begin_with_junk(&mut self, is_junk: bool) {
        self.has_junk = is_junk;
    }

    /// Whether the snapshot of its newest welcome is junk.
    pub(crate) fn has_junk(&self) -> bool {
        self.has_junk
    }

    /// The timeline of the newest welcome.
    pub(crate) fn timeline(&self) -> u64 {
        self.timeline
    }

    /// A welcome has arrived. Another timeline has another time.
    pub(crate) fn set_timeline(&mut self, timeline: u64) {
        if self.timeline != timeline {
            (self.timeline, self.newest_time) = (timeline, 0);
        }
    }
}

/// Its steps.
impl Participant {
    /// Plans a step at this time. Returns false if one comes earlier, or none is possible.
    pub(crate) fn plan_step(&mut self, time: u64) -> bool {
        let is_first = self.is_alive && self.step_at.is_none_or(|planned| planned > time);
        if is_first {
            self.step_at = Some(time);
        }
        is_first
    }

    /// Begins the step that was planned for now. Returns false if none was.
    pub(crate) fn begin_step(&mut self, now: u64) -> bool {
        let is_due = self.is_alive && self.step_at == Some(now);
        if is_due {
            self.step_at = None;
        }
        is_due
    }

    /// Steps once. `corrupt` runs a step in which the model computes a wrong state, and returns whether it did. After
    /// that, the participant must learn it within `heals_within` µs.
    pub(crate) fn step(
        &mut self,
        now: u64,
        heals_within: u64,
        corrupt: impl FnOnce(&mut dyn FnMut()) -> bool,
    ) -> Stepped {
        let clock = self.clock(now);
        if !self.health.is_corrupt() {
            return self.client.step(clock, &mut || false);
        }
        let before = self.seq().unwrap_or(0);
        let mut stepped = Stepped::Done;
        if corrupt(&mut || stepped = self.client.step(clock, &mut || false)) {
            self.health.diverge(now + heals_within, before);
        }
        stepped
    }
}

/// Its events.
impl Participant {
    /// All accepted events, in the order of their counters.
    pub(crate) fn published(&self) -> &[Event] {
        &self.published
    }

    /// Whether an accepted event has not come back from the reflector yet.
    pub(crate) fn has_pending(&self) -> bool {
        self.last_receipt.is_some_and(|receipt| !self.client.is_applied(receipt))
    }

    /// For how long an event has been on its way of which something was disturbed until then, in µs.
    pub(crate) fn waits_for(&mut self, now: u64, disturbed_until: u64) -> u64 {
        if self.awaited.is_some_and(|(receipt, _)| self.client.is_applied(receipt)) {
            self.awaited = None;
        }
        if !self.has_pending() {
            return 0;
        }
        let Some(newest) = self.last_receipt else { return 0 };
        let (_, since) = self.awaited.get_or_insert((newest, now));
        *since = disturbed_until.clamp(*since, now.max(*since));
        now - *since
    }

    /// Publishes MessagePack on a topic. Returns whether the client accepted it. With `swallows` the event is accepted and
    /// not sent, unless it is the first.
    pub(crate) fn publish(
        &mut self,
        world: u64,
        (scope, event): (&str, &str),
        data: &[u8],
        swallows: bool,
    ) -> bool {
        if !swallows || self.last_receipt.is_none() {
            let clock = self.clock(world);
            match self.client.publish_encoded(clock, scope, event, data) {
                Ok(receipt) => self.last_receipt = Some(receipt),
                Err(PublishError::NotJoined | PublishError::TooFast | PublishError::Over) => {
                    return false;
                }
                Err(error) => {
                    self.refuse(format!("{scope}:{event} cannot be published: {error}"));
                    return false;
                }
            }
        }
        let is_heard = self.vm().is_some_and(|vm| vm.is_heard(scope, event));
        self.published.push(Event::new(self.view_id(), (scope, event), data, world, is_heard));
        true
    }

    /// An action tried to publish something that no client may publish.
    pub(crate) fn refuse(&mut self, what: String) {
        self.refused.get_or_insert(what);
    }

    /// Checks that no action did.
    pub(crate) fn check_published(&mut self) -> Outcome {
        match self.refused.take() {
            Some(refused) => Err(Wrong::new(Invariant::Sanity, refused)),
            None => Ok(()),
        }
    }
}

/// What participants show of themselves.
impl Participant {
    /// Its user does something, and the others see how often it has.
    pub(crate) fn show(&mut self, world: u64) {
        self.shown += 1;
        let clock = self.clock(world);
        // Fails only after the end.
        let _ = self.client.set_presence(clock, &self.shown);
    }

    /// Looks at what the others show. Fails if one shows something older than before.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        for (view, data) in self.client.presences() {
            let shown = Payload::from_msgpack(data).get::<u64>();
            let shown = shown.map_err(|error| format!("{view} shows what no user did: {error}"))?;
            let before = self.seen.insert(view, shown).unwrap_or(0);
            if shown < before {
                return Err(format!("{view} shows {shown} after {before}"));
            }
        }
        Ok(())
    }

    /// Whether it sees what another one shows now.
    pub(crate) fn sees(&self, other: &Self) -> bool {
        let shown = self.client.presences().find(|(view, _)| *view == other.view_id());
        let shown = shown.map(|(_, data)| Payload::from_msgpack(data).get());
        shown == (other.shown > 0).then_some(Ok(other.shown))
    }
}
