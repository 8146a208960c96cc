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
    for peer in &args.peers {
        match peer.program(&netalias) {
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
            for contestant in &mut contestants {
                eprintln!("{workload:?}, round {}: {}", round + 1, contestant.peer.name());
                contestant.turn(args, *workload)?;
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

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn turn(&mut self, args: &CompareArgs, workload: Workload) -> anyhow::Result<()> {
        let time = Duration::from_secs_f64(args.seconds);
        let shape = workload.shape();
        let churn = match &self.running.place {
            Place::Ours { server, .. } if shape.churn && self.peer == Peer::Netalias => {
                let mut typing = server.typing()?;
                Some(Churn::start(shape, CHANGES, move |lines| {
                    Ok(typing.write_all(lines_of(lines).as_bytes())?)
                }))
            }
            _ => None,
        };
        let others = Others::watch(&self.running);
        let before = self.running.usage();
        let tally = self.running.window(args.window, time);
        let tally = tally.with_context(|| format!("{} on {workload:?}", self.peer.name()))?;
        let after = self.running.usage();
        self.others.push(others.part());
        let (_, times) = self.running.paced(PACE, time)?;
        if let Some(churn) = churn {
            self.changes.push(churn.stop()?);
        }
        self.costs.push(micros(after.time.saturating_sub(before.time)) / tally.right.max(1) as f64);
        self.memory = self.memory.max(after.memory);
        self.p50.extend(percentile(&times, 50).map(micros));
        self.p99.extend(percentile(&times, 99).map(micros));
        self.rounds.push(tally);
        Ok(())
    }

    fn rates(&self) -> Vec<f64> {
        self.rounds.iter().map(Tally::rate).collect()
    }
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
    let limit = limit.map(|limit| median(&limit.rates()));
    let row = |contestant: &Contestant| {
        let rates = contestant.rates();
        let ratio = limit.map_or("-".to_owned(), |limit| format!("{:.2}", median(&rates) / limit));
        let sum = |count: fn(&Tally) -> u64| contestant.rounds.iter().map(count).sum::<u64>();
        row![
            format!("{workload:?}").to_lowercase(),
            contestant.peer.name(),
            format!("{:.0}", median(&rates)),
            ratio,
            format!("{:.0} %", 100.0 * spread(&rates)),
            format!("{:.2}", median(&contestant.costs)),
            format!("{:.1}", megabytes(contestant.memory)),
            sum(|tally| tally.wrong),
            sum(|tally| tally.lost),
            format!("{:.1}", median(&contestant.p50)),
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
