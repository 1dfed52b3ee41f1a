//! The world in which a plan is played: one queue of happenings in virtual time.

use std::any::Any;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use teatime_reflector::ConnId;
use teatime_session::{Action, Config, ConnectionState, Input, Stepped};
use teatime_vm::{SessionId, Vm};
use teatime_wire::{ClientMessage, CloseReason, ServerMessage};

use super::before;
use super::network::{Line, Network, Sizes, delay};
use super::oracle::{Memory, Oracle, Time};
use super::participant::{PASSWORD, Participant};
use super::plan::{Bug, Keeps, Plan};
use super::quiet::{self, Silencer};
use super::report::{Invariant, Outcome, Report, Violation, Wrong};
use super::scenario::{Dice, Scenario};
use super::server::{Down, End, Server};
use super::story::Note;
use super::twin::Observer;
use super::users::ACTS;

pub(super) const SECOND: u64 = 1_000_000;

/// Whoever has diverged must have been told so in this time.
const HEALED_WITHIN: u64 = 600 * SECOND;

pub(super) enum Happening {
    /// A frame reaches the reflector.
    ToReflector(ConnId, Vec<u8>),
    /// A frame reaches a client.
    ToClient(ConnId, Vec<u8>),
    /// A client's attempt to connect gets through, if it is the newest of its attempts.
    Connect(usize, u64),
    /// The reflector learns that a connection has broken.
    GoneAtReflector(ConnId),
    /// A client learns that its connection has broken.
    GoneAtClient(ConnId, Option<CloseReason>),
    /// A client's turn to step.
    Step(usize),
    /// What the user of a client does.
    Act(usize),
    /// The reflector wants to be woken.
    Wake,
    /// What has gathered at the reflector goes out.
    Flush,
    /// The reflector's process ends, in this way and with these dice.
    End(End, u64),
    /// The disk works again.
    DiskWorks,
    /// The fault with this number happens.
    Fault(usize),
}

struct Entry {
    time: u64,
    order: u64,
    happening: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.time, self.order) == (other.time, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.order).cmp(&(other.time, other.order))
    }
}

pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) scenario: &'a dyn Scenario,
    pub(super) rng: ChaCha8Rng,
    pub(super) now: u64,
    order: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    pub(super) server: Server,
    /// No connection gets through to the reflector before.
    pub(super) down_until: u64,
    wake_at: Option<u64>,
    flush_planned: bool,
    pub(super) disk_works: bool,
    pub(super) network: Network,
    pub(super) sizes: Sizes,
    pub(super) participants: Vec<Participant>,
    oracle: Oracle<'a>,
    pub(super) report: Report,
    trace: blake3::Hasher,
    /// The faults are over.
    pub(super) quiet: bool,
    /// Who is watched in each session.
    pub(super) observers: Vec<Option<Observer>>,
    /// How often users had something to do.
    pub(super) acts: u64,
    pub(super) notes: VecDeque<(u64, Note)>,
}

/// Plays a plan.
pub(super) fn play(plan: &Plan, scenario: &dyn Scenario) -> Result<Report, Violation> {
    play_for(plan, scenario, Time::Only).map(|(report, _)| report)
}

