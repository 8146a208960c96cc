//! A network and a processor of our own, so that runs can be compared.

use std::process::Command;

use anyhow::{Context as _, ensure};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::unistd::Pid;

/// Where servers and load run.
pub(crate) struct Sandbox {
    /// The processors that this process may use.
    processors: Vec<usize>,
    /// What is to be said of the place, beside the figures.
    pub(crate) notes: Vec<String>,
}

impl Sandbox {
    /// Moves this thread, and all that it starts from now on, into a new network namespace, in
    /// which no firewall and nobody else's packets cost time. It has no name, and ends with the
    /// last process in it. Without the right to make one the host's loopback has to do.
    pub(crate) fn enter() -> anyhow::Result<Self> {
        let mut notes = Vec::new();
        match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => {
                let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
                ensure!(up.context("cannot run ip (iproute2)")?.success(), "loopback stays down");
            }
            Err(why) => notes.push(format!("no network namespace ({why}): the host's loopback")),
        }
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("cannot see the processors")?;
        let all = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or_default());
        let processors: Vec<usize> = all.collect();
        if processors.len() < 2 {
            notes.push("one processor for server and load".to_owned());
        }
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        notes.push(format!("load of the machine at the start: {load}"));
        Ok(Self { processors, notes })
    }

    /// This thread and what it starts from now on run where servers do.
    pub(crate) fn to_servers(&self) -> anyhow::Result<()> {
        pin(self.processors.first())
    }

    /// This thread runs where the load does.
    pub(crate) fn to_load(&self) -> anyhow::Result<()> {
        pin(self.processors.last())
    }
}

fn pin(processor: Option<&usize>) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(*processor.context("no processor")?)?;
    sched_setaffinity(Pid::from_raw(0), &set).context("cannot choose a processor")
}
