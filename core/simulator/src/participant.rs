//! A client of the simulator: the real one, with a clock, an application and maybe bad manners of its own.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use teatime_reflector::ConnId;
use teatime_session::{Client, Config, Receipt};
use teatime_wire::{ClientMessage, Digest, Send, SnapshotPart, Vote};

use super::plan::{Pace, Plan};
use super::report::{Invariant, Outcome, Wrong};
use super::scenario::{Dice, Event, Scenario};

/// A kind of dice: what participants bring along.
const BRINGS: u64 = 1;

/// The password of sessions that have one.
pub(super) const PASSWORD: &str = "sesame";

pub(super) struct Participant {
    pub(super) client: Client,
    pub(super) room: usize,
    pub(super) alive: bool,
    pub(super) lies: bool,
    pub(super) connection: Option<ConnId>,
    /// The newest of its attempts to connect.
    pub(super) attempt: u64,
    /// When it is to step next.
    pub(super) step_at: Option<u64>,
    /// It does not get the processor until then.
    pub(super) frozen_until: u64,
    /// It does not step until then.
    pub(super) idle_until: u64,
    /// Nothing gets through to the reflector, or to it, until then.
    pub(super) up_blocked: u64,
    pub(super) down_blocked: u64,
    /// By how much its clock is ahead of the world's, and how many millionths it is faster.
    jump: u64,
    ppm: u64,
    pub(super) started: u64,
    /// All that was accepted, in the order of its counters.
    pub(super) published: Vec<Event>,
    /// What must not be published was to be.
    pub(super) refused: Option<String>,
    pub(super) last_receipt: Option<Receipt>,
    /// It is to compute something wrong next.
    pub(super) corrupt: bool,
    /// It has another state than the others, who must have told it by then.
    pub(super) diverged: Option<u64>,
    /// After this message it began to compute something wrong.
    pub(super) wrong_after: u64,
    /// Its newest vote.
    pub(super) voted: Option<(u64, teatime_vm::StateHash)>,
    /// It had another state, has loaded the right one, and has yet to be told why.
    pub(super) was_wrong: bool,
    pub(super) last_join: Vec<u8>,
    /// Of the newest welcome.
    pub(super) timeline: u64,
    /// The newest session time that it was told, in µs.
    pub(super) told: u64,
    pub(super) rng: ChaCha8Rng,
}

impl Participant {
    pub(super) fn new(
        plan: &Plan,
        scenario: &dyn Scenario,
        number: usize,
        now: u64,
        room: usize,
        seed: u64,
    ) -> Result<Self, Wrong> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (app, options) = (scenario.app().clone(), scenario.options(plan));
        let mut config = Config::with_encoded_options(app, scenario.room(room), &options)
            .expect("a session with these options was started before")
            .password(plan.password.then_some(PASSWORD));
        config.view_data = scenario.view_data(&mut Dice::of(plan.seed, BRINGS, number as u64));
        if plan.pace == Pace::Steady {
            config.ticks_per_second = 1;
        }
        let mut entropy = [0; 32];
        rng.fill_bytes(&mut entropy);
        // What it brings along is another thing each time.
        let client = Client::new(config, entropy).map_err(|error| {
            Wrong::new(Invariant::Start, format!("participant {}: {error}", number + 1))
        })?;
        let ppm = rng.next_u64() % 200;
        Ok(Self {
            client,
            room,
            alive: true,
            lies: false,
            connection: None,
            attempt: 0,
            step_at: None,
            frozen_until: 0,
            idle_until: 0,
            up_blocked: 0,
            down_blocked: 0,
            jump: rng.next_u64() % 1_000_000,
            ppm,
            started: now,
            published: Vec::new(),
            refused: None,
            last_receipt: None,
            corrupt: false,
            diverged: None,
            wrong_after: 0,
            voted: None,
            was_wrong: false,
            last_join: Vec::new(),
            timeline: 0,
            told: 0,
            rng,
        })
    }

    /// The time of its own clock.
    pub(super) fn clock(&self, world: u64) -> u64 {
        world + (world - self.started) * self.ppm / 1_000_000 + self.jump
    }

    pub(super) fn jump(&mut self, by: u64) {
        self.jump += by;
    }

    /// When its own clock shows this time, or a little later.
    pub(super) fn world(&self, clock: u64) -> u64 {
        let ahead = clock.saturating_sub(self.jump);
        ahead - ahead.saturating_sub(self.started) * self.ppm / (1_000_000 + self.ppm)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.rng.next_u64() % limit.max(1)
    }

    pub(super) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// Whether nothing was to be published that must not be.
    pub(super) fn publishes_well(&mut self) -> Outcome {
        match self.refused.take() {
            Some(refused) => Err(Wrong::new(Invariant::Sanity, refused)),
            None => Ok(()),
        }
    }

    /// What a liar sends in place of what its client wants to send.
    pub(super) fn lie(&mut self, frame: Vec<u8>) -> Vec<Vec<u8>> {
        // Who is alone decides what the state is: that is no lie.
        let is_alone = self.client.vm().is_none_or(|vm| vm.view_count() < 2);
        let dice = self.below(100);
        let mut noise = vec![0; 40];
        self.rng.fill_bytes(&mut noise);
        match ClientMessage::decode(&frame) {
            Ok(ClientMessage::Vote(vote)) if !is_alone && dice < 70 => {
                let hash = Digest(noise[..32].try_into().expect("it has 32 bytes"));
                vec![ClientMessage::Vote(Vote { hash, ..vote }).encode()]
            }
            Ok(ClientMessage::Vote(vote)) if !is_alone && dice < 80 => {
                // For itself, and for another place.
                let other = Vote { seq: vote.seq + 1, ..vote };
                vec![ClientMessage::Vote(other).encode(), frame]
            }
            Ok(ClientMessage::SnapshotPart(part)) if !is_alone => {
                let mut data = part.data.to_vec();
                let at = usize::try_from(dice).unwrap_or(0) % data.len();
                data[at] ^= 1;
                let part = SnapshotPart { data: &data, ..part };
                vec![ClientMessage::SnapshotPart(part).encode()]
            }
            Ok(ClientMessage::Send(send)) if dice < 2 => {
                let send = Send { counter: send.counter + 3, ..send };
                vec![ClientMessage::Send(send).encode()]
            }
            Ok(ClientMessage::Send(send)) if dice < 12 => {
                // Nobody can read it: a turn in which nothing happens.
                let send = Send { payload: &noise, ..send };
                vec![ClientMessage::Send(send).encode()]
            }
            Ok(ClientMessage::Ping(_)) if dice < 3 => vec![frame, noise],
            Ok(ClientMessage::Ping(_)) if dice < 5 => {
                let part = SnapshotPart { seq: 7, offset: 0, total: 40, data: &noise };
                vec![frame, ClientMessage::SnapshotPart(part).encode()]
            }
            _ => vec![frame],
        }
    }
}
