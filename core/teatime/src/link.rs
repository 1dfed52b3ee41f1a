//! Join links: everything that another device needs to join the same session.
//!
//! A link is `teatime://HOST:PORT/APP/ROOM?OPTION=VALUE#PASSWORD`, with `teatimes:` if the reflector uses TLS. Clients never
//! send a link to a server: the reflector learns neither room name nor password.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// The parts of a join link, as plain text. [`fmt::Display`] escapes them, and writes the password; [`fmt::Debug`] does not
/// show it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinLink {
    /// The address of the reflector: `ws://HOST:PORT` or `wss://HOST:PORT`.
    pub reflector: String,
    /// The id of the app.
    pub app: String,
    /// The name of the room.
    pub name: String,
    /// Options of the app's model, as the app writes them into links.
    pub options: Vec<(String, String)>,
    /// The password, if the session has one.
    pub password: Option<String>,
}

impl fmt::Debug for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reflector, app, name, options, password } = self;
        f.debug_struct("JoinLink")
            .field("reflector", reflector)
            .field("app", app)
            .field("name", name)
            .field("options", options)
            .field("password", &password.as_ref().map(|_| "(not shown)"))
            .finish()
    }
}

/// Why a join link or a reflector's address is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The text is not a URL.
    #[error("invalid join link {link:?}: {why}")]
    Syntax {
        /// The text without the password.
        link: String,
        /// Why it is not valid.
        why: String,
    },
    /// The link, here without the password, has another scheme.
    #[error("invalid join link {0:?}: expected teatime:// or teatimes://")]
    Scheme(String),
    /// The link lacks the host, the app or the room.
    #[error("invalid join link {link:?}: the {missing} is missing")]
    Missing {
        /// The text without the password.
        link: String,
        /// The missing part.
        missing: &'static str,
    },
    /// The address of a reflector is not valid.
    #[error("invalid address of a reflector {0:?}: expected one like ws://host:9090")]
    Address(String),
}

impl fmt::Display for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority) = match self.reflector.split_once("://") {
            Some(("wss", authority)) => ("teatimes", authority),
            Some((_, authority)) => ("teatime", authority),
            None => ("teatime", self.reflector.as_str()),
        };
        let base = format!("{scheme}://{}", authority.trim_end_matches('/'));
        let mut url = Url::parse(&base).map_err(|_| fmt::Error)?;
        url.path_segments_mut().map_err(|()| fmt::Error)?.push(&self.app).push(&self.name);
        if !self.options.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.options);
        }
        if let Some(password) = &self.password {
            // Few characters need escaping in a fragment. But programs that recognize links in text differ, so
            // everything unusual is escaped.
            let escaped: String =
                url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
            url.set_fragment(Some(&escaped.replace('+', "%20")));
        }
        f.write_str(url.as_str())
    }
}

impl FromStr for JoinLink {
    type Err = LinkError;

    fn from_str(link: &str) -> Result<Self, LinkError> {
        // Errors end up in logs.
        let public = link.split('#').next().unwrap_or_default();
        let syntax = |why: &dyn fmt::Display| LinkError::Syntax {
            link: public.into(),
            why: why.to_string(),
        };
        let missing = |missing| LinkError::Missing { link: public.into(), missing };
        let url = Url::parse(link.trim()).map_err(|error| syntax(&error))?;
        let scheme = match url.scheme() {
            "teatime" => "ws",
            "teatimes" => "wss",
            _ => return Err(LinkError::Scheme(public.into())),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(missing("host"))?;
        let reflector = match url.port() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        let mut parts = url.path_segments().into_iter().flatten();
        let mut part = |what| {
            let part = parts.next().filter(|part| !part.is_empty()).ok_or(missing(what))?;
            unescape(part).ok_or_else(|| syntax(&format!("the {what} is not UTF-8")))
        };
        let app = part("app")?;
        let name = part("room")?;
        let options = url.query_pairs().into_owned().collect();
        let password = match url.fragment() {
            None | Some("") => None,
            Some(escaped) => {
                Some(unescape(escaped).ok_or_else(|| syntax(&"the password is not UTF-8"))?)
            }
        };
        Ok(Self { reflector, app, name, options, password })
    }
}

/// Resolves escapes such as `%41`. `None` if the result is not UTF-8.
fn unescape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(plain).ok()
}

