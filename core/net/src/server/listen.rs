//! Sockets that listen, and the address by which others reach them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};

/// Connections that the system holds until the server accepts them: a whole session may come back at
/// once.
const BACKLOG: i32 = 4096;

/// The address of this machine towards others. A socket for datagrams that is connected sends nothing, but the system chooses
/// its address. The other end is an address for documentation (RFC 5737, RFC 3849), which the default route leads to.
pub(super) fn own_address(is_ipv6: bool) -> IpAddr {
    let towards = |own: &str, other: &str| {
        let socket = UdpSocket::bind((own, 0))?;
        socket.connect((other, 9))?;
        io::Result::Ok(socket.local_addr()?.ip())
    };
    let found = match is_ipv6 {
        // A socket for all IPv6 addresses takes connections over IPv4, too.
        true => towards("::", "2001:db8::1").or_else(|_| towards("0.0.0.0", "192.0.2.1")),
        false => towards("0.0.0.0", "192.0.2.1"),
    };
    found.unwrap_or_else(|_| {
        if is_ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
    })
}

pub(super) fn listen(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the address names no host");
    for address in address.to_socket_addrs()? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    reuse_address(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Lets a server listen where one has just ended.
#[cfg(unix)]
fn reuse_address(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// On Windows this would let two servers share a port.
#[cfg(not(unix))]
fn reuse_address(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}
