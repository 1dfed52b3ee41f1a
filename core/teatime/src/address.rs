//! Addresses of reflectors.

use teatime_net::split_zone;
use url::Url;

use crate::link::LinkError;

/// Checks and completes the address of a reflector: `host:port` alone means `ws://host:port`.
///
/// An address may have a path, for a reflector behind a shared host: `wss://host/teatime`. A link-local address has a
/// zone, the network interface of this machine that leads there: `ws://[fe80::1%25eth0]:9090`.
///
/// # Errors
/// [`LinkError::Address`] if it is not a `ws://` or `wss://` URL of a host, perhaps with a path.
pub fn reflector_address(text: &str) -> Result<String, LinkError> {
    let wrong = || LinkError::Address(text.into());
    let full = if text.contains("://") { text.to_owned() } else { format!("ws://{text}") };
    let (full, zone) = split_zone(&full);
    let url = Url::parse(&full).map_err(|_| wrong())?;
    let is_plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    match (url.scheme(), url.host_str(), is_plain) {
        ("ws" | "wss", Some(_), true) => {}
        _ => return Err(wrong()),
    }
    let address = url.as_str().trim_end_matches('/');
    Ok(match zone {
        Some(zone) => address.replacen(']', &format!("%25{zone}]"), 1),
        None => address.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_completed_and_may_have_a_path_and_a_zone() {
        for (text, address) in [
            ("host:1", "ws://host:1"),
            ("wss://host", "wss://host"),
            ("wss://host/teatime/", "wss://host/teatime"),
            ("ws://host/a%20b", "ws://host/a%20b"),
            ("[::1]:9", "ws://[::1]:9"),
            ("[fe80::1%eth0]:9", "ws://[fe80::1%25eth0]:9"),
            ("ws://[fe80::1%25eth0]:9/x", "ws://[fe80::1%25eth0]:9/x"),
        ] {
            let completed = reflector_address(text).expect("it is valid");
            assert_eq!(completed, address);
            assert_eq!(reflector_address(&completed), Ok(completed));
        }
        for wrong in [
            "http://host",
            "ws://",
            "ws://host?x",
            "ws://host#x",
            "ws://me@host",
            "ws://:pw@host",
            "",
            "a b",
            "ws://[fe80::1%]:9",
            "ws://1.2.3.4%25eth0",
        ] {
            assert!(reflector_address(wrong).is_err(), "{wrong}");
        }
    }
}
