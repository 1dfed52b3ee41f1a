//! The view of the chat that terminal, JSON and plain front ends share.

use std::collections::VecDeque;

use teatime::{Handling, PublishError, Receipt, View, ViewContext};

use crate::model::{Chat, Post};

/// Something that a front end should show anew, by reading it from the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatUpdate {
    /// The view has been built: everything.
    Joined,
    /// The lines.
    History,
    /// Own nickname and the number of participants.
    ViewInfo,
}

/// Collects what has changed since the front end last looked.
pub struct ChatView {
    updates: VecDeque<ChatUpdate>,
}

impl View for ChatView {
    type Model = Chat;
    type Args = ();

    fn attach(cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
        cx.subscribe("history", "refresh", Handling::Queued, |view: &mut Self, _, ()| {
            view.updates.push_back(ChatUpdate::History);
        });
        cx.subscribe("viewInfo", "refresh", Handling::Queued, |view: &mut Self, _, ()| {
            view.updates.push_back(ChatUpdate::ViewInfo);
        });
        let me = cx.view_id();
        let model = cx.model();
        let mine = model.history().iter().any(|line| line.view_id == Some(me));
        if model.participants() == 1 && !mine {
            // What others said who are gone is not for me. If it cannot be sent now there is
            // nobody to whom it could make a difference.
            let _ = cx.publish("input", "reset", "for new participants");
        }
        Self { updates: [ChatUpdate::Joined].into() }
    }
}

impl ChatView {
    /// The oldest change that has not been taken yet.
    pub fn poll_update(&mut self) -> Option<ChatUpdate> {
        self.updates.pop_front()
    }

    /// Sends what was typed: exactly `/reset` resets the chat, everything else is a post.
    pub fn say(cx: &mut ViewContext<'_, Self>, text: &str) -> Result<Receipt, PublishError> {
        if text == "/reset" { Self::reset(cx) } else { Self::post(cx, text) }
    }

    /// Sends a post.
    pub fn post(cx: &mut ViewContext<'_, Self>, text: &str) -> Result<Receipt, PublishError> {
        cx.publish("input", "newPost", &Post { text: text.to_owned() })
    }

    /// Clears the chat for everybody.
    pub fn reset(cx: &mut ViewContext<'_, Self>) -> Result<Receipt, PublishError> {
        cx.publish("input", "reset", "at user request")
    }
}
