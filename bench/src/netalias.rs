//! netalias itself: where its binary is, and what happens to its registry meanwhile.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};

use crate::workload::Shape;

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

/// Containers that leave their network and come back, so many times a second.
pub(crate) struct Churn {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<u32>>,
    started: Instant,
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
        let (told, started) = (stop.clone(), Instant::now());
        let thread = std::thread::spawn(move || {
            let mut done: u32 = 0;
            while !told.load(Ordering::Relaxed) {
                // An even number: whoever left has come back.
                let due = (started.elapsed() * rate).as_secs() / 2 * 2;
                let due = u32::try_from(due)?;
                carry_out((done..due).map(|n| shape.change(n)).collect())?;
                done = due;
                std::thread::sleep(TICK);
            }
            Ok(done)
        });
        Self { stop, thread, started }
    }

    /// Ends it; gives how many changes a second there were.
    pub(crate) fn stop(self) -> anyhow::Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let done = self.thread.join().map_err(|_| anyhow!("the changes panicked"))??;
        Ok(f64::from(done) / self.started.elapsed().as_secs_f64())
    }
}
