//! DNS over TLS (RFC 7858) and over HTTPS (RFC 8484): connections that are kept for the next
//! question.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::Message;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::exchange::{Failure, answer_to, framed};
use crate::model::{Transport, Upstream};

/// Idle TLS connections that are kept for each server.
const MAX_IDLE: usize = 8;
/// How long one is kept; servers close theirs after about as long.
const IDLE: Duration = Duration::from_secs(8);
/// How long a kept connection may take: it can be dead without a word.
const KEPT: Duration = Duration::from_secs(1);
/// The largest DNS message.
const MAX_MESSAGE: usize = 65_535;
const DNS_MESSAGE: &str = "application/dns-message";

/// The connections, and whom they trust.
pub(super) struct Secure {
    tls: TlsConnector,
    https: TlsConnector,
    idle: Mutex<HashMap<Upstream, Vec<(Instant, Stream)>>>,
    requests: Mutex<HashMap<Upstream, SendRequest<Full<Bytes>>>>,
}

type Stream = TlsStream<TcpStream>;

impl Secure {
    /// `authorities` is PEM text of certificates to trust beside Mozilla's.
    pub(super) fn new(authorities: Option<&[u8]>) -> Result<Self, Failure> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        for certificate in CertificateDer::pem_slice_iter(authorities.unwrap_or_default()) {
            roots.add(certificate.map_err(secure)?).map_err(secure)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(secure)?;
        let tls = builder.with_root_certificates(roots).with_no_client_auth();
        let mut https = tls.clone();
        https.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            tls: Arc::new(tls).into(),
            https: Arc::new(https).into(),
            idle: Mutex::default(),
            requests: Mutex::default(),
        })
    }

    /// One question over TLS. A kept connection may have been closed by the server; then a new
    /// one is tried.
    pub(super) async fn over_tls(
        &self,
        server: &Upstream,
        sent: &Message,
    ) -> Result<Message, Failure> {
        if let Some(mut stream) = self.idle(server)
            && let Ok(Ok(answer)) = timeout(KEPT, framed(&mut stream, sent)).await
        {
            self.keep(server, stream);
            return Ok(answer);
        }
        let mut stream = connect(&self.tls, server).await?;
        let answer = framed(&mut stream, sent).await?;
        self.keep(server, stream);
        Ok(answer)
    }

    /// One question over HTTPS: many share a connection.
    pub(super) async fn over_https(
        &self,
        server: &Upstream,
        path: &str,
        sent: &Message,
    ) -> Result<Message, Failure> {
        let kept = lock(&self.requests).get(server).filter(|kept| !kept.is_closed()).cloned();
        if let Some(mut kept) = kept
            && let Ok(Ok(answer)) = timeout(KEPT, post(&mut kept, server, path, sent)).await
        {
            return Ok(answer);
        }
        let stream = connect(&self.https, server).await?;
        let io = TokioIo::new(stream);
        let (mut request, connection) =
            handshake(TokioExecutor::new(), io).await.map_err(secure)?;
        // Ends when the server closes, or with the last handle.
        tokio::spawn(connection);
        let answer = post(&mut request, server, path, sent).await?;
        lock(&self.requests).insert(server.clone(), request);
        Ok(answer)
    }

    fn idle(&self, server: &Upstream) -> Option<Stream> {
        let mut idle = lock(&self.idle);
        let streams = idle.get_mut(server)?;
        streams.retain(|(since, _)| since.elapsed() < IDLE);
        streams.pop().map(|(_, stream)| stream)
    }

    fn keep(&self, server: &Upstream, stream: Stream) {
        let mut idle = lock(&self.idle);
        let streams = idle.entry(server.clone()).or_default();
        if streams.len() < MAX_IDLE {
            streams.push((Instant::now(), stream));
        }
    }
}

async fn connect(connector: &TlsConnector, server: &Upstream) -> Result<Stream, Failure> {
    let name = match &server.transport {
        Transport::Tls { name: Some(name) } | Transport::Https { name: Some(name), .. } => {
            ServerName::try_from(name.clone()).map_err(secure)?
        }
        _ => ServerName::from(server.address.ip()),
    };
    let stream = TcpStream::connect(server.address).await?;
    // What follows a handshake, or a header, must not wait until that has been acknowledged.
    stream.set_nodelay(true)?;
    connector.connect(name, stream).await.map_err(secure)
}

/// A POST, as RFC 8484 section 4.1 has it.
async fn post(
    request: &mut SendRequest<Full<Bytes>>,
    server: &Upstream,
    path: &str,
    sent: &Message,
) -> Result<Message, Failure> {
    let host = match &server.transport {
        Transport::Https { name: Some(name), .. } => format!("{name}:{}", server.address.port()),
        _ => server.address.to_string(),
    };
    let body = sent.to_vec().map_err(|_| Failure::Malformed)?;
    let post = hyper::Request::post(format!("https://{host}{path}"))
        .header(CONTENT_TYPE, DNS_MESSAGE)
        .header(ACCEPT, DNS_MESSAGE)
        .body(Full::from(body))
        .map_err(secure)?;
    request.ready().await.map_err(secure)?;
    let answer = request.send_request(post).await.map_err(secure)?;
    if !answer.status().is_success() {
        return Err(Failure::Secure(answer.status().to_string()));
    }
    let body = Limited::new(answer.into_body(), MAX_MESSAGE).collect().await;
    let body = body.map_err(|error| Failure::Secure(error.to_string()))?.to_bytes();
    answer_to(sent, &body).ok_or(Failure::Malformed)
}

#[expect(clippy::needless_pass_by_value, reason = "it is for map_err")]
fn secure(error: impl ToString) -> Failure {
    Failure::Secure(error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
