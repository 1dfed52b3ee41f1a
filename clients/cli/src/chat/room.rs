//! A chat room, on a given reflector or on that of this machine.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use teatime::{
    Badge, Config, ConnectionState, Divergence, JoinLink, PublishError, Receipt, Session,
    SessionEvent, Waker,
};
use teatime_chat::{Chat, ChatPresence, ChatUpdate, ChatView, History, who_types};

use crate::addresses::{Way, ways};
use crate::joining::Reflector;
use crate::terminal::Failure;

/// How long one step may simulate, so that the screen stays responsive during a catch-up.
const BUDGET: Duration = Duration::from_millis(50);

/// How long without a connection before the client looks for the reflector on this machine again, and how often a host
/// looks whether another program has become the host.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Someone who has pressed no key for this long is not typing.
const TYPING: Duration = Duration::from_secs(5);

/// Why a chat cannot be joined from another machine, and what the user can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalOnly {
    /// In a few words.
    pub(crate) short: &'static str,
    pub(crate) long: &'static str,
}

/// The reflector listens at a loopback address.
const CLOSED: LocalOnly = LocalOnly {
    short: "this machine only: see --listen",
    long: "only this machine can join; start with --listen 0.0.0.0 to let others in, or name a reflector on the network \
           with --reflector",
};

/// The reflector listens at all addresses.
const NO_NETWORK: LocalOnly = LocalOnly {
    short: "this machine only: no network",
    long: "only this machine can join, because it is not in a network: connect it to one",
};

/// A room that the user has entered. If the program that runs this machine's reflector ends, the room continues on
/// the reflector that another program starts.
pub(crate) struct Room {
    session: Session<ChatView>,
    reflector: Reflector,
    url: String,
    /// How other machines reach the reflector, if this program hosts it at all addresses.
    ways: Vec<Way>,
    config: Config,
    waker: Waker,
    /// When this client looked for the reflector of this machine, or was connected.
    looked: Instant,
    /// When a host looked whether it is still the one.
    checked: Instant,
    has_moved: bool,
    last_sent: Option<Receipt>,
    /// Commands that could not be carried out yet.
    waiting: VecDeque<Command>,
    /// Until then the others see that this user is typing.
    typing_until: Option<Instant>,
}

/// What a user can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// A line: a post, or `/reset`.
    Say(String),
    /// Exactly a post.
    Post(String),
    /// A reset.
    Reset,
    /// A vote.
    Vote,
}

impl Room {
    pub(crate) fn enter(
        mut reflector: Reflector,
        config: Config,
        waker: Waker,
    ) -> Result<Self, Failure> {
        let url = reflector.find()?;
        let session = join(&config, &url, &waker)?;
        let now = Instant::now();
        let ways = ways_to(&reflector, &url);
        Ok(Self {
            session,
            reflector,
            url,
            ways,
            config,
            waker,
            looked: now,
            checked: now,
            has_moved: false,
            last_sent: None,
            waiting: VecDeque::new(),
            typing_until: None,
        })
    }

    /// One frame: the network, the model, the view, and waiting commands. Returns why commands were refused.
    pub(crate) fn step(&mut self) -> Result<Vec<PublishError>, Failure> {
        self.session.step(BUDGET);
        self.look_for_reflector_again()?;
        self.follow_another_host()?;
        if self.typing_until.is_some_and(|until| until <= Instant::now()) {
            self.set_typing(false);
        }
        let mut refused = Vec::new();
        while self.session.view().is_some()
            && let Some(command) = self.waiting.pop_front()
        {
            match self.perform(&command) {
                Ok(()) => {}
                Err(PublishError::TooFast | PublishError::NotJoined) => {
                    self.waiting.push_front(command);
                    break;
                }
                Err(error) => refused.push(error),
            }
        }
        Ok(refused)
    }

