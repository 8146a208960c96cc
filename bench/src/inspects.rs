//! `bench inspects`: how many inspects should be under way at once, for netalias, which wants a
//! complete list soon, and for another client of the engine, which waits meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use netalias::directory;
use netalias::model::Policy;
use netalias::source::docker::follow_with;
use netalias::status::Status;
use netalias_testkit::{FakeEngine, Folder};
use serde_json::json;

use crate::engine::{Engine, SOCKET, ask};
use crate::row;
use crate::table::{lateness, markdown, median};
use crate::workload::{Shape, Workload};

#[derive(clap::Args)]
pub(crate) struct InspectsArgs {
    /// How many are under way at once
    #[arg(long, value_delimiter = ',', default_value = "1,4,8,16,32,64")]
    at_once: Vec<usize>,
    /// How many containers are made on the real engine; 0 leaves it in peace
    #[arg(long, default_value_t = 100)]
    real: u32,
    /// How many containers the fake engine has; 0 leaves it out
    #[arg(long, default_value_t = 10_000)]
    fake: u32,
    /// How often each is measured; they take turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// How long a complete list may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often it is looked whether it is there.
const TICK: Duration = Duration::from_micros(200);
/// How long the other client has the engine to itself, for comparison.
const ALONE: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &InspectsArgs) -> anyhow::Result<bool> {
    let mut rows = vec![row![
        "engine",
        "containers",
        "at once",
        "complete after ms",
        "another's inspect: median ms",
        "p99 ms",
        "max ms"
    ]];
    if args.real > 0 {
        let engine = Engine::real()?;
        let network = engine.prefix.clone();
        engine.network(&network, "172.31.251.0/24")?;
        let mut last = String::new();
        for number in 0..args.real {
            last = engine.sleeper(&format!("{network}-{number}"), &network, &json!({}))?;
            engine.start(&last)?;
        }
        measure(args, "real", args.real, Path::new(SOCKET), &last, &mut rows)?;
    }
    if args.fake > 0 {
        let folder = Folder::new();
        let engine = FakeEngine::start(&folder.socket());
        let w1 = Workload::W1.shape();
        let shape = Shape { names: args.fake.div_ceil(w1.addresses), ..w1 };
        engine.play_all(shape.scenario()).map_err(|why| anyhow!(why))?;
        measure(args, "fake", args.fake, &folder.socket(), "client", &mut rows)?;
    }
    print!("{}", markdown(&rows));
    Ok(true)
}

/// One row for the engine alone, and one for each number.
fn measure(
    args: &InspectsArgs,
    engine: &str,
    containers: u32,
    socket: &Path,
    container: &str,
    rows: &mut Vec<Vec<String>>,
) -> anyhow::Result<()> {
    let mut figures = vec![(Vec::new(), Vec::new()); args.at_once.len()];
    let mut alone = Vec::new();
    for _ in 0..args.rounds {
        alone.extend(
            beside(socket, container, || {
                std::thread::sleep(ALONE);
                Ok(())
            })?
            .1,
        );
        for (at_once, (completes, times)) in args.at_once.iter().zip(&mut figures) {
            let (complete, meanwhile) = beside(socket, container, || complete(socket, *at_once))?;
            completes.push(complete.as_secs_f64() * 1e3);
            times.extend(meanwhile);
        }
    }
    let mut row = |at_once: String, complete: String, mut times: Vec<Duration>| {
        times.sort_unstable();
        let [middle, late, last] = lateness(&times, 2);
        rows.push(row![engine, containers, at_once, complete, middle, late, last]);
    };
    row("none".to_owned(), "-".to_owned(), alone);
    for (at_once, (completes, times)) in args.at_once.iter().zip(figures) {
        row(at_once.to_string(), format!("{:.0}", median(&completes)), times);
    }
    Ok(())
}

/// Follows the engine in this process until everything on it has been looked at.
fn complete(socket: &Path, at_once: usize) -> anyhow::Result<Duration> {
    let url = format!("unix://{}", socket.display()).parse().map_err(|why| anyhow!("{why}"))?;
    let status = Status::new(&[url]);
    let (publisher, reader) = directory::new(1, Policy::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("no runtime")?;
    let engine = status.engines.first().context("no engine")?.clone();
    let began = Instant::now();
    runtime.spawn(follow_with(engine, publisher, None, at_once));
    while !reader.is_complete() {
        ensure!(began.elapsed() < PATIENCE, "not complete after {PATIENCE:?}");
        std::thread::sleep(TICK);
    }
    let time = began.elapsed();
    runtime.shutdown_background();
    Ok(time)
}

/// Does it while another client asks for one container without pause; how long that took each time.
fn beside<T>(
    socket: &Path,
    container: &str,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Vec<Duration>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let (told, socket) = (stop.clone(), socket.to_owned());
    let path = format!("/containers/{container}/json");
    let other = std::thread::spawn(move || -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        while !told.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let (status, _) = ask(&socket, "GET", &path, None)?;
            ensure!(status == 200, "{path}: {status}");
            times.push(asked.elapsed());
        }
        Ok(times)
    });
    let done = work();
    stop.store(true, Ordering::Relaxed);
    let times = other.join().map_err(|_| anyhow!("the other client panicked"))??;
    Ok((done?, times))
}
