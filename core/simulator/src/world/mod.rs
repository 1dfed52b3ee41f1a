//! The world in which a plan is played: everything happens in the order of one queue, in virtual time.

mod attacks;
mod clients;
mod deceits;
mod end;
mod faults;
mod queue;
mod reflector;
mod story;
mod users;

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use teatime_base::RoomKeys;
use teatime_session::Config;
use teatime_vm::{SessionId, Vm};

use self::attacks::Attacks;
use self::queue::{Happening, Queue};
use crate::before;
use crate::deceit::Deceit;
use crate::dice::{ACTS, BRINGS, Dice};
use crate::network::{Network, Sizes};
use crate::note::Note;
use crate::oracle::{Memory, Oracle, Time};
use crate::participant::{PASSWORD, Participant};
use crate::plan::{Pace, Plan};
use crate::planted::Bug;
use crate::quiet::{self, Silencer};
use crate::report::{Invariant, Outcome, Report, Violation, Wrong};
use crate::scenario::Scenario;
use crate::server::Server;
use crate::twin::Observer;

/// One second of virtual time, in µs.
const SECOND: u64 = 1_000_000;

/// Everything in a run.
struct World<'a> {
    plan: &'a Plan,
    /// A bug that this run must find.
    bug: Option<Bug>,
    scenario: &'a dyn Scenario,
    rng: ChaCha8Rng,
    now: u64,
    queue: Queue,
    server: Server,
    /// No connection reaches the reflector before this time.
    down_until: u64,
    wake_at: Option<u64>,
    flush_planned: bool,
    disk_works: bool,
    network: Network,
    sizes: Sizes,
    participants: Vec<Participant>,
    oracle: Oracle<'a>,
    report: Report,
    trace: blake3::Hasher,
    /// The faults are over.
    quiet: bool,
    /// The participant of each session that is compared with a twin.
    observers: Vec<Option<Observer>>,
    /// How often users have acted.
    acts: u64,
    notes: VecDeque<(u64, Note)>,
    /// The keys of each room.
    keys: Vec<RoomKeys>,
    attacks: Attacks,
    /// The lie that the reflector tells in each room.
    deceits: Vec<Option<Deceit>>,
    /// Until then nothing else goes wrong.
    calm_until: u64,
    /// Whether senders were asked to pause in each room.
    is_held: Vec<bool>,
    /// The storage answers late until then.
    storage_slow_until: u64,
    /// A planted bug: until then nothing of participants reaches the reflector.
    server_busy_until: u64,
}

/// Plays a plan.
pub(super) fn play(plan: &Plan, scenario: &dyn Scenario) -> Result<Report, Violation> {
    play_for(plan, scenario, Time::Only).map(|(report, _)| report)
}

/// Plays a plan for the only, the first or the second time. The second time, all states are compared with those of the
/// first.
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
    let mut server =
        Server::new(plan, scenario.planted(), seed).map_err(failed(Invariant::Storage))?;
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
        bug: scenario.planted(),
        scenario,
        rng,
        now: 0,
        queue: Queue::default(),
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
        keys: (0..plan.rooms).map(|room| keys(plan, scenario, room)).collect(),
        attacks: Attacks::default(),
        deceits: (0..plan.rooms).map(|_| None).collect(),
        calm_until: 0,
        is_held: vec![false; plan.rooms],
        storage_slow_until: 0,
        server_busy_until: 0,
    };
    if world.bug == Some(Bug::HidesAlarms) {
        world.oracle.hide_alarms();
    }
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

fn keys(plan: &Plan, scenario: &dyn Scenario, room: usize) -> RoomKeys {
    let password = plan.password.then_some(PASSWORD);
    RoomKeys::new(scenario.app().id(), scenario.room(room), password)
}

