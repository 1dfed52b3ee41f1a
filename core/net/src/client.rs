//! Connects the client's state machine to a reflector, on one background thread per session.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use teatime_session::{Action, Input};
use teatime_wire::{ChannelBinding, SUBPROTOCOL, limits::MAX_SERVER_FRAME};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::dial::{Dialer, Target};
use crate::tls::{self, Trust};

/// How long an attempt to connect may take, including name look-up and handshake.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long closing a connection may take. On a live connection it takes a millisecond. A dead one must not keep a program
/// from ending.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// How often a WebSocket ping keeps the connection alive while the app does not step: half the usual time after which home
/// routers forget an idle connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How many bytes may wait for the app to step. Beyond that the socket is not read, so that TCP holds the reflector back.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of the read buffer: about ten events, so that a quiet connection stays small.
const READ_BUFFER: usize = 16 * 1024;

/// A function that the background thread calls when the app has something to step through.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// A connection to a reflector, on a thread of its own. Dropping it sends everything that was handed to
/// [`perform`](Self::perform), closes the connection, and waits for that, half a second at most.
pub struct Transport {
    commands: Option<mpsc::UnboundedSender<Action>>,
    inputs: std_mpsc::Receiver<Input>,
    /// An input that [`wait`](Self::wait) has received.
    next: Option<Input>,
    shared: Arc<Shared>,
    ended: std_mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Permits for the bytes that may still be queued for the app.
    room: Semaphore,
    /// The app has been woken and has not polled since.
    woken: AtomicBool,
    waker: Waker,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_connectable = self.commands.is_some();
        f.debug_struct("Transport").field("is_connectable", &is_connectable).finish_non_exhaustive()
    }
}

impl Transport {
    /// Starts the thread, which connects at the first [`Action::Connect`]. `url` is the address of the reflector, such as
    /// `ws://127.0.0.1:9090`.
    ///
    /// # Errors
    /// The operating system refused the thread.
    pub fn spawn(url: &str, trust: Trust, waker: Waker) -> std::io::Result<Self> {
        Self::with_dialer(Dialer::of_system(), url, trust, waker)
    }

    /// As [`spawn`](Self::spawn), with connections that are opened in another way.
    pub(crate) fn with_dialer(
        dialer: Dialer,
        url: &str,
        trust: Trust,
        waker: Waker,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, orders) = mpsc::unbounded_channel();
        let (inbox, inputs) = std_mpsc::channel();
        let (ending, ended) = std_mpsc::channel();
        let room = Semaphore::new(MAX_WAITING_BYTES);
        let shared = Arc::new(Shared { room, woken: AtomicBool::new(false), waker });
        let url = url.to_owned();
        let line = Line { dialer, url, trust, orders, inbox, shared: shared.clone() };
        let thread = std::thread::Builder::new().name("teatime-net".into()).spawn(move || {
            runtime.block_on(line.run());
            // It fails if the owner does not wait for the end.
            let _ = ending.send(());
        })?;
        let (commands, thread) = (Some(commands), Some(thread));
        Ok(Self { commands, inputs, next: None, shared, ended, thread })
    }

    /// Does what the state machine asks for.
    pub fn perform(&mut self, action: Action) {
        if let Some(commands) = &self.commands {
            // The thread ends only when this sender is dropped.
            let _ = commands.send(action);
        }
    }

    /// The next input for the state machine, if there is one.
    pub fn poll_input(&mut self) -> Option<Input> {
        self.shared.woken.store(false, Ordering::Release);
        let input = self.next.take().or_else(|| self.inputs.try_recv().ok())?;
        self.shared.room.add_permits(size(&input));
        Some(input)
    }

    /// Waits for input, for `at_most`. True if there is some.
    pub fn wait(&mut self, at_most: Duration) -> bool {
        if self.next.is_none() {
            self.next = self.inputs.recv_timeout(at_most).ok();
        }
        self.next.is_some()
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.commands = None;
        // Lets the thread go on if it waits for room.
        self.shared.room.close();
        let patience = self.ended.recv_timeout(CLOSE_TIMEOUT);
        // On a dead line the thread ends later by itself.
        if !matches!(patience, Err(std_mpsc::RecvTimeoutError::Timeout))
            && let Some(thread) = self.thread.take()
        {
            // If it panicked it has said so.
            let _ = thread.join();
        }
    }
}

/// What an input takes of the room for waiting bytes: small ones are mostly what surrounds them.
fn size(input: &Input) -> usize {
    let content = if let Input::Frame(frame) = input { frame.len() } else { 0 };
    (content + 2 * size_of::<Input>()).min(MAX_WAITING_BYTES)
}

