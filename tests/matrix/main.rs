//! Each client program asks the real binary each kind of question, as it comes: by resolv.conf,
//! on port 53. The suite has a network and a mount namespace of its own for that, which takes
//! root; without it all is ignored, as is a program that is not installed, and says so. With
//! `NETALIAS_REQUIRE_DOCKER=1` both fail instead.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

mod clients;
mod questions;
mod world;

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};
use netalias_testkit::is_required;

use clients::{Client, clients};
use questions::questions;
use world::World;

/// Set in the namespaces.
const INSIDE: &str = "NETALIAS_MATRIX_INSIDE";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if std::env::var_os(INSIDE).is_some() {
        let world = World::start();
        let code = libtest_mimic::run(&arguments, trials(false)).exit_code();
        drop(world);
        return code;
    }
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(false)).exit_code();
    }
    match possible() {
        Ok(()) => inside(),
        Err(why) if is_required() => {
            eprintln!("NETALIAS_REQUIRE_DOCKER=1, but {why}");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("SKIPPED, all tests of client programs: {why}");
            libtest_mimic::run(&arguments, trials(true)).exit_code()
        }
    }
}

/// Every client with every question that it can ask.
fn trials(ignored: bool) -> Vec<Trial> {
    let mut trials = Vec::new();
    for client in clients() {
        let missing = client.missing();
        if let Some(why) = &missing {
            eprintln!("SKIPPED, {}: {why}", client.label);
        }
        for question in questions().into_iter().filter(|question| client.can_ask(question)) {
            let (client, missing) = (client.clone(), missing.clone());
            let needed = client.needed && is_required();
            let skipped = ignored || (missing.is_some() && !needed);
            let name = format!("{}::{}", client.label, question.label);
            let run = move || match missing {
                Some(why) => Err(why.into()),
                None => verdict(&client, &question).map_err(Into::into),
            };
            trials.push(Trial::test(name, run).with_ignored_flag(skipped));
        }
    }
    trials
}

/// Whether what a client made of the answer is right.
fn verdict(client: &Client, question: &questions::Question) -> Result<(), String> {
    let (told, output) = client.ask(question);
    let right = client.right(question);
    if right.is(&told) { Ok(()) } else { Err(format!("{right:?}, not {told:?}, of:\n{output}")) }
}

/// Whether this machine lets us have namespaces of our own.
fn possible() -> Result<(), String> {
    let output = Command::new("unshare").args(["--mount", "--net", "true"]).output();
    let output = output.map_err(|error| format!("unshare: {error}"))?;
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("no namespaces, {why}")) }
}

/// This program once more, in namespaces of its own with netalias as the only name server.
fn inside() -> ExitCode {
    let itself = std::env::current_exe().expect("a path");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", world::NAMESPACES, "sh"]).arg(itself);
    let status = command.args(std::env::args_os().skip(1)).env(INSIDE, "1").status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
