//! The replicated model of the chat: the participants and the lines.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use teatime::{Cx, Duration, OrderedMap, Time, VIEW_EXIT, VIEW_JOIN, ViewId, handlers, model};

use crate::nicknames::NICKNAMES;
use crate::text::escape_html;

/// Number of lines in the history.
const HISTORY: usize = 100;

/// Options of a chat. They are part of the session id, so all participants have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatOptions {
    /// Seconds without a post after which the chat clears itself.
    pub inactivity_seconds: u32,
    /// Whether the chat adds a line when a participant enters or exits.
    pub announce: bool,
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self { inactivity_seconds: 20 * 60, announce: false }
    }
}

/// A line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The view that wrote it. `None` if it comes from the chat itself.
    pub view_id: Option<ViewId>,
    /// The line as HTML. Text that users typed is escaped.
    pub html: String,
}

/// A change of the history: the payload of `history/refresh`. Each change adds one line. A view that applies all changes
/// shows every line, however many come at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// How many lines have gone from the front of the history: all in a reset, otherwise at most one.
    pub dropped: u32,
    /// The line that was added at the end.
    pub line: Line,
}

/// A post: the payload of `input/newPost`. Its author is the sender of the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The text as the user typed it.
    pub text: String,
}

/// The chat: the nicknames of the participants, and the newest lines.
///
/// | event | payload | direction |
/// |---|---|---|
/// | `input/newPost` | a [`Post`] | from views |
/// | `input/reset` | the reason, a string | from views |
/// | `history/refresh` | a [`Change`] | to views: the lines have changed |
/// | `viewInfo/refresh` | none | to views: the participants have changed |
#[derive(Debug)]
#[model(id = "chat", version = 1)]
pub struct Chat {
    /// Nicknames of the participants, in the order in which they joined.
    views: OrderedMap<ViewId, String>,
    participants: u32,
    history: VecDeque<Line>,
    /// How many lines there have ever been. The last one of the history has this number.
    lines: u64,
    /// Time of the newest post. `None` after a reset.
    last_post: Option<Time>,
    inactivity: Duration,
    announce: bool,
}

impl Chat {
    /// The options of this chat.
    pub fn options(&self) -> ChatOptions {
        let seconds = self.inactivity.as_micros() / 1_000_000;
        let inactivity_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        ChatOptions { inactivity_seconds, announce: self.announce }
    }
}

#[handlers]
impl Chat {
    fn init(cx: &mut Cx<Self>, options: &ChatOptions) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::view_join);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::view_exit);
        cx.subscribe("input", "newPost", Self::new_post);
        cx.subscribe("input", "reset", Self::reset);
        Self {
            views: OrderedMap::new(),
            participants: 0,
            history: VecDeque::new(),
            lines: 0,
            last_post: None,
            inactivity: Duration::from_secs(options.inactivity_seconds.into()),
            announce: options.announce,
        }
    }

    fn view_join(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        if !self.views.contains_key(&view) {
            let pick = cx.random_below(NICKNAMES.len() as u64);
            self.views.insert(view, NICKNAMES[pick as usize].to_owned());
        }
        self.participants = cx.view_count();
        cx.publish("viewInfo", "refresh", ());
        if self.announce {
            let html = format!("<i>{} has entered the room</i>", self.display_name(view));
            self.add(cx, 0, Line { view_id: None, html });
        }
    }

    fn view_exit(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        let nickname = self.display_name(view);
        self.views.remove(&view);
        self.participants = cx.view_count();
        cx.publish("viewInfo", "refresh", ());
        if self.announce {
            let html = format!("<i>{nickname} has exited the room</i>");
            self.add(cx, 0, Line { view_id: None, html });
        }
    }

    fn new_post(&mut self, cx: &mut Cx<Self>, post: &Post) {
        let Some(sender) = cx.sender() else { return };
        let nickname = self.display_name(sender);
        let html = format!("<b>{nickname}:</b> {}", escape_html(&post.text));
        self.last_post = Some(cx.now());
        cx.future(self.inactivity).call(Self::reset_if_inactive, ());
        self.add(cx, 0, Line { view_id: Some(sender), html });
    }

    fn reset_if_inactive(&mut self, cx: &mut Cx<Self>) {
        if self.last_post.is_some_and(|last| last + self.inactivity <= cx.now()) {
            self.clear(cx, "due to inactivity");
        }
    }

    fn reset(&mut self, cx: &mut Cx<Self>, reason: &String) {
        self.clear(cx, reason);
    }

    fn clear(&mut self, cx: &mut Cx<Self>, reason: &str) {
        let cleared = self.history.len() as u32;
        self.history.clear();
        self.last_post = None;
        let html = format!("<i>chat reset {}</i>", escape_html(reason));
        self.add(cx, cleared, Line { view_id: None, html });
    }

    /// Adds a line, after `dropped` lines have gone.
    fn add(&mut self, cx: &mut Cx<Self>, mut dropped: u32, line: Line) {
        self.history.push_back(line.clone());
        self.lines += 1;
        while self.history.len() > HISTORY {
            self.history.pop_front();
            dropped += 1;
        }
        cx.publish("history", "refresh", Change { dropped, line });
    }

    fn display_name(&self, view: ViewId) -> String {
        self.nickname(view).unwrap_or_else(|| "somebody".to_owned())
    }

    /// The newest lines, oldest first.
    #[query]
    pub fn history(&self) -> Vec<Line> {
        self.history.iter().cloned().collect()
    }

    /// How many lines there have ever been. The last one of [`history`](Self::history) has this number.
    #[query]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The number of participants.
    #[query]
    pub fn participants(&self) -> u32 {
        self.participants
    }

    /// The nickname of a participant.
    #[query]
    pub fn nickname(&self, view: ViewId) -> Option<String> {
        self.views.get(&view).cloned()
    }

    /// All participants with their nicknames, in the order in which they joined.
    #[query]
    pub fn nicknames(&self) -> Vec<(ViewId, String)> {
        self.views.iter().map(|(view, nickname)| (*view, nickname.clone())).collect()
    }

    /// Time of the newest post. `None` after a reset.
    #[query]
    pub fn last_post(&self) -> Option<Time> {
        self.last_post
    }
}