/// Plays a plan for the only, the first or the second time: then all states are compared with those of the first.
pub(super) fn play_for(
    plan: &Plan,
    scenario: &dyn Scenario,
    time: Time<'_>,
) -> Result<(Report, Memory), Violation> {
    let _silencer = scenario.is_quiet().then(Silencer::new);
    scenario.begin();
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed ^ 0x7ea_71e3);
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    let failed = |of: Invariant| move |what: String| Violation::new(of, what);
    let started = catch_unwind(AssertUnwindSafe(|| start(plan, scenario)));
    let started = started.unwrap_or_else(|panic| Err(message(&*panic)));
    started.map_err(failed(Invariant::Start))?;
    let mut server = Server::new(plan, seed).map_err(failed(Invariant::Storage))?;
    if let Some(data) = scenario.begins_with() {
        for number in 0..plan.rooms {
            rng.fill_bytes(&mut seed);
            let room = (scenario.room(number), plan.password.then_some(PASSWORD));
            let persisted = before::persist(&mut server, scenario.app(), room, data, seed);
            persisted.map_err(failed(Invariant::Start))?;
        }
    }
    let begun = scenario.begins_with().map_or(0, |data| data.bytes.len());
    let mut world = World {
        plan,
        scenario,
        rng,
        now: 0,
        order: 0,
        queue: BinaryHeap::new(),
        server,
        down_until: 0,
        wake_at: None,
        flush_planned: false,
        disk_works: true,
        network: Network::default(),
        sizes: Sizes { begun, ..Sizes::default() },
        participants: Vec::new(),
        oracle: Oracle::new(plan.rooms, time),
        report: Report::default(),
        trace: blake3::Hasher::new(),
        quiet: false,
        observers: (0..plan.rooms).map(|_| None).collect(),
        acts: 0,
        notes: VecDeque::new(),
    };
    let played = catch_unwind(AssertUnwindSafe(|| world.play()));
    let played =
        played.unwrap_or_else(|panic| Err(Wrong::new(Invariant::Sanity, message(&*panic))));
    let (at_us, report) = (world.now, world.report());
    match played {
        Ok(()) => Ok((report, world.oracle.into_memory())),
        Err(Wrong { of, what, clash }) => {
            let story = world.story();
            Err(Violation { at_us, of, what, acts: world.acts, clash, story })
        }
    }
}

/// Whether there can be a session at all.
fn start(plan: &Plan, scenario: &dyn Scenario) -> Result<(), String> {
    let (app, options) = (scenario.app(), scenario.options(plan));
    let config = Config::with_encoded_options(app.clone(), scenario.room(0), &options);
    let mut config = config.map_err(|error| error.to_string())?;
    config.view_data = scenario.view_data(&mut Dice::of(plan.seed, ACTS, 0));
    config.check().map_err(|error| error.to_string())?;
    if let Some(data) = scenario.begins_with() {
        let migrated = app.migrate(data).map_err(|error| error.to_string())?;
        migrated.ok_or("the app persists nothing, and is to begin with what it has persisted")?;
    }
    let session = SessionId(config.session_id().0);
    let begun = Vm::begin(app, session, &config.options, scenario.begins_with());
    begun.map(drop).map_err(|error| error.to_string())
}

pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