/// What a WebSocket runs over.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

pub(crate) type Socket = WebSocketStream<Box<dyn Duplex>>;

/// The thread's side.
struct Line {
    dialer: Dialer,
    url: String,
    trust: Trust,
    orders: mpsc::UnboundedReceiver<Action>,
    inbox: std_mpsc::Sender<Input>,
    shared: Arc<Shared>,
}

/// What a connection has to be looked at for.
enum Happened {
    /// Nothing if there will be no more.
    Order(Option<Action>),
    /// Nothing if the connection is broken.
    Read(Option<Message>),
    KeepAlive,
}

/// What the socket has yet to take: at most the sends that wait for their echo and one snapshot.
#[derive(Default)]
struct Unsent {
    frames: VecDeque<Message>,
    unflushed: bool,
}

impl Unsent {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.unflushed
    }

    /// Sends what the socket takes, with one flush for all of it; ready when that is everything.
    fn poll_send(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, WsError> {
        while !self.frames.is_empty() {
            if socket.poll_ready_unpin(cx)?.is_pending() {
                return Ok(Poll::Pending);
            }
            socket.start_send_unpin(self.frames.pop_front().expect("it is not empty"))?;
            self.unflushed = true;
        }
        if self.unflushed && socket.poll_flush_unpin(cx)?.is_pending() {
            return Ok(Poll::Pending);
        }
        self.unflushed = false;
        Ok(Poll::Ready(()))
    }
}

/// What to do after an order.
enum Next {
    Connect(Duration),
    Wait,
    End,
}

impl Line {
    async fn run(mut self) {
        let mut next = Next::Wait;
        loop {
            next = match next {
                Next::End => return,
                Next::Wait => match self.orders.recv().await {
                    Some(Action::Connect { after }) => Next::Connect(Duration::from_micros(after)),
                    Some(Action::Send(_) | Action::Close) => Next::Wait,
                    None => Next::End,
                },
                Next::Connect(after) => self.connect(after).await,
            };
        }
    }

    /// Waits, connects, and serves the connection until it ends or other orders come.
    async fn connect(&mut self, after: Duration) -> Next {
        let (dialer, url, trust) = (self.dialer.clone(), self.url.clone(), self.trust.clone());
        let attempt = async {
            sleep(after).await;
            timeout(CONNECT_TIMEOUT, open(&dialer, &url, &trust, SESSION)).await
        };
        let mut attempt = std::pin::pin!(attempt);
        let opened = loop {
            tokio::select! {
                opened = &mut attempt => break opened,
                order = self.orders.recv() => match order {
                    // It was meant for the connection before.
                    Some(Action::Send(_)) => {}
                    Some(Action::Connect { after }) => {
                        return Next::Connect(Duration::from_micros(after));
                    }
                    Some(Action::Close) => return Next::Wait,
                    None => return Next::End,
                },
            }
        };
        match opened {
            Ok(Ok((socket, channel))) => {
                self.tell(Input::Connected(channel)).await;
                self.serve(socket).await
            }
            Ok(Err(error)) => {
                let why = format!("{url}: {}", explain(&error));
                self.tell(if tls::is_about_certificate(&error) {
                    Input::BadCertificate(why)
                } else {
                    Input::Unreachable(why)
                })
                .await;
                Next::Wait
            }
            Err(_) => {
                self.tell(Input::Unreachable(format!("{url}: {}", no_answer(&self.dialer, &url))))
                    .await;
                Next::Wait
            }
        }
    }

