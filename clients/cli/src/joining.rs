//! Which session to join, and where: the flags that several commands share.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use teatime::{
    Config, DEFAULT_PORT, JoinLink, LinkError, LocalReflector, local_reflector, local_reflector_at,
    reflector_address,
};
use teatime_chat::ChatOptions;

use crate::password::{self, Password};
use crate::terminal::Failure;

/// Which room, and where. Flags override the link.
#[derive(Args)]
pub(crate) struct Joining {
    /// Join link of a room, as the chat shows it.
    #[arg(value_name = "LINK")]
    link: Option<String>,
    /// Address of the reflector, such as ws://host:9090. By default the reflector on this machine; if none runs,
    /// this program starts one.
    #[arg(long, value_name = "URL")]
    reflector: Option<String>,
    /// If this program starts a reflector, let it listen at this address, so that other machines can join; 0.0.0.0 is every
    /// address of this machine. Without it only this machine can join.
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with_all = ["reflector", "link"], value_parser = listen_address)]
    listen: Option<SocketAddr>,
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
    /// Add a line to the chat when someone enters or exits. Part of the room's identity, too.
    #[arg(long)]
    pub(crate) announce: bool,
}

/// The room if neither flag nor link names one.
pub(crate) const DEFAULT_ROOM: &str = "lobby";

/// Reads a join link, and refuses one of another app, or with options that the chat does not know.
pub(crate) fn link_to_chat(link: Option<&str>) -> Result<Option<JoinLink>, Failure> {
    let read = |text: &str| -> Result<JoinLink, LinkError> {
        let link: JoinLink = text.parse()?;
        link.config(teatime_chat::app())?;
        Ok(link)
    };
    link.map(read).transpose().map_err(|error| Failure::usage(&error))
}

pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>().ok();
    let alone = || text.parse::<IpAddr>().ok().map(|host| SocketAddr::new(host, DEFAULT_PORT));
    with_port.or_else(alone).ok_or_else(|| "expected an IP address, such as 0.0.0.0:9090".into())
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
    /// The one on this machine: already running, or started by this process, perhaps at this address.
    ThisMachine(Option<SocketAddr>, Option<LocalReflector>),
}

impl Reflector {
    /// The address of the reflector. Finds or starts that of this machine.
    pub(crate) fn find(&mut self) -> Result<String, Failure> {
        match self {
            Self::At(url) => Ok(url.clone()),
            Self::ThisMachine(listen, found) => {
                let local = listen.map_or_else(local_reflector, local_reflector_at);
                let local = local.map_err(|error| {
                    let why = format!("cannot find or start a reflector on this machine: {error}");
                    Failure::Failed("UNREACHABLE", why)
                })?;
                Ok(found.insert(local).url().to_owned())
            }
        }
    }
}

impl Joining {
    /// The reflector and the session's configuration from these flags.
    pub(crate) fn resolve(&self) -> Result<(Reflector, Config), Failure> {
        let link = link_to_chat(self.link.as_deref())?;
        let read = link.as_ref().map(JoinLink::read_options::<ChatOptions>).transpose();
        let read = read.map_err(|error| Failure::usage(&error))?;
        let mut options = read.flatten().unwrap_or_default();
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
            None => Reflector::ThisMachine(self.listen, None),
        };
        Ok((reflector, config))
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
        options.announce |= self.announce;
        let name = self.name.as_deref().or(name).unwrap_or(DEFAULT_ROOM);
        let password = self.password.read(password)?;
        let config = teatime_chat::config(name, options).map_err(|error| Failure::usage(&error))?;
        let mut config = config.password(password.as_deref());
        config.agent = concat!("teatime-cli/", env!("CARGO_PKG_VERSION")).to_owned();
        config.check().map_err(|error| Failure::usage(&error))?;
        Ok(config)
    }
}
