//! Docker's resolver and netalias are asked the same from inside random containers; whatever
//! differs must be a rule of the table in `rules`.
//!
//! `--seeds N` makes N random runs, `NETALIAS_SEED` repeats one, and
//! `NETALIAS_DIFFERENTIAL_STEPS` makes each longer. Where no engine answers the test is ignored,
//! and says so; with `NETALIAS_REQUIRE_DOCKER=1` it fails instead.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

mod case;
mod compare;
mod facts;
mod probe;
mod questions;
mod regressions;
mod rules;
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use fastrand::Rng;
use libtest_mimic::{Arguments, Failed, Trial};
use netalias_testkit::{Docker, Process, is_required, said, until};

use compare::{Tally, compare};
use rules::{RULES, page};
use world::World;

const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
/// The runs of `cargo test`: the same each time, so that a change of the code is what a failure
/// tells of. `--seeds N` takes N others by chance.
const SEEDS: [u64; 3] =
    [18_126_220_185_415_944_980, 4_657_073_398_816_357_383, 2_679_544_383_576_207_226];
/// Things that happen in a run of `cargo test`, which has a minute.
const STEPS: usize = 40;
/// From here on a run is long: more networks and containers, and every rule must be needed.
const LONG: usize = 200;
/// Things that happen between two quiet points.
const EACH: usize = 8;
/// Unexplained differences that are shown, and after which a run ends.
const SHOWN: usize = 25;

fn main() {
    if std::env::args().nth(1).as_deref() == Some(probe::ROLE) {
        probe::serve().expect("the batch is asked");
        return;
    }
    let (seeds, rest) = seeds(std::env::args().collect());
    let mut arguments = Arguments::from_iter(rest);
    arguments.test_threads = Some(1);
    let what = "the comparison with a real engine";
    let docker = match probe::obstacle() {
        Some(why) if !arguments.list => {
            eprintln!("SKIPPED, {what}: network namespaces cannot be entered: {why}");
            assert!(!is_required(), "NETALIAS_REQUIRE_DOCKER=1");
            None
        }
        _ => Docker::for_suite(what, arguments.list),
    };
    let agree = |seed: u64| {
        let trial = Trial::test(format!("docker_and_netalias_agree::seed_{seed}"), move || {
            let docker = docker.ok_or("no engine")?;
            docker.clean();
            docker_and_netalias_agree(docker, seed).map_err(Failed::from)
        });
        trial.with_ignored_flag(docker.is_none() && !arguments.list)
    };
    let mut trials = vec![Trial::test("the_page_is_the_table", the_page_is_the_table)];
    trials.extend(regressions::trials());
    trials.extend(seeds.into_iter().map(agree));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(docker) = docker {
        docker.clean();
    }
    conclusion.exit();
}

/// The seeds of the runs, and the arguments without `--seeds N`.
fn seeds(mut arguments: Vec<String>) -> (Vec<u64>, Vec<String>) {
    let at = arguments.iter().position(|argument| argument == "--seeds");
    let count = at.and_then(|at| arguments.drain(at..=at + 1).nth(1)?.parse().ok());
    let seeds = match said("NETALIAS_SEED") {
        Some(seed) => vec![seed],
        None => match count {
            Some(count) => (0..count).map(|_: usize| fastrand::u64(..)).collect(),
            None => SEEDS.to_vec(),
        },
    };
    (seeds, arguments)
}

/// `differences.md` is what people read; `NETALIAS_BLESS=1` writes it.
fn the_page_is_the_table() -> Result<(), Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/differences.md");
    if std::env::var("NETALIAS_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, page())?;
    }
    let (written, wanted) = (std::fs::read_to_string(path)?, page());
    let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    if names.len() != RULES.len() {
        return Err("two rules have one name".into());
    }
    if written == wanted { Ok(()) } else { Err(format!("it should be:\n{wanted}").into()) }
}

fn docker_and_netalias_agree(docker: &Docker, seed: u64) -> Result<(), String> {
    let steps = said("NETALIAS_DIFFERENTIAL_STEPS").unwrap_or(STEPS);
    println!("NETALIAS_SEED={seed} NETALIAS_DIFFERENTIAL_STEPS={steps}");
    let started = Instant::now();
    let process = serve();
    let (networks, containers) = if steps >= LONG { (6, 16) } else { (4, 12) };
    let mut world = World::new(docker, seed, networks, containers);
    let mut tally = Tally::default();
    let lived = live(&mut world, steps, &process, seed, &mut tally);
    report(&tally, started);
    lived.map_err(|why| format!("NETALIAS_SEED={seed}\n{}\n{why}", world.commands.join("\n")))?;
    if steps >= LONG { needed(&tally) } else { Ok(()) }
}

/// What happens, and a look at each quiet point.
fn live(
    world: &mut World,
    steps: usize,
    process: &Process,
    seed: u64,
    tally: &mut Tally,
) -> Result<(), String> {
    // Questions are drawn apart from what happens, so that neither changes the other.
    let mut rng = Rng::with_seed(!seed);
    world.build()?;
    for step in 0..=steps {
        if step % EACH == 0 {
            let facts = world.facts()?;
            compare(&facts, &world.names, process, &mut rng, tally)?;
            let found = &tally.unexplained;
            if !found.is_empty() {
                let shown = found.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
                return Err(format!("{} unexplained differences:\n{shown}", found.len()));
            }
        }
        if step < steps {
            world.churn()?;
        }
    }
    Ok(())
}

/// netalias on every address of the host: a container reaches it at its network's gateway.
fn serve() -> Process {
    let v6 = std::net::UdpSocket::bind("[::]:0").is_ok();
    let listen = if v6 { "[::]:0" } else { "0.0.0.0:0" };
    let mut command = Command::new(BINARY);
    command.args(["serve", "--http", "127.0.0.1:0", "--listen", listen]);
    // As Docker: every endpoint, however it is.
    command.args(["--health", "ignore", "--answers", "all", "--forward", "off"]);
    let process = Process::start(&mut command);
    until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
    process
}

fn report(tally: &Tally, started: Instant) {
    println!(
        "{} questions to each, from {} clients at {} quiet points, in {:.1?}: {} alike in all, \
         {} made-up wrong answers noticed",
        tally.questions,
        tally.clients,
        tally.quiet_points,
        started.elapsed(),
        tally.alike,
        tally.damaged,
    );
    for rule in RULES {
        let uses = tally.rules.get(rule.name).copied().unwrap_or_default();
        println!("  {uses:>6} × {}", rule.name);
    }
}

/// A rule that a long run never needs explains nothing.
fn needed(tally: &Tally) -> Result<(), String> {
    let idle = RULES.iter().filter(|rule| !tally.rules.contains_key(rule.name));
    let idle: Vec<&str> = idle.filter(|rule| rule.rare.is_none()).map(|rule| rule.name).collect();
    if idle.is_empty() { Ok(()) } else { Err(format!("no difference needed {idle:?}")) }
}
