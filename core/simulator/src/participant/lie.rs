//! What liars send: clients that break the protocol.

use rand_chacha::rand_core::Rng;
use teatime_wire::{ClientMessage, Digest, Send, SnapshotPart, Vote};

use super::Participant;

impl Participant {
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
