//! `bench flood`: more questions than can be answered, while the other duties are watched.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use netalias_testkit::{framed, read_framed};

use crate::answer::{Wrong, check};
use crate::batch::{BATCH, Batch, Wait};
use crate::load::{Tally, Target, window};
use crate::netalias::{BinaryArgs, Served, get};
use crate::row;
use crate::sandbox::Sandbox;
use crate::table::{lateness, markdown, median, megabytes};
use crate::workload::{A, Question, SUFFIX, Shape, Workload};

#[derive(clap::Args)]
pub(crate) struct FloodArgs {
    /// How long it lasts
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many times what can be answered is asked
    #[arg(long, default_value_t = 2.0)]
    times: f64,
    #[command(flatten)]
    netalias: BinaryArgs,
}

/// Memory may grow by so much: buffers are used that were not before.
const MAX_GROWTH: u64 = 4_000_000;
/// In half of the seconds at least so much of what can be answered is.
const MIN_ANSWERED: f64 = 0.9;
/// How often the other duties are looked at.
const PROBE: Duration = Duration::from_millis(100);
/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A duty: what it is called, and how it is tried.
type Duty = (&'static str, Box<dyn FnMut() -> anyhow::Result<()> + Send>);

pub(crate) fn run(args: &FloodArgs) -> anyhow::Result<bool> {
    let binary = args.netalias.path()?;
    let sandbox = Sandbox::enter()?;
    // One of the duties is to see changes.
    let shape = Shape { churn: true, ..Workload::W1.shape() };
    let served = Served::start(&binary, &sandbox, shape)?;
    let questions = shape.questions(SUFFIX);
    let capacity = window(served.target, &questions, 200, Duration::from_secs(2))?.rate();
    println!("capacity with 200 questions under way: {capacity:.0}/s");
    let (before, full_before) = (served.server.usage().memory, full()?);
    let stop = Arc::new(AtomicBool::new(false));
    let probes: Vec<_> = duties(&served).into_iter().map(|duty| probe(duty, &stop)).collect();
    let mut rows = vec![row!["second", "asked/s", "answered/s", "wrong", "RSS MB"]];
    let mut most = 0;
    let mut flood = Flood::start(served.target)?;
    let (mut wrong, mut rates) = (0, Vec::new());
    for second in 1..=args.seconds {
        let tally = flood.pour(&questions, capacity * args.times, Duration::from_secs(1))?;
        let memory = served.server.usage().memory;
        most = most.max(memory);
        wrong += tally.wrong;
        if let Some(what) = tally.first_wrong {
            println!("wrong in second {second}: {what:?}");
        }
        let asked = format!("{:.0}", Tally { right: tally.sent, ..tally.clone() }.rate());
        let answered = format!("{:.0}", tally.rate());
        rates.push(tally.rate());
        rows.push(row![second, asked, answered, tally.wrong, format!("{:.1}", megabytes(memory))]);
    }
    stop.store(true, Ordering::Relaxed);
    println!("\n{}", markdown(&rows));
    let mut rows = vec![row!["meanwhile", "tried", "failed", "p50 ms", "p99 ms", "longest ms"]];
    let mut failed = 0;
    for probe in probes {
        let probe = probe.join().map_err(|_| anyhow!("a probe panicked"))?;
        failed += probe.failed;
        rows.push(probe.row());
    }
    println!("{}", markdown(&rows));
    let after = served.server.usage().memory;
    println!(
        "- dropped by the kernel, where a socket's buffer was full: {}",
        full()? - full_before
    );
    println!(
        "- RSS before, at most and after: {:.1}, {:.1}, {:.1} MB",
        megabytes(before),
        megabytes(most),
        megabytes(after)
    );
    for note in &sandbox.notes {
        println!("- {note}");
    }
    let kept = median(&rates) >= capacity * MIN_ANSWERED;
    Ok(wrong == 0 && failed == 0 && kept && most.saturating_sub(before) <= MAX_GROWTH)
}

/// Sockets that ask without regard to what comes back.
struct Flood {
    lanes: Vec<(std::net::UdpSocket, Vec<Asked>)>,
    batch: Batch,
    next: usize,
}

/// The question that was asked with an id last, and the one before it: ids come round every fifth
/// of a second, and a process that was not let run for so long answers the older one then.
#[derive(Clone, Copy, Default)]
struct Asked {
    last: usize,
    before: usize,
}

impl Flood {
    fn start(target: Target) -> anyhow::Result<Self> {
        let ids = usize::from(u16::MAX) + 1;
        let lane = || Ok((target.socket()?, vec![Asked::default(); ids]));
        let lanes: anyhow::Result<Vec<_>> = (0..4).map(|_| lane()).collect();
        Ok(Self { lanes: lanes?, batch: Batch::new(), next: 0 })
    }

    /// So many a second; what this processor cannot send is not sent.
    fn pour(&mut self, questions: &[Question], rate: f64, time: Duration) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        let started = Instant::now();
        while started.elapsed() < time {
            for (socket, asked) in &mut self.lanes {
                self.batch.receive(socket, Wait::No)?;
                for answer in self.batch.messages() {
                    let Some(&[high, low]) = answer.first_chunk() else { continue };
                    let asked = asked[usize::from(u16::from_be_bytes([high, low]))];
                    let is_older = check(&questions[asked.last], answer) == Err(Wrong::Question);
                    let question = if is_older { asked.before } else { asked.last };
                    tally.judge(&questions[question], answer);
                }
                self.batch.clear();
                let due = Duration::from_secs_f64(to_f64(tally.sent) / rate);
                if started.elapsed() < due {
                    continue;
                }
                for _ in 0..BATCH {
                    let id = u16::try_from(self.next & 0xffff).unwrap_or_default();
                    let asked = &mut asked[usize::from(id)];
                    *asked = Asked { last: self.next % questions.len(), before: asked.last };
                    self.batch.push(id, &questions[self.next % questions.len()].query);
                    self.next = self.next.wrapping_add(1);
                    tally.sent += 1;
                }
                self.batch.send_as_one(socket)?;
            }
        }
        tally.time = started.elapsed();
        Ok(tally)
    }
}

