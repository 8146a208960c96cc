//! A server as a process of ours, and what it takes: time, memory, descriptors.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long a server may take to say where it listens, and to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of a server's that wait to be read; what comes beyond is left out.
const LINES: usize = 64;

/// A running server with all its processes; dropping it ends them.
pub(crate) struct Server {
    child: Child,
    /// Its process group.
    group: u32,
    lines: mpsc::Receiver<String>,
}

/// What a server has taken so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Of processors, by all its threads.
    pub(crate) time: Duration,
    /// Resident memory in bytes.
    pub(crate) memory: u64,
    pub(crate) descriptors: usize,
}

impl Server {
    /// Starts it in a process group of its own. It ends when this thread does, whatever happens.
    pub(crate) fn start(program: &mut Command) -> anyhow::Result<Self> {
        let name = program.get_program().to_owned();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(&name).args(program.get_args());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn().context("cannot run setpriv")?;
        let (sender, lines) = mpsc::sync_channel(LINES);
        let out = child.stdout.take().context("a pipe")?;
        pass_on(out, sender.clone(), |_| {});
        let errors = child.stderr.take().context("a pipe")?;
        pass_on(errors, sender, |line| eprintln!("{line}"));
        let group = child.id();
        Ok(Self { child, group, lines })
    }

    /// Waits for `… DNS on A, HTTP on B …` or `… dns=A http=B`; the limit has no HTTP.
    pub(crate) fn addresses(&mut self) -> anyhow::Result<(SocketAddr, Option<SocketAddr>)> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let Ok(line) = self.lines.recv_timeout(left) else { break };
            let after = |marks: [&str; 2]| {
                let rest = marks.into_iter().find_map(|mark| Some(line.split_once(mark)?.1))?;
                rest.split([',', ';', ' ']).next()?.parse().ok()
            };
            if let Some(dns) = after(["DNS on ", "dns="]) {
                return Ok((dns, after(["HTTP on ", "http="])));
            }
        }
        bail!("it does not say where it listens")
    }

    /// Its standard input, to be written to from anywhere.
    pub(crate) fn typing(&self) -> anyhow::Result<File> {
        let stdin = self.child.stdin.as_ref().context("it does not read")?;
        Ok(stdin.as_fd().try_clone_to_owned()?.into())
    }

    pub(crate) fn type_lines(&self, lines: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
        self.typing()?.write_all(lines_of(lines).as_bytes()).context("it does not read")
    }

    /// Follows it into the background, where it says in a file which process it is.
    pub(crate) fn follow(&mut self, file: &Path) -> anyhow::Result<()> {
        self.child.wait()?;
        let id = fs::read_to_string(file).context("it did not go into the background")?;
        self.group = id.trim().parse().context("no process id")?;
        Ok(())
    }

    pub(crate) fn has_ended(&self) -> bool {
        killpg(self.group(), None).is_err()
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.group.cast_signed())
    }

    pub(crate) fn usage(&self) -> Usage {
        usage_of(|_, group| group == self.group)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Who reads what is typed may not end before that does.
        drop(self.child.stdin.take());
        let _ = killpg(self.group(), Signal::SIGTERM);
        let told = Instant::now();
        while told.elapsed() < PATIENCE && !self.has_ended() {
            // Until it is waited for, the first of the group is still there.
            let _ = self.child.try_wait();
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Empties a server's pipe, so that it never waits for us.
fn pass_on(pipe: impl Read + Send + 'static, to: SyncSender<String>, show: fn(&str)) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            show(&line);
            let _ = to.try_send(line);
        }
    });
}

/// Each with its end of line.
pub(crate) fn lines_of(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + &line + "\n")
}

/// What all processors have worked for whomever so far, in ticks of a hundredth of a second.
pub(crate) fn work_of_all() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let columns = text.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1);
    let ticks: Vec<u64> = columns.filter_map(|column| column.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|column| ticks.get(*column));
    Duration::from_millis(busy.sum::<u64>() * 10)
}

/// The sum over all processes that are wanted, by their ids and those of their groups.
pub(crate) fn usage_of(wanted: impl Fn(u32, u32) -> bool) -> Usage {
    let mut sum = Usage::default();
    let Ok(entries) = fs::read_dir("/proc") else { return sum };
    for entry in entries.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let folder = entry.path();
        let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
        // The command's name, in brackets, may have spaces; the state and the parent follow.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let Some(group) = after.split(' ').nth(3).and_then(|group| group.parse().ok()) else {
            continue;
        };
        if !wanted(id, group) {
            continue;
        }
        let tasks = fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
        let nanos = tasks.filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        sum.time += Duration::from_nanos(nanos.sum());
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes =
            resident.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok());
        sum.memory += kilobytes.unwrap_or_default() * 1024;
        sum.descriptors += fs::read_dir(folder.join("fd")).map_or(0, Iterator::count);
    }
    sum
}
