//! netalias itself: where its binary is, and what happens to its registry meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use netalias_testkit::{FakeEngine, Folder};

use crate::load::Target;
use crate::sandbox::Sandbox;
use crate::server::Server;
use crate::workload::{CLIENT, Shape};

#[derive(clap::Args)]
pub(crate) struct BinaryArgs {
    /// The netalias that is measured [default: target/release/netalias, built anew]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

impl BinaryArgs {
    /// The binary; the default one is built first, so that it is what the sources say.
    pub(crate) fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.server {
            return path.canonicalize().with_context(|| format!("no {}", path.display()));
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let cargo = option_env!("CARGO").unwrap_or("cargo");
        let arguments = ["build", "--release", "--locked", "--package", "netalias"];
        let built = Command::new(cargo).args(arguments).current_dir(&root).status();
        ensure!(built.context("cannot run cargo")?.success(), "netalias does not build");
        // It is beside this program's own, unless that one is a debug build.
        let own = std::env::current_exe()?;
        let target = own.ancestors().nth(2).context("no target folder")?;
        Ok(target.join("release/netalias"))
    }
}

/// A running `netalias serve` that follows a fake engine, and what it answers.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) target: Target,
    pub(crate) http: SocketAddr,
    pub(crate) engine: Arc<FakeEngine>,
    pub(crate) shape: Shape,
    /// From the start of the program until it has listed everything.
    pub(crate) ready_after: Duration,
    /// What the engine needed of a processor meanwhile.
    pub(crate) engine_time: Duration,
    _folder: Folder,
}

/// How long it may take to list everything.
const LISTED: Duration = Duration::from_mins(5);
/// How long a page may take.
const PAGE: Duration = Duration::from_secs(5);
/// The thread of the fake engine, as the kernel has it.
const ENGINE_THREAD: &str = "fake engine";

impl Served {
    /// Fills an engine with so many endpoints, and starts netalias on it.
    pub(crate) fn start(binary: &Path, sandbox: &Sandbox, shape: Shape) -> anyhow::Result<Self> {
        let folder = Folder::new();
        let engine = Arc::new(FakeEngine::start(&folder.socket()));
        engine.play_all(shape.scenario()).map_err(|why| anyhow!(why))?;
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.args(["--docker", &engine.url()]);
        let engine_before = thread_time(ENGINE_THREAD);
        let started = Instant::now();
        sandbox.to_servers()?;
        let server = Server::start(&mut command);
        sandbox.to_load()?;
        let mut server = server?;
        let (dns, http) = server.addresses()?;
        let http = http.context("it serves no HTTP")?;
        await_ready(http, started, LISTED)?;
        let ready_after = started.elapsed();
        let engine_time = thread_time(ENGINE_THREAD).saturating_sub(engine_before);
        let target = Target { server: dns, client: CLIENT };
        Ok(Self { server, target, http, engine, shape, ready_after, engine_time, _folder: folder })
    }

    /// The sum of a counter or gauge on `/metrics` over all its labels.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let (_, text) = get(self.http, "/metrics")?;
        let of_it =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let values = text.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next());
        let values: Vec<f64> = values.filter_map(|value| value.parse().ok()).collect();
        ensure!(!values.is_empty(), "there is no metric {name}");
        Ok(values.iter().sum())
    }

    /// Changes in the engine, so many a second.
    pub(crate) fn churn(&self, rate: u32) -> Churn {
        let engine = self.engine.clone();
        Churn::start(self.shape, rate, move |lines| {
            engine.play_all(lines).map_err(|why| anyhow!(why))
        })
    }
}

/// Waits until the server has listed everything, for so long since it was started.
pub(crate) fn await_ready(
    http: SocketAddr,
    started: Instant,
    patience: Duration,
) -> anyhow::Result<()> {
    while get(http, "/readyz").map(|(code, _)| code).ok() != Some(200) {
        ensure!(started.elapsed() < patience, "it is not ready after {patience:?}");
        std::thread::sleep(TICK);
    }
    Ok(())
}

/// GETs a page: its code and its body.
pub(crate) fn get(server: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&server, PAGE)?;
    stream.set_read_timeout(Some(PAGE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok((code.context("no code")?, body.to_owned()))
}

/// What a thread of ours has needed of a processor so far.
fn thread_time(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).ok();
        (read("comm")?.trim() == name).then_some(())?;
        read("schedstat")?.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Containers that leave their network and come back, so many times a second.
pub(crate) struct Churn {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<f64>>,
}

/// How often what is due is carried out.
const TICK: Duration = Duration::from_millis(2);

impl Churn {
    /// Begins; `carry_out` gets the docker commands that are due.
    pub(crate) fn start(
        shape: Shape,
        rate: u32,
        mut carry_out: impl FnMut(Vec<String>) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let started = Instant::now();
            let (mut done, mut until) = (0, started);
            while !told.load(Ordering::Relaxed) {
                until = Instant::now();
                // An even number: whoever left has come back.
                let due = ((until - started) * rate).as_secs() / 2 * 2;
                let due = u32::try_from(due)?;
                carry_out((done..due).map(|n| shape.change(n)).collect())?;
                done = due;
                std::thread::sleep(TICK);
            }
            Ok(f64::from(done) / (until - started).as_secs_f64())
        });
        Self { stop, thread }
    }

    /// Ends it; gives how many changes a second there were.
    pub(crate) fn stop(self) -> anyhow::Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the changes panicked"))?
    }
}
