//! `bench scale`: what grows with the number of endpoints, and what must not.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::load::{Target, paced, window};
use crate::netalias::{BinaryArgs, Served};
use crate::row;
use crate::sandbox::Sandbox;
use crate::table::{markdown, median, megabytes, micros, millis, percentile};
use crate::workload::{Question, SUFFIX, Shape, Workload};

#[derive(clap::Args)]
pub(crate) struct ScaleArgs {
    /// How many endpoints
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000,100000")]
    endpoints: Vec<u32>,
    /// How many changes are made, one after the other
    #[arg(long, default_value_t = 200)]
    changes: u32,
    /// How long lookups are counted
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[command(flatten)]
    netalias: BinaryArgs,
}

/// Questions that are under way at any time.
const WINDOW: usize = 200;
/// Changes so far apart are looked at one by one.
const APART: Duration = Duration::from_millis(5);
/// How long a change may take to be answered.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &ScaleArgs) -> anyhow::Result<bool> {
    let binary = args.netalias.path()?;
    let sandbox = Sandbox::enter()?;
    let mut rows = vec![row![
        "endpoints",
        "complete after s",
        "of it the engine s",
        "RSS MB",
        "change p50 ms",
        "change p99 ms",
        "µs CPU/change",
        "answers/s",
        "wrong",
        "gap at resync ms",
        "RSS after MB"
    ]];
    let mut faultless = true;
    for endpoints in &args.endpoints {
        let w1 = Workload::W1.shape();
        let shape = Shape { names: endpoints.div_ceil(w1.addresses), ..w1 };
        eprintln!("{endpoints} endpoints");
        let served = Served::start(&binary, &sandbox, shape)?;
        let memory = served.server.usage().memory;
        let cost = cost_of_changes(&served, args.changes)?;
        let times = times_of_changes(&served, args.changes)?;
        let questions = shape.questions(SUFFIX);
        let time = Duration::from_secs_f64(args.seconds);
        let rate = window(served.target, &questions, WINDOW, time)?;
        served.engine.cut_streams();
        // The new list, and an inspect of everything in it, take about as long as at the start.
        let time = served.ready_after + Duration::from_secs(1);
        let resync = window(served.target, &questions, WINDOW, time)?;
        faultless &= rate.wrong + resync.wrong == 0;
        rows.push(row![
            endpoints,
            format!("{:.2}", served.ready_after.as_secs_f64()),
            format!("{:.2}", served.engine_time.as_secs_f64()),
            format!("{:.1}", megabytes(memory)),
            millis(percentile(&times, 50), 2),
            millis(percentile(&times, 99), 2),
            format!("{cost:.0}"),
            format!("{:.0}", rate.rate()),
            rate.wrong + resync.wrong,
            millis(Some(resync.gap), 2),
            format!("{:.1}", megabytes(served.server.usage().memory)),
        ]);
    }
    print!("{}", markdown(&rows));
    println!();
    for note in &sandbox.notes {
        println!("- {note}");
    }
    Ok(faultless)
}

/// What netalias needs of a processor for a change when nobody asks, in microseconds: the median,
/// since every few seconds the whole list is compared, too.
fn cost_of_changes(served: &Served, changes: u32) -> anyhow::Result<f64> {
    let inspects = || served.metric("netalias_engine_inspects_total");
    let inspected = inspects()?;
    let mut costs = Vec::new();
    for change in 0..changes / 2 * 2 {
        let before = served.server.usage().time;
        served.engine.play(&served.shape.change(change));
        std::thread::sleep(APART);
        costs.push(micros(served.server.usage().time.saturating_sub(before)));
    }
    let done = Instant::now();
    while inspects()? <= inspected {
        ensure!(done.elapsed() < PATIENCE, "no change was looked at");
    }
    Ok(median(&costs))
}

/// From each change to the answer that has it, in order.
fn times_of_changes(served: &Served, changes: u32) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for change in 0..changes / 2 * 2 {
        let line = served.shape.change(change);
        let question = served.shape.question_of_change(change);
        let began = Instant::now();
        served.engine.play(&line);
        await_right(served.target, question, began)?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn await_right(target: Target, question: Question, since: Instant) -> anyhow::Result<()> {
    let questions = [question];
    loop {
        let (tally, _) = paced(target, &questions, 1, Duration::from_nanos(1))?;
        if tally.right > 0 {
            return Ok(());
        }
        ensure!(since.elapsed() < PATIENCE, "a change is not answered after {PATIENCE:?}");
    }
}
