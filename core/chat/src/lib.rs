//! The chat that every front end shares: the replicated model, its view, and its text.
//!
//! It is also the template for an app's own models: one crate that holds them and names the app.

mod model;
mod nicknames;
mod text;
mod view;

pub use model::{Chat, ChatOptions, Line, Post};
pub use nicknames::NICKNAMES;
pub use text::{escape_html, plain_text};
pub use view::{ChatUpdate, ChatView};

use teatime::{App, Config, ConfigError, JoinLink};

/// Id of the chat as an app.
pub const APP_ID: &str = "teatime.chat";

/// Name of the model option in join links: after how many seconds without a post the chat clears
/// itself.
pub const INACTIVITY: &str = "inactivity";

/// The chat as an app.
pub fn app() -> App {
    App::builder::<Chat>(APP_ID)
        .version(1)
        .build()
        .expect("the chat declares one model with a valid id")
}

/// What to join: the chat room of this name.
pub fn config(name: &str, options: &ChatOptions) -> Result<Config, ConfigError> {
    Config::new(app(), name, options)
}

/// The link by which others join this room through this reflector.
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