/// Checks and completes the address of a reflector: `host:port` alone means `ws://host:port`.
///
/// # Errors
/// [`LinkError::Address`] if it is not a `ws://` or `wss://` URL of a host alone.
pub fn reflector_address(text: &str) -> Result<String, LinkError> {
    let wrong = || LinkError::Address(text.into());
    let full = if text.contains("://") { text.to_owned() } else { format!("ws://{text}") };
    let url = Url::parse(&full).map_err(|_| wrong())?;
    let plain = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    match (url.scheme(), url.host_str(), plain) {
        ("ws" | "wss", Some(_), true) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> JoinLink {
        JoinLink {
            reflector: "ws://127.0.0.1:9090".into(),
            app: "org.example.chat".into(),
            name: "Tea & cake / ünï #1?".into(),
            options: vec![("inactivity".into(), "60".into())],
            password: Some("p w#%41+ü/?&".into()),
        }
    }

    #[test]
    fn neither_debug_output_nor_an_error_shows_the_password() {
        let shown = format!("{:?}", JoinLink { password: Some("sesame".into()), ..link() });
        assert!(shown.contains("Tea & cake") && !shown.contains("sesame"), "{shown}");
        for wrong in ["http://h/app/room#sesame", "teatime:///app/room#sesame", "teatime#sesame"] {
            let error = wrong.parse::<JoinLink>().expect_err("it is invalid");
            assert!(!format!("{error} {error:?}").contains("sesame"), "{error}");
        }
    }

    #[test]
    fn parsing_a_formatted_link_gives_the_same_link() {
        let plain = JoinLink { options: Vec::new(), password: None, ..link() };
        let secure = JoinLink { reflector: "wss://[::1]:1".into(), ..link() };
        for link in [link(), plain, secure] {
            assert_eq!(link.to_string().parse(), Ok(link));
        }
    }

    #[test]
    fn only_the_fragment_has_the_password() {
        let text = link().to_string();
        let (sent, fragment) = text.split_once('#').expect("the link has a fragment");
        assert_eq!(
            sent,
            "teatime://127.0.0.1:9090/org.example.chat/Tea%20&%20cake%20%2F%20%C3%BCn%C3%AF%20%231%3F?inactivity=60"
        );
        assert_eq!(fragment, "p%20w%23%2541%2B%C3%BC%2F%3F%26");
    }

    #[test]
    fn invalid_links_are_refused_with_one_readable_line() {
        for (wrong, why) in [
            ("", "invalid join link"),
            ("tea", "invalid join link"),
            ("https://example.org/a/b", "expected teatime://"),
            ("teatime:///app/room", "host is missing"),
            ("teatime://host", "app is missing"),
            ("teatime://host/app", "room is missing"),
            ("teatime://host/app/", "room is missing"),
            ("teatime://host/app/%ff", "not UTF-8"),
            ("teatime://host:99999/app/room", "invalid join link"),
        ] {
            let error = wrong.parse::<JoinLink>().expect_err(wrong).to_string();
            assert!(error.contains(why) && !error.contains('\n'), "{wrong}: {error}");
        }
    }

    #[test]
    fn addresses_of_reflectors_are_checked_and_completed() {
        assert_eq!(reflector_address("localhost:9090").as_deref(), Ok("ws://localhost:9090"));
        assert_eq!(reflector_address("wss://example.org/").as_deref(), Ok("wss://example.org"));
        for wrong in ["", "http://a", "ws://", "ws://a/b", "ws://a?b", "a b", "ws://u@a"] {
            assert!(reflector_address(wrong).is_err(), "{wrong}");
        }
    }
}
