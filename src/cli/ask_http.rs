//! Asks a running server over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ConfigArgs;

/// How long the whole answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read: 100,000 endpoints fit.
const MAX_ANSWER: usize = 256 << 20;

/// Which server to ask.
#[derive(clap::Args)]
pub(super) struct ServerArgs {
    /// The server's HTTP address [default: 127.0.0.1:8053]
    #[arg(long, value_name = "ADDR:PORT", env = "NETALIAS_HTTP")]
    http: Option<SocketAddr>,
    /// Take the address from this configuration file
    #[arg(long, value_name = "FILE", env = "NETALIAS_CONFIG")]
    config: Option<std::path::PathBuf>,
}

impl ServerArgs {
    /// GETs a path of the server.
    pub(super) async fn get(self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let settings = crate::config::Settings { http: self.http, ..Default::default() };
        let address = ConfigArgs { config: self.config, settings }.load()?.http;
        let answer = timeout(TIMEOUT, get(reachable(address), path)).await;
        answer
            .map_err(anyhow::Error::from)
            .and_then(|answer| answer)
            .with_context(|| format!("cannot ask the server at {address}; is it running?"))
    }
}

/// A server that listens on every address is asked on loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, v6.port()).into()
        }
        _ => address,
    }
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request =
        Request::get(path).header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    Ok((status, body.map_err(anyhow::Error::from_boxed)?.to_bytes()))
}
