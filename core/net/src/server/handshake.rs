//! The HTTP side of the server: WebSocket upgrades, the health check, and refusals.

use std::io;

use teatime_wire::{BLOB_PATH, BLOB_SUBPROTOCOL, CloseReason, SUBPROTOCOL};
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

    /// Whether this is the sub-protocol of another version.
    fn is_other_version(self, offered: &str) -> bool {
        let family = self.subprotocol().trim_end_matches(|digit: char| digit.is_ascii_digit());
        let version = offered.strip_prefix(family);
        version.is_some_and(|version| version.parse::<u32>().is_ok())
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
            let status = "431 Request Header Fields Too Large";
            break (Reply::Refusal(status, "too large\n", Method::Get), 0);
        }
        if let Some(replied) = reply(&bytes) {
            break replied;
        }
    };
    match reply {
        Reply::Upgrade(accept, endpoint) => {
            switch(stream, &accept, endpoint.subprotocol()).await?;
            Ok(Some((bytes.split_off(consumed), endpoint)))
        }
        Reply::OtherVersion { accept, offered, spoken } => {
            switch(stream, &accept, &offered).await?;
            stream.write_all(&close_frame(&format!("expected {spoken}, found {offered}"))).await?;
            end(stream).await?;
            Ok(None)
        }
        Reply::Refusal(status, body, method) => {
            let length = body.len();
            let body = if method == Method::Head { "" } else { body };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
                 Connection: close\r\nServer: {SERVER}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await?;
            end(stream).await?;
            Ok(None)
        }
    }
}

/// Makes the connection a WebSocket.
async fn switch(
    stream: &mut (impl AsyncWrite + Unpin),
    accept: &str,
    subprotocol: &str,
) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\
         Server: {SERVER}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await
}

/// Ends a connection so that the client can read the answer: a system that closes a connection of which it has not
/// read everything may throw away what it has sent.
async fn end(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.flush().await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    for _ in 0..MAX_REQUEST / rest.len() {
        if stream.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// The frame that closes a WebSocket because of the version (RFC 6455, section 5.5.1).
fn close_frame(detail: &str) -> Vec<u8> {
    // A control frame has at most 125 bytes, and two are the code.
    let mut length = detail.len().min(123);
    while !detail.is_char_boundary(length) {
        length -= 1;
    }
    let mut frame = vec![0x88, u8::try_from(2 + length).unwrap_or(125)];
    frame.extend(CloseReason::Version.code().to_be_bytes());
    frame.extend(&detail.as_bytes()[..length]);
    frame
}

/// The name by which other programs recognize a reflector.
const SERVER: &str = concat!("teatime/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, PartialEq, Eq)]
enum Reply {
    /// With the accept key.
    Upgrade(String, Endpoint),
    /// The client speaks another version only. It hears so as a WebSocket: browsers tell a page nothing else.
    OtherVersion { accept: String, offered: String, spoken: &'static str },
    /// Everything that ends the connection, the health check included: status line and body.
    Refusal(&'static str, &'static str, Method),
}

/// Whether the client wants the body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Head,
}

/// The answer, and the length of the request. `None` if it has not arrived whole.
fn reply(bytes: &[u8]) -> Option<(Reply, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let consumed = match request.parse(bytes) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => {
            let (status, body) = ("400 Bad Request", "not an HTTP request\n");
            return Some((Reply::Refusal(status, body, Method::Get), 0));
        }
    };
    let method = match request.method {
        Some("HEAD") => Method::Head,
        _ => Method::Get,
    };
    let refuse = |status, body| Some((Reply::Refusal(status, body, method), consumed));
    let headers = &*request.headers;
    let all = |name: &'static str| {
        let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.filter_map(|header| std::str::from_utf8(header.value).ok())
    };
    // A list may be spread over several lines (RFC 9110, section 5.3).
    let entries = |name| all(name).flat_map(|value| value.split(',')).map(str::trim);
    let lists = |name, wanted: &str| entries(name).any(|entry| entry.eq_ignore_ascii_case(wanted));
    let target = request.path.unwrap_or_default();
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let endpoint = Endpoint::at(path);
    if !matches!(request.method, Some("GET" | "HEAD")) {
        return refuse("405 Method Not Allowed", "only GET\n");
    }
    if path == "/healthz" {
        return refuse("200 OK", "ok\n");
    }
    if method == Method::Head || !lists("upgrade", "websocket") || !lists("connection", "upgrade") {
        return refuse("426 Upgrade Required", "this is a Teatime reflector: use WebSocket\n");
    }
    if all("sec-websocket-version").next() != Some("13") {
        return refuse("400 Bad Request", "expected WebSocket version 13\n");
    }
    let Some(key) = all("sec-websocket-key").next() else {
        return refuse("400 Bad Request", "Sec-WebSocket-Key is missing\n");
    };
    let accept = derive_accept_key(key.as_bytes());
    if lists("sec-websocket-protocol", endpoint.subprotocol()) {
        return Some((Reply::Upgrade(accept, endpoint), consumed));
    }
    let mut offered = entries("sec-websocket-protocol");
    if let Some(offered) = offered.find(|offered| endpoint.is_other_version(offered)) {
        let (offered, spoken) = (offered.to_owned(), endpoint.subprotocol());
        return Some((Reply::OtherVersion { accept, offered, spoken }, consumed));
    }
    match endpoint {
        Endpoint::Session => refuse("400 Bad Request", "expected the sub-protocol teatime.v1\n"),
        Endpoint::Blobs => {
            refuse("400 Bad Request", "expected the sub-protocol teatime.blobs.v1\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &str) -> Option<String> {
        reply(request.as_bytes()).map(|(reply, _)| match reply {
            Reply::Upgrade(accept, _) => accept,
            Reply::OtherVersion { offered, .. } => offered,
            Reply::Refusal(status, ..) => status.to_owned(),
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
            ("teatime.v1", "teatime.v2", "teatime.v2"),
            ("teatime.v1", "teatime.v", "400"),
            ("teatime.v1", "teatime.blobs.v1", "400"),
            ("other, teatime.v1", "a\r\nSec-WebSocket-Protocol: teatime.v1", "s3pPLM"),
            ("keep-alive, Upgrade", "keep-alive\r\nConnection: Upgrade", "s3pPLM"),
            ("GET / ", "GET /?from=a%20page ", "s3pPLM"),
            ("GET / ", "GET /a/path?x ", "s3pPLM"),
            ("GET / ", "HEAD / ", "426"),
            ("GET / ", "HEAD /healthz ", "200"),
            ("GET / ", "GET /healthz?x ", "200"),
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
