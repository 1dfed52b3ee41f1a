//! Join links: everything that another device needs to join the same session.
//!
//! A link is `teatime://HOST:PORT/-CHECK/APP/ROOM/OPTIONS#PASSWORD`, with `teatimes:` if the reflector uses TLS. OPTIONS
//! is missing if all options have their default, and PASSWORD if there is none. Clients never send a link to a server: the
//! reflector learns neither room name nor password.
//!
//! - Programs and people change links: they cut them, add punctuation, or escape characters. CHECK is a hash of everything
//!   but the password, and says whether there is one. PASSWORD ends with a hash of its own. So a changed link leads to the
//!   same session or to an error. Without a check a text is not a link.
//! - A link consists of letters, digits and `:/.-_%#`. So no shell needs quotes around it.

mod parse;
mod write;

use std::fmt;

use teatime_net::split_zone;
use teatime_session::{Config, ConfigError};
use teatime_vm::{App, Payload};
use url::{Host, Url};

use crate::address::reflector_address;

/// The parts of a join link, as plain text. [`fmt::Display`] writes the link, with the password; [`fmt::Debug`] does not
/// show it. [`std::str::FromStr`] reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinLink {
    /// The address of the reflector: `ws://HOST:PORT` or `wss://HOST:PORT`.
    pub reflector: String,
    /// The id of the app.
    pub app: String,
    /// The name of the room.
    pub name: String,
    /// Options of the root model as MessagePack, with the names of fields. `None` if all have their default.
    pub options: Option<Vec<u8>>,
    /// The password, if the session has one.
    pub password: Option<String>,
}

impl JoinLink {
    /// The link to the session of this configuration through this reflector.
    ///
    /// # Errors
    /// [`LinkError::Address`] if the address is not valid.
    pub fn new(reflector: &str, config: &Config) -> Result<Self, LinkError> {
        Ok(Self {
            reflector: reflector_address(reflector)?,
            app: config.app.id().to_owned(),
            name: config.name.clone(),
            options: config.app.options_for_link(&config.options),
            password: config.password.clone(),
        })
    }

    /// Whether the link leads only programs on the same machine anywhere: its reflector has a loopback address.
    pub fn is_local(&self) -> bool {
        let url = Url::parse(&split_zone(&self.reflector).0);
        url.is_ok_and(|url| match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        })
    }

    /// The configuration of the session that the link leads to.
    ///
    /// # Errors
    /// [`LinkError::App`] if the link is for another app, [`LinkError::Options`] if the app cannot read the options, and
    /// [`LinkError::Config`] if a part is not valid.
    pub fn config(&self, app: App) -> Result<Config, LinkError> {
        if self.app != app.id() {
            let (expected, found) = (app.id().to_owned(), self.app.clone());
            return Err(LinkError::App { expected, found });
        }
        let options = app.options_of_link(self.options.as_deref()).map_err(LinkError::Options)?;
        let config = Config::with_encoded_options(app, &self.name, &options)?;
        let config = config.password(self.password.as_deref());
        config.check()?;
        Ok(config)
    }

    /// The options as a value, for apps that change some of them. [`config`](Self::config) reads them for the model.
    ///
    /// # Errors
    /// If the link has no options, and if they are not a `T`.
    pub fn read_options<T: serde::de::DeserializeOwned + Clone + 'static>(
        &self,
    ) -> Result<Option<T>, LinkError> {
        let read = |options: &Vec<u8>| Payload::from_msgpack(options).get();
        let read = self.options.as_ref().map(read).transpose();
        read.map_err(|error| LinkError::Options(error.to_string()))
    }
}

impl fmt::Debug for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reflector, app, name, options, password } = self;
        f.debug_struct("JoinLink")
            .field("reflector", reflector)
            .field("app", app)
            .field("name", name)
            .field("options", &options.as_deref().map(Payload::from_msgpack))
            .field("password", &password.as_ref().map(|_| "(not shown)"))
            .finish()
    }
}

/// Why a join link or a reflector's address is not valid. No message contains a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The link, here without the password, has another scheme.
    #[error(
        "invalid join link {0:?}: expected teatime:// or teatimes://. An address such as ws://HOST:9090 is not a link: give it \
         as the address of the reflector"
    )]
    Scheme(String),
    /// The link has no check, for example because it was typed by hand. If it were used, a lost character would lead to
    /// another room, and a lost password to one that is not encrypted.
    #[error(
        "invalid join link {link:?}: expected one that a program has made, such as teatime://HOST:PORT/-CHECK/APP/ROOM, \
         found none with a check. Copy the whole link, or give {parts} instead"
    )]
    Unchecked {
        /// The text without the password.
        link: String,
        /// What leads to the room that may be meant.
        parts: String,
    },
    /// The link is not as it was made.
    #[error("damaged join link {link:?}: {why}. Copy the whole link again, or scan its QR code")]
    Damaged {
        /// The text without the password.
        link: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The link is for another app.
    #[error("the link is for another app: expected {expected:?}, found {found:?}")]
    App {
        /// The app that was to join.
        expected: String,
        /// The app of the link.
        found: String,
    },
    /// The app cannot read the options of the link.
    #[error("invalid options in the link: {0}. Ask for a link of the same version of the app")]
    Options(String),
    /// The link leads to a session that cannot exist.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address of a reflector is not valid.
    #[error("invalid address of a reflector {0:?}: expected one like ws://host:9090")]
    Address(String),
}

#[cfg(test)]
mod tests;
