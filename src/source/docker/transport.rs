//! Connections to the engine by unix socket, TCP or TLS: one for each request, and only to read.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error as ApiError;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::plain::{self, Answer};
use super::tls::Tls;
use crate::model::EngineUrl;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The port of an engine whose URL names none: with TLS, and without.
const PORTS: (u16, u16) = (2376, 2375);
/// What the engine is told about whom it talks to; a unix socket has no name.
const HOST_NAME: &str = "docker";

/// What bytes go through.
pub(super) trait Channel: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Channel for T {}

/// The way to one engine.
#[derive(Clone)]
pub(super) struct Transport {
    way: Way,
    /// Told each time that an event stream is open.
    opened: Arc<Notify>,
    /// Pieces of long answers so far.
    pieces: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Way {
    Unix(PathBuf),
    Tcp(String),
    Tls(String, Tls),
    /// Pipes in memory, for tests in virtual time.
    #[cfg(test)]
    Pipe(tokio::sync::mpsc::Sender<tokio::io::DuplexStream>),
}

impl Transport {
    /// The way to this engine. Its certificates are read now, so that renewed ones are found by
    /// the next attempt.
    pub(super) fn new(url: &EngineUrl, tls: Option<&super::TlsFiles>) -> io::Result<Self> {
        let way = match (url.as_str().split_once("://"), tls) {
            (Some(("unix", path)), _) => Way::Unix(PathBuf::from(path)),
            (Some((_, host)), Some(files)) => {
                Way::Tls(with_port(host, PORTS.0), Tls::read(files, host)?)
            }
            (Some((_, host)), None) => Way::Tcp(with_port(host, PORTS.1)),
            (None, _) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        Ok(Self::by(way))
    }

    #[cfg(test)]
    pub(super) fn pipe(server: tokio::sync::mpsc::Sender<tokio::io::DuplexStream>) -> Self {
        Self::by(Way::Pipe(server))
    }

    fn by(way: Way) -> Self {
        Self { way, opened: Arc::default(), pieces: Arc::default() }
    }

    /// Returns when an event stream has been opened since the last call: what the client library
    /// does not tell.
    pub(super) async fn stream_opened(&self) {
        self.opened.notified().await;
    }

    /// One request of the client library.
    pub(super) fn carry(
        &self,
        request: BollardRequest,
    ) -> impl Future<Output = Result<Response<Incoming>, ApiError>> + Send + use<> {
        let transport = self.clone();
        async move {
            // Whoever can open the socket can do all that the engine can: this is what keeps
            // netalias from doing it, whatever the library would send.
            if request.method() != Method::GET {
                return Err(io::Error::other("netalias only reads").into());
            }
            let streams = request.uri().path().ends_with("/events");
            let (mut parts, body) = request.into_parts();
            // Both ends are told by the connection, so the request line has the path alone.
            parts.uri = Uri::from(parts.uri.path_and_query().cloned().ok_or_else(no_path)?);
            parts.headers.insert(HOST, HeaderValue::from_static(HOST_NAME));
            let io = TokioIo::new(transport.open().await?);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            // It ends when the answer has been read or dropped.
            tokio::spawn(connection);
            let response = sender.send_request(Request::from_parts(parts, body)).await?;
            if streams && response.status().is_success() {
                transport.opened.notify_one();
            }
            Ok(response)
        }
    }

    /// GETs a path without the client library, which has no type for what is wanted.
    pub(super) async fn get(&self, path: &str, limit: Duration) -> io::Result<Answer> {
        let get = async {
            let mut channel = self.open().await?;
            plain::get(&mut channel, HOST_NAME, path).await
        };
        timeout(limit, get).await.map_err(|_| late("no answer", limit))?
    }

    /// GETs a path whose answer may be long, and hands it on as it comes; gives the status.
    pub(super) async fn get_in_pieces(
        &self,
        path: &str,
        limit: Duration,
        mut take: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> io::Result<u16> {
        let get = async {
            let mut channel = self.open().await?;
            plain::get_in_pieces(&mut channel, HOST_NAME, path, |piece| {
                self.pieces.fetch_add(1, Ordering::Relaxed);
                take(piece)
            })
            .await
        };
        timeout(limit, get).await.map_err(|_| late("no end of the answer", limit))?
    }

    /// How many pieces of long answers have come so far.
    pub(super) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    async fn open(&self) -> io::Result<Box<dyn Channel>> {
        timeout(CONNECT_TIMEOUT, self.connect())
            .await
            .map_err(|_| late("no connection", CONNECT_TIMEOUT))?
    }

    async fn connect(&self) -> io::Result<Box<dyn Channel>> {
        Ok(match &self.way {
            Way::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Way::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            Way::Tls(address, tls) => {
                Box::new(tls.shake(TcpStream::connect(address).await?).await?)
            }
            #[cfg(test)]
            Way::Pipe(server) => {
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
                server.send(theirs).await.map_err(refused)?;
                Box::new(ours)
            }
        })
    }
}

fn no_path() -> io::Error {
    io::Error::other("a request without a path")
}

fn late(what: &str, limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {} s", limit.as_secs()))
}

/// `HOST:PORT` of `HOST[:PORT][/]`.
fn with_port(host: &str, port: u16) -> String {
    let host = host.trim_end_matches('/');
    // The last colon of `[::1]` is inside its brackets.
    let named = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if named { host.to_owned() } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_without_a_port_has_dockers() {
        assert_eq!(with_port("engine", 2375), "engine:2375");
        assert_eq!(with_port("engine:1/", 2375), "engine:1");
        assert_eq!(with_port("[::1]", 2376), "[::1]:2376");
        assert_eq!(with_port("[::1]:5", 2376), "[::1]:5");
    }

    #[tokio::test]
    async fn nothing_but_a_get_leaves() {
        let (server, mut connections) = tokio::sync::mpsc::channel(1);
        let transport = Transport::pipe(server);
        let post = Request::post("http://docker/containers/c/kill");
        let post = post.body(bollard::body_full(hyper::body::Bytes::new())).unwrap();
        let error = transport.carry(post).await.unwrap_err();
        assert!(error.to_string().contains("only reads"), "{error}");
        assert!(connections.try_recv().is_err(), "it is not even connected");
    }
}
