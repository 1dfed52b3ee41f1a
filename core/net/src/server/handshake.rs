//! The HTTP side of the server: WebSocket upgrades, the health check, and refusals.

use std::io;
use std::time::SystemTime;

use bytes::BytesMut;
use teatime_wire::{BLOB_PATH, BLOB_SUBPROTOCOL, CloseReason, SUBPROTOCOL};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::callers::Callers;
use super::frame::{write_binary, write_close};
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
    /// The purpose by the end of the path: what comes before is the place of this reflector on a shared host.
    fn at(path: &str) -> Self {
        if HAS_BLOBS && path.ends_with(BLOB_PATH) { Self::Blobs } else { Self::Session }
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

/// Answers a request. If it became a WebSocket, returns the bytes that were read beyond it, and its purpose. `hello` follows
/// the answer at once: a message of the protocol.
pub(crate) async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    callers: &Callers,
    hello: &[u8],
) -> io::Result<Option<(Vec<u8>, Endpoint)>> {
    let Some((reply, consumed, mut bytes)) = read(stream, |bytes| reply(bytes, callers)).await?
    else {
        return Ok(None);
    };
    match reply {
        Reply::Upgrade(accept, endpoint) => {
            switch(stream, &accept, endpoint.subprotocol(), hello).await?;
            Ok(Some((bytes.split_off(consumed), endpoint)))
        }
        Reply::OtherVersion { accept, offered, spoken } => {
            switch(stream, &accept, &offered, &[]).await?;
            close(stream, CloseReason::Version, &format!("expected {spoken}, found {offered}"))
                .await?;
            Ok(None)
        }
        Reply::Page(page) => {
            show(stream, page).await?;
            Ok(None)
        }
    }
}

/// Answers a request for a page, and ends the connection. `find` knows the pages by their paths.
pub(crate) async fn answer_page(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    callers: &Callers,
    find: impl Fn(&str, Method) -> Page,
) -> io::Result<()> {
    let parse = |bytes: &[u8]| {
        with_request(bytes, |request| Reply::Page(find_page(request, callers, &find)))
    };
    match read(stream, parse).await? {
        Some((Reply::Page(page), ..)) => show(stream, page).await,
        _ => Ok(()),
    }
}

/// Reads until `parse` has a reply. It looks when the bytes have doubled, or when a line may be the last: so it takes
/// time in proportion to the bytes, however they come. `None` if the connection has ended.
async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    parse: impl Fn(&[u8]) -> Option<(Reply, usize)>,
) -> io::Result<Option<(Reply, usize, Vec<u8>)>> {
    let mut bytes = Vec::with_capacity(1024);
    let mut parsed = 0;
    loop {
        let before = bytes.len();
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        if bytes.len() > MAX_REQUEST {
            let page = Page::new("431 Request Header Fields Too Large", "too large\n", Method::Get);
            return Ok(Some((Reply::Page(page), 0, bytes)));
        }
        if bytes.len() >= 2 * parsed || has_empty_line(&bytes, before) {
            parsed = bytes.len();
            if let Some((reply, consumed)) = parse(&bytes) {
                return Ok(Some((reply, consumed, bytes)));
            }
        }
    }
}

/// Whether an empty line ends in what has come after `before` bytes.
fn has_empty_line(bytes: &[u8], before: usize) -> bool {
    let new = &bytes[before.saturating_sub(3)..];
    new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

/// Refuses a request that has not arrived in time.
pub(crate) async fn refuse_slow_request(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<()> {
    let body = "the request came too slowly\n";
    show(stream, Page::new("408 Request Timeout", body, Method::Get)).await
}

/// Everything that ends the connection: the health check, refusals.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    status: &'static str,
    body: &'static str,
    method: Method,
    /// That this server has its token.
    proof: Option<String>,
}

impl Page {
    pub(crate) fn new(status: &'static str, body: &'static str, method: Method) -> Self {
        Self { status, body, method, proof: None }
    }

    fn with_proof(self, proof: Option<String>) -> Self {
        Self { proof, ..self }
    }
}

/// Answers, and ends the connection.
async fn show(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), page: Page) -> io::Result<()> {
    let Page { status, body, method, proof } = page;
    let proof = proof.map_or_else(String::new, |proof| format!("Teatime-Proof: {proof}\r\n"));
    let length = body.len();
    let body = if method == Method::Head { "" } else { body };
    let remedy = remedy(status);
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         {remedy}{proof}Connection: close\r\nServer: {SERVER}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    end(stream).await
}

/// The header lines that say what the client can do instead (RFC 9110, sections 7.8 and 10.2.1, and RFC 6455, section
/// 4.4).
fn remedy(status: &str) -> &'static str {
    match status.split_once(' ') {
        Some(("400", _)) => "Sec-WebSocket-Version: 13\r\n",
        Some(("405", _)) => "Allow: GET, HEAD\r\n",
        Some(("426", _)) => {
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        }
        _ => "",
    }
}

