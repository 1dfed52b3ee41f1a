//! Which session to join, and where: the flags that several commands share.

use std::path::{Path, PathBuf};

use clap::Args;
use teatime::{Config, JoinLink, LocalReflector, local_reflector, reflector_address};
use teatime_chat::ChatOptions;

use crate::password::{self, Password};
use crate::terminal::Failure;

/// Which room, and where. Flags override the link.
#[derive(Args)]
pub(crate) struct Joining {
    /// Join link of a room, such as teatime://host:9090/teatime.chat/room#password.
    #[arg(value_name = "LINK")]
    link: Option<String>,
    /// Address of the reflector, such as ws://host:9090. By default the reflector on this machine; if none runs,
    /// this program starts one.
    #[arg(long, value_name = "URL")]
    reflector: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Also trust these certificates (PEM) for wss:// reflectors, besides those of this machine.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Which room.
#[derive(Args)]
pub(crate) struct Which {
    /// Name of the room [default: lobby].
    #[arg(long, value_name = "ROOM")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) password: Password,
    /// Clear the chat after this many seconds without a post [default: 1200]. Part of the room's identity: another
    /// value is another room.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) inactivity: Option<u32>,
}

/// The room if neither flag nor link names one.
pub(crate) const DEFAULT_ROOM: &str = "lobby";

/// Reads a join link, and refuses one of another app.
pub(crate) fn link_to_chat(link: Option<&str>) -> Result<Option<JoinLink>, Failure> {
    let link = link.map(str::parse::<JoinLink>).transpose();
    let link = link.map_err(|error| Failure::usage(&error))?;
    match link {
        Some(JoinLink { app, .. }) if app != teatime_chat::APP_ID => {
            let why = format!("the link is for the app {app:?}, not for the chat");
            Err(Failure::Usage(why))
        }
        link => Ok(link),
    }
}

/// Reads the file of `--ca`.
pub(crate) fn certificates(file: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::usage(&format_args!("{}: {error}", file.display()));
    std::fs::read(file).map_err(unreadable)
}

/// Which reflector to use.
pub(crate) enum Reflector {
    /// The one at this address.
    At(String),
    /// The one on this machine: already running, or started by this process.
    ThisMachine(Option<LocalReflector>),
}

impl Reflector {
    /// The address of the reflector. Finds or starts that of this machine.
    pub(crate) fn find(&mut self) -> Result<String, Failure> {
        match self {
            Self::At(url) => Ok(url.clone()),
            Self::ThisMachine(found) => {
                let local = local_reflector().map_err(|error| {
                    let why = format!("cannot find or start a reflector on this machine: {error}");
                    Failure::Coded("UNREACHABLE", why)
                })?;
                Ok(found.insert(local).url().to_owned())
            }
        }
    }
}

impl Joining {
    /// The reflector, the session's configuration and the chat's options from these flags.
    pub(crate) fn resolve(&self) -> Result<(Reflector, Config, ChatOptions), Failure> {
        let link = link_to_chat(self.link.as_deref())?;
        let mut options = ChatOptions::default();
        let of_link = link.iter().flat_map(|link| &link.options);
        if let Some((_, seconds)) =
            of_link.into_iter().find(|(name, _)| name == teatime_chat::INACTIVITY)
        {
            let wrong = || {
                Failure::usage(&format!(
                    "invalid inactivity {seconds:?} in the link: expected a number of seconds"
                ))
            };
            options.inactivity_seconds = seconds.parse().map_err(|_| wrong())?;
        }
        let of_link = |part: fn(&JoinLink) -> Option<&str>| link.as_ref().and_then(part);
        let name = of_link(|link| Some(&link.name));
        let password = of_link(|link| link.password.as_deref());
        let mut config = self.which.config(name, password, &mut options)?;
        if let Some(password) = &config.password {
            password::warn(password);
        }
        config.trusted_certificates = self.ca.as_deref().map(certificates).transpose()?;
        let reflector = self.reflector.as_deref().or(of_link(|link| Some(&link.reflector)));
        let reflector = match reflector {
            Some(address) => {
                Reflector::At(reflector_address(address).map_err(|error| Failure::usage(&error))?)
            }
            None => Reflector::ThisMachine(None),
        };
        Ok((reflector, config, options))
    }
}

impl Which {
    /// The configuration of the room. Flags override `name` and `password`, which come from a link.
    pub(crate) fn config(
        &self,
        name: Option<&str>,
        password: Option<&str>,
        options: &mut ChatOptions,
    ) -> Result<Config, Failure> {
        options.inactivity_seconds = self.inactivity.unwrap_or(options.inactivity_seconds);
        let name = self.name.as_deref().or(name).unwrap_or(DEFAULT_ROOM);
        let password = self.password.read(password)?;
        let config = teatime_chat::config(name, options).map_err(|error| Failure::usage(&error))?;
        let config = config.password(password.as_deref());
        config.check().map_err(|error| Failure::usage(&error))?;
        Ok(config)
    }
}
