//! Attackers: strangers with connections of their own, who speak the protocol and mean no good.
//!
//! An attacker is not a client: it has no model, and needs none. What it knows of a state it has from a participant, as a
//! stranger would who runs the app.

use std::collections::BTreeMap;

use teatime_base::RoomKeys;
use teatime_reflector::ConnId;
use teatime_wire::{
    Challenge, ClientMessage, Digest, Envelope, Greeting, Join, PROTOCOL_VERSION, PersistedPart,
    SecretKey, SnapshotPart, Vote, limits,
};

use crate::dice::Dice;

/// The declared versions that a hoarder pretends to have begin here.
const HOARDED_VERSION: u32 = 1_000_000;

/// What an attacker is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// To have a forged state taken for the session's.
    Forge(Forgery),
    /// To keep the session from a majority: by never answering votes.
    Silence,
    /// The same, by leaving in the middle of votes.
    Leave,
    /// To be taken for a participant: by what that one has sent.
    Pose,
    /// To have an effect with what a participant has sent, on a connection that has joined by itself.
    Repeat,
    /// To slow the others down: it posts, and reads nothing.
    Crowd,
    /// To fill the reflector's memory with sessions of its own.
    Fill,
    /// To fill the room with persisted data of other versions.
    Persist,
}

/// A state that no log leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// Clients can load it.
    Loadable,
    /// They cannot.
    Junk,
}

impl Aim {
    /// What it does, in a few words.
    pub(crate) fn tells(self) -> &'static str {
        match self {
            Self::Forge(Forgery::Loadable) => "votes for a forged state",
            Self::Forge(Forgery::Junk) => "votes for junk",
            Self::Silence => "never votes",
            Self::Leave => "leaves in the middle of votes",
            Self::Pose => "sends a recorded join",
            Self::Repeat => "joins, and sends what it has recorded",
            Self::Crowd => "posts, and reads nothing",
            Self::Fill => "fills sessions of its own",
            Self::Persist => "fills the room with persisted data",
        }
    }
}

/// Which session a connection joins.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) program: Digest,
    pub(crate) name: Digest,
    pub(crate) version: u32,
    pub(crate) password_key: Option<SecretKey>,
    pub(crate) view_data: Option<Vec<u8>>,
}

impl Door {
    /// The same session under another name of a room, which only attackers use.
    pub(crate) fn elsewhere(&self, app: &str, number: u64) -> Self {
        let name = RoomKeys::name_of(app, &format!("attacker's room {number}"));
        Self { name, password_key: None, ..self.clone() }
    }

    /// The same room in another version of the app.
    pub(crate) fn in_version(&self, number: u32) -> Self {
        Self { version: HOARDED_VERSION + number, ..self.clone() }
    }

    /// The same room with another password.
    pub(crate) fn with_password(&self, key: &[u8; 32]) -> Self {
        Self { password_key: Some(SecretKey::of_password(key)), ..self.clone() }
    }
}

/// A connection of an attacker.
#[derive(Debug)]
pub(crate) struct Line {
    door: Door,
    key: SecretKey,
    /// What a participant has sent on its connection, to be sent again.
    pub(crate) recorded: Vec<Vec<u8>>,
    pub(crate) is_in: bool,
    pub(crate) timeline: u64,
    counter: u64,
    /// The envelopes that it has voted for.
    pub(crate) envelopes: BTreeMap<u64, Vec<u8>>,
}

impl Line {
    pub(crate) fn new(door: Door, key: [u8; 32], recorded: Vec<Vec<u8>>) -> Self {
        let (key, envelopes) = (SecretKey::of_view(&key), BTreeMap::new());
        Self { door, key, recorded, is_in: false, timeline: 0, counter: 0, envelopes }
    }

    /// The join for this connection.
    pub(crate) fn join(&self, Greeting { nonce, .. }: Greeting) -> Vec<u8> {
        let Door { program, name, version, password_key, view_data } = &self.door;
        let join = Join {
            protocol: PROTOCOL_VERSION,
            program: *program,
            name: *name,
            version: *version,
            view_key: self.key.public(),
            password_key: password_key.as_ref().map(SecretKey::public),
            view_data: view_data.as_deref(),
            ticks_per_second: 1,
            attempt: 1,
            resume: None,
            agent: "attacker",
        };
        let challenge = Challenge { nonce, channel: None };
        join.prove(&challenge, &self.key, password_key.as_ref()).encode()
    }

    /// An event that no client can decode.
    pub(crate) fn junk(&mut self, bytes: usize) -> Vec<u8> {
        self.counter += 1;
        let payload = vec![0xc1; bytes];
        let send = teatime_wire::Send { counter: self.counter, payload: &payload };
        ClientMessage::Send(send).encode()
    }

