//! HTTP proxies, as the environment names them: `https_proxy` for `wss://`, `http_proxy` for `ws://`, `all_proxy` for
//! both, `no_proxy` for exceptions. They are asked to CONNECT (RFC 9110, section 9.3.6), so they see neither what is
//! said nor, with `wss://`, to which path.

use std::io;
use std::net::IpAddr;

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::Url;

use super::Target;

/// Longest answer of a proxy that is read.
const MAX_ANSWER: usize = 16 * 1024;

/// Most header lines of an answer.
const MAX_HEADERS: usize = 64;

/// What the environment says about proxies.
#[derive(Default)]
pub(super) struct Proxies {
    /// For `ws://`, with the name of its variable.
    plain: Option<(&'static str, String)>,
    /// For `wss://`.
    encrypted: Option<(&'static str, String)>,
    exceptions: Vec<String>,
}

/// A proxy.
pub(super) struct Proxy {
    /// The variable that names it.
    variable: &'static str,
    host: String,
    port: u16,
    /// User and password, as they are sent.
    credentials: Option<String>,
}

impl Proxies {
    /// Reads the environment. `HTTP_PROXY` in capitals does not count: a web server sets it for its scripts from a
    /// header that any client may send.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            let set = |name: &&'static str| {
                variable(name).filter(|value| !value.is_empty()).map(|value| (*name, value))
            };
            names.iter().find_map(set)
        };
        let exceptions = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
        let exceptions = exceptions.split([',', ' ']).filter(|entry| !entry.is_empty());
        Self {
            plain: first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            encrypted: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            exceptions: exceptions.map(str::to_ascii_lowercase).collect(),
        }
    }

    /// The proxy to use. This machine, and addresses that mean something only on the own network, are always reached
    /// directly.
    ///
    /// # Errors
    /// If the variable cannot be used. To connect directly instead could show others what the user wants to hide.
    pub(super) fn of(&self, target: &Target) -> io::Result<Option<Proxy>> {
        let chosen = if target.is_encrypted() { &self.encrypted } else { &self.plain };
        match chosen {
            Some((name, value)) if !self.is_excepted(target) => Proxy::parse(name, value).map(Some),
            _ => Ok(None),
        }
    }

    fn is_excepted(&self, target: &Target) -> bool {
        let host = target.name().to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        let is_local = address.is_some_and(|address| match address {
            IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
            IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
        });
        let is_local = is_local || host == "localhost" || host.ends_with(".localhost");
        is_local
            || self.exceptions.iter().any(|entry| matches(entry, &host, address, target.port()))
    }
}

/// Whether an entry of `no_proxy` names this host: `*`, a name with all its sub-domains, an address, or a range of
/// addresses such as 10.0.0.0/8; a name and an IPv4 address may have a port.
fn matches(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some(address) = address
        && let Some((network, bits)) = entry.split_once('/')
    {
        let network = network.parse::<IpAddr>().ok().zip(bits.parse::<u32>().ok());
        return network.is_some_and(|(network, bits)| is_in(address, network, bits));
    }
    let (entry, wanted) = match entry.rsplit_once(':') {
        Some((name, number)) if !name.contains(':') => (name, number.parse::<u16>().ok()),
        _ => (entry, None),
    };
    let name = entry.trim_start_matches("*.").trim_matches(['.', '[', ']']);
    let host = host.trim_end_matches('.');
    let is_below = || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    let is_named = !name.is_empty() && (host == name || address.is_none() && is_below());
    is_named && wanted.is_none_or(|wanted| wanted == port)
}

fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |one: u128, other: u128, width: u32| {
        bits <= width && (bits == 0 || (one ^ other) >> (width - bits) == 0)
    };
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            same(u32::from(one).into(), u32::from(other).into(), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => same(one.into(), other.into(), 128),
        _ => false,
    }
}

impl Proxy {
    /// Reads `http://USER:PASSWORD@HOST:PORT`, of which only the host is needed.
    fn parse(variable: &'static str, value: &str) -> io::Result<Self> {
        // Neither error shows the value, which may have a password.
        let wrong = |found: &str| {
            let why = format!("{variable}: expected http://HOST:PORT of a proxy, found {found}");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        };
        let full = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let url = Url::parse(&full).map_err(|error| wrong(&error.to_string()))?;
        let (host, port) = match (url.scheme(), url.host_str(), url.port_or_known_default()) {
            ("http", Some(host), Some(port)) => (host.trim_matches(['[', ']']).to_owned(), port),
            (scheme, ..) => return Err(wrong(&format!("{scheme}://"))),
        };
        let credentials = (!url.username().is_empty()).then(|| {
            let decoded = |text: &str| percent_decode_str(text).collect::<Vec<_>>();
            let user = decoded(url.username());
            let password = decoded(url.password().unwrap_or_default());
            BASE64.encode(&[&user[..], b":", &password].concat())
        });
        Ok(Self { variable, host, port, credentials })
    }

