//! The server's side of a data connection.

use teatime_wire::{CloseReason, DATA_VERSION, DataReply, DataRequest, Digest, Hello, WireError};

use crate::files::ChunkFiles;
use crate::vault::Vault;

/// The server's side of a data connection: one reply to each request, in their order.
#[derive(Debug, Default)]
pub struct Serving {
    space: Option<Digest>,
}

impl Serving {
    /// Answers a frame. `now` is in seconds.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    pub fn received<F: ChunkFiles>(
        &mut self,
        now: u64,
        vault: &mut Vault<F>,
        frame: &[u8],
    ) -> Result<Vec<u8>, (CloseReason, String)> {
        let request = DataRequest::decode(frame).map_err(|error| {
            let reason = match error {
                WireError::TooLarge(_) => CloseReason::TooLarge,
                _ => CloseReason::Malformed,
            };
            (reason, error.to_string())
        })?;
        match (request, self.space) {
            (DataRequest::Hello(hello), None) => self.greet(vault, hello),
            (_, None) => Err((CloseReason::NotJoined, String::new())),
            (request, Some(space)) => answer(now, vault, space, request),
        }
    }

    fn greet<F: ChunkFiles>(
        &mut self,
        vault: &mut Vault<F>,
        hello: Hello<'_>,
    ) -> Result<Vec<u8>, (CloseReason, String)> {
        if hello.version != DATA_VERSION {
            let detail = format!("version {} instead of {DATA_VERSION}", hello.version);
            return Err((CloseReason::Version, detail));
        }
        self.space = Some(hello.space);
        Ok(DataReply::Ready(vault.limits_for(hello.space)).encode())
    }
}

fn answer<F: ChunkFiles>(
    now: u64,
    vault: &mut Vault<F>,
    space: Digest,
    request: DataRequest<'_>,
) -> Result<Vec<u8>, (CloseReason, String)> {
    let content;
    let reply = match request {
        DataRequest::Hello(_) => return Err((CloseReason::OutOfOrder, "a second hello".into())),
        DataRequest::Offer(ids) => DataReply::Wanted(vault.missing(now, space, ids)),
        DataRequest::Chunk(bytes) => {
            vault.put(now, space, bytes).map_or_else(DataReply::Refused, DataReply::Stored)
        }
        DataRequest::Manifest(bytes) => match vault.complete(now, space, bytes) {
            Ok(Ok(root)) => DataReply::Complete(root),
            Ok(Err(missing)) => DataReply::Unknown(missing),
            Err(Some(refused)) => DataReply::Refused(refused),
            Err(None) => return Err((CloseReason::Malformed, "no manifest".into())),
        },
        DataRequest::Get(id) => match vault.get(now, space, id) {
            Ok(Some(bytes)) => {
                content = bytes;
                DataReply::Content(&content)
            }
            Ok(None) => DataReply::Unknown(id),
            Err(refused) => DataReply::Refused(refused),
        },
    };
    Ok(reply.encode())
}