impl World<'_> {
    fn report(&mut self) -> Report {
        let trace = *self.trace.finalize().as_bytes();
        let mut report = self.report.clone();
        self.oracle.report(&mut report);
        Report { trace, simulated_us: self.now, taken_back: self.server.taken_back, ..report }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.rng.next_u64() % limit.max(1)
    }

    pub(super) fn at(&mut self, time: u64, happening: Happening) {
        self.order += 1;
        let entry = Entry { time: time.max(self.now), order: self.order, happening };
        self.queue.push(Reverse(entry));
    }

    fn play(&mut self) -> Outcome {
        for room in 0..self.plan.rooms {
            self.start(room, false)?;
        }
        for (number, fault) in self.plan.faults.iter().enumerate() {
            self.at(fault.at_ms * 1_000, Happening::Fault(number));
        }
        let faults_end = self.plan.fault_seconds * SECOND;
        self.play_until(faults_end)?;
        if self.oracle.is_usurped() {
            return Ok(());
        }
        self.end_faults()?;
        let end = faults_end + self.plan.converge_seconds * SECOND;
        while self.now < end {
            let next = (self.now + SECOND / 4).min(end);
            self.play_until(next)?;
            if self.oracle.is_usurped() {
                return Ok(());
            }
            if self.has_converged() {
                self.report.converged_us = self.now - faults_end;
                return self.check_the_end();
            }
        }
        let of = if self.is_healing() { Invariant::Healing } else { Invariant::Liveness };
        Err(Wrong::new(of, format!("no convergence: {}", self.standing())))
    }

    fn play_until(&mut self, end: u64) -> Outcome {
        while self.queue.peek().is_some_and(|Reverse(entry)| entry.time <= end) {
            let Some(Reverse(Entry { time, happening, .. })) = self.queue.pop() else { break };
            let alive = self.participants.iter().filter(|one| one.alive).count() as u64;
            if self.oracle.is_lossy() {
                self.report.lossy_client_us += alive * (time - self.now);
            } else {
                self.report.client_us += alive * (time - self.now);
            }
            self.now = time;
            self.happen(happening)?;
            if self.oracle.is_usurped() {
                self.report.usurped = 1;
                return Ok(());
            }
        }
        self.now = end;
        Ok(())
    }

    fn end_faults(&mut self) -> Outcome {
        self.quiet = true;
        self.oracle.forget_votes();
        self.disk_is_well();
        let now = self.now;
        self.down_until = self.down_until.min(now);
        for one in &mut self.participants {
            for until in [&mut one.frozen_until, &mut one.idle_until] {
                *until = (*until).min(now);
            }
            for until in [&mut one.up_blocked, &mut one.down_blocked] {
                *until = (*until).min(now);
            }
        }
        for room in 0..self.plan.rooms {
            // Somebody must be there to be asked what has become of it.
            if self.alive(Some(room)).iter().all(|at| self.participants[*at].lies) {
                self.start(room, false)?;
            }
        }
        for at in 0..self.participants.len() {
            self.wake(at, now);
            self.at(now, Happening::Act(at));
        }
        Ok(())
    }

    fn note(&mut self, what: &[u8]) {
        self.trace.update(&self.now.to_be_bytes());
        self.trace.update(what);
    }

    fn happen(&mut self, happening: Happening) -> Outcome {
        match happening {
            Happening::ToReflector(connection, frame) => {
                self.note(&frame);
                self.server.received(self.now, connection, &frame);
                self.after_server();
            }
            Happening::ToClient(connection, frame) => self.reach_client(connection, frame)?,
            Happening::Connect(at, attempt) => self.connect(at, attempt),
            Happening::GoneAtReflector(connection) => {
                self.note(b"gone");
                self.server.disconnected(self.now, connection);
                self.after_server();
            }
            Happening::GoneAtClient(connection, reason) => self.gone_at_client(connection, reason),
            Happening::Step(at) => quiet::when(self.scenario.is_quiet(), || self.step(at))?,
            Happening::Act(at) => self.act(at)?,
            Happening::Wake if self.wake_at == Some(self.now) => {
                self.wake_at = None;
                self.server.handle_timeout(self.now);
                self.check_memory()?;
                self.after_server();
            }
            Happening::Wake => {}
            Happening::Flush => self.flush(),
            Happening::End(end, dice) => self.end_reflector(end, dice)?,
            Happening::DiskWorks => self.disk_is_well(),
            Happening::Fault(number) => self.fault(number)?,
        }
        Ok(())
    }

    pub(super) fn start(&mut self, room: usize, lies: bool) -> Outcome {
        let seed = self.rng.next_u64();
        let at = self.participants.len();
        let mut one = Participant::new(self.plan, self.scenario, at, self.now, room, seed)?;
        one.lies = lies;
        one.client.connect();
        self.participants.push(one);
        self.tell(Note::Joins(at));
        self.obey_client(at);
        self.wake(at, self.now);
        self.at(self.now, Happening::Act(at));
        Ok(())
    }

    /// The clients of a room, or of all, that are alive.
    pub(super) fn alive(&self, room: Option<usize>) -> Vec<usize> {
        let is_there = |at: &usize| {
            let one = &self.participants[*at];
            one.alive && room.is_none_or(|room| one.room == room)
        };
        (0..self.participants.len()).filter(is_there).collect()
    }

    /// Lets a client step at this time, unless it will before.
    pub(super) fn wake(&mut self, at: usize, time: u64) {
        let one = &mut self.participants[at];
        if one.alive && one.step_at.is_none_or(|planned| planned > time) {
            one.step_at = Some(time);
            self.at(time, Happening::Step(at));
        }
    }

    fn input(&mut self, at: usize, input: Input) {
        if self.participants[at].alive {
            let clock = self.participants[at].clock(self.now);
            self.participants[at].client.handle(clock, input);
            self.obey_client(at);
            let pause = if self.plan.noise { self.participants[at].below(30_000) } else { 1_000 };
            self.wake(at, self.now + pause);
        }
    }

    fn reach_client(&mut self, connection: ConnId, frame: Vec<u8>) -> Outcome {
        let Some(line) = self.network.lines.get_mut(&connection) else { return Ok(()) };
        let Some(at) = line.client.filter(|_| !line.is_dead_down) else { return Ok(()) };
        let one = &self.participants[at];
        if one.frozen_until > self.now {
            let time = one.frozen_until;
            self.at(time, Happening::ToClient(connection, frame));
            return Ok(());
        }
        line.unread = line.unread.saturating_sub(frame.len());
        if one.connection == Some(connection) {
            self.note(&frame);
            self.oracle.saw(&mut self.participants[at], &frame)?;
            self.input(at, Input::Frame(frame));
        }
        Ok(())
    }

    fn gone_at_client(&mut self, connection: ConnId, reason: Option<CloseReason>) {
        let Some(at) = self.network.lines.remove(&connection).and_then(|line| line.client) else {
            return;
        };
        if self.participants[at].connection == Some(connection) {
            self.participants[at].connection = None;
            let close = reason.map(|reason| (reason.code(), String::new()));
            self.input(at, Input::Disconnected(close));
        }
    }

    fn connect(&mut self, at: usize, attempt: u64) {
        let one = &mut self.participants[at];
        if !one.alive || one.attempt != attempt || one.connection.is_some() {
            return;
        }
        if one.frozen_until > self.now {
            let time = one.frozen_until;
            self.at(time, Happening::Connect(at, attempt));
            return;
        }
        let blocked = one.up_blocked.max(one.down_blocked) > self.now;
        let unlucky = !self.quiet && self.plan.noise && one.chance(8);
        if self.down_until > self.now || blocked || unlucky {
            if unlucky && self.participants[at].chance(3) {
                // The reflector has seen it all the same.
                self.stranger(None);
            }
            self.input(at, Input::Unreachable("no luck".into()));
            return;
        }
        let connection = self.network.open(self.now, Some(at));
        self.participants[at].connection = Some(connection);
        self.server.connected(self.now, connection);
        self.input(at, Input::Connected);
        self.after_server();
    }

    /// Somebody who is no client connects, and says this at most.
    pub(super) fn stranger(&mut self, says: Option<Vec<u8>>) {
        let connection = self.network.open(self.now, None);
        self.server.connected(self.now, connection);
        self.after_server();
        if let Some(frame) = says {
            let later = self.now + self.below(SECOND);
            self.at(later, Happening::ToReflector(connection, frame));
        }
    }

    pub(super) fn obey_client(&mut self, at: usize) {
        while let Some(action) = self.participants[at].client.poll_action() {
            match action {
                Action::Connect { after } => {
                    if self.quiet && self.plan.bug == Some(Bug::GivesUp) {
                        continue;
                    }
                    let one = &mut self.participants[at];
                    one.attempt += 1;
                    let attempt = one.attempt;
                    let pause = after + delay(&mut one.rng, self.plan.noise, !self.quiet);
                    self.at(self.now + pause, Happening::Connect(at, attempt));
                }
                Action::Send(frame) => self.send_up(at, frame),
                Action::Close => {
                    if let Some(connection) = self.participants[at].connection.take() {
                        let open = self.participants[at].up_blocked.max(self.now);
                        if let Some(time) = self.network.up(connection, open) {
                            self.at(time, Happening::GoneAtReflector(connection));
                        }
                        self.network.lines.remove(&connection);
                    }
                }
            }
        }
    }

    fn send_up(&mut self, at: usize, frame: Vec<u8>) {
        let Some(connection) = self.participants[at].connection else { return };
        let one = &mut self.participants[at];
        if matches!(ClientMessage::decode(&frame), Ok(ClientMessage::Join(_))) {
            one.last_join.clone_from(&frame);
        }
        let mut frames = if one.lies { one.lie(frame) } else { vec![frame] };
        if self.plan.bug == Some(Bug::LosesEvent) && !self.quiet && one.chance(200) {
            frames.clear();
        }
        for frame in frames {
            let one = &mut self.participants[at];
            let open = self.now + delay(&mut one.rng, self.plan.noise, !self.quiet);
            let open = open.max(one.up_blocked);
            // A send may arrive twice: its counter tells.
            let is_send = matches!(ClientMessage::decode(&frame), Ok(ClientMessage::Send(_)));
            let twice = is_send && self.plan.noise && !self.quiet && one.chance(20);
            let Some(time) = self.network.up(connection, open) else { return };
            if twice {
                self.at(time, Happening::ToReflector(connection, frame.clone()));
            }
            self.at(time, Happening::ToReflector(connection, frame));
        }
    }

    fn step(&mut self, at: usize) -> Outcome {
        let now = self.now;
        let one = &mut self.participants[at];
        if !one.alive || one.step_at != Some(now) {
            return Ok(());
        }
        one.step_at = None;
        let later = one.frozen_until.max(one.idle_until);
        if later > now {
            self.wake(at, later);
            return Ok(());
        }
        // One message at a time, so that every position is compared.
        loop {
            let one = &mut self.participants[at];
            let before = one.client.vm().map(teatime_vm::Vm::seq);
            let clock = one.clock(now);
            let mut stepped = Stepped::Done;
            if one.corrupt {
                let client = &mut one.client;
                let mut step = || stepped = client.step(clock, &mut || false);
                let done = self.scenario.corrupt(&mut step);
                one.corrupt = !done;
                if done {
                    one.diverged = Some(now + HEALED_WITHIN);
                    one.wrong_after = before.unwrap_or(0);
                }
            } else {
                stepped = one.client.step(clock, &mut || false);
            }
            let moved = one.client.vm().map(teatime_vm::Vm::seq) != before;
            let dropped = self.oracle.take_events(self.scenario, at, one)?;
            let snapshot = if moved || stepped == Stepped::Done {
                self.oracle.compare(now, at, &mut self.participants, moved)?
            } else {
                None
            };
            let state = snapshot.as_ref().map_or(0, |snapshot| snapshot.len());
            self.sizes.state = self.sizes.state.max(state);
            self.watch(at, stepped == Stepped::Done, snapshot)?;
            if dropped {
                self.obey_client(at);
                self.is_gone(at);
                return Ok(());
            }
            if stepped == Stepped::Done {
                break;
            }
        }
        self.obey_client(at);
        let one = &self.participants[at];
        if let Some(next) = one.client.next_wakeup() {
            let next = one.world(next).max(now + 1_000);
            self.wake(at, next);
        }
        Ok(())
    }

    /// A client is over, from its own view.
    fn is_gone(&mut self, at: usize) {
        let one = &mut self.participants[at];
        one.alive = false;
        if one.lies {
            self.report.liars_closed += 1;
        }
    }

    pub(super) fn after_server(&mut self) {
        if self.server.is_dirty(self.now) && !self.flush_planned {
            self.flush_planned = true;
            let soon = self.now + self.below(1_000);
            self.at(soon, Happening::Flush);
        }
        if let Some(wake_at) = self.server.next_timeout(self.now) {
            let wake_at = wake_at.max(self.now + 1);
            if self.wake_at.is_none_or(|planned| planned > wake_at) {
                self.wake_at = Some(wake_at);
                self.at(wake_at, Happening::Wake);
            }
        }
    }

    pub(super) fn flush(&mut self) {
        self.flush_planned = false;
        let all = self.server.flush(self.now);
        for (connection, down) in &all {
            let Down::Frame(frame) = down else { continue };
            if matches!(ServerMessage::decode(frame), Ok(ServerMessage::Welcome(_)))
                && let Some(line) = self.network.lines.get_mut(connection)
            {
                let of_it = all.iter().filter(|(other, _)| other == connection);
                line.allow_joiner(of_it.map(|(_, down)| down.length()).sum());
            }
        }
        for (connection, down) in all {
            self.send_down(connection, down);
        }
        let unread = |line: &Line| line.is_unread(self.sizes);
        let slow: Vec<_> =
            self.network.lines.iter().filter(|(_, line)| unread(line)).map(|(id, _)| *id).collect();
        for id in slow {
            if let Some(line) = self.network.lines.get_mut(&id) {
                self.report.dropped_slow += 1;
                (line.is_dead_down, line.unread) = (true, 0);
                self.server.drop_slow(self.now, id);
            }
        }
        self.after_server();
    }

    fn send_down(&mut self, connection: ConnId, down: Down) {
        let Some(line) = self.network.lines.get_mut(&connection) else { return };
        let Some(at) = line.client else { return };
        if let Down::Frame(frame) = &down {
            line.unread += frame.len();
            if self.plan.bug == Some(Bug::SilentAboutDivergence)
                && matches!(ServerMessage::decode(frame), Ok(ServerMessage::Diverged(_)))
            {
                return;
            }
        }
        let one = &mut self.participants[at];
        let open = self.now + delay(&mut one.rng, self.plan.noise, !self.quiet);
        let open = open.max(one.down_blocked);
        let Some(time) = self.network.down(connection, open) else { return };
        match down {
            Down::Frame(frame) => self.at(time, Happening::ToClient(connection, frame.to_vec())),
            Down::Close(reason) => {
                self.at(time + 1, Happening::GoneAtClient(connection, Some(reason)));
            }
        }
    }

    /// The reflector comes to its end with all connections, and comes back with what it has stored.
    fn end_reflector(&mut self, end: End, dice: u64) -> Outcome {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let failed = |what: String| Wrong::new(Invariant::Storage, what);
        if end == End::Power && self.plan.storage == Keeps::Process {
            self.oracle.may_lose();
        }
        self.server.restart(self.now, end, dice, seed).map_err(failed)?;
        self.disk_works = true;
        (self.wake_at, self.flush_planned) = (None, false);
        self.down_until = self.now + if self.quiet { 0 } else { dice % (3 * SECOND) };
        let broken: Vec<_> = self.network.lines.keys().copied().collect();
        for connection in broken {
            let open = self.now + 1;
            if let Some(time) = self.network.down(connection, open) {
                self.at(time, Happening::GoneAtClient(connection, None));
            }
        }
        Ok(())
    }

    fn disk_is_well(&mut self) {
        self.disk_works = true;
        self.server.disk.set_capacity(None);
        self.server.disk.set_read_only(false);
    }

    fn check_memory(&mut self) -> Outcome {
        let bytes = self.server.reflector.stats().log_bytes;
        self.report.log_bytes = self.report.log_bytes.max(bytes);
        Ok(self.oracle.check_memory(bytes, self.sizes)?)
    }

    fn standing(&self) -> String {
        let each = |at: &usize| {
            let one = &self.participants[*at];
            let (state, vm) = (one.client.connection_state(), one.client.vm());
            let (seq, views) = (vm.map(teatime_vm::Vm::seq), vm.map(teatime_vm::Vm::view_count));
            let pending = one.last_receipt.is_some_and(|receipt| !one.client.is_applied(receipt));
            format!(
                "participant {} in {} {state:?} at {seq:?} sees {views:?} pending {pending}",
                at + 1,
                one.room
            )
        };
        self.alive(None).iter().map(each).collect::<Vec<_>>().join("; ")
    }

    /// In each room everybody is there, has sent what he wanted to send and stands at the same
    /// position, those who are gone are known to be, and a vote of all honest was unanimous.
    fn has_converged(&self) -> bool {
        (0..self.plan.rooms).all(|room| {
            let alive = self.alive(Some(room));
            let honest: Vec<_> =
                alive.iter().filter(|at| !self.participants[**at].lies).copied().collect();
            let settled = |at: &usize| {
                let one = &self.participants[*at];
                one.client.connection_state() == ConnectionState::Live
                    && one.diverged.is_none()
                    && one.last_receipt.is_none_or(|receipt| one.client.is_applied(receipt))
                    && one.client.vm().map_or(0, teatime_vm::Vm::view_count) as usize == alive.len()
            };
            let mut positions: Vec<_> = honest
                .iter()
                .map(|at| self.participants[*at].client.vm().map(teatime_vm::Vm::seq))
                .collect();
            positions.dedup();
            honest.iter().all(settled)
                && positions.len() <= 1
                && (honest.is_empty() || self.oracle.agreed(room) >= honest.len() as u64)
        })
    }

    fn check_the_end(&mut self) -> Outcome {
        for at in self.alive(None) {
            let one = &self.participants[at];
            if !one.lies {
                self.oracle.check_the_end(self.scenario, at, &self.participants)?;
                self.report.checked += 1;
            }
        }
        Ok(())
    }
}
