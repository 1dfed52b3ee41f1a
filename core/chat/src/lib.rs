//! The chat that all front ends share: the replicated model, its view, and the text of its lines.
//!
//! It is also a template for apps: one crate that holds the models and declares the app.
//!
//! | part | is |
//! |---|---|
//! | [`Chat`] | the model: nicknames and the newest lines |
//! | [`ChatView`] | the view: collects what has changed, and publishes posts |
//! | [`app`], [`config`] | the chat as an app, and a room to join |
//! | [`ChatPresence`] | what participants show each other besides their posts: that they are typing |
//! | [`History`] | the lines as a view follows them |
//! | [`escape_html`], [`plain_text`] | from typed text to HTML and back |
//! | [`printable`] | text of other users for a terminal |

mod history;
mod model;
mod nicknames;
mod presence;
mod printable;
mod text;
mod view;

pub use history::History;
pub use model::{Change, Chat, ChatOptions, Line, Post};
pub use nicknames::NICKNAMES;
pub use presence::{ChatPresence, who_types};
pub use printable::printable;
pub use text::{escape_html, plain_text};
pub use view::{ChatUpdate, ChatView};

use teatime::{App, Config, ConfigError};

/// App id of the chat.
pub const APP_ID: &str = "teatime.chat";

/// The chat as an app.
pub fn app() -> App {
    App::builder::<Chat>(APP_ID)
        .version(1)
        .build()
        .expect("the chat declares one model with a valid id")
}

/// The configuration to join the chat room with this name.
///
/// # Errors
/// If the name is not valid.
pub fn config(name: &str, options: &ChatOptions) -> Result<Config, ConfigError> {
    Config::new(app(), name, options)
}
