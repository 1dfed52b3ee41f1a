//! Who may ask this server for something: web pages only if the operator allows them.
//!
//! A browser lets every page connect to every server, also to one of the user's own machine, and says by `Origin` which page
//! it is. Native clients send no `Origin`.

use std::net::{IpAddr, SocketAddr};

use super::{ServerConfig, Token};

/// Which web pages may connect, and by which names this server is called.
#[derive(Debug, Clone, Default)]
pub(super) struct Callers {
    origins: Vec<String>,
    hosts: Vec<String>,
    /// Only this machine reaches the listener. Then a name that does not say so was made up: a page of that name wants to
    /// pass for one of this machine (DNS rebinding).
    is_loopback: bool,
    token: Option<Token>,
    is_private: bool,
}

/// Any origin.
const ANY: &str = "*";

impl Callers {
    pub(super) fn of(config: &ServerConfig, listener: Option<SocketAddr>) -> Self {
        let is_loopback = listener.is_some_and(|address| address.ip().to_canonical().is_loopback());
        let (origins, hosts) = (config.allowed_origins.clone(), config.allowed_hosts.clone());
        let (token, is_private) = (config.token.clone(), config.is_private);
        Self { origins, hosts, is_loopback, token, is_private }
    }

    /// Whether a page of this origin may connect.
    pub(super) fn allow_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == ANY || allowed.eq_ignore_ascii_case(origin))
    }

    /// Whether a client may connect that asks for this path.
    pub(super) fn allow_path(&self, path: &str) -> bool {
        !self.is_private || self.token.as_ref().is_some_and(|token| token.is_in(path))
    }

    /// The proof that this server has its token, if a query asks for it.
    pub(super) fn proof(&self, query: &str) -> Option<String> {
        let challenge = query.split('&').find_map(|part| part.strip_prefix("challenge="))?;
        self.token.as_ref()?.answer(challenge)
    }

    /// Whether a request may call this server by this host, with or without a port.
    pub(super) fn allow_host(&self, host: &str) -> bool {
        if !self.is_loopback {
            return true;
        }
        let name = without_port(host.trim());
        let is_own_address = name.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback());
        is_own_address
            || is_localhost(name)
            || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(ip, _)| ip),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// Names that lead to this machine everywhere (RFC 6761, section 6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callers(listener: &str, origins: &[&str], hosts: &[&str]) -> Callers {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let (allowed_origins, allowed_hosts) = (owned(origins), owned(hosts));
        let config = ServerConfig { allowed_origins, allowed_hosts, ..ServerConfig::default() };
        Callers::of(&config, listener.parse().ok())
    }

    #[test]
    fn a_loopback_listener_is_called_by_names_of_this_machine_only() {
        let local = callers("127.0.0.1:9090", &[], &["tea.example"]);
        let own =
            ["localhost", "LocalHost:9090", "127.0.0.1:1", "127.1.2.3", "[::1]:9090", "[::1]"];
        for host in own.into_iter().chain(["app.localhost:9090", "localhost.", "Tea.example:443"]) {
            assert!(local.allow_host(host), "{host}");
        }
        let others = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9090"];
        for host in
            others.into_iter().chain(["192.0.2.1", "[2001:db8::1]:9090", "", "notlocalhost"])
        {
            assert!(!local.allow_host(host), "{host}");
        }
        assert!(callers("0.0.0.0:9090", &[], &[]).allow_host("tea.example"));
        assert!(!callers("[::1]:9090", &[], &[]).allow_host("tea.example"));
    }

    #[test]
    fn an_origin_is_allowed_only_exactly_as_listed() {
        let some = callers("127.0.0.1:1", &["https://a.example", "http://localhost:8080"], &[]);
        assert!(some.allow_origin("https://a.example") && some.allow_origin("https://A.example"));
        for origin in
            ["http://a.example", "https://a.example:444", "https://a.example.b", "null", ""]
        {
            assert!(!some.allow_origin(origin), "{origin}");
        }
        assert!(!callers("127.0.0.1:1", &[], &[]).allow_origin("http://127.0.0.1:1"));
        assert!(callers("127.0.0.1:1", &["*"], &[]).allow_origin("https://b.example"));
    }
}