    /// The variable of the environment that names it.
    pub(super) fn variable(&self) -> &'static str {
        self.variable
    }

    /// Its host and port.
    pub(super) fn place(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Asks the proxy to connect the stream with the target.
    pub(super) async fn tunnel(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        target: &Target,
    ) -> io::Result<()> {
        let place = target.authority();
        let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        if let Some(credentials) = &self.credentials {
            request += &format!("Proxy-Authorization: Basic {credentials}\r\n");
        }
        stream.write_all((request + "\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            // What follows the answer belongs to the reflector, which speaks only when spoken to.
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(failed("it closed the connection"));
            }
            match status(&answer)? {
                None if answer.len() > MAX_ANSWER => return Err(failed("its answer is too long")),
                None => {}
                Some((200..=299, length)) if length == answer.len() => return Ok(()),
                Some((200..=299, _)) => return Err(failed("it sent more than its answer")),
                Some((407, _)) if self.credentials.is_some() => {
                    return Err(failed("it refuses user and password (HTTP 407)"));
                }
                Some((407, _)) => {
                    return Err(failed("it wants http://USER:PASSWORD@HOST:PORT (HTTP 407)"));
                }
                Some((code, _)) => {
                    return Err(failed(&format!("it refuses to connect to {place} (HTTP {code})")));
                }
            }
        }
    }
}

fn failed(why: &str) -> io::Error {
    io::Error::other(why)
}

/// The status of an answer, and the length of its head. `None` if that has not arrived whole.
fn status(answer: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(answer) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) => Ok(Some((response.code.unwrap_or(0), length))),
        Err(error) => Err(failed(&format!("not an HTTP proxy: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let target = Target::parse(url).expect("a valid address");
        let proxy = proxies(variables).of(&target).expect("a valid proxy");
        proxy.map(|proxy| format!("{}:{}", proxy.host, proxy.port))
    }

    #[test]
    fn the_scheme_chooses_the_variable() {
        let both = [("http_proxy", "http://plain:1"), ("HTTPS_PROXY", "tls:2")];
        assert_eq!(chosen(&both, "ws://far.org").as_deref(), Some("plain:1"));
        assert_eq!(chosen(&both, "wss://far.org").as_deref(), Some("tls:2"));
        assert_eq!(chosen(&both[..1], "wss://far.org"), None);
        let all = [("all_proxy", "http://[::1]")];
        assert_eq!(chosen(&all, "wss://far.org").as_deref(), Some("::1:80"));
        assert_eq!(chosen(&[("HTTP_PROXY", "http://forged:1")], "ws://far.org"), None);
        assert_eq!(chosen(&[("http_proxy", "")], "ws://far.org"), None);
    }

    #[test]
    fn exceptions_and_this_machine_are_reached_directly() {
        for (list, url, is_excepted) in [
            ("", "ws://localhost:9", true),
            ("", "ws://127.0.0.1:9", true),
            ("", "ws://[::1]:9", true),
            ("", "ws://far.org", false),
            ("*", "ws://far.org", true),
            ("org", "ws://far.org", true),
            ("far.org", "ws://FAR.org", true),
            (".far.org", "ws://a.far.org", true),
            ("*.far.org", "ws://a.far.org", true),
            ("near.org, far.org", "ws://far.org", true),
            ("far.org", "ws://not-far.org", false),
            ("far.org:80", "ws://far.org", true),
            ("far.org:81", "ws://far.org", false),
            ("10.0.0.0/8", "ws://10.1.2.3", true),
            ("10.0.0.0/8", "ws://11.1.2.3", false),
            ("10.1.2.3", "ws://10.1.2.3", true),
            ("1.2.3", "ws://10.1.2.3", false),
            ("fd00::/8", "ws://[fd01::1]", true),
            ("", "ws://[fe80::1%25eth0]:9", true),
            ("", "ws://169.254.1.2:9", true),
            ("fd00::1", "ws://[fd00::1]", true),
            ("0.0.0.0/0", "ws://11.1.2.3", true),
            ("10.0.0.0/33", "ws://10.0.0.0", false),
        ] {
            let found = chosen(&[("http_proxy", "p:1"), ("no_proxy", list)], url);
            assert_eq!(found.is_none(), is_excepted, "{list:?} {url}");
        }
    }

    #[test]
    fn a_variable_that_names_no_http_proxy_is_an_error_that_does_not_show_its_password() {
        for value in ["socks5://user:sesame@h:1", "https://user:sesame@h:1", "http://user:sesame@"]
        {
            let target = Target::parse("wss://far.org").expect("a valid address");
            let Err(error) = proxies(&[("https_proxy", value)]).of(&target) else {
                panic!("{value} was accepted");
            };
            let error = error.to_string();
            assert!(error.starts_with("https_proxy: expected http://"), "{error}");
            assert!(!error.contains("sesame"), "{error}");
        }
    }
}