    /// The user types, or has stopped. Without a further call it counts as stopped after a while.
    pub(crate) fn set_typing(&mut self, typing: bool) {
        if !typing && self.typing_until.is_none() {
            return;
        }
        self.typing_until = typing.then(|| Instant::now() + TYPING);
        // Fails only after the end.
        let _ = match typing {
            true => self.session.set_presence(&ChatPresence { typing }),
            false => self.session.clear_presence(),
        };
    }

    /// The nicknames of the others who are typing.
    pub(crate) fn who_types(&self) -> Vec<String> {
        self.model().map_or_else(Vec::new, |chat| who_types(chat, self.session.presences()))
    }

    /// Carries out a command as soon as possible, in the order of these calls.
    pub(crate) fn ask(&mut self, command: Command) {
        self.waiting.push_back(command);
    }

    /// Posts a line now, or fails.
    pub(crate) fn say(&mut self, text: &str) -> Result<(), PublishError> {
        self.perform(&Command::Say(text.to_owned()))
    }

    fn perform(&mut self, command: &Command) -> Result<(), PublishError> {
        let sent = match command {
            Command::Vote => return self.session.request_vote(),
            Command::Say(text) => self.session.with_view(|_, cx| ChatView::say(cx, text)),
            Command::Post(text) => self.session.with_view(|_, cx| ChatView::post(cx, text)),
            Command::Reset => self.session.with_view(|_, cx| ChatView::reset(cx)),
        };
        self.last_sent = Some(sent.ok_or(PublishError::NotJoined)??);
        Ok(())
    }

    /// Whether every command has been carried out and has come back from the reflector.
    pub(crate) fn is_settled(&self) -> bool {
        let applied = |receipt| self.session.is_applied(receipt);
        self.waiting.is_empty() && self.last_sent.is_none_or(applied)
    }

    fn look_for_reflector_again(&mut self) -> Result<(), Failure> {
        let lost = matches!(
            self.session.connection_state(),
            ConnectionState::Reconnecting | ConnectionState::Connecting
        );
        let guest = matches!(&self.reflector, Reflector::ThisMachine(_, Some(one)) if !one.is_hosted_here());
        if !lost {
            self.looked = Instant::now();
        }
        if !lost || !guest || self.looked.elapsed() < LOOK_AGAIN {
            return Ok(());
        }
        self.looked = Instant::now();
        let url = self.reflector.find()?;
        let hosted =
            matches!(&self.reflector, Reflector::ThisMachine(_, Some(one)) if one.is_hosted_here());
        if hosted || url != self.url {
            self.move_to(url)?;
        }
        Ok(())
    }

    /// Joins the room on another reflector.
    fn move_to(&mut self, url: String) -> Result<(), Failure> {
        self.session = join(&self.config, &url, &self.waker)?;
        self.ways = ways_to(&self.reflector, &url);
        (self.url, self.last_sent, self.typing_until) = (url, None, None);
        Ok(())
    }

    /// If another program of this machine hosts the reflector by now, goes there with everybody else. What this process hosted
    /// ends; its other participants follow when they find that out.
    fn follow_another_host(&mut self) -> Result<(), Failure> {
        let Reflector::ThisMachine(_, Some(hosted)) = &self.reflector else { return Ok(()) };
        if !hosted.is_hosted_here() || self.checked.elapsed() < LOOK_AGAIN {
            return Ok(());
        }
        self.checked = Instant::now();
        // The machine may have come to another network.
        self.ways = ways_to(&self.reflector, &self.url);
        if hosted.is_superseded() {
            let url = self.reflector.find()?;
            self.move_to(url)?;
            self.has_moved = true;
        }
        Ok(())
    }

