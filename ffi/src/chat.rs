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
/// history/refresh and viewInfo/refresh. Its queries are history, participants, nickname (of a view id) and nicknames.
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
