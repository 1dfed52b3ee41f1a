//! What a sender says of the order as it has seen it. It is sealed with the content of each event in a session with a
//! password, so a reflector can neither change it nor make one.

use rmp::decode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use teatime_vm::limits::MAX_DEPTH;
use teatime_wire::Chain;

/// Bytes of a chain value in a claim. To find another log with the same claim is as much work as to break the seal.
const CHAIN: usize = 16;

/// Most bytes of a claim: an array of four, three numbers of 64 bits, and a byte string.
pub(crate) const MAX_CLAIM: usize = 1 + 9 + 2 + CHAIN + 9 + 9;

/// What the sender of an event had seen when it sent the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The newest ordered message that had arrived there.
    pub(crate) seq: u64,
    /// The first bytes of the chain at it.
    pub(crate) chain: [u8; CHAIN],
    /// The counter of the event of this sender that comes before this one in the order. 0 if there is none, or the sender
    /// does not know.
    pub(crate) previous: u64,
    /// The number of the connection over which it was sent.
    pub(crate) attempt: u64,
}

impl Claim {
    pub(crate) fn new((seq, chain): (u64, Chain), previous: u64, attempt: u64) -> Self {
        Self { seq, chain: start_of(chain), previous, attempt }
    }

    /// Whether the sender had the same ordered messages as a client whose chain has this value there.
    pub(crate) fn agrees_with(&self, own: Chain) -> bool {
        self.chain == start_of(own)
    }

    /// The content of an event with this claim: `plain` is an array of three, which becomes one of four.
    pub(crate) fn append_to(&self, plain: &[u8]) -> Vec<u8> {
        let mut content = Vec::with_capacity(plain.len() + MAX_CLAIM);
        content.push(0x94);
        content.extend_from_slice(plain.get(1..).unwrap_or_default());
        let chain = serde_bytes::Bytes::new(&self.chain);
        let claim = (self.seq, chain, self.previous, self.attempt);
        rmp_serde::encode::write(&mut content, &claim).expect(
            "numbers and bytes can be expressed in MessagePack, and a Vec takes every byte",
        );
        content
    }

    /// Reads a claim with which the bytes end. It may have further fields. `None` if it is anything else.
    pub(crate) fn read(mut rest: &[u8]) -> Option<Self> {
        let rest = &mut rest;
        let further = decode::read_array_len(rest).ok()?.checked_sub(4)?;
        let seq = decode::read_int(rest).ok()?;
        if decode::read_bin_len(rest).ok()? as usize != CHAIN {
            return None;
        }
        let chain = *rest.split_off(..CHAIN)?.first_chunk()?;
        let (previous, attempt) = (decode::read_int(rest).ok()?, decode::read_int(rest).ok()?);
        for _ in 0..further {
            let mut value = rmp_serde::Deserializer::new(&mut *rest);
            value.set_max_depth(MAX_DEPTH);
            IgnoredAny::deserialize(&mut value).ok()?;
        }
        rest.is_empty().then_some(Self { seq, chain, previous, attempt })
    }
}

fn start_of(chain: Chain) -> [u8; CHAIN] {
    let mut start = [0; CHAIN];
    start.copy_from_slice(&chain.value().0[..CHAIN]);
    start
}
