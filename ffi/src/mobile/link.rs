//! Join links, QR codes and badges.

use std::collections::HashMap;
use std::fmt;

use teatime::{JoinLink, QrCode};

use super::Result;
use crate::status::{Failure, tea_status};

/// The parts of a join link.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct Link {
    /// The reflector's address, such as `ws://127.0.0.1:9090`.
    pub reflector: String,
    /// Id of the app.
    pub app: String,
    /// Name of the room.
    pub name: String,
    /// Options of the app's model, as the app writes them into links.
    pub options: HashMap<String, String>,
    /// The password, if the session has one.
    pub password: Option<String>,
}

/// Without the password.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("reflector", &self.reflector)
            .field("app", &self.app)
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A QR code as a square of modules.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct QrModules {
    /// Modules per side, without the quiet zone.
    pub side: u32,
    /// Row by row; 1 is dark.
    pub modules: Vec<u8>,
}

/// Parses a join link.
#[uniffi::export]
pub fn parse_link(link: &str) -> Result<Link> {
    let link: JoinLink = link.parse().map_err(Failure::from)?;
    Ok(Link {
        reflector: link.reflector,
        app: link.app,
        name: link.name,
        options: link.options.into_iter().collect(),
        password: link.password,
    })
}

/// Makes a join link from its parts.
#[uniffi::export]
pub fn make_link(link: Link) -> Result<String> {
    let mut options: Vec<_> = link.options.into_iter().collect();
    // Equal parts must make equal links, and the order of a map is random.
    options.sort();
    let made = JoinLink {
        reflector: teatime::reflector_address(&link.reflector).map_err(Failure::from)?,
        app: link.app,
        name: link.name,
        options,
        password: link.password,
    };
    let text = made.to_string();
    // A link that does not parse is not valid.
    text.parse::<JoinLink>().map_err(Failure::from)?;
    Ok(text)
}

/// The QR code of a text.
#[uniffi::export]
pub fn qr_code(text: &str) -> Result<QrModules> {
    let too_long = || {
        Failure::new(
            tea_status::TooLong,
            "the text is too long: a QR code holds at most 2,953 bytes",
        )
    };
    let code = QrCode::new(text).ok_or_else(too_long)?;
    let modules = code.modules.iter().map(|dark| u8::from(*dark)).collect();
    let side = u32::try_from(code.side).map_err(|_| too_long())?;
    Ok(QrModules { side, modules })
}
