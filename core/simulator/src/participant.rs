//! A participant of the simulator: a real client, with a clock of its own. It may be a liar.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use teatime_reflector::ConnId;
use teatime_session::{Client, Config, Receipt};
use teatime_wire::{ClientMessage, Digest, Send, SnapshotPart, Vote};

use crate::event::Event;
use crate::report::{Invariant, Outcome, Wrong};

/// The password of sessions that have one.
pub(crate) const PASSWORD: &str = "sesame";

pub(crate) struct Participant {
    pub(crate) client: Client,
    pub(crate) room: usize,
    pub(crate) alive: bool,
    pub(crate) lies: bool,
    pub(crate) connection: Option<ConnId>,
    /// The newest of its attempts to connect.
    pub(crate) attempt: u64,
    /// When it steps next.
    pub(crate) step_at: Option<u64>,
    /// It does not get the processor until then.
    pub(crate) frozen_until: u64,
    /// It does not step until then.
    pub(crate) idle_until: u64,
    /// Nothing reaches the reflector, or this client, before then.
    pub(crate) up_blocked: u64,
    pub(crate) down_blocked: u64,
    /// How many µs its clock is ahead of the world's, and how many millionths faster it runs.
    jump: u64,
    ppm: u64,
    pub(crate) started: u64,
    /// All accepted events, in the order of their counters.
    pub(crate) published: Vec<Event>,
    /// An action tried to publish something that no client may publish.
    pub(crate) refused: Option<String>,
    pub(crate) last_receipt: Option<Receipt>,
    /// Its next step computes a wrong state.
    pub(crate) corrupt: bool,
    /// It has another state than the others, and must learn that before this time.
    pub(crate) diverged: Option<u64>,
    /// The message after which it computed a wrong state.
    pub(crate) wrong_after: u64,
    /// Its newest vote.
    pub(crate) voted: Option<(u64, teatime_vm::StateHash)>,
    /// It had another state, has loaded the right one, and has not yet learned why.
    pub(crate) was_wrong: bool,
    pub(crate) last_join: Vec<u8>,
    /// Of the newest welcome.
    pub(crate) timeline: u64,
    /// The newest session time that it has seen, in µs.
    pub(crate) told: u64,
    pub(crate) rng: ChaCha8Rng,
}

impl Participant {
    pub(crate) fn new(
        config: Config,
        number: usize,
        now: u64,
        room: usize,
        seed: u64,
    ) -> Result<Self, Wrong> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut entropy = [0; 32];
        rng.fill_bytes(&mut entropy);
        // The view data differs each time, so this may fail although the session was started before.
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

    /// Checks that no action tried to publish something that no client may publish.
    pub(crate) fn publishes_well(&mut self) -> Outcome {
        match self.refused.take() {
            Some(refused) => Err(Wrong::new(Invariant::Sanity, refused)),
            None => Ok(()),
        }
    }

    /// What a liar sends instead of this frame.
    pub(crate) fn lie(&mut self, frame: Vec<u8>) -> Vec<Vec<u8>> {
        // A lone participant is right by definition, so it cannot lie.
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
                // A right vote, and one for another position.
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
                // No client can decode it: a turn in which nothing happens.
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
