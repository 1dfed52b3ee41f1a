//! Join links, and their QR codes.

use std::collections::BTreeMap;

use teatime::{JoinLink, QrCode};

use crate::boundary::boundary;
use crate::config::{Config, tea_config};
use crate::handle::Held;
use crate::out::{Check, null};
use crate::payload::{format_of, tea_format, tea_payload};
use crate::status::{Failure, Result, tea_status};
use crate::text::tea_str;
use crate::value::{Value, checked, tea_value};

/// How many modules the largest QR code has: room for this many bytes is always enough.
pub const TEA_QR_MAX_MODULES: usize = 177 * 177;

/// Takes a join link apart: a map with the texts reflector, app, name, with the map options of
/// texts, and with password, a text or nil. The format is a tea_format.
///
/// Fails with TEA_STATUS_BAD_LINK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_link_parse(
    link: tea_str,
    format: i32,
    parts: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let parts = parts.check("parts")?;
        let format = format_of(format)?;
        let link: JoinLink = link.get("link")?.parse()?;
        let options: serde_json::Map<_, _> =
            link.options.into_iter().map(|(name, value)| (name, value.into())).collect();
        let map = serde_json::json!({
            "reflector": link.reflector, "app": link.app, "name": link.name,
            "options": options, "password": link.password,
        });
        parts.set(Value::of_payload(&teatime::Payload::new(map), format)?.hand_out()?);
        Ok(())
    })
}

/// Makes a join link of its parts, a map as tea_link_parse gives it; options and password may be
/// missing. The text is the data of the value that comes back (MessagePack): read it with
/// tea_payload_str.
///
/// Fails with TEA_STATUS_BAD_LINK, or TEA_STATUS_BAD_ADDRESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_link_make(
    parts: tea_payload,
    link: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let link = link.check("link")?;
        let parts: Parts = checked(parts)?
            .get()
            .map_err(|error| Failure::new(tea_status::BadLink, format!("the parts: {error}")))?;
        let made = JoinLink {
            reflector: teatime::reflector_address(&parts.reflector)?,
            app: parts.app,
            name: parts.name,
            options: parts.options.into_iter().collect(),
            password: parts.password,
        };
        link.set(text_of(&made)?.hand_out()?);
        Ok(())
    })
}

/// Makes the join link of the session that a configuration describes, through this reflector:
/// password included, for it is never sent to a server. `options` is a map of texts, or nil: what
/// the app needs to make the same model options again. The text is the data of the value that comes
/// back (MessagePack): read it with tea_payload_str.
///
/// Fails with TEA_STATUS_BAD_LINK, or TEA_STATUS_BAD_ADDRESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_link(
    config: *const tea_config,
    reflector: tea_str,
    options: tea_payload,
    link: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let link = link.check("link")?;
        let reflector = teatime::reflector_address(reflector.get("reflector")?)?;
        let options: Option<BTreeMap<String, String>> = checked(options)?
            .get()
            .map_err(|error| Failure::new(tea_status::BadLink, format!("the options: {error}")))?;
        let made = Config::with(config, |config| {
            let config = config.checked()?;
            Ok(JoinLink {
                reflector,
                app: config.app.id().to_owned(),
                name: config.name,
                options: options.unwrap_or_default().into_iter().collect(),
                password: config.password,
            })
        })?;
        link.set(text_of(&made)?.hand_out()?);
        Ok(())
    })
}

/// The text of a link as a value.
fn text_of(link: &JoinLink) -> Result<Value> {
    let text = link.to_string();
    // What cannot be read back is no link.
    text.parse::<JoinLink>()?;
    Value::of_payload(&teatime::Payload::new(text), tea_format::Msgpack)
}

/// The parts of a link as they come from C.
#[derive(Clone, serde::Deserialize)]
struct Parts {
    reflector: String,
    app: String,
    name: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
    password: Option<String>,
}

/// The QR code of a text, usually a join link: a square of modules, row by row, 1 for dark and 0
/// for light, without the light border that must stay around it. `modules` has room for `capacity`
/// of them, TEA_QR_MAX_MODULES is always enough; `side` becomes the length of a row.
///
/// Fails with TEA_STATUS_TOO_LONG if the text has more than 2,953 bytes, with
/// TEA_STATUS_BUFFER_TOO_SMALL if the room does not suffice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_qr(
    text: tea_str,
    modules: *mut u8,
    capacity: usize,
    side: *mut usize,
) -> tea_status {
    boundary(|| {
        let side = side.check("side")?;
        if modules.is_null() {
            return Err(null("modules"));
        }
        let code = QrCode::new(text.get("text")?);
        let code = code.ok_or_else(|| {
            Failure::new(tea_status::TooLong, "the text has more than 2,953 bytes")
        })?;
        if code.modules.len() > capacity {
            let message = format!("{} modules need room", code.modules.len());
            return Err(Failure::new(tea_status::BufferTooSmall, message));
        }
        for (at, dark) in code.modules.iter().enumerate() {
            // SAFETY: the caller of every export promises that there is the room it says.
            unsafe { modules.add(at).write(u8::from(*dark)) };
        }
        side.set(code.side);
        Ok(())
    })
}
