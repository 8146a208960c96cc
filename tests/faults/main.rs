//! Whatever happens to a real engine, the answers stay right: one of the test's own is stopped,
//! killed, flooded, and spoilt on the way, and its containers live and die in every way.
//!
//! Where none can be made the tests are ignored, and say so; with `NETALIAS_REQUIRE_DOCKER=1`
//! they fail instead.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

mod containers;
mod daemon;
mod flood;
mod following;
mod privilege;
mod storm;
mod tls;
mod way;

use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Trial};
use netalias_testkit::OwnEngine;

/// A test that has the engine to itself.
type Test = fn(&mut OwnEngine);

fn main() {
    let mut arguments = Arguments::from_args();
    // One engine, and tests that stop it: one at a time.
    arguments.test_threads = Some(1);
    let listing = arguments.list;
    let engine = OwnEngine::for_suite("all faults of a real engine", listing);
    let missing = engine.is_none();
    let engine = Arc::new(Mutex::new(engine));
    let tests = [daemon::TESTS, way::TESTS, containers::TESTS, privilege::TESTS];
    let more: [&[(&str, Test)]; 3] = [tls::TESTS, flood::TESTS, storm::TESTS];
    let tests = tests.into_iter().chain(more).flatten();
    let trials = tests.map(|(name, test)| {
        let engine = engine.clone();
        let trial = Trial::test(*name, move || {
            // A test that has failed leaves the engine to the next one.
            let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
            let engine = engine.as_mut().ok_or("no engine")?;
            if !engine.is_running() {
                engine.start_again();
            }
            engine.docker().clean();
            test(engine);
            Ok(())
        });
        trial.with_ignored_flag(missing && !listing)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    drop(engine.lock().unwrap_or_else(PoisonError::into_inner).take());
    conclusion.exit();
}
