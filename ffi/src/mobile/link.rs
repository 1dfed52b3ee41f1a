//! Join links, QR codes and badges.

use std::fmt;

use teatime::{JoinLink, Payload, QrCode};

use super::{App, JoinOptions, Result};
use crate::payload::tea_format;
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
    /// Options of the root model as JSON, with the names of fields. `None` if all have their default.
    pub options: Option<String>,
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

/// Parses a join link, also one that a messenger has changed.
#[uniffi::export]
pub fn parse_link(link: &str) -> Result<Link> {
    parts_of(link.parse().map_err(Failure::from)?)
}

/// Makes a join link from its parts.
#[uniffi::export]
pub fn make_link(link: Link) -> Result<String> {
    Ok(checked(link)?.to_string())
}

/// Makes the join link of a session, with all its options.
#[uniffi::export]
pub fn link_of(app: &App, options: &JoinOptions) -> Result<Link> {
    let config = super::session::config(app, options)?;
    parts_of(JoinLink::new(&options.reflector, &config).map_err(Failure::from)?)
}

/// All options of the root model as JSON, as a link says. Fails if the link is not for this app, or if the app cannot
/// read its options.
#[uniffi::export]
pub fn options_of_link(app: &App, link: Link) -> Result<String> {
    let config = checked(link)?.config(app.app().clone()).map_err(Failure::from)?;
    let named = config.app.named_options(&config.options);
    json_of(&named.map_err(|why| Failure::new(tea_status::BadOptions, why))?)
}

fn parts_of(link: JoinLink) -> Result<Link> {
    let options = link.options.as_deref().map(json_of).transpose()?;
    let JoinLink { reflector, app, name, password, .. } = link;
    Ok(Link { reflector, app, name, options, password })
}

fn checked(link: Link) -> Result<JoinLink> {
    let Link { reflector, app, name, options, password } = link;
    let options = options.map(|json| super::to_msgpack(json.as_bytes(), tea_format::Json));
    let reflector = teatime::reflector_address(&reflector).map_err(Failure::from)?;
    Ok(JoinLink { reflector, app, name, options: options.transpose()?, password })
}

fn json_of(msgpack: &[u8]) -> Result<String> {
    let mut json = Vec::new();
    let payload = Payload::from_msgpack(msgpack);
    crate::value::append_payload(&mut json, &payload, tea_format::Json)?;
    Ok(String::from_utf8_lossy(&json).into_owned())
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
