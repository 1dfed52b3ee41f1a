//! The HTTP side of the server: WebSocket upgrades, the health check, and refusals.

use std::io;

use teatime_wire::{BLOB_PATH, BLOB_SUBPROTOCOL, SUBPROTOCOL};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::librarian::HAS_BLOBS;

/// The longest request that is read. Browsers send about 600 bytes, and cookies of the same host.
const MAX_REQUEST: usize = 8 * 1024;

/// Most header lines of a request.
const MAX_HEADERS: usize = 64;

/// The purpose of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A session.
    Session,
    /// Blobs.
    Blobs,
}

impl Endpoint {
    fn at(path: &str) -> Self {
        if HAS_BLOBS && path == BLOB_PATH { Self::Blobs } else { Self::Session }
    }

    const fn subprotocol(self) -> &'static str {
        match self {
            Self::Session => SUBPROTOCOL,
            Self::Blobs => BLOB_SUBPROTOCOL,
        }
    }
}

/// Answers a request. If it became a WebSocket, returns the bytes that were read beyond it, and its purpose.
pub(crate) async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<Option<(Vec<u8>, Endpoint)>> {
    let mut bytes = Vec::with_capacity(1024);
    let (reply, consumed) = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        if bytes.len() > MAX_REQUEST {
            break (Reply::Refusal("431 Request Header Fields Too Large", "too large\n"), 0);
        }
        if let Some(replied) = reply(&bytes) {
            break replied;
        }
    };
    match reply {
        Reply::Upgrade(accept, endpoint) => {
            let subprotocol = endpoint.subprotocol();
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\
                 Server: {SERVER}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.flush().await?;
            Ok(Some((bytes.split_off(consumed), endpoint)))
        }
        Reply::Refusal(status, body) => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
                 Connection: close\r\nServer: {SERVER}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            Ok(None)
        }
    }
}

/// The name by which other programs recognize a reflector.
const SERVER: &str = concat!("teatime/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, PartialEq, Eq)]
enum Reply {
    /// With the accept key.
    Upgrade(String, Endpoint),
    /// Everything that ends the connection, the health check included: status line and body.
    Refusal(&'static str, &'static str),
}

/// The answer, and the length of the request. `None` if it has not arrived whole.
fn reply(bytes: &[u8]) -> Option<(Reply, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let consumed = match request.parse(bytes) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some((Reply::Refusal("400 Bad Request", "not an HTTP request\n"), 0)),
    };
    let header = |name: &str| {
        let header =
            request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let lists = |name: &str, wanted: &str| {
        let value = header(name).unwrap_or_default();
        value.split(',').any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    let path = request.path.unwrap_or_default();
    let endpoint = Endpoint::at(path);
    let reply = if request.method != Some("GET") {
        Reply::Refusal("405 Method Not Allowed", "only GET\n")
    } else if path == "/healthz" {
        Reply::Refusal("200 OK", "ok\n")
    } else if !lists("upgrade", "websocket") || !lists("connection", "upgrade") {
        Reply::Refusal("426 Upgrade Required", "this is a Teatime reflector: use WebSocket\n")
    } else if header("sec-websocket-version") != Some("13") {
        Reply::Refusal("400 Bad Request", "expected WebSocket version 13\n")
    } else if !lists("sec-websocket-protocol", endpoint.subprotocol()) {
        match endpoint {
            Endpoint::Session => {
                Reply::Refusal("400 Bad Request", "expected the sub-protocol teatime.v1\n")
            }
            Endpoint::Blobs => {
                Reply::Refusal("400 Bad Request", "expected the sub-protocol teatime.blobs.v1\n")
            }
        }
    } else {
        match header("sec-websocket-key") {
            Some(key) => Reply::Upgrade(derive_accept_key(key.as_bytes()), endpoint),
            None => Reply::Refusal("400 Bad Request", "Sec-WebSocket-Key is missing\n"),
        }
    };
    Some((reply, consumed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &str) -> Option<String> {
        reply(request.as_bytes()).map(|(reply, _)| match reply {
            Reply::Upgrade(accept, _) => accept,
            Reply::Refusal(status, _) => status.to_owned(),
        })
    }

    #[test]
    fn only_a_complete_upgrade_with_our_sub_protocol_becomes_a_websocket() {
        // The key and its answer are the example of RFC 6455, section 1.3.
        let good = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
                    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                    Sec-WebSocket-Protocol: other, teatime.v1\r\n\r\n";
        assert_eq!(status(good).as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for (from, to, expected) in [
            ("teatime.v1", "teatime.v2", "400"),
            ("Version: 13", "Version: 8", "400"),
            ("Sec-WebSocket-Key", "X-Key", "400"),
            ("Upgrade: websocket", "Upgrade: h2c", "426"),
            ("GET / ", "POST / ", "405"),
            ("GET / ", "GET /healthz ", "200"),
            ("GET / HTTP/1.1", "nonsense", "400"),
        ] {
            let answer = status(&good.replace(from, to)).expect("it is complete");
            assert!(answer.starts_with(expected), "{to}: {answer}");
        }
        assert_eq!(status(&good[..good.len() - 2]), None);
    }
}
