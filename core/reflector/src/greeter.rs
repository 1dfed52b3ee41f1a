//! What a reflector says first on each connection, so that no recorded join fits.

use teatime_wire::{Challenge, ChannelBinding, Digest, Greeting, ServerMessage};

/// Draws the nonces of connections. The program that accepts the connections of a reflector, or of several, has one for all.
/// It sends the frame before anything else, and hands the challenge to [`Reflector::connected`](crate::Reflector::connected).
pub struct Greeter {
    key: [u8; 32],
    count: u64,
}

impl std::fmt::Debug for Greeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Greeter").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Greeter {
    /// `seed` must be 32 random bytes that no other party can guess, and fresh whenever the program starts: with the same
    /// seed the same nonces come again.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { key: blake3::derive_key("teatime v1 hello nonce", &seed), count: 0 }
    }

    /// The next connection: what its join must be signed for, and the frame that tells the client. `channel` is the binding
    /// of the connection if this program itself ends its TLS.
    pub fn greet(&mut self, channel: Option<ChannelBinding>) -> (Challenge, Vec<u8>) {
        self.count += 1;
        // BLAKE3 with a key is a pseudorandom function: without the key, a nonce says nothing about another.
        let nonce = Digest(*blake3::keyed_hash(&self.key, &self.count.to_be_bytes()).as_bytes());
        let greeting = Greeting { nonce, binds_channel: channel.is_some() };
        (Challenge { nonce, channel }, ServerMessage::Hello(greeting).encode())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_nonce_is_never_the_same_twice_nor_one_of_another_seed() {
        let mut seen = HashSet::new();
        for seed in 0..4 {
            let mut greeter = Greeter::new([seed; 32]);
            for _ in 0..10_000 {
                let (challenge, _) = greeter.greet(None);
                assert!(seen.insert(challenge.nonce.0), "{challenge:?}");
            }
        }
    }

    #[test]
    fn the_frame_names_the_nonce_and_whether_the_channel_counts() {
        let mut greeter = Greeter::new([1; 32]);
        for channel in [None, Some(ChannelBinding([7; 32]))] {
            let (challenge, frame) = greeter.greet(channel);
            assert_eq!(challenge.channel, channel);
            let Ok(ServerMessage::Hello(greeting)) = ServerMessage::decode(&frame) else {
                panic!("another message");
            };
            let expected = Greeting { nonce: challenge.nonce, binds_channel: channel.is_some() };
            assert_eq!(greeting, expected);
        }
    }
}
