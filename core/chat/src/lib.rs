//! The chat that all front ends share: the replicated model, its view, and the text of its lines.
//!
//! It is also a template for apps: one crate that holds the models and declares the app.
//!
//! | part | is |
//! |---|---|
//! | [`Chat`] | the model: nicknames and the newest lines |
//! | [`ChatView`] | the view: collects what has changed, and publishes posts |
//! | [`app`], [`config`], [`link`] | the chat as an app, a room to join, and a link to it |
//! | [`escape_html`], [`plain_text`] | from typed text to HTML and back |

mod model;
mod nicknames;
mod text;
mod view;

pub use model::{Chat, ChatOptions, Line, Post};
pub use nicknames::NICKNAMES;
pub use text::{escape_html, plain_text};
pub use view::{ChatUpdate, ChatView};

use teatime::{App, Config, ConfigError, JoinLink};

/// App id of the chat.
pub const APP_ID: &str = "teatime.chat";

/// Name of the option in join links that sets [`ChatOptions::inactivity_seconds`].
pub const INACTIVITY: &str = "inactivity";

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

/// The link by which other users join this room on this reflector.
pub fn link(reflector: &str, config: &Config, options: &ChatOptions) -> JoinLink {
    let standard = ChatOptions::default();
    let inactivity = (options.inactivity_seconds != standard.inactivity_seconds)
        .then(|| (INACTIVITY.to_owned(), options.inactivity_seconds.to_string()));
    JoinLink {
        reflector: reflector.to_owned(),
        app: APP_ID.to_owned(),
        name: config.name.clone(),
        options: inactivity.into_iter().collect(),
        password: config.password.clone(),
    }
}
