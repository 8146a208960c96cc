//! Octets that mean no good, in process: each fuzz target over its corpus and over mutants of it.
//! It prints its seed; set `NETALIAS_SEED` to it to see the same run again, and
//! `NETALIAS_MUTATIONS` to the number of mutants of each target.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

mod mutate;
// The fuzz package exports them.
#[allow(unreachable_pub)]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;
use mutate::{corpus, mutant};
use netalias_testkit::{said, seed};

/// Mutants of each target, unless more are wanted.
const MUTATIONS: usize = 5_000;

/// A run: the seed and the number of mutants.
fn wanted() -> (u64, usize) {
    let (seed, many) = (seed(), said("NETALIAS_MUTATIONS").unwrap_or(MUTATIONS));
    eprintln!("NETALIAS_SEED={seed}");
    (seed, many)
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
fn lists_of_an_engine() {
    run("list");
}

#[test]
fn scenarios() {
    run("scenario");
}

#[test]
fn configurations() {
    run("config");
}

#[test]
fn libfuzzer_has_the_same_targets() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    let bins = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    let bins: Vec<&str> = bins.filter_map(|rest| rest.strip_suffix(".rs\"")).collect();
    assert_eq!(bins, targets::TARGETS.map(|(name, _)| name));
}
