//! `bench compare`: servers side by side on the same questions, each in its turn.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::load::Tally;
use crate::netalias::Churn;
use crate::peers::{Peer, Place, Running};
use crate::row;
use crate::sandbox::Sandbox;
use crate::server::{lines_of, usage_of, work_of_all};
use crate::table::{markdown, median, megabytes, micros, percentile, spread};
use crate::workload::Workload;

/// Questions a second when it is measured how long an answer takes.
const PACE: u32 = 2000;
/// Changes a second of w5.
const CHANGES: u32 = 1000;

#[derive(clap::Args)]
pub(crate) struct CompareArgs {
    /// How often each server has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a turn is
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Questions that are under way at any time
    #[arg(long, default_value_t = 200)]
    window: usize,
    #[arg(long, value_delimiter = ',', value_enum, default_value = "w1,w2,w3,w4,w5,w6")]
    workloads: Vec<Workload>,
    /// Who is compared; ratios are to the limit
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "netalias,limit,nsd,knot,unbound,dnsmasq,aardvark,docker"
    )]
    peers: Vec<Peer>,
    #[command(flatten)]
    netalias: crate::netalias::BinaryArgs,
    /// Another netalias that is compared, too, such as one of an earlier commit
    #[arg(long, value_name = "PATH")]
    before: Option<PathBuf>,
}

/// One server on one workload.
struct Contestant {
    peer: Peer,
    running: Running,
    rounds: Vec<Tally>,
    /// Processor time for an answer, in microseconds, a round each.
    costs: Vec<f64>,
    memory: u64,
    /// The times that half of all answers, and 99 of 100, did not exceed.
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// How many processors were busy with something else.
    others: Vec<f64>,
    /// Changes a second that went on meanwhile.
    changes: Vec<f64>,
}

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<bool> {
    let netalias = args.netalias.path()?;
    let sandbox = Sandbox::enter()?;
    let mut present: Vec<(Peer, PathBuf)> = Vec::new();
    let mut notes = sandbox.notes.clone();
    let before = args.before.as_ref().map(|_| Peer::Before);
    for peer in args.peers.iter().chain(&before) {
        let program = match peer {
            Peer::Netalias => Some(netalias.clone()),
            Peer::Before => args.before.clone(),
            _ => peer.program(),
        };
        match program {
            Some(program) => present.push((*peer, program)),
            None => notes.push(format!("{} is not installed", peer.name())),
        }
    }
    let mut rows = vec![row![
        "workload",
        "server",
        "answers/s",
        "of limit",
        "spread",
        "µs CPU/answer",
        "RSS MB",
        "wrong",
        "lost",
        "p50 µs",
        "of limit",
        "p99 µs",
        "others' CPUs"
    ]];
    let mut faultless = true;
    for workload in &args.workloads {
        let mut contestants = Vec::new();
        for (peer, program) in present.iter().filter(|(peer, _)| peer.plays(*workload)) {
            sandbox.to_servers()?;
            let running = peer.start(program, *workload);
            sandbox.to_load()?;
            match running {
                Ok(running) => contestants.push(Contestant::new(*peer, running)),
                Err(why) => {
                    faultless = false;
                    notes.push(format!("{} on {workload:?}: {why:#}", peer.name()));
                }
            }
        }
        for round in 0..args.rounds {
            eprintln!("{workload:?}, round {}", round + 1);
            // Whoever comes first has a machine that has just been idle: each does in its turn.
            let all = contestants.len();
            let order = (0..all).map(|turn| (round + turn) % all);
            for place in order.clone() {
                contestants[place].race(args, *workload)?;
            }
            for place in order {
                contestants[place].pace(args, *workload)?;
            }
        }
        faultless &= contestants.iter().all(|c| c.rounds.iter().all(|tally| tally.wrong == 0));
        rows.extend(report(*workload, &contestants, &mut notes));
    }
    print!("{}", markdown(&rows));
    println!();
    for note in notes {
        println!("- {note}");
    }
    Ok(faultless)
}

