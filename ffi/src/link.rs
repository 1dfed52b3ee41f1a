//! Join links, and their QR codes.

use rmp::encode as mp;
use teatime::{JoinLink, Payload, QrCode};

use crate::app::{App, tea_app};
use crate::boundary::boundary;
use crate::config::{Config, tea_config};
use crate::handle::Held;
use crate::out::{Check, null};
use crate::payload::{child, format_of, tea_format, tea_payload};
use crate::status::{Failure, Result, tea_status};
use crate::text::tea_str;
use crate::value::{Value, canonical, tea_value};

/// The number of modules of the largest QR code. A buffer of this many bytes is always large enough.
pub const TEA_QR_MAX_MODULES: usize = 177 * 177;

/// Takes a join link apart, also one that a messenger has changed. `parts` becomes a value that holds a map in `format`,
/// a tea_format: the texts reflector, app and name, then options, and password as a text or nil. The options are those of
/// the root model, with the names of fields, or nil if all have their default. The caller frees the value with
/// tea_value_free. To join as the link says, use tea_config_from_link.
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
        let map = Payload::from_msgpack(&pack(&link).map_err(|error| {
            Failure::new(tea_status::Encoding, format!("cannot write the parts: {error}"))
        })?);
        parts.set(Value::of_payload(&map, format)?.hand_out()?);
        Ok(())
    })
}

/// The parts of a link as a map. Its options are MessagePack already.
fn pack(link: &JoinLink) -> std::result::Result<Vec<u8>, mp::ValueWriteError> {
    let mut bytes = Vec::new();
    mp::write_map_len(&mut bytes, 5)?;
    for (name, part) in [("reflector", &link.reflector), ("app", &link.app), ("name", &link.name)] {
        mp::write_str(&mut bytes, name)?;
        mp::write_str(&mut bytes, part)?;
    }
    mp::write_str(&mut bytes, "options")?;
    bytes.extend_from_slice(link.options.as_deref().unwrap_or(NIL));
    mp::write_str(&mut bytes, "password")?;
    match &link.password {
        Some(password) => mp::write_str(&mut bytes, password)?,
        None => bytes.extend_from_slice(NIL),
    }
    Ok(bytes)
}

/// Nil in MessagePack.
const NIL: &[u8] = &[0xc0];

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
        let bytes = canonical(parts)?;
        let parts: Parts = Payload::from_msgpack(&bytes)
            .get()
            .map_err(|error| Failure::new(tea_status::BadLink, format!("the parts: {error}")))?;
        let options = child(&bytes, "options").ok().filter(|options| *options != NIL);
        let made = JoinLink {
            reflector: teatime::reflector_address(&parts.reflector)?,
            app: parts.app,
            name: parts.name,
            options: options.map(<[u8]>::to_vec),
            password: parts.password,
        };
        link.set(text_of(&made)?.hand_out()?);
        Ok(())
    })
}

/// Makes the config of the session that a join link leads to: with the room, the password and all options of the link.
/// The link must be for this app. Get the reflector's address with tea_link_parse. From now on no model can be added to
/// the app. The caller frees the config with tea_config_free.
///
/// Fails with TEA_STATUS_BAD_LINK, also if the link is for another app, with TEA_STATUS_BAD_OPTIONS if the app cannot
/// read the options, and like tea_config_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_from_link(
    app: *const tea_app,
    link: tea_str,
    config: *mut *mut tea_config,
) -> tea_status {
    boundary(|| {
        let config = config.check("config")?;
        let link = link.get("link")?;
        let app = App::with(app, App::build)?;
        let made = link.parse::<JoinLink>()?.config(app)?;
        config.set(Config::new(made).hand_out()?);
        Ok(())
    })
}

/// Makes the join link of the session that a config describes, through this reflector. The link includes all options, and
/// the password, in a part that clients do not send to a server. `link` becomes a value that holds a MessagePack text:
/// read it with tea_value_payload and tea_payload_str, and free it with tea_value_free.
///
/// Fails with TEA_STATUS_BAD_ADDRESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_link(
    config: *const tea_config,
    reflector: tea_str,
    link: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let link = link.check("link")?;
        let reflector = reflector.get("reflector")?;
        let made =
            Config::with(config, |config| Ok(JoinLink::new(reflector, &config.checked()?)?))?;
        link.set(text_of(&made)?.hand_out()?);
        Ok(())
    })
}

/// The text of a link as a value.
fn text_of(link: &JoinLink) -> Result<Value> {
    Value::of_payload(&Payload::new(link.to_string()), tea_format::Msgpack)
}

/// The parts of a link as they come from C, without the options.
#[derive(Clone, serde::Deserialize)]
struct Parts {
    reflector: String,
    app: String,
    name: String,
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