    async fn serve(&mut self, mut socket: Socket) -> Next {
        let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        let mut unsent = Unsent::default();
        loop {
            let happened = poll_fn(|cx| {
                if let Poll::Ready(order) = self.orders.poll_recv(cx) {
                    return Poll::Ready(Happened::Order(order));
                }
                // A line that takes nothing must not keep from reading it, or from giving it up.
                if unsent.poll_send(&mut socket, cx).is_err() {
                    return Poll::Ready(Happened::Read(None));
                }
                if let Poll::Ready(read) = socket.poll_next_unpin(cx) {
                    return Poll::Ready(Happened::Read(read.and_then(Result::ok)));
                }
                keep_alive.poll_tick(cx).map(|_| Happened::KeepAlive)
            });
            match happened.await {
                Happened::Order(Some(Action::Send(frame))) => {
                    unsent.frames.push_back(Message::Binary(frame.into()));
                }
                Happened::Order(Some(Action::Connect { after })) => {
                    return Next::Connect(Duration::from_micros(after));
                }
                Happened::Order(order) => {
                    close(socket, unsent).await;
                    return if order.is_some() { Next::Wait } else { Next::End };
                }
                Happened::Read(Some(Message::Binary(frame))) => {
                    self.tell(Input::Frame(frame.into())).await;
                }
                // No message of the protocol is text; the state machine will say so.
                Happened::Read(Some(Message::Text(text))) => {
                    self.tell(Input::Frame(text.as_bytes().to_vec())).await;
                }
                Happened::Read(Some(Message::Close(close))) => {
                    let close = close.map(|close| (close.code.into(), close.reason.to_string()));
                    self.tell(Input::Disconnected(close)).await;
                    // Completes the close handshake. Everything of value has arrived.
                    let _ = timeout(CLOSE_TIMEOUT, socket.flush()).await;
                    return Next::Wait;
                }
                Happened::Read(Some(_)) => {}
                Happened::Read(None) => {
                    self.tell(Input::Disconnected(None)).await;
                    return Next::Wait;
                }
                // What waits to be sent keeps the connection alive as well.
                Happened::KeepAlive if unsent.is_empty() => {
                    unsent.frames.push_back(Message::Ping(Default::default()));
                }
                Happened::KeepAlive => {}
            }
        }
    }

    async fn tell(&self, input: Input) {
        let size = u32::try_from(size(&input)).expect("the room for waiting bytes is below 4 GiB");
        if let Ok(permits) = self.shared.room.acquire_many(size).await {
            permits.forget();
        }
        // The receiver is dropped only with the sender of orders, which ends this thread.
        let _ = self.inbox.send(input);
        if !self.shared.woken.swap(true, Ordering::AcqRel) {
            (self.shared.waker)();
        }
    }
}

/// What a connection is for.
#[derive(Clone, Copy)]
pub(crate) struct Purpose {
    pub(crate) subprotocol: &'static str,
    /// Bytes of the buffer that a read fills.
    pub(crate) read_buffer: usize,
    /// Largest frame that is taken.
    pub(crate) max_frame: usize,
}

const SESSION: Purpose =
    Purpose { subprotocol: SUBPROTOCOL, read_buffer: READ_BUFFER, max_frame: MAX_SERVER_FRAME };

/// Opens a WebSocket. Returns the binding of its channel, too, if it is over TLS.
pub(crate) async fn open(
    dialer: &Dialer,
    url: &str,
    trust: &Trust,
    purpose: Purpose,
) -> Result<(Socket, Option<ChannelBinding>), WsError> {
    let target = Target::parse(url)?;
    let mut request = target.uri().into_client_request()?;
    request
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(purpose.subprotocol));
    let config = WebSocketConfig::default()
        .read_buffer_size(purpose.read_buffer)
        .max_message_size(Some(purpose.max_frame))
        .max_frame_size(Some(purpose.max_frame));
    let stream = dialer.dial(&target).await?;
    let (stream, channel): (Box<dyn Duplex>, _) = match target.is_encrypted() {
        true => {
            let (stream, channel) = tls::connect(trust, target.name(), stream).await?;
            (Box::new(stream), Some(channel))
        }
        false => (Box::new(stream), None),
    };
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    Ok((socket, channel))
}

/// Sends what waits, closes the connection, and waits until the reflector has received everything.
async fn close(mut socket: Socket, mut unsent: Unsent) {
    let farewell = async {
        let sent = poll_fn(|cx| match unsent.poll_send(&mut socket, cx) {
            Ok(Poll::Pending) => Poll::Pending,
            sent => Poll::Ready(sent.is_ok()),
        });
        if sent.await && socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // If the reflector does not answer, the client closes anyway.
    let _ = timeout(CLOSE_TIMEOUT, farewell).await;
}

/// Why an attempt took too long, as a message for people.
pub(crate) fn no_answer(dialer: &Dialer, url: &str) -> String {
    match dialer.proxy_to(url) {
        None => "no answer".into(),
        Some(proxy) => format!("no answer through the {proxy}"),
    }
}

/// An error as a message for people.
pub(crate) fn explain(error: &WsError) -> String {
    match error {
        WsError::Io(error) => error.to_string(),
        WsError::Http(response) => {
            format!("the server answers HTTP {}: not a reflector", response.status())
        }
        WsError::Protocol(_) => format!("the server does not speak {SUBPROTOCOL}: {error}"),
        other => other.to_string(),
    }
}