/// Checks that the app can begin a session.
fn start(plan: &Plan, scenario: &dyn Scenario) -> Result<(), String> {
    let (app, options) = (scenario.app(), scenario.options(plan));
    let config = Config::with_encoded_options(app.clone(), scenario.room(0), &options);
    let mut config = config.map_err(|error| error.to_string())?;
    config.view_data = scenario.view_data(&mut Dice::of(plan.seed, ACTS, 0));
    config.check().map_err(|error| error.to_string())?;
    if let Some(data) = scenario.begins_with() {
        let migrated = app.migrate(data).map_err(|error| error.to_string())?;
        migrated
            .ok_or("the app persists nothing, but the simulation begins with persisted data")?;
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
        Report { trace, simulated_us: self.now, taken_back: self.server.taken_back(), ..report }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.rng.next_u64() % limit.max(1)
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.queue.push(time.max(self.now), happening);
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
        let mut lacks_presence = false;
        while self.now < end {
            let next = (self.now + SECOND / 4).min(end);
            self.play_until(next)?;
            if self.oracle.is_usurped() {
                return Ok(());
            }
            if self.has_converged() {
                if self.all_see_all() {
                    self.report.converged_us = self.now - faults_end;
                    return self.check_the_end();
                }
                // It may still be under way.
                lacks_presence = true;
            }
        }
        let of = match self.is_healing() {
            _ if lacks_presence => Invariant::Presence,
            true => Invariant::Healing,
            false => Invariant::Liveness,
        };
        Err(Wrong::new(of, format!("no convergence: {}", self.standing())))
    }

    fn play_until(&mut self, end: u64) -> Outcome {
        while let Some((time, happening)) = self.queue.pop_until(end) {
            let alive = self.participants.iter().filter(|one| one.is_alive()).count() as u64;
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

    fn note(&mut self, what: &[u8]) {
        self.trace.update(&self.now.to_be_bytes());
        self.trace.update(what);
    }

    fn happen(&mut self, happening: Happening) -> Outcome {
        match happening {
            Happening::ToReflector(connection, frame) => {
                let is_participant = self.network.client(connection).is_some();
                if is_participant && self.server_busy_until > self.now {
                    self.at(self.server_busy_until, Happening::ToReflector(connection, frame));
                    return Ok(());
                }
                self.note(&frame);
                if self.is_ignored(connection, &frame) {
                    return Ok(());
                }
                self.note_confirmation(connection, &frame);
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
            Happening::Attack(at) => self.attacker_acts(at),
            Happening::ToAttacker(connection, frame) => self.reach_attacker(connection, &frame)?,
            Happening::ClosedAtAttacker(connection, reason) => {
                self.closed_at_attacker(connection, reason)?;
            }
            Happening::AttackerVotes(connection, seq) => self.attacker_votes(connection, seq),
            Happening::LieEnds(room) => self.end_lie(room),
            Happening::LieDue(room) => self.check_lie(room)?,
        }
        Ok(())
    }

    /// The configuration of the participant with this number.
    fn config(&self, room: usize, number: usize) -> Config {
        let (plan, scenario) = (self.plan, self.scenario);
        let (app, options) = (scenario.app().clone(), scenario.options(plan));
        let mut config = Config::with_encoded_options(app, scenario.room(room), &options)
            .expect("a session with these options was started before")
            .password(plan.password.then_some(PASSWORD));
        config.view_data = scenario.view_data(&mut Dice::of(plan.seed, BRINGS, number as u64));
        if plan.pace == Pace::Steady {
            config.ticks_per_second = 1;
        }
        config
    }

    /// A participant joins.
    fn start(&mut self, room: usize, is_liar: bool) -> Outcome {
        let seed = self.rng.next_u64();
        let at = self.participants.len();
        let config = self.config(room, at);
        let mut one =
            Participant::new((config, &self.keys[room]), at, self.now, room, is_liar, seed)?;
        one.client_mut().connect();
        self.participants.push(one);
        self.tell(Note::Joins(at));
        self.obey_client(at);
        self.wake(at, self.now);
        self.at(self.now, Happening::Act(at));
        Ok(())
    }

    /// The participants of one room, or of all rooms, that are alive.
    fn alive(&self, room: Option<usize>) -> Vec<usize> {
        let is_there = |at: &usize| {
            let one = &self.participants[*at];
            one.is_alive() && room.is_none_or(|room| one.room() == room)
        };
        (0..self.participants.len()).filter(is_there).collect()
    }
}
