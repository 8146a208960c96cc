//! A DNS server behind TLS: over HTTPS for who negotiates `h2`, with lengths in front otherwise.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use hickory_proto::op::Message;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::fake_upstream::{Seen, with_address};

/// The address that it gives every name.
const ADDRESS: [u8; 4] = [192, 0, 2, 1];

/// The server. It lives as long as the test's process.
pub struct FakeSecure {
    /// Where it is.
    pub address: SocketAddr,
    /// Its certificate, which signs itself, as PEM. It is for `dns.example` and 127.0.0.1.
    pub certificate: String,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    connections: Mutex<usize>,
    paths: Mutex<Vec<String>>,
}

impl FakeSecure {
    /// Starts one. It closes a connection after `questions`, if not zero.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start(questions: usize) -> Self {
        let names = vec!["dns.example".to_owned(), "127.0.0.1".to_owned()];
        let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("TLS");
        let builder = builder.with_no_client_auth();
        let mut config =
            builder.with_single_cert(vec![own.cert.der().clone()], key).expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let log = Arc::new(Log::default());
        let shared = log.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, acceptor.clone(), shared.clone(), questions));
                }
            });
        });
        Self { address, certificate: own.cert.pem(), log }
    }

    /// Connections so far whose handshake was completed.
    ///
    /// # Panics
    /// When a task of it has.
    pub fn connections(&self) -> usize {
        *self.log.connections.lock().unwrap()
    }

    /// The paths asked for over HTTPS.
    ///
    /// # Panics
    /// When a task of it has.
    pub fn paths(&self) -> Vec<String> {
        self.log.paths.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, log: Arc<Log>, questions: usize) {
    let Ok(mut stream) = acceptor.accept(Unhurried(stream)).await else { return };
    *log.connections.lock().unwrap() += 1;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let service = service_fn(move |request| over_https(request, log.clone()));
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
        return;
    }
    let mut answered = 0;
    while let Some(octets) = framed(&mut stream).await {
        let Some(answer) = answer(&octets) else { return };
        if stream.write_all(&crate::framed::framed(&answer)).await.is_err() {
            return;
        }
        answered += 1;
        if answered == questions {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn framed(stream: &mut TlsStream<Unhurried>) -> Option<Vec<u8>> {
    let mut octets = vec![0; usize::from(stream.read_u16().await.ok()?)];
    stream.read_exact(&mut octets).await.ok()?;
    Some(octets)
}

async fn over_https(
    request: Request<Incoming>,
    log: Arc<Log>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    log.paths.lock().unwrap().push(request.uri().path().to_owned());
    let body = request.into_body().collect().await.map(|body| body.to_bytes());
    let answer = body.ok().and_then(|octets| answer(&octets));
    let mut response = Response::new(Full::from(answer.unwrap_or_default()));
    let kind = "application/dns-message".parse().expect("a header");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

fn answer(octets: &[u8]) -> Option<Vec<u8>> {
    let message = Message::from_vec(octets).ok()?;
    let from = (Ipv4Addr::LOCALHOST, 0).into();
    let seen = Seen { message, octets: octets.to_vec(), from, tcp: true };
    with_address(&seen, ADDRESS, 60).to_vec().ok()
}

/// A connection on which what comes is acknowledged with the answer, or after 40 ms, as servers do
/// that have talked for a while.
struct Unhurried(TcpStream);

impl AsyncRead for Unhurried {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The kernel forgets it with what it receives.
        SockRef::from(&self.0).set_tcp_quickack(false)?;
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Unhurried {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