impl Contestant {
    fn new(peer: Peer, running: Running) -> Self {
        Self {
            peer,
            running,
            rounds: Vec::new(),
            costs: Vec::new(),
            memory: 0,
            p50: Vec::new(),
            p99: Vec::new(),
            others: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// As many questions as it answers.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn race(&mut self, args: &CompareArgs, workload: Workload) -> anyhow::Result<()> {
        let churn = self.churn(workload)?;
        let others = Others::watch(&self.running);
        let before = self.running.usage();
        let tally = self.running.window(args.window, Duration::from_secs_f64(args.seconds));
        let tally = tally.with_context(|| format!("{} on {workload:?}", self.peer.name()))?;
        let after = self.running.usage();
        self.others.push(others.part());
        self.changes.extend(churn.map(Churn::stop).transpose()?);
        self.costs.push(micros(after.time.saturating_sub(before.time)) / tally.right.max(1) as f64);
        self.memory = self.memory.max(after.memory);
        self.rounds.push(tally);
        Ok(())
    }

    /// A few questions, for how long an answer takes.
    fn pace(&mut self, args: &CompareArgs, workload: Workload) -> anyhow::Result<()> {
        let churn = self.churn(workload)?;
        let (_, times) = self.running.paced(PACE, Duration::from_secs_f64(args.seconds))?;
        self.changes.extend(churn.map(Churn::stop).transpose()?);
        self.p50.extend(percentile(&times, 50).map(micros));
        self.p99.extend(percentile(&times, 99).map(micros));
        Ok(())
    }

    /// The changes that go on meanwhile, if the workload has any.
    fn churn(&mut self, workload: Workload) -> anyhow::Result<Option<Churn>> {
        let shape = workload.shape();
        let Place::Ours { server, .. } = &self.running.place else { return Ok(None) };
        if !shape.churn || !self.peer.is_netalias() {
            return Ok(None);
        }
        let mut typing = server.typing()?;
        Ok(Some(Churn::start(shape, CHANGES, move |lines| {
            Ok(typing.write_all(lines_of(lines).as_bytes())?)
        })))
    }

    fn rates(&self) -> Vec<f64> {
        self.rounds.iter().map(Tally::rate).collect()
    }
}

/// How figures of rounds compare with the limit's of the same rounds: the machine is not equally
/// fast from one to the next.
fn ratio(own: &[f64], limit: Option<&[f64]>) -> String {
    let Some(limit) = limit else { return "-".to_owned() };
    let ratios: Vec<f64> = own.iter().zip(limit).map(|(own, limit)| own / limit).collect();
    format!("{:.2}", median(&ratios))
}

/// What the processors do for others meanwhile: the noise.
struct Others<'a> {
    running: &'a Running,
    since: Instant,
    before: Duration,
}

impl<'a> Others<'a> {
    fn watch(running: &'a Running) -> Self {
        Self { running, since: Instant::now(), before: Self::work(running) }
    }

    fn work(running: &Running) -> Duration {
        let own = std::process::id();
        let ours = usage_of(|id, _| id == own).time + running.usage().time;
        work_of_all().saturating_sub(ours)
    }

    /// In processors.
    fn part(&self) -> f64 {
        let work = Self::work(self.running).saturating_sub(self.before);
        work.as_secs_f64() / self.since.elapsed().as_secs_f64()
    }
}

fn report(
    workload: Workload,
    contestants: &[Contestant],
    notes: &mut Vec<String>,
) -> Vec<Vec<String>> {
    let limit = contestants.iter().find(|contestant| contestant.peer == Peer::Limit);
    let limit_rates = limit.map(Contestant::rates);
    let limit_p50 = limit.map(|limit| &limit.p50[..]);
    let row = |contestant: &Contestant| {
        let rates = contestant.rates();
        let sum = |count: fn(&Tally) -> u64| contestant.rounds.iter().map(count).sum::<u64>();
        row![
            format!("{workload:?}").to_lowercase(),
            contestant.peer.name(),
            format!("{:.0}", median(&rates)),
            ratio(&rates, limit_rates.as_deref()),
            format!("{:.0} %", 100.0 * spread(&rates)),
            format!("{:.2}", median(&contestant.costs)),
            format!("{:.1}", megabytes(contestant.memory)),
            sum(|tally| tally.wrong),
            sum(|tally| tally.lost),
            format!("{:.1}", median(&contestant.p50)),
            ratio(&contestant.p50, limit_p50),
            format!("{:.1}", median(&contestant.p99)),
            format!("{:.2}", median(&contestant.others)),
        ]
    };
    for contestant in contestants {
        let wrong = contestant.rounds.iter().find_map(|tally| tally.first_wrong);
        notes.extend(wrong.map(|wrong| {
            format!("{} on {workload:?}, the first wrong answer: {wrong:?}", contestant.peer.name())
        }));
        if !contestant.changes.is_empty() {
            let rate = median(&contestant.changes);
            let name = contestant.peer.name();
            notes.push(format!("{name} on {workload:?}: {rate:.0} changes/s meanwhile"));
        }
    }
    contestants.iter().map(row).collect()
}
