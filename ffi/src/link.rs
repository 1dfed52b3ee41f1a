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

/// The number of modules of the largest QR code. A buffer of this many bytes is always large enough.
pub const TEA_QR_MAX_MODULES: usize = 177 * 177;

/// Takes a join link apart. `parts` becomes a value that holds a map in `format`, a tea_format: the texts reflector,
/// app and name, options as a map of texts, and password as a text or nil. The caller frees it with tea_value_free.
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

/// Makes a join link from its parts, a map like the one of tea_link_parse. Options and password may be missing. `link`
/// becomes a value that holds a MessagePack text: read it with tea_value_payload and tea_payload_str, and free it with
/// tea_value_free.
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

/// Makes the join link of the session that a config describes, through this reflector. The link includes the password,
/// in a part that clients do not send to a server. `options` is a map of texts, or nil: what the app needs to make the
/// same model options again. `link` becomes a value that holds a MessagePack text: read it with tea_value_payload and
/// tea_payload_str, and free it with tea_value_free.
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
    // Only a text that can be parsed again is a link.
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

/// The QR code of a text, usually a join link: a square of modules, row by row, 1 for dark and 0 for light. The light
/// border that must surround the code is not included. `modules` has room for `capacity` modules; TEA_QR_MAX_MODULES is
/// always enough. `side` becomes the length of a row.
///
/// Fails with TEA_STATUS_TOO_LONG if the text has more than 2,953 bytes, and with TEA_STATUS_BUFFER_TOO_SMALL if
/// `capacity` is too small.
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
            let message = format!("the code has {} modules", code.modules.len());
            return Err(Failure::new(tea_status::BufferTooSmall, message));
        }
        for (at, dark) in code.modules.iter().enumerate() {
            // SAFETY: the caller of every export promises room for `capacity` modules.
            unsafe { modules.add(at).write(u8::from(*dark)) };
        }
        side.set(code.side);
        Ok(())
    })
}