    /// A vote for this envelope.
    pub(crate) fn vote(&mut self, seq: u64, envelope: Vec<u8>) -> Vec<u8> {
        let hash = Digest::of(&envelope);
        self.envelopes.insert(seq, envelope);
        ClientMessage::Vote(Vote { seq, hash }).encode()
    }

    /// Hands in the envelope that it has voted for.
    pub(crate) fn hand_in(&self, seq: u64) -> Vec<Vec<u8>> {
        let Some(envelope) = self.envelopes.get(&seq) else { return Vec::new() };
        let (total, mut offset) = (envelope.len() as u64, 0);
        let parts = envelope.chunks(limits::MAX_SNAPSHOT_PART).map(|data| {
            let part = SnapshotPart { seq, offset, total, data };
            offset += data.len() as u64;
            ClientMessage::SnapshotPart(part).encode()
        });
        parts.collect()
    }
}

/// A stranger with some connections, all from one address.
#[derive(Debug)]
pub(crate) struct Attacker {
    pub(crate) aim: Aim,
    /// The room that it is after.
    pub(crate) room: usize,
    /// It goes at this time.
    pub(crate) until: u64,
    pub(crate) dice: Dice,
    pub(crate) lines: BTreeMap<ConnId, Line>,
    /// How many connections it may still make.
    pub(crate) more: u64,
    /// The session that it joins next.
    pub(crate) door: Door,
    /// What a participant has sent, to be sent again.
    pub(crate) recorded: Vec<Vec<u8>>,
}

/// A state with an envelope around it, as it would be handed in without a password.
pub(crate) fn wrap(state: &[u8], persisted: Option<&[u8]>) -> Vec<u8> {
    let persisted = persisted.map(|data| PersistedPart { data: data.to_vec(), roots: Vec::new() });
    Envelope { persisted, roots: Vec::new(), space: Digest([0; 32]) }.wrap(state)
}

/// A state that clients can load, and that no log leads to: its random numbers are at another position. `None` if this is not a
/// snapshot of a model.
pub(crate) fn forged(state: &[u8]) -> Option<Vec<u8>> {
    // MODEL.md, 3.1: the array, the head, two ids. Then time, seq, three counters in an array, and the random numbers.
    let mut at = 1 + (1 + 17 + 1) + 2 * (2 + 32);
    number(state, &mut at)?;
    number(state, &mut at)?;
    at += 1;
    for _ in 0..3 {
        number(state, &mut at)?;
    }
    let start = at;
    let position = number(state, &mut at)?;
    let other = teatime_vm::to_bytes(&(position + 1)).ok()?;
    Some([&state[..start], &other, state.get(at..)?].concat())
}

/// Reads a number of MessagePack.
fn number(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    *at += 1;
    let more = match first {
        0..=0x7f => return Some(first.into()),
        0xcc => 1,
        0xcd => 2,
        0xce => 4,
        0xcf => 8,
        _ => return None,
    };
    let number = bytes.get(*at..*at + more)?;
    *at += more;
    Some(number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use teatime_vm::{App, ForeignModel, ForeignObject, Payload, SessionId, UntypedCx, Vm};

    use super::*;

    struct Empty;

    impl ForeignObject for Empty {
        fn handle(&mut self, _: &mut UntypedCx<'_>, _: u16, _: &Payload) -> Result<(), String> {
            Ok(())
        }

        fn query(&self, _: u16, _: &[u8]) -> Result<Payload, String> {
            Err("it has no queries".to_owned())
        }

        fn save(&self) -> Result<Vec<u8>, String> {
            Ok(vec![0xc0])
        }
    }

    #[test]
    fn a_forged_state_can_be_loaded_and_is_another_one() {
        let model = ForeignModel {
            id: "empty".to_owned(),
            version: 1,
            code: String::new(),
            handlers: Vec::new(),
            queries: Vec::new(),
            init: Box::new(|_, _| Ok(Box::new(Empty))),
            load: Box::new(|_| Ok(Box::new(Empty))),
        };
        let app = App::builder_without_root("test.empty").foreign_model(model).build();
        let app = app.expect("it is sound");
        let vm = Vm::new(&app, SessionId([1; 32]), &[0xc0]).expect("it begins");
        let state = vm.snapshot().expect("it can be saved");
        let other = forged(&state).expect("it is a snapshot");
        assert_ne!(other, state);
        let restored = Vm::restore(&app, &other).expect("clients can load it");
        assert_eq!(restored.snapshot().expect("it can be saved"), other);
        assert_eq!(forged(b"junk"), None);
    }
}
