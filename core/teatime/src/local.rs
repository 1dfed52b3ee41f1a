//! The reflector of this machine: found if one runs, hosted in this process if not.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use teatime_net::server::{Server, ServerConfig};

/// The port of a reflector by default.
const DEFAULT_PORT: u16 = 9090;

/// The environment variable with another port to look at and to host on, for users whose usual port has another use. 0
/// means no port: then only a reflector that another program of this user hosts is found.
const PORT_VARIABLE: &str = "TEATIME_PORT";

/// A reflector on this machine answers within this time. Otherwise the program there is not a reflector.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// The reflector of this machine. If this process hosts it, dropping this ends it.
#[derive(Debug)]
pub struct LocalReflector {
    url: String,
    hosted: Option<(Server, PathBuf)>,
}

impl LocalReflector {
    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether this process hosts the reflector.
    pub fn is_hosted_here(&self) -> bool {
        self.hosted.is_some()
    }
}

impl Drop for LocalReflector {
    fn drop(&mut self) {
        if let Some((_server, note)) = &self.hosted
            && fs::read_to_string(note).is_ok_and(|url| url == self.url)
        {
            // If the note stays, the next program finds that no reflector answers at its address.
            let _ = fs::remove_file(note);
        }
    }
}

/// Finds the reflector of this machine: on the usual port, or hosted by another program of this user. If none runs, this
/// process hosts one that only this machine can reach. Programs that call this at the same time agree on one reflector.
///
/// # Errors
/// This user has no directory for the note of its address, or no port is free.
pub fn local_reflector() -> io::Result<LocalReflector> {
    let directory = private_directory()?;
    let note = directory.join("reflector.url");
    let lock =
        File::options().create(true).truncate(false).write(true).open(directory.join("lock"))?;
    // Held until the end of this function: a second program then finds the reflector of the first.
    lock.lock()?;
    let noted = fs::read_to_string(&note).unwrap_or_default();
    let port = std::env::var(PORT_VARIABLE).ok().and_then(|port| port.parse().ok());
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(DEFAULT_PORT)));
    let noted = noted.strip_prefix("ws://").and_then(|address| address.parse().ok());
    for address in noted.into_iter().chain((usual.port() != 0).then_some(usual)) {
        if is_reflector(address) {
            return Ok(LocalReflector { url: format!("ws://{address}"), hosted: None });
        }
    }
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = ServerConfig::default();
    let server = Server::bind(usual, config.clone()).or_else(|_| Server::bind(any_port, config))?;
    let url = server.url();
    write_whole(&note, &url)?;
    Ok(LocalReflector { url, hosted: Some((server, note)) })
}

/// A directory that only this user can write, because the note in it decides where to connect.
fn private_directory() -> io::Result<PathBuf> {
    let base = std::env::var_os("XDG_RUNTIME_DIR")
        .or_else(|| std::env::var_os("LOCALAPPDATA"))
        .map(PathBuf::from)
        .filter(|path| path.is_dir());
    let directory = match base {
        Some(base) => base.join("teatime"),
        None => home()?.join(".cache").join("teatime"),
    };
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

fn home() -> io::Result<PathBuf> {
    std::env::home_dir().ok_or_else(|| io::Error::other("this user has no home directory"))
}

/// Writes a file so that readers see the old content or the new, never a part.
fn write_whole(path: &Path, content: &str) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&temporary, content)?;
    fs::rename(temporary, path)
}

/// Whether a reflector answers there. The answer of any other program looks different.
fn is_reflector(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(1024).read_to_string(&mut answer)?;
        let answer = answer.to_ascii_lowercase();
        Ok(answer.starts_with("http/1.1 200") && answer.contains("\r\nserver: teatime"))
    };
    ask().unwrap_or(false)
}
