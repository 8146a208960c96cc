//! `bench soak`: changes and questions at once for long, and whether anything grows or is wrong.

use std::time::{Duration, Instant};

use crate::load::window;
use crate::netalias::{BinaryArgs, Served};
use crate::row;
use crate::sandbox::Sandbox;
use crate::server::Usage;
use crate::table::{markdown, median, megabytes};
use crate::workload::{SUFFIX, Shape, Workload};

#[derive(clap::Args)]
pub(crate) struct SoakArgs {
    /// How long it lasts
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Changes in the engine a second
    #[arg(long, default_value_t = 100)]
    changes: u32,
    /// Questions that are under way at any time
    #[arg(long, default_value_t = 20)]
    window: usize,
    #[command(flatten)]
    netalias: BinaryArgs,
}

/// Samples of a run.
const SAMPLES: u32 = 20;
/// Megabytes that memory may differ by between the second quarter and the last one.
const MAX_GROWTH: f64 = 2.0;
/// How long the last changes may take to be answered.
const SETTLED: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &SoakArgs) -> anyhow::Result<bool> {
    let binary = args.netalias.path()?;
    let sandbox = Sandbox::enter()?;
    let shape = Shape { churn: true, ..Workload::W1.shape() };
    let served = Served::start(&binary, &sandbox, shape)?;
    let idle = served.server.usage();
    let questions = shape.questions(SUFFIX);
    let churn = served.churn(args.changes);
    let part = Duration::from_secs_f64(args.minutes * 60.0) / SAMPLES;
    let head = row![
        "after s",
        "answers/s",
        "wrong",
        "lost",
        "RSS MB",
        "descriptors",
        "drift",
        "lost streams"
    ];
    print!("{}", markdown(&[head]));
    let started = Instant::now();
    let (mut wrong, mut samples) = (0, Vec::new());
    for _ in 0..SAMPLES {
        let tally = window(served.target, &questions, args.window, part)?;
        let usage = served.server.usage();
        wrong += tally.wrong;
        let cells = row![
            format!("{:.0}", started.elapsed().as_secs_f64()),
            format!("{:.0}", tally.rate()),
            tally.wrong,
            tally.lost,
            format!("{:.2}", megabytes(usage.memory)),
            usage.descriptors,
            served.metric("netalias_engine_drift_total")?,
            served.metric("netalias_engine_lost_streams_total")?,
        ];
        println!("| {} |", cells.join(" | "));
        samples.push(usage);
    }
    let changes = churn.stop()?;
    println!(
        "\n- {changes:.0} changes/s, {} events lost by the engine",
        served.engine.lost_events()
    );
    for note in &sandbox.notes {
        println!("- {note}");
    }
    let faults = [
        (wrong > 0).then(|| format!("{wrong} wrong answers")),
        at_rest(&served)?,
        growth(&samples),
        descriptors(&idle, &served.server.usage()),
        (served.metric("netalias_engine_drift_total")? > 0.0).then(|| "drift".to_owned()),
    ];
    let faults: Vec<String> = faults.into_iter().flatten().collect();
    println!(
        "- {}",
        if faults.is_empty() {
            "nothing grew, nothing was wrong".to_owned()
        } else {
            faults.join("; ")
        }
    );
    Ok(faults.is_empty())
}

/// With nothing going on any more every name has all its addresses.
fn at_rest(served: &Served) -> anyhow::Result<Option<String>> {
    let shape = Shape { churn: false, ..served.shape };
    let questions = shape.questions(SUFFIX);
    let began = Instant::now();
    loop {
        let tally = window(served.target, &questions, 20, Duration::from_millis(500))?;
        if tally.wrong == 0 {
            return Ok(None);
        }
        if began.elapsed() > SETTLED {
            return Ok(Some(format!(
                "{} wrong answers at rest: {:?}",
                tally.wrong, tally.first_wrong
            )));
        }
    }
}

/// The second quarter beside the last one: in the first one buffers and pools may still fill.
fn growth(samples: &[Usage]) -> Option<String> {
    let quarter = samples.len() / 4;
    let middle = |part: &[Usage]| {
        median(&part.iter().map(|usage| megabytes(usage.memory)).collect::<Vec<_>>())
    };
    let grown =
        middle(&samples[samples.len() - quarter..]) - middle(&samples[quarter..][..quarter]);
    (grown > MAX_GROWTH).then(|| format!("memory grew by {grown:.1} MB"))
}

fn descriptors(before: &Usage, after: &Usage) -> Option<String> {
    let grown = after.descriptors > before.descriptors;
    grown
        .then(|| format!("descriptors: {} before, {} after", before.descriptors, after.descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_goes_on_growing_is_growth() {
        let samples = |megabytes: &dyn Fn(u64) -> u64| -> Vec<Usage> {
            let memory = (0..u64::from(SAMPLES)).map(|n| megabytes(n) * 1_000_000);
            memory.map(|memory| Usage { memory, ..Usage::default() }).collect()
        };
        assert_eq!(growth(&samples(&|_| 40)), None);
        assert_eq!(growth(&samples(&|n| if n < 4 { 10 } else { 40 })), None);
        assert_eq!(growth(&samples(&|n| if n == 19 { 60 } else { 40 })), None);
        assert_eq!(growth(&samples(&|n| 40 + n)).as_deref(), Some("memory grew by 10.0 MB"));
    }
}
