//! TLS to an engine, as the docker command does it: its own authority, and a certificate of ours.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The folder that has `ca.pem`, `cert.pem` and `key.pem`, as `DOCKER_CERT_PATH` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles(pub PathBuf);

/// Who the engine must be, and who we are.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the three files. Only the authority in `ca.pem` is trusted: one that the system
    /// trusts for web sites could name any host an engine.
    pub(super) fn read(files: &TlsFiles, host: &str) -> io::Result<Self> {
        let path = |name: &str| files.0.join(name);
        let mut roots = RootCertStore::empty();
        for authority in certificates(&path("ca.pem"))? {
            roots.add(authority).map_err(|error| bad(&path("ca.pem"), &error))?;
        }
        let key = PrivateKeyDer::from_pem_file(path("key.pem"));
        let key = key.map_err(|error| unreadable(&path("key.pem"), error))?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&path("cert.pem"))?, key)
            .map_err(|error| bad(&path("cert.pem"), &error))?;
        let host = host.trim_end_matches('/');
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    pub(super) async fn shake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = found.map_err(|error| unreadable(path, error))?;
    if found.is_empty() {
        return Err(bad(path, &"no certificate in it"));
    }
    Ok(found)
}

fn unreadable(path: &Path, error: PemError) -> io::Error {
    match error {
        // Not of its own kind: it is no missing socket.
        PemError::Io(error) => io::Error::other(format!("{}: {error}", path.display())),
        other => bad(path, &other),
    }
}

fn bad(path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
}
