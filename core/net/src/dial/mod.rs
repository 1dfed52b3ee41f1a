//! Opens the TCP connection to a reflector: directly, to whichever of its addresses answers first, or through a proxy.

mod proxy;
mod race;
mod target;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use proxy::{Proxies, Proxy};
pub(crate) use target::Target;
pub use target::split_zone;

/// Looks up the addresses of a host. It may block for a minute.
type Resolver = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// How long a proxy may take: less than an attempt to connect, so that the error names the proxy. A proxy on its side
/// waits for the reflector.
const PROXY_TIMEOUT: Duration = Duration::from_secs(8);

/// How connections are opened. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Dialer {
    resolver: Arc<Resolver>,
    proxies: Arc<Proxies>,
    proxy_timeout: Duration,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

impl Dialer {
    /// With the resolver of the system, and the proxies of the environment.
    pub(crate) fn of_system() -> Self {
        let resolver =
            |host: &str, port: u16| (host, port).to_socket_addrs().map(Iterator::collect);
        let variable = |name: &str| std::env::var(name).ok();
        let proxies = Arc::new(Proxies::read(variable));
        Self { resolver: Arc::new(resolver), proxies, proxy_timeout: PROXY_TIMEOUT }
    }

    /// Opens a connection.
    pub(crate) async fn dial(&self, target: &Target) -> io::Result<TcpStream> {
        let stream = match self.proxies.of(target)? {
            None => self.connect(target.host(), target.port()).await?,
            Some(proxy) => self.dial_through(&proxy, target).await?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn dial_through(&self, proxy: &Proxy, target: &Target) -> io::Result<TcpStream> {
        let (host, port) = proxy.place();
        let mut is_open = false;
        let reached = async {
            let mut stream = self.connect(host, port).await?;
            is_open = true;
            proxy.tunnel(&mut stream, target).await?;
            Ok(stream)
        };
        let reached = timeout(self.proxy_timeout, reached).await;
        let reached = reached.unwrap_or_else(|_| {
            let found = if is_open { "it accepts the connection and then does not answer" } else { "no answer" };
            let (variable, name) = (proxy.variable(), target.name());
            let remedy = format!(
                "check the proxy, correct {variable}, or add {name} to no_proxy to connect without a proxy"
            );
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("{found}: {remedy}")))
        });
        reached
            .map_err(|error| io::Error::new(error.kind(), format!("proxy {host}:{port}: {error}")))
    }

    /// The proxy that leads to this address, for errors about what lies behind it. `None` without one.
    pub(crate) fn proxy_to(&self, url: &str) -> Option<String> {
        let proxy = self.proxies.of(&Target::parse(url).ok()?).ok()??;
        let (host, port) = proxy.place();
        Some(format!("proxy {host}:{port} of {}", proxy.variable()))
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        race::first(self.look_up(host, port).await?, TcpStream::connect).await
    }

    /// Looks up a host on a thread of its own. No other thread waits for that one, so a name server that does not answer
    /// holds up neither leaving nor the end of the program. As an attempt to connect ends after 10 s, only a few such
    /// threads can be waiting.
    pub(crate) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let (sender, found) = oneshot::channel();
        let (resolver, host) = (self.resolver.clone(), host.to_owned());
        std::thread::Builder::new().name("teatime-resolve".into()).spawn(move || {
            // The attempt may be over.
            let _ = sender.send(resolver(&host, port));
        })?;
        found.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests;
