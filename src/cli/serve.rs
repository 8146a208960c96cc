//! `netalias serve`: binds, follows the engines, answers, and stops when it is told to.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::ConfigArgs;
use super::reload::{self, Watched};
use crate::config::Config;
use crate::directory::{self, Publisher, Reader};
use crate::dns::forward::Forwarder;
use crate::model::EngineUrl;
use crate::source::docker::TlsFiles;
use crate::status::Status;
use crate::{dns, http, source};

pub(super) async fn run(args: ConfigArgs) -> anyhow::Result<bool> {
    let watched = Watched::start(args)?;
    let config = &watched.config;
    start_log(config)?;
    let server = Server::start(config, &config.docker).await?;
    let tls = tls_files(|name| std::env::var_os(name));
    for engine in &server.status.engines {
        let publisher = server.publisher.clone();
        tokio::spawn(source::docker::follow(engine.clone(), publisher, tls.clone()));
    }
    tracing::info!(
        dns = %joined(&server.dns),
        http = %server.http,
        engine = %joined(&config.docker),
        "netalias {} is serving",
        env!("CARGO_PKG_VERSION"),
    );
    server.keep_watch(watched);
    server.until_told_to_stop().await?;
    Ok(true)
}

/// Engines on TCP are spoken to by TLS when the environment says so, as for the docker command.
fn tls_files(variable: impl Fn(&str) -> Option<OsString>) -> Option<TlsFiles> {
    let said = |name: &str| variable(name).filter(|value| !value.is_empty());
    said("DOCKER_TLS_VERIFY")?;
    let folder = said("DOCKER_CERT_PATH").map(PathBuf::from);
    let own = || Some(PathBuf::from(said("HOME")?).join(".docker"));
    folder.or_else(own).map(TlsFiles)
}

/// Logs each warning once, while it lasts.
async fn tell_warnings(directory: Reader) {
    let mut told = HashSet::new();
    let mut generation = None;
    let mut pause = Duration::ZERO;
    loop {
        tokio::time::sleep(pause.max(WARNINGS_PACE)).await;
        let now = Some(directory.generation());
        if now == generation {
            continue;
        }
        generation = now;
        let (started, walked) = (Instant::now(), directory.clone());
        // On a thread of its own: of 100,000 names the walk takes a second, and with one processor
        // nothing else would be done meanwhile.
        let walk = tokio::task::spawn_blocking(move || walked.warnings());
        let Ok(warnings) = walk.await else { return };
        pause = started.elapsed() * WARNINGS_REST;
        for warning in warnings.iter().filter(|warning| !told.contains(*warning)).take(MAX_TOLD) {
            tracing::warn!("{warning}");
        }
        told = warnings.into_iter().collect();
    }
}

/// Warnings are looked for at most this often: it takes a walk through all names.
const WARNINGS_PACE: Duration = Duration::from_secs(2);
/// And after a walk there is none for so many times as long as it took.
const WARNINGS_REST: u32 = 20;
/// So many are logged at once; the rest is seen by `netalias ls`.
const MAX_TOLD: usize = 20;

/// Everything but the sources: sockets bound, threads and tasks running.
pub(super) struct Server {
    pub(super) publisher: Publisher,
    pub(super) directory: Reader,
    pub(super) status: Arc<Status>,
    /// Where DNS is served: the ports are known now.
    pub(super) dns: Vec<SocketAddr>,
    /// Where HTTP is served.
    pub(super) http: SocketAddr,
    running: dns::Running,
    terminate: Signal,
    interrupt: Signal,
}

impl Server {
    pub(super) async fn start(config: &Config, engines: &[EngineUrl]) -> anyhow::Result<Self> {
        // Before anybody can see that it serves and tell it to stop: a signal that nobody waits for
        // kills.
        let terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let dns_server = dns::bind(&config.listen).map_err(|error| {
            let remedy = remedy(&error.source);
            anyhow::anyhow!("{error}: {}; {remedy}", error.source)
        })?;
        let listener = TcpListener::bind(config.http).await.map_err(|error| {
            let (address, remedy) = (config.http, remedy(&error));
            anyhow::anyhow!("cannot serve HTTP on {address}: {error}; {remedy}")
        })?;
        let status = Arc::new(Status::new(engines));
        // A scenario is one source, too.
        let (publisher, reader) = directory::new(engines.len().max(1), reload::policy(config)?);
        let dns: Vec<SocketAddr> = dns_server.addresses().collect();
        let http = listener.local_addr()?;
        let forwarder = Forwarder::new(reader.clone(), status.clone(), dns.clone())?;
        let pages = http::Pages { directory: reader.clone(), status: status.clone() };
        let service = dns::Service { directory: reader.clone(), status: status.clone(), forwarder };
        let running = dns_server.start(&service).context("cannot start serving")?;
        tokio::spawn(http::serve(listener, pages));
        Ok(Self { publisher, directory: reader, status, dns, http, running, terminate, interrupt })
    }

    /// Follows changes of the configuration, and tells warnings.
    pub(super) fn keep_watch(&self, watched: Watched) {
        tokio::spawn(watched.follow(self.publisher.clone()));
        tokio::spawn(tell_warnings(self.directory.clone()));
    }

    /// Waits for SIGTERM or SIGINT (a container's process 1 has no default handlers), then lets
    /// the DNS server finish what it has accepted.
    pub(super) async fn until_told_to_stop(mut self) -> anyhow::Result<()> {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
        let running = self.running;
        tokio::task::spawn_blocking(move || running.stop()).await?;
        Ok(())
    }
}

/// What to do about an address that cannot be had.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has it; stop that one, or choose another address with --listen or \
             --http"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root, or the capability NET_BIND_SERVICE; choose another port \
             with --listen or --http"
        }
        _ => "it must be an address of this machine; choose one with --listen or --http",
    }
}

/// Log lines go to standard error. hickory writes two lines a query at its info level, which
/// costs a fifth of the speed, so it is heard from warnings up.
pub(super) fn start_log(config: &Config) -> anyhow::Result<()> {
    let level = config.log.as_str();
    let others = if level == "error" { "error" } else { "warn" };
    let filter = EnvFilter::try_new(format!("{others},netalias={level}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

pub(super) fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_the_docker_command_asks_for_tls() {
        let tls = |said: &[(&str, &str)]| {
            tls_files(|name| said.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
        };
        let files = |path: &str| Some(TlsFiles(path.into()));
        let (verify, home) = (("DOCKER_TLS_VERIFY", "1"), ("HOME", "/root"));
        let path = ("DOCKER_CERT_PATH", "/certs");
        assert_eq!(tls(&[verify, path, home]), files("/certs"));
        assert_eq!(tls(&[verify, home]), files("/root/.docker"));
        assert_eq!(tls(&[path, home]), None);
        assert_eq!(tls(&[("DOCKER_TLS_VERIFY", ""), path]), None);
    }
}
