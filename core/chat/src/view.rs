//! The view of the chat. The terminal, JSON and plain front ends share it.

use std::collections::VecDeque;

use teatime::{Handling, PublishError, Receipt, View, ViewContext};

use crate::history::History;
use crate::model::{Change, Chat, Post};

/// A part of the chat that has changed. The front end shows it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatUpdate {
    /// Everything: the view was built.
    Joined,
    /// The lines: one was added.
    History(Change),
    /// The user's own nickname, and the number of participants.
    ViewInfo,
}

/// Collects what has changed since the front end last asked.
#[derive(Debug)]
pub struct ChatView {
    updates: VecDeque<ChatUpdate>,
    /// The lines as they were at the newest update that was taken.
    history: History,
}

impl View for ChatView {
    type Model = Chat;
    type Args = ();

    fn attach(cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
        cx.subscribe("history", "refresh", Handling::Queued, |view: &mut Self, _, change| {
            view.updates.push_back(ChatUpdate::History(change));
        });
        cx.subscribe("viewInfo", "refresh", Handling::Queued, |view: &mut Self, _, ()| {
            view.updates.push_back(ChatUpdate::ViewInfo);
        });
        let me = cx.view_id();
        let model = cx.model();
        let history = History::of(model);
        let mine = model.history().iter().any(|line| line.view_id == Some(me));
        if model.participants() == 1 && !mine {
            // A lone newcomer must not read what earlier participants wrote. If the event cannot be sent
            // now, no participant is there to whom it would matter.
            let _ = cx.publish("input", "reset", "for new participants");
        }
        Self { updates: [ChatUpdate::Joined].into(), history }
    }
}

impl ChatView {
    /// Takes the oldest change.
    pub fn poll_update(&mut self) -> Option<ChatUpdate> {
        let update = self.updates.pop_front()?;
        if let ChatUpdate::History(change) = &update {
            self.history.apply(change);
        }
        Some(update)
    }

    /// The lines as they were at the newest update that was taken.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Sends the text that the user typed. Exactly `/reset` resets the chat; any other text is a post.
    ///
    /// # Errors
    /// If the event cannot be published, here and below.
    pub fn say(cx: &mut ViewContext<'_, Self>, text: &str) -> Result<Receipt, PublishError> {
        if text == "/reset" { Self::reset(cx) } else { Self::post(cx, text) }
    }

    /// Sends a post.
    ///
    /// # Errors
    /// If the event cannot be published.
    pub fn post(cx: &mut ViewContext<'_, Self>, text: &str) -> Result<Receipt, PublishError> {
        cx.publish("input", "newPost", &Post { text: text.to_owned() })
    }

    /// Clears the chat for all participants.
    ///
    /// # Errors
    /// If the event cannot be published.
    pub fn reset(cx: &mut ViewContext<'_, Self>) -> Result<Receipt, PublishError> {
        cx.publish("input", "reset", "at user request")
    }
}
