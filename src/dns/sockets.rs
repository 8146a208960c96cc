//! The sockets: UDP, one for each thread, and TCP, on the same addresses and ports.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// A listening address that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({protocol})")]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// `udp` or `tcp`.
    pub protocol: &'static str,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// The sockets of one listening address.
pub(super) struct Sockets {
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: TcpListener,
}

/// How often another port is tried, when any will do and TCP's twin is taken on UDP.
const PORT_TRIES: usize = 16;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 256;
/// Octets of datagrams that wait to be read, by each socket: some thousand questions. The kernel
/// cuts it to what the machine allows (`net.core.rmem_max`).
const RECEIVE_BUFFER: usize = 4 << 20;
/// A thread that has nothing to read looks this often whether it is to stop.
const STOP_CHECK: Duration = Duration::from_millis(250);

/// Binds `threads` UDP sockets and a TCP one to an address, all on one port.
///
/// TCP comes first, and alone: UDP sockets that share a port would share it with another
/// netalias, too.
pub(super) fn bind(address: SocketAddr, threads: usize) -> Result<Sockets, BindError> {
    let error = |protocol| move |source| BindError { address, protocol, source };
    let mut tries = PORT_TRIES;
    loop {
        tries -= 1;
        let tcp = listen(address).map_err(error("tcp"))?;
        let bound = tcp.local_addr().map_err(error("tcp"))?;
        let udp = (0..threads.max(1)).map(|_| datagrams(bound)).collect::<io::Result<Vec<_>>>();
        match udp {
            Ok(udp) => return Ok(Sockets { udp, tcp }),
            Err(_) if address.port() == 0 && tries > 0 => {}
            Err(source) => return Err(BindError { address, protocol: "udp", source }),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the server before this one may still be closing.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // A reply is written at once and whole: waiting for more to send would only delay it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_read_timeout(Some(STOP_CHECK))?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
