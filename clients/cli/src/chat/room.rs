//! A chat room, on a given reflector or on that of this machine.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use teatime::{
    Badge, Config, ConnectionState, Divergence, PublishError, Receipt, Session, SessionEvent, Waker,
};
use teatime_chat::{Chat, ChatOptions, ChatUpdate, ChatView};

use crate::joining::Reflector;
use crate::terminal::Failure;

/// How long one step may simulate, so that the screen stays responsive during a catch-up.
const BUDGET: Duration = Duration::from_millis(50);

/// How long without a connection before the client looks for the reflector on this machine again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A room that the user has entered. If the program that runs this machine's reflector ends, the room continues on
/// the reflector that another program starts.
pub(crate) struct Room {
    session: Session<ChatView>,
    reflector: Reflector,
    url: String,
    config: Config,
    options: ChatOptions,
    waker: Waker,
    looked: Instant,
    last_sent: Option<Receipt>,
    /// Commands that could not be carried out yet.
    waiting: VecDeque<Command>,
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
        options: ChatOptions,
        waker: Waker,
    ) -> Result<Self, Failure> {
        let url = reflector.find()?;
        let session = join(&config, &url, &waker)?;
        let looked = Instant::now();
        let (last_sent, waiting) = (None, VecDeque::new());
        Ok(Self { session, reflector, url, config, options, waker, looked, last_sent, waiting })
    }

    /// One frame: the network, the model, the view, and waiting commands. Returns why commands were refused.
    pub(crate) fn step(&mut self) -> Result<Vec<PublishError>, Failure> {
        self.session.step(BUDGET);
        self.look_for_reflector_again()?;
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
        let guest =
            matches!(&self.reflector, Reflector::ThisMachine(Some(one)) if !one.is_hosted_here());
        if !lost {
            self.looked = Instant::now();
        }
        if !lost || !guest || self.looked.elapsed() < LOOK_AGAIN {
            return Ok(());
        }
        self.looked = Instant::now();
        let url = self.reflector.find()?;
        let hosted =
            matches!(&self.reflector, Reflector::ThisMachine(Some(one)) if one.is_hosted_here());
        if hosted || url != self.url {
            self.session = join(&self.config, &url, &self.waker)?;
            self.url = url;
            self.last_sent = None;
        }
        Ok(())
    }

    /// After how long a step is due even if nothing happens.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let guest =
            matches!(&self.reflector, Reflector::ThisMachine(Some(one)) if !one.is_hosted_here());
        let look = (guest && self.session.connection_state() != ConnectionState::Live)
            .then_some(LOOK_AGAIN);
        self.session.next_due().into_iter().chain(look).min()
    }

    pub(crate) fn poll_event(&mut self) -> Option<SessionEvent> {
        self.session.poll_event()
    }

    pub(crate) fn poll_update(&mut self) -> Option<ChatUpdate> {
        self.session.with_view(|view, _| view.poll_update()).flatten()
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

    pub(crate) fn link(&self) -> String {
        teatime_chat::link(&self.url, &self.config, &self.options).to_string()
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

fn join(config: &Config, url: &str, waker: &Waker) -> Result<Session<ChatView>, Failure> {
    Session::join_with_waker(config.clone(), url, (), waker.clone())
        .map_err(|error| Failure::usage(&error))
}
