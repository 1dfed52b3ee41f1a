//! The parts of a reflector's address that a connection needs.

use std::io;

use tokio_tungstenite::tungstenite::http::Uri;

/// Where a connection leads.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    is_encrypted: bool,
}

impl Target {
    /// Reads a `ws://` or `wss://` URL.
    pub(crate) fn parse(url: &str) -> io::Result<Self> {
        let (url, zone) = split_zone(url);
        let wrong =
            |why: &dyn ToString| io::Error::new(io::ErrorKind::InvalidInput, why.to_string());
        let uri: Uri = url.parse().map_err(|error| wrong(&error))?;
        let is_encrypted = uri.scheme_str() == Some("wss");
        let host = uri.host().ok_or_else(|| wrong(&"the address has no host"))?;
        if host.contains('%') {
            return Err(wrong(&format!("invalid host {host}")));
        }
        let host = host.trim_matches(['[', ']']);
        let host = zone.map_or_else(|| host.to_owned(), |zone| format!("{host}%{zone}"));
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        Ok(Self { uri, host, port, is_encrypted })
    }

    /// What is asked of the server, without a zone: that means nothing to another machine.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// A name, or an IP address without brackets, perhaps with a zone.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The name that a certificate must have: the host without brackets and zone.
    pub(crate) fn name(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is a `wss://` URL.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Host and port as they stand in HTTP, without a zone.
    pub(super) fn authority(&self) -> String {
        let (host, port) = (self.name(), self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Takes the zone out of a URL such as `ws://[fe80::1%25eth0]:9090`, because URLs in general have none: the rest, and the
/// zone. A link-local address needs it: it is the network interface of this machine that leads there. `%25` is the escape
/// of RFC 6874; `%` alone is what people type.
#[must_use]
pub fn split_zone(url: &str) -> (String, Option<&str>) {
    let zone = || {
        let open = url.find("://[")? + 4;
        let close = open + url[open..].find(']')?;
        let percent = open + url[open..close].find('%')?;
        let zone = &url[percent + 1..close];
        let zone = zone.strip_prefix("25").filter(|zone| !zone.is_empty()).unwrap_or(zone);
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~".contains(letter);
        let is_valid = !zone.is_empty() && zone.chars().all(is_plain);
        is_valid.then(|| (url[..percent].to_owned() + &url[close..], zone))
    };
    match zone() {
        Some((rest, zone)) => (rest, Some(zone)),
        None => (url.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_a_path_and_perhaps_a_zone() {
        for (url, host, port, asked) in [
            ("ws://host", "host", 80, "ws://host/"),
            ("wss://host/tea/time", "host", 443, "wss://host/tea/time"),
            ("ws://[::1]:9", "::1", 9, "ws://[::1]:9/"),
            ("ws://[fe80::1%25eth0]:9/x", "fe80::1%eth0", 9, "ws://[fe80::1]:9/x"),
            ("ws://[fe80::1%eth0]:9", "fe80::1%eth0", 9, "ws://[fe80::1]:9/"),
            ("ws://[fe80::1%25]:9", "fe80::1%25", 9, "ws://[fe80::1]:9/"),
        ] {
            let target = Target::parse(url).expect("it is valid");
            assert_eq!((target.host(), target.port()), (host, port), "{url}");
            assert_eq!(target.uri().to_string(), asked);
        }
        for wrong in ["ws://[fe80::1%]:9", "ws://[fe80::1%e th]:9", "ws://", "nonsense x"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
