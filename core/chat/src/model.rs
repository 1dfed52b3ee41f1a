//! The replicated model of the chat: who is here, and what was said.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use teatime::{Cx, Duration, OrderedMap, Time, VIEW_EXIT, VIEW_JOIN, ViewId, handlers, model};

use crate::nicknames::NICKNAMES;
use crate::text::escape_html;

/// How many lines are kept.
const HISTORY: usize = 100;

/// What all participants of a chat must agree on; part of the session's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatOptions {
    /// After so many seconds without a post the chat clears itself.
    pub inactivity_seconds: u32,
    /// Whether a line tells who has entered or exited.
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
    /// Who wrote it; nobody if it comes from the chat itself.
    pub view_id: Option<ViewId>,
    /// The line as HTML, with everything that somebody typed escaped.
    pub html: String,
}

/// Says something: the payload of `input/newPost`. Who says it is known from who sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// As it was typed.
    pub text: String,
}

/// The chat: nicknames of those who are here, and the newest lines.
///
/// It listens to `input/newPost` ([`Post`]) and `input/reset` (the reason, a string), and publishes
/// `history/refresh` and `viewInfo/refresh`, both without payload.
#[model(id = "chat", version = 1)]
pub struct Chat {
    /// Nickname of everyone who is here, in the order in which they came.
    views: OrderedMap<ViewId, String>,
    participants: u32,
    history: VecDeque<Line>,
    /// When the newest post was made; nothing after a reset.
    last_post: Option<Time>,
    inactivity: Duration,
    announce: bool,
}

impl Chat {
    /// What all participants have agreed on.
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
            self.add(cx, Line { view_id: None, html });
        }
    }

    fn view_exit(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        let nickname = self.display_name(view);
        self.views.remove(&view);
        self.participants = cx.view_count();
        cx.publish("viewInfo", "refresh", ());
        if self.announce {
            let html = format!("<i>{nickname} has exited the room</i>");
            self.add(cx, Line { view_id: None, html });
        }
    }

    fn new_post(&mut self, cx: &mut Cx<Self>, post: &Post) {
        let Some(sender) = cx.sender() else { return };
        let nickname = self.display_name(sender);
        let html = format!("<b>{nickname}:</b> {}", escape_html(&post.text));
        self.last_post = Some(cx.now());
        cx.future(self.inactivity).call(Self::reset_if_inactive, ());
        self.add(cx, Line { view_id: Some(sender), html });
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
        self.history.clear();
        self.last_post = None;
        let html = format!("<i>chat reset {}</i>", escape_html(reason));
        self.add(cx, Line { view_id: None, html });
    }

    fn add(&mut self, cx: &mut Cx<Self>, line: Line) {
        self.history.push_back(line);
        while self.history.len() > HISTORY {
            self.history.pop_front();
        }
        cx.publish("history", "refresh", ());
    }

    fn display_name(&self, view: ViewId) -> String {
        self.nickname(view).unwrap_or_else(|| "somebody".to_owned())
    }

    /// The newest lines, oldest first.
    #[query]
    pub fn history(&self) -> Vec<Line> {
        self.history.iter().cloned().collect()
    }

    /// How many are here.
    #[query]
    pub fn participants(&self) -> u32 {
        self.participants
    }

    /// The nickname of somebody who is here.
    #[query]
    pub fn nickname(&self, view: ViewId) -> Option<String> {
        self.views.get(&view).cloned()
    }

    /// Everyone who is here, in the order in which they came.
    #[query]
    pub fn nicknames(&self) -> Vec<(ViewId, String)> {
        self.views.iter().map(|(view, nickname)| (*view, nickname.clone())).collect()
    }

    /// When the newest post was made; nothing after a reset.
    #[query]
    pub fn last_post(&self) -> Option<Time> {
        self.last_post
    }
}
