//! Finds out how far the way to a reflector leads, step by step: for users who cannot join.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use teatime_wire::{CloseReason, PROTOCOL_VERSION, SUBPROTOCOL, ServerMessage};
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{DATE, HeaderValue, SEC_WEBSOCKET_PROTOCOL};

use crate::client::{Duplex, Socket, explain};
use crate::dial::{Dialer, Target};
use crate::tls::{self, CertificateError, Trust};

/// How long a step may take: half of what a client allows for all of them.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// A step of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The text is an address.
    Address,
    /// The name of the host has an address, or there is a proxy for it.
    Name,
    /// A program accepts the connection there.
    Connection,
    /// It proves by a certificate that it is that host.
    Encryption,
    /// It speaks the protocol's WebSockets.
    WebSocket,
    /// It is a reflector of this version of the protocol.
    Protocol,
    /// How long it takes to answer. This step does not fail.
    RoundTrip,
}

/// How far the way leads.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// The steps that succeed, and what was found there.
    pub done: Vec<(Step, String)>,
    /// The step that fails, and why.
    pub failed: Option<(Step, String)>,
    /// By how many seconds the clock of the reflector is ahead of this machine's, or behind if negative. `None` if the
    /// reflector does not tell the time.
    pub clock_lead_s: Option<i64>,
}

/// Goes to the reflector at this address, such as `ws://127.0.0.1:9090`, and back. It joins no session. Trusts what the
/// platform trusts, and these certificates (PEM) too. Takes half a minute at most.
///
/// # Errors
/// The certificates cannot be used.
pub fn probe(url: &str, certificates: Option<&[u8]>) -> Result<Probe, CertificateError> {
    let trust = Trust::new(certificates)?;
    let mut probe = Probe::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    probe.failed = match runtime {
        Ok(runtime) => runtime.block_on(probe.go(url, &trust)).err(),
        Err(error) => Some((Step::Connection, error.to_string())),
    };
    Ok(probe)
}

/// Why the way ends at a step.
type End = (Step, String);

impl Probe {
    async fn go(&mut self, url: &str, trust: &Trust) -> Result<(), End> {
        let target = Target::parse(url).map_err(|error| (Step::Address, error.to_string()))?;
        self.done.push((Step::Address, url.to_owned()));
        let dialer = Dialer::of_system();
        let found = match dialer.proxy_to(url) {
            Some(proxy) => format!("through the {proxy}"),
            None => {
                let looked_up = dialer.look_up(target.host(), target.port());
                let addresses = within(Step::Name, looked_up).await?;
                let addresses = addresses.iter().map(|address| address.ip().to_string());
                addresses.collect::<Vec<_>>().join(", ")
            }
        };
        self.done.push((Step::Name, found));
        let stream = within(Step::Connection, dialer.dial(&target)).await?;
        let peer = stream.peer_addr().map_or_else(|_| String::new(), |peer| peer.to_string());
        self.done.push((Step::Connection, peer));
        let stream: Box<dyn Duplex> = match target.is_encrypted() {
            true => {
                let encrypted = tls::connect(trust, target.name(), stream);
                let (stream, _) = within(Step::Encryption, encrypted).await?;
                self.done.push((Step::Encryption, format!("certificate of {}", target.name())));
                Box::new(stream)
            }
            false => Box::new(stream),
        };
        // One question and its answer. Several threads of a reflector answer a ping only after a join.
        let start = Instant::now();
        let mut socket = self.switch(&target, stream).await?;
        let time = start.elapsed();
        let greeted = within(Step::Protocol, greeting(&mut socket)).await?;
        self.done.push((Step::Protocol, greeted));
        let milliseconds = time.as_secs_f64() * 1_000.0;
        self.done.push((Step::RoundTrip, format!("{milliseconds:.1} ms")));
        // It has told everything.
        let _ = timeout(STEP_TIMEOUT, socket.close(None)).await;
        Ok(())
    }

    async fn switch(&mut self, target: &Target, stream: Box<dyn Duplex>) -> Result<Socket, End> {
        let request = target.uri().into_client_request();
        let mut request = request.map_err(|error| (Step::Address, error.to_string()))?;
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        let switched = async {
            let switched = client_async(request, stream).await;
            switched.map_err(|error| io::Error::other(explain(&error)))
        };
        let (socket, response) = within(Step::WebSocket, switched).await?;
        self.done.push((Step::WebSocket, SUBPROTOCOL.to_owned()));
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        self.clock_lead_s = date.and_then(lead);
        Ok(socket)
    }
}

async fn within<T>(step: Step, done: impl Future<Output = io::Result<T>>) -> Result<T, End> {
    match timeout(STEP_TIMEOUT, done).await {
        Ok(done) => done.map_err(|error| (step, error.to_string())),
        Err(_) => Err((step, format!("no answer within {} s", STEP_TIMEOUT.as_secs()))),
    }
}

/// By how many seconds a date of HTTP is ahead of this machine's clock.
fn lead(date: &str) -> Option<i64> {
    let theirs = httpdate::parse_http_date(date).ok()?;
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Some(match theirs.duration_since(SystemTime::now()) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    })
}

/// Reads what a reflector says first.
async fn greeting(socket: &mut Socket) -> io::Result<String> {
    loop {
        let message = socket.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        match message.map_err(|error| io::Error::other(explain(&error)))? {
            Message::Binary(frame) => match ServerMessage::decode(&frame) {
                Ok(ServerMessage::Hello(_)) => return Ok(format!("version {PROTOCOL_VERSION}")),
                Ok(_) => {
                    return Err(io::Error::other("expected a greeting, found another message"));
                }
                Err(error) => return Err(io::Error::other(error.to_string())),
            },
            Message::Close(close) => {
                let close = close.map(|close| (u16::from(close.code), close.reason.to_string()));
                let known = close.and_then(|(code, detail)| CloseReason::read(code, &detail));
                let why = known.map_or_else(
                    || "the connection was closed".to_owned(),
                    |(reason, detail)| format!("{}: {detail}", reason.name()),
                );
                return Err(io::Error::other(why));
            }
            _ => {}
        }
    }
}
