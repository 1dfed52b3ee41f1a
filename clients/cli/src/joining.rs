//! Which session to join, and where: the flags that several commands share.

use std::path::PathBuf;

use clap::Args;
use teatime::{Config, JoinLink, LocalReflector, local_reflector, reflector_address};
use teatime_chat::ChatOptions;

use crate::Failure;

/// Which room, and the way to it; flags override the link.
#[derive(Args)]
pub(crate) struct Joining {
    /// The join link of a room, such as teatime://host:9090/teatime.chat/room#password.
    #[arg(value_name = "LINK")]
    link: Option<String>,
    /// The reflector's address, such as ws://host:9090. Without one: the reflector on this
    /// machine; if there is none this program hosts it.
    #[arg(long, value_name = "URL")]
    reflector: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Certificates (PEM) that are trusted to vouch for a reflector at wss://, besides those that
    /// this machine trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Which room.
#[derive(Args)]
pub(crate) struct Which {
    /// The name of the room [default: lobby].
    #[arg(long, value_name = "ROOM")]
    pub(crate) name: Option<String>,
    /// The password of the room: with one everything is encrypted end to end, and only those who know it
    /// can join.
    #[arg(long, value_name = "PW")]
    pub(crate) password: Option<String>,
    /// After so many seconds without a post the chat clears itself [default: 1200]. Rooms that
    /// differ in this are different rooms.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) inactivity: Option<u32>,
}

/// The room if nothing is said.
const DEFAULT_ROOM: &str = "lobby";

/// Where the reflector is.
pub(crate) enum Place {
    /// At this address.
    Given(String),
    /// On this machine: found there, or hosted by this process.
    ThisMachine(Option<LocalReflector>),
}

impl Place {
    /// The address of the reflector; finds or hosts that of this machine.
    pub(crate) fn find(&mut self) -> Result<String, Failure> {
        match self {
            Self::Given(url) => Ok(url.clone()),
            Self::ThisMachine(found) => {
                let local = local_reflector().map_err(|error| {
                    let why = format!("no reflector can be found or hosted here: {error}");
                    Failure::Coded("UNREACHABLE", why)
                })?;
                Ok(found.insert(local).url().to_owned())
            }
        }
    }
}

impl Joining {
    /// What these flags ask for.
    pub(crate) fn what(&self) -> Result<(Place, Config, ChatOptions), Failure> {
        let link = self.link.as_deref().map(str::parse::<JoinLink>).transpose();
        let link = link.map_err(|error| usage(&error))?;
        if let Some(link) = &link
            && link.app != teatime_chat::APP_ID
        {
            return Err(usage(&format!("the link leads to {:?}, which is no chat", link.app)));
        }
        let mut options = ChatOptions::default();
        let of_link = link.iter().flat_map(|link| &link.options);
        if let Some((_, seconds)) =
            of_link.into_iter().find(|(name, _)| name == teatime_chat::INACTIVITY)
        {
            let wrong = || usage(&format!("{seconds:?} in the link is no number of seconds"));
            options.inactivity_seconds = seconds.parse().map_err(|_| wrong())?;
        }
        let of_link = |part: fn(&JoinLink) -> Option<&str>| link.as_ref().and_then(part);
        let name = of_link(|link| Some(&link.name));
        let password = of_link(|link| link.password.as_deref());
        let mut config = self.which.config(name, password, &mut options)?;
        if let Some(file) = &self.ca {
            let pem = std::fs::read(file)
                .map_err(|error| usage(&format_args!("{}: {error}", file.display())))?;
            config.trusted_certificates = Some(pem);
        }
        let reflector = self.reflector.as_deref().or(of_link(|link| Some(&link.reflector)));
        let place = match reflector {
            Some(address) => {
                Place::Given(reflector_address(address).map_err(|error| usage(&error))?)
            }
            None => Place::ThisMachine(None),
        };
        Ok((place, config, options))
    }
}

impl Which {
    /// The room that is meant, unless said otherwise with these.
    pub(crate) fn config(
        &self,
        name: Option<&str>,
        password: Option<&str>,
        options: &mut ChatOptions,
    ) -> Result<Config, Failure> {
        options.inactivity_seconds = self.inactivity.unwrap_or(options.inactivity_seconds);
        let name = self.name.as_deref().or(name).unwrap_or(DEFAULT_ROOM);
        let password = self.password.as_deref().or(password);
        let config = teatime_chat::config(name, options).map_err(|error| usage(&error))?;
        let config = config.password(password);
        config.check().map_err(|error| usage(&error))?;
        Ok(config)
    }
}

pub(crate) fn usage(error: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(error.to_string())
}