/// Datagrams that found a full buffer in this network namespace: Udp's `RcvbufErrors`, see
/// <https://docs.kernel.org/networking/snmp_counter.html>.
fn full() -> anyhow::Result<u64> {
    let counters = std::fs::read_to_string("/proc/thread-self/net/snmp")?;
    let mut lines = counters.lines().filter(|line| line.starts_with("Udp: "));
    let (names, values) = lines.next().zip(lines.next()).context("no counters of UDP")?;
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(name, _)| *name == "RcvbufErrors").context("no RcvbufErrors")?;
    Ok(value.parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// What a server has to do beside answers by UDP.
fn duties(served: &Served) -> Vec<Duty> {
    let (http, target, shape) = (served.http, served.target, served.shape);
    let engine = served.engine.clone();
    let mut change = 0;
    let health = move || {
        let (code, _) = get(http, "/healthz")?;
        ensure!(code == 200, "/healthz says {code}");
        Ok(())
    };
    let tcp = move || ask_by_tcp(target, &shape.question(shape.names - 1, A, SUFFIX));
    let events = move || {
        let question = shape.question_of_change(change);
        engine.try_play(&shape.change(change)).map_err(|why| anyhow!(why))?;
        change += 1;
        let told = Instant::now();
        while ask_by_tcp(target, &question).is_err() {
            ensure!(told.elapsed() < PATIENCE, "a change is not answered");
        }
        Ok(())
    };
    vec![
        ("GET /healthz", Box::new(health)),
        ("a query by TCP", Box::new(tcp)),
        ("a change in the engine", Box::new(events)),
    ]
}

fn ask_by_tcp(target: Target, question: &Question) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&target.server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&framed(&question.query))?;
    check(question, &read_framed(&mut stream)?).map_err(|wrong| anyhow!("{wrong:?}"))
}

/// How a duty was done.
struct Probed {
    name: &'static str,
    times: Vec<Duration>,
    failed: usize,
}

fn probe((name, mut try_it): Duty, stop: &Arc<AtomicBool>) -> JoinHandle<Probed> {
    let stop = stop.clone();
    std::thread::spawn(move || {
        let mut probed = Probed { name, times: Vec::new(), failed: 0 };
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            match try_it() {
                Ok(()) => probed.times.push(began.elapsed()),
                Err(error) => {
                    eprintln!("{name}: {error:#}");
                    probed.failed += 1;
                }
            }
            std::thread::sleep(PROBE.saturating_sub(began.elapsed()));
        }
        probed.times.sort_unstable();
        probed
    })
}

impl Probed {
    fn row(&self) -> Vec<String> {
        let [middle, late, last] = lateness(&self.times, 1);
        let tried = self.times.len() + self.failed;
        row![self.name, tried, self.failed, middle, late, last]
    }
}
