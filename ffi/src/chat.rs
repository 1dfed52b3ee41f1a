//! The chat that comes with the library.

use crate::app::{App, tea_app};
use crate::boundary::boundary;
use crate::handle::Held;
use crate::out::Check;
use crate::status::tea_status;
use crate::text::tea_str;
use crate::value::{Value, tea_value};

/// Adds the chat model to an app. The chat itself is the app with the id TEA_CHAT_APP, version 1, and this as its only
/// model. Its options are a map: inactivity_seconds (default 1200) and announce (default false).
///
/// It subscribes to input/newPost (a map with text) and input/reset (the reason, a text). It publishes
/// history/refresh and viewInfo/refresh. Its queries are history, lines, participants, nickname (of a view id) and
/// nicknames.
///
/// The payload of history/refresh is a map: line is the line that was added at the end of the history, and dropped is how
/// many lines have gone from its front. A view that applies all of them misses no line. The query lines answers how many
/// lines there have ever been, so that a view that was built again can tell which ones it has shown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_app_add_chat(app: *mut tea_app) -> tea_status {
    boundary(|| App::with(app, |app| app.add(teatime::AppBuilder::model::<teatime_chat::Chat>)))
}

/// The plain text of a line of the chat's history: without tags, with escapes resolved. `text` becomes a value that
/// holds a MessagePack text: read it with tea_value_payload and tea_payload_str, and free it with tea_value_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_chat_plain_text(
    html: tea_str,
    text: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let text = text.check("text")?;
        let plain = teatime_chat::plain_text(html.get("html")?);
        let plain = teatime::Payload::new(plain);
        text.set(Value::of_payload(&plain, crate::payload::tea_format::Msgpack)?.hand_out()?);
        Ok(())
    })
}

/// A text of other users as one line for a terminal: a line break becomes " ⏎ ". Control characters, characters that
/// change the direction of text, and invisible ones become U+FFFD, because with them a line can look like another one.
/// Print no other text of other users, nor nicknames or error messages. `line` becomes a value as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_printable(text: tea_str, line: *mut *mut tea_value) -> tea_status {
    boundary(|| {
        let line = line.check("line")?;
        let printable = teatime::Payload::new(teatime_chat::printable(text.get("text")?));
        line.set(Value::of_payload(&printable, crate::payload::tea_format::Msgpack)?.hand_out()?);
        Ok(())
    })
}