/// Closes a WebSocket.
pub(crate) async fn close(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    reason: CloseReason,
    detail: &str,
) -> io::Result<()> {
    let mut frame = BytesMut::new();
    write_close(&mut frame, reason, detail);
    stream.write_all(&frame).await?;
    end(stream).await
}

/// Makes the connection a WebSocket, and sends its first message, if there is one.
async fn switch(
    stream: &mut (impl AsyncWrite + Unpin),
    accept: &str,
    subprotocol: &str,
    first: &[u8],
) -> io::Result<()> {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\
         Date: {date}\r\nServer: {SERVER}\r\n\r\n"
    );
    let mut bytes = BytesMut::from(head.as_bytes());
    if !first.is_empty() {
        write_binary(&mut bytes, first);
    }
    // One write, so one packet and one round trip.
    stream.write_all(&bytes).await?;
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

/// The name by which other programs recognize a reflector.
const SERVER: &str = concat!("teatime/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, PartialEq, Eq)]
enum Reply {
    /// With the accept key.
    Upgrade(String, Endpoint),
    /// The client speaks another version only. It hears so as a WebSocket: browsers tell a page nothing else.
    OtherVersion {
        accept: String,
        offered: String,
        spoken: &'static str,
    },
    Page(Page),
}

/// Whether the client wants the body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
}

/// The answer to a request, and the length of the request. `None` if it has not arrived whole.
fn reply(bytes: &[u8], callers: &Callers) -> Option<(Reply, usize)> {
    with_request(bytes, |request| reply_to(request, callers))
}

/// A request that has arrived whole.
struct Request<'a> {
    method: Option<Method>,
    path: &'a str,
    query: &'a str,
    headers: &'a [httparse::Header<'a>],
}

impl<'a> Request<'a> {
    /// The values of a header. One that is not text counts as empty, and never as missing.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |one| one.name.eq_ignore_ascii_case(name));
        named.map(|header| std::str::from_utf8(header.value).unwrap_or_default())
    }

    /// A list may be spread over several lines (RFC 9110, section 5.3).
    fn entries(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim)
    }

    fn lists(&self, name: &'static str, wanted: &str) -> bool {
        self.entries(name).any(|entry| entry.eq_ignore_ascii_case(wanted))
    }

    fn page(&self, status: &'static str, body: &'static str) -> Page {
        Page::new(status, body, self.method.unwrap_or(Method::Get))
    }

    /// Why every request like this is refused.
    fn refusal(&self, callers: &Callers) -> Option<Page> {
        if self.method.is_none() {
            return Some(self.page("405 Method Not Allowed", "only GET\n"));
        }
        (!self.all("host").all(|host| callers.allow_host(host))).then(|| {
            let body = "expected a Host header with an address of this machine or localhost: \
                        for another name use --allow-host\n";
            self.page("421 Misdirected Request", body)
        })
    }
}

/// Parses a request, and lets `answer` answer it.
fn with_request(bytes: &[u8], answer: impl Fn(&Request<'_>) -> Reply) -> Option<(Reply, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let consumed = match request.parse(bytes) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => {
            let page = Page::new("400 Bad Request", "not an HTTP request\n", Method::Get);
            return Some((Reply::Page(page), 0));
        }
    };
    let method = match request.method {
        Some("GET") => Some(Method::Get),
        Some("HEAD") => Some(Method::Head),
        _ => None,
    };
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some((answer(&Request { method, path, query, headers: &*request.headers }), consumed))
}

fn find_page(
    request: &Request<'_>,
    callers: &Callers,
    find: impl Fn(&str, Method) -> Page,
) -> Page {
    let method = request.method.unwrap_or(Method::Get);
    request.refusal(callers).unwrap_or_else(|| find(request.path, method))
}

