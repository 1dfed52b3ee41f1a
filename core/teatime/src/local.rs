//! The reflector of this machine: found if one runs, hosted in this process if not.
//!
//! A note in a directory of the user says where it is, and has its [`Token`]. The token is what the trust is built on: a program
//! of another user may listen at the same port, but cannot answer a challenge without it, and cannot join without it.

mod note;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use teatime_net::server::{Server, ServerConfig, Token};

use note::{Directory, Note};

/// The port of a reflector by default.
pub const DEFAULT_PORT: u16 = 9090;

/// The environment variable with another port to host on, for users whose usual port has another use. 0 means any port.
const PORT_VARIABLE: &str = "TEATIME_PORT";

/// A reflector on this machine answers within this time. Otherwise the program there is not a reflector.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// The reflector of this machine. If this process hosts it, dropping this ends it.
#[derive(Debug)]
pub struct LocalReflector {
    note: Note,
    hosted: Option<Box<(Server, Directory)>>,
}

impl LocalReflector {
    /// Its address. If only this machine reaches it, the address has its token: only programs of this user can join.
    pub fn url(&self) -> &str {
        self.note.url()
    }

    /// Whether this process hosts the reflector.
    pub fn is_hosted_here(&self) -> bool {
        self.hosted.is_some()
    }

    /// Whether another program has become the host meanwhile: it found that this reflector did not answer, for example
    /// because this process was stopped. Newcomers go there, so [`local_reflector`] leads this process there, too.
    pub fn is_superseded(&self) -> bool {
        let Some((_, directory)) = self.hosted.as_deref() else { return false };
        let noted = directory.note().ok().flatten();
        noted.is_some_and(|noted| noted != self.note && is_its_reflector(&noted))
    }
}

impl Drop for LocalReflector {
    fn drop(&mut self) {
        if let Some((_server, directory)) = self.hosted.as_deref() {
            // If the note stays, the next program finds that no reflector answers at its address.
            let _ = directory.remove_note(&self.note);
        }
    }
}

/// Finds the reflector of this machine, which another program of this user hosts. If none runs, this process hosts one that
/// only programs of this user can join. Programs that call this at the same time agree on one reflector.
///
/// # Errors
/// This user has no directory for the note of its address, or another user can change it; no port is free; another program
/// holds the lock for more than ten seconds.
pub fn local_reflector() -> io::Result<LocalReflector> {
    find_or_host(None)
}

/// As [`local_reflector`], but if this process hosts the reflector, it listens at this address. So other machines can reach
/// it: with 0.0.0.0 at all addresses of this machine, and its [`url`](LocalReflector::url) names the likely one. Everybody who
/// reaches an address other than a loopback one can join.
///
/// # Errors
/// As [`local_reflector`]; also if the reflector that was found cannot be reached from other machines, and the address asks for
/// that.
pub fn local_reflector_at(listen: SocketAddr) -> io::Result<LocalReflector> {
    find_or_host(Some(listen))
}

/// What programs of this user know of the reflector of this machine.
#[derive(Debug)]
pub struct Lookup {
    /// The file of the note that says where it is.
    pub note: PathBuf,
    /// The reflector, if one runs.
    pub found: Option<LocalReflector>,
}

/// Looks for the reflector of this machine, without hosting one.
///
/// # Errors
/// This user has no directory for the note of its address, or another user can change it.
pub fn look_up_local_reflector() -> io::Result<Lookup> {
    let directory = Directory::open()?;
    let found = directory.note()?.filter(is_its_reflector);
    let found = found.map(|note| LocalReflector { note, hosted: None });
    Ok(Lookup { note: directory.path(), found })
}

fn find_or_host(listen: Option<SocketAddr>) -> io::Result<LocalReflector> {
    let directory = Directory::open()?;
    // Held until the end of this function: a second program then finds the reflector of the first.
    let _lock = directory.lock()?;
    if let Some(note) = directory.note()?.filter(is_its_reflector) {
        let is_local = note.address().is_some_and(|address| address.ip().is_loopback());
        if is_local && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
            let why = format!(
                "the reflector at {} runs already, and only this machine can reach it: end the program that hosts it first",
                note.origin()
            );
            return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        }
        return Ok(LocalReflector { note, hosted: None });
    }
    host(directory, listen)
}

fn host(directory: Directory, listen: Option<SocketAddr>) -> io::Result<LocalReflector> {
    let port = std::env::var(PORT_VARIABLE).ok().and_then(|port| port.parse().ok());
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(DEFAULT_PORT)));
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let token = Token::draw()?;
    // Other machines have links, and no note.
    let is_private = listen.is_none_or(|listen| listen.ip().is_loopback());
    let config = ServerConfig { token: Some(token.clone()), is_private, ..ServerConfig::default() };
    let server = match listen {
        Some(listen) => Server::bind(listen, config)?,
        None => Server::bind(usual, config.clone()).or_else(|_| Server::bind(any_port, config))?,
    };
    let note = Note::new(server.url(), token);
    directory.write_note(&note)?;
    Ok(LocalReflector { note, hosted: Some(Box::new((server, directory))) })
}

/// Whether the reflector of this note answers there. Another program has another token, or none.
fn is_its_reflector(note: &Note) -> bool {
    let Some(address) = note.address() else { return false };
    let ask = || -> io::Result<bool> {
        let challenge = Token::draw()?;
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let challenge = challenge.as_str();
        let request = format!(
            "GET /healthz?challenge={challenge} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.take(1024).read_to_string(&mut answer)?;
        let expected =
            note.token().answer(challenge).map(|proof| format!("Teatime-Proof: {proof}"));
        Ok(answer.starts_with("HTTP/1.1 200")
            && answer.lines().any(|line| Some(line) == expected.as_deref()))
    };
    ask().unwrap_or(false)
}
