//! Sockets and the thread that serves them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hickory_server::Server as HickoryServer;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;

use super::Service;
use super::handler::Handler;

/// An idle TCP connection is closed after this time (RFC 7766 section 6.2.3 asks for seconds).
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Answers that may wait on one TCP connection.
const TCP_ANSWERS: usize = 32;
/// How often another port is tried, when any will do and UDP's twin is taken on TCP.
const PORT_TRIES: usize = 16;

/// A server with its sockets bound, not answering yet.
pub struct Server {
    sockets: Vec<(std::net::UdpSocket, std::net::TcpListener)>,
}

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

/// Binds UDP and TCP on every address, both on the same port where the port is 0.
pub fn bind(addresses: &[SocketAddr]) -> Result<Server, BindError> {
    let sockets = addresses.iter().map(|address| bind_both(*address)).collect::<Result<_, _>>()?;
    Ok(Server { sockets })
}

fn bind_both(
    address: SocketAddr,
) -> Result<(std::net::UdpSocket, std::net::TcpListener), BindError> {
    let error = |protocol| move |source| BindError { address, protocol, source };
    let mut tries = PORT_TRIES;
    loop {
        tries -= 1;
        let udp = std::net::UdpSocket::bind(address).map_err(error("udp"))?;
        let bound = udp.local_addr().map_err(error("udp"))?;
        match std::net::TcpListener::bind(bound) {
            Ok(tcp) => {
                udp.set_nonblocking(true).map_err(error("udp"))?;
                tcp.set_nonblocking(true).map_err(error("tcp"))?;
                return Ok((udp, tcp));
            }
            Err(_) if address.port() == 0 && tries > 0 => {}
            Err(source) => return Err(BindError { address, protocol: "tcp", source }),
        }
    }
}

impl Server {
    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.sockets.iter().filter_map(|(udp, _)| udp.local_addr().ok())
    }

    /// Answers until `stop` is notified, then finishes what it has accepted.
    ///
    /// It has a thread and a runtime of its own: hickory spawns a task for each datagram, and on
    /// one thread receiving cannot outrun answering, so a flood does not grow memory. And nothing
    /// that the engine side does can hold up an answer.
    pub fn run(self, service: Service, stop: Arc<Notify>) -> io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("dns".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(self.serve(service, stop)) {
                tracing::error!(%error, "the DNS server has ended");
            }
        })
    }

    async fn serve(self, service: Service, stop: Arc<Notify>) -> io::Result<()> {
        let mut server = HickoryServer::new(Handler(service));
        for (udp, tcp) in self.sockets {
            server.register_socket(UdpSocket::from_std(udp)?);
            server.register_listener(TcpListener::from_std(tcp)?, TCP_IDLE, TCP_ANSWERS);
        }
        tokio::select! {
            () = stop.notified() => {
                server.shutdown_gracefully().await.map_err(io::Error::other)
            }
            ended = server.block_until_done() => ended.map_err(io::Error::other),
        }
    }
}