fn reply_to(request: &Request<'_>, callers: &Callers) -> Reply {
    if let Some(page) = request.refusal(callers) {
        return Reply::Page(page);
    }
    let refuse = |status, body| Reply::Page(request.page(status, body));
    let endpoint = Endpoint::at(request.path);
    if request.path.ends_with("/healthz") {
        let page = request.page("200 OK", "ok\n");
        return Reply::Page(page.with_proof(callers.proof(request.query)));
    }
    if !callers.allow_path(request.path) {
        return refuse("404 Not Found", "expected the token of this reflector in the path\n");
    }
    if request.method == Some(Method::Head)
        || !request.lists("upgrade", "websocket")
        || !request.lists("connection", "upgrade")
    {
        return refuse("426 Upgrade Required", "this is a Teatime reflector: use WebSocket\n");
    }
    if !request.all("origin").all(|origin| callers.allow_origin(origin)) {
        let body = "web pages of this origin may not connect: the operator can allow them with \
                    --allow-origin\n";
        return refuse("403 Forbidden", body);
    }
    if request.all("sec-websocket-version").next() != Some("13") {
        return refuse("400 Bad Request", "expected WebSocket version 13\n");
    }
    let Some(key) = request.all("sec-websocket-key").next() else {
        return refuse("400 Bad Request", "Sec-WebSocket-Key is missing\n");
    };
    let accept = derive_accept_key(key.as_bytes());
    if request.lists("sec-websocket-protocol", endpoint.subprotocol()) {
        return Reply::Upgrade(accept, endpoint);
    }
    let mut offered = request.entries("sec-websocket-protocol");
    if let Some(offered) = offered.find(|offered| endpoint.is_other_version(offered)) {
        let (offered, spoken) = (offered.to_owned(), endpoint.subprotocol());
        return Reply::OtherVersion { accept, offered, spoken };
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
    use crate::server::ServerConfig;

    /// Of a listener that only this machine reaches, and one page.
    fn local() -> Callers {
        let allowed_origins = vec!["https://page.example".to_owned()];
        let config = ServerConfig { allowed_origins, ..ServerConfig::default() };
        Callers::of(&config, "127.0.0.1:9090".parse().ok())
    }

    fn status(request: &str) -> Option<String> {
        reply(request.as_bytes(), &local()).map(|(reply, _)| match reply {
            Reply::Upgrade(accept, _) => accept,
            Reply::OtherVersion { offered, .. } => offered,
            Reply::Page(page) => page.status.to_owned(),
        })
    }

    #[test]
    fn only_a_complete_upgrade_with_our_sub_protocol_becomes_a_websocket() {
        // The key and its answer are the example of RFC 6455, section 1.3.
        let good = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
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
            ("GET / ", "GET /shared/host/healthz ", "200"),
            ("GET / ", "GET /shared/host/blobs ", if HAS_BLOBS { "400" } else { "s3pPLM" }),
            ("Version: 13", "Version: 8", "400"),
            ("Sec-WebSocket-Key", "X-Key", "400"),
            ("Upgrade: websocket", "Upgrade: h2c", "426"),
            ("GET / ", "POST / ", "405"),
            ("GET / ", "GET /healthz ", "200"),
            ("GET / HTTP/1.1", "nonsense", "400"),
            ("Host: localhost", "Host: 127.0.0.1:9090", "s3pPLM"),
            ("Host: localhost", "Host: page.example", "421"),
            ("Host: localhost", "Host: localhost\r\nHost: page.example", "421"),
            ("Host: localhost\r\n", "", "s3pPLM"),
            ("GET / HTTP/1.1\r\nHost: localhost", "GET /healthz HTTP/1.1\r\nHost: a", "421"),
            ("Host", "Origin: https://page.example\r\nHost", "s3pPLM"),
            ("Host", "Origin: https://evil.example\r\nHost", "403"),
            ("Host", "Origin: http://localhost\r\nHost", "403"),
            ("Host", "Origin: null\r\nHost", "403"),
            ("Host", "Origin:\r\nHost", "403"),
            ("Host", "Origin: https://page.example\r\nOrigin: https://evil.example\r\nHost", "403"),
            ("GET / ", "GET /blobs ", if HAS_BLOBS { "400" } else { "s3pPLM" }),
        ] {
            let answer = status(&good.replace(from, to)).expect("it is complete");
            assert!(answer.starts_with(expected), "{to}: {answer}");
        }
        assert_eq!(status(&good[..good.len() - 2]), None);
    }

    /// Gives one byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl AsyncRead for Drops<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            if let Some((first, rest)) = self.0.split_first() {
                into.put_slice(&[*first]);
                self.0 = rest;
            }
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_request_that_comes_byte_by_byte_is_parsed_in_proportion_to_its_length() {
        let request = format!("GET /healthz HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(8_000));
        let parsed = std::cell::Cell::new(0);
        let mut drops = Drops(request.as_bytes());
        let replied = read(&mut drops, |bytes| {
            parsed.set(parsed.get() + bytes.len());
            reply(bytes, &local())
        });
        let (_, consumed, _) = replied.await.expect("no failure").expect("it is answered");
        assert_eq!(consumed, request.len());
        assert!(parsed.get() <= 4 * request.len(), "{} bytes parsed", parsed.get());
    }

    #[tokio::test]
    async fn a_refusal_says_what_the_client_can_do_instead() {
        for (request, remedies) in [
            ("POST / HTTP/1.1\r\n\r\n", &["Allow: GET, HEAD"][..]),
            ("GET / HTTP/1.1\r\n\r\n", &["Upgrade: websocket", "Connection: Upgrade"]),
            (
                "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 8\r\n\r\n",
                &["Sec-WebSocket-Version: 13"],
            ),
        ] {
            let (mut client, mut server) = tokio::io::duplex(MAX_REQUEST);
            client.write_all(request.as_bytes()).await.expect("there is room");
            client.shutdown().await.expect("it is open");
            assert!(
                answer(&mut server, &local(), b"hello").await.expect("no failure").is_none(),
                "{request}"
            );
            drop(server);
            let mut refusal = String::new();
            client.read_to_string(&mut refusal).await.expect("it is text");
            let (head, _) = refusal.split_once("\r\n\r\n").expect("a head ends");
            let lines: Vec<_> = head.lines().collect();
            assert!(remedies.iter().all(|remedy| lines.contains(remedy)), "{refusal}");
        }
    }
}
