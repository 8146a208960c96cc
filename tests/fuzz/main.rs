//! Octets that mean no good, in process: each fuzz target over its corpus and over mutants of it.
//! It prints its seed; set `NETALIAS_SEED` to it to see the same run again, and
//! `NETALIAS_MUTATIONS` to the number of mutants of each target.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

mod mutate;
// The fuzz package exports them.
#[allow(unreachable_pub)]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use mutate::mutant;

/// Mutants of each target, unless more are wanted.
const MUTATIONS: usize = 5_000;

/// A run: the seed and the number of mutants.
fn wanted() -> (u64, usize) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let number = |key: &str| std::env::var(key).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("NETALIAS_SEED").unwrap_or(u64::try_from(now % (1 << 60)).expect("small"));
    let many = number("NETALIAS_MUTATIONS").map_or(MUTATIONS, |n| usize::try_from(n).expect("n"));
    eprintln!("NETALIAS_SEED={seed}");
    (seed, many)
}

/// What is kept for a target, in an order of its own.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(folder).expect("a corpus");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a file")).collect()
}

fn run(target: &str) {
    let (_, body) = targets::TARGETS.into_iter().find(|(name, _)| *name == target).expect("one");
    let (seed, many) = wanted();
    let corpus = corpus(target);
    assert!(corpus.len() >= 10, "{} files for {target}", corpus.len());
    let mut chance = Rng::with_seed(seed);
    let told = |octets: &[u8]| {
        let text = octets.escape_ascii();
        format!("NETALIAS_SEED={seed} NETALIAS_MUTATIONS={many} {target}: b\"{text}\"")
    };
    let one = |octets: &[u8]| {
        let outcome = catch_unwind(AssertUnwindSafe(|| body(octets)));
        assert!(outcome.is_ok(), "{}", told(octets));
    };
    for octets in &corpus {
        one(octets);
    }
    for _ in 0..many {
        let parents = [(); 2].map(|()| &corpus[chance.usize(..corpus.len())]);
        one(&mutant(&mut chance, parents[0], parents[1]));
    }
    eprintln!("{target}: {} of the corpus, {many} mutants", corpus.len());
}

#[test]
fn requests() {
    run("request");
}

#[test]
fn answers_of_other_servers() {
    run("upstream");
}

#[test]
fn events_of_an_engine() {
    run("event");
}

#[test]
fn what_an_engine_says_of_containers_and_networks() {
    run("inspect");
}

#[test]
fn scenarios() {
    run("scenario");
}

#[test]
fn configurations() {
    run("config");
}
