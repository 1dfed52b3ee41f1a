//! What participants of the chat show each other besides their posts.

use serde::{Deserialize, Serialize};
use teatime::ViewId;

use crate::Chat;

/// What a participant of the chat shows of itself, and no model sees. Nothing is shown by one that is not typing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatPresence {
    /// Its user is typing a post.
    pub typing: bool,
}

/// The nicknames of those who are typing, in the order of the alphabet.
pub fn who_types(
    chat: &Chat,
    presences: impl IntoIterator<Item = (ViewId, ChatPresence)>,
) -> Vec<String> {
    let typing = presences.into_iter().filter(|(_, presence)| presence.typing);
    let mut names: Vec<_> = typing.filter_map(|(view, _)| chat.nickname(view)).collect();
    names.sort_unstable();
    names
}
