//! The server's side of a blob connection.

use teatime_wire::{
    BLOB_VERSION, BlobLimits, BlobReply, BlobRequest, Challenge, CloseReason, Digest, Hello,
    Refused, WireError,
};

use crate::files::ChunkFiles;
use crate::limits::counts_as;
use crate::vault::{Completion, Vault};

/// The server's side of a blob connection. It answers each request with one reply, in order.
#[derive(Debug)]
pub struct Serving {
    challenge: Challenge,
    space: Option<Digest>,
    /// How many bytes the client may still store.
    share: u64,
}

impl Serving {
    /// A connection on which the server has said hello with this challenge.
    pub fn new(challenge: Challenge) -> Self {
        Self { challenge, space: None, share: u64::MAX }
    }

    /// Sets how many bytes the client may still store, overhead included: what is left of the share of its address.
    pub fn set_share(&mut self, bytes: u64) {
        self.share = bytes;
    }

    /// The space of the room that the client is in, once it has proven that.
    pub fn space(&self) -> Option<Digest> {
        self.space
    }

    /// Answers a frame. `now` is the time in seconds.
    ///
    /// # Errors
    /// Why the caller must close the connection: the reason, and its details.
    pub fn received<F: ChunkFiles>(
        &mut self,
        now: u64,
        vault: &mut Vault<F>,
        frame: &[u8],
    ) -> Result<Vec<u8>, (CloseReason, String)> {
        let request = BlobRequest::decode(frame).map_err(|error| match error {
            WireError::TooLarge(_) => (CloseReason::TooLarge, error.to_string()),
            WireError::Version(found) => {
                (CloseReason::Version, format!("expected version {BLOB_VERSION}, found {found}"))
            }
            WireError::UnknownMessage(_) => (CloseReason::Version, error.to_string()),
            _ => (CloseReason::Malformed, error.to_string()),
        })?;
        match (request, self.space) {
            (BlobRequest::Hello(hello), None) => self.greet(vault, hello),
            (_, None) => Err((CloseReason::NotJoined, String::new())),
            (BlobRequest::Chunk(bytes) | BlobRequest::Manifest(bytes), Some(_))
                if counts_as(bytes.len() as u64) > self.share =>
            {
                Ok(BlobReply::Refused(Refused::NoRoom).encode())
            }
            (request, Some(space)) => answer(now, vault, space, request),
        }
    }

    fn greet<F: ChunkFiles>(
        &mut self,
        vault: &mut Vault<F>,
        hello: Hello<'_>,
    ) -> Result<Vec<u8>, (CloseReason, String)> {
        if !hello.is_proven(&self.challenge) {
            let detail = "the hello is not signed with the room's password for this connection";
            return Err((CloseReason::BadProof, detail.into()));
        }
        let space = hello.space();
        self.space = Some(space);
        let limits = vault.limits_for(space);
        let room = limits.room.min(self.share);
        Ok(BlobReply::Ready(BlobLimits { room, ..limits }).encode())
    }
}

fn answer<F: ChunkFiles>(
    now: u64,
    vault: &mut Vault<F>,
    space: Digest,
    request: BlobRequest<'_>,
) -> Result<Vec<u8>, (CloseReason, String)> {
    let content;
    let reply = match request {
        BlobRequest::Hello(_) => return Err((CloseReason::OutOfOrder, "a second hello".into())),
        BlobRequest::Offer(ids) => BlobReply::Wanted(vault.missing(now, space, ids)),
        BlobRequest::Chunk(bytes) => {
            vault.put(now, space, bytes).map_or_else(BlobReply::Refused, BlobReply::Stored)
        }
        BlobRequest::Manifest(bytes) => match vault.complete(now, space, bytes) {
            Ok(Completion::Stored(root)) => BlobReply::Complete(root),
            Ok(Completion::Missing(chunk)) => BlobReply::Unknown(chunk),
            Ok(Completion::Invalid) => {
                return Err((CloseReason::Malformed, "not a valid manifest".into()));
            }
            Err(refused) => BlobReply::Refused(refused),
        },
        BlobRequest::Get(id) => match vault.get(now, space, id) {
            Ok(Some(bytes)) => {
                content = bytes;
                BlobReply::Content(&content)
            }
            Ok(None) => BlobReply::Unknown(id),
            Err(refused) => BlobReply::Refused(refused),
        },
    };
    Ok(reply.encode())
}