    /// A notice for the user, once, if the room is now at another reflector.
    pub(crate) fn take_move(&mut self) -> Option<&'static str> {
        let moved = "another program hosts the rooms of this machine by now: this is the room as it is there";
        std::mem::take(&mut self.has_moved).then_some(moved)
    }

    /// After how long a step is due even if nothing happens.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let guest = matches!(&self.reflector, Reflector::ThisMachine(_, Some(one)) if !one.is_hosted_here());
        let host =
            matches!(&self.reflector, Reflector::ThisMachine(_, Some(one)) if one.is_hosted_here());
        let is_lost_guest = guest && self.session.connection_state() != ConnectionState::Live;
        let look = (host || is_lost_guest).then_some(LOOK_AGAIN);
        let typing = self.typing_until.map(|at| at.saturating_duration_since(Instant::now()));
        self.session.next_due().into_iter().chain(look).chain(typing).min()
    }

    pub(crate) fn poll_event(&mut self) -> Option<SessionEvent> {
        self.session.poll_event()
    }

    pub(crate) fn poll_update(&mut self) -> Option<ChatUpdate> {
        self.session.with_view(|view, _| view.poll_update()).flatten()
    }

    /// The lines at the newest update that was polled. Empty without a view.
    pub(crate) fn history(&self) -> History {
        self.session.view().map(|view| view.history().clone()).unwrap_or_default()
    }

    pub(crate) fn leave(&mut self) {
        self.session.leave();
    }

    pub(crate) fn session(&self) -> &Session<ChatView> {
        &self.session
    }

    pub(crate) fn model(&self) -> Option<&Chat> {
        self.session.model()
    }

    /// The nickname of this user. Empty before the join.
    pub(crate) fn nickname(&self) -> String {
        let me = self.session.view_id();
        self.model().and_then(|model| model.nickname(me)).unwrap_or_default()
    }

    pub(crate) fn badge(&self) -> Badge {
        Badge::of(&self.session.session_id())
    }

    /// The link by the likely way.
    pub(crate) fn link(&self) -> String {
        self.link_to(self.ways.first().map_or(&self.url, |way| &way.url))
    }

    fn link_to(&self, url: &str) -> String {
        JoinLink::new(url, &self.config).map_or_else(|_| String::new(), |link| link.to_string())
    }

    /// How other machines reach the reflector, with a link each, the likely way first. Empty unless this program hosts it at all
    /// addresses of this machine.
    pub(crate) fn ways(&self) -> impl ExactSizeIterator<Item = (&Way, String)> {
        self.ways.iter().map(|way| (way, self.link_to(&way.url)))
    }

    /// Why only this machine can join. `None` if others can.
    pub(crate) fn local_only(&self) -> Option<LocalOnly> {
        let is_local = JoinLink::new(&self.url, &self.config).is_ok_and(|link| link.is_local());
        let listens = matches!(&self.reflector, Reflector::ThisMachine(Some(listen), _) if !listen.ip().is_loopback());
        (is_local && self.ways.is_empty()).then_some(if listens { NO_NETWORK } else { CLOSED })
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.config.password.is_some()
    }
}

/// For people: this client has diverged.
pub(crate) fn diverged(divergence: &Divergence) -> String {
    let what = "this client had computed a wrong state and has loaded the right one";
    match &divergence.file {
        Some(Ok(file)) => format!("{what}; see: teatime diff {}", file.display()),
        Some(Err(why)) => format!("{what}; {why}"),
        None => what.to_owned(),
    }
}

/// For people: where the recording of a failed handler is.
pub(crate) fn fault_recorded(recorded: &Result<std::path::PathBuf, String>) -> String {
    match recorded {
        Ok(file) => format!("to see what led to the fault: teatime replay {}", file.display()),
        Err(why) => why.clone(),
    }
}

fn ways_to(reflector: &Reflector, url: &str) -> Vec<Way> {
    match reflector {
        Reflector::ThisMachine(Some(listen), Some(hosted)) if hosted.is_hosted_here() => {
            ways(*listen, url)
        }
        _ => Vec::new(),
    }
}

fn join(config: &Config, url: &str, waker: &Waker) -> Result<Session<ChatView>, Failure> {
    Session::join_with_waker(config.clone(), url, (), waker.clone())
        .map_err(|error| Failure::usage(&error))
}
