//! What clients get to use, through Docker's own DNS and through netalias: how their first choice
//! is spread, and what fails while backends are replaced. Needs a Docker engine and root, to be in
//! a container's place with the machine's programs; without either the tests are ignored, and say
//! so, and with `NETALIAS_REQUIRE_DOCKER=1` they fail instead. `NETALIAS_CLIENTS_TABLE=1` writes
//! what was measured to target/clients.md.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

#[path = "clients/as_client.rs"]
mod as_client;
#[path = "clients/inside.rs"]
mod inside;
#[path = "clients/load.rs"]
mod load;
#[path = "clients/programs.rs"]
mod programs;
#[path = "clients/replacement.rs"]
mod replacement;
#[path = "clients/spread.rs"]
mod spread;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use libtest_mimic::{Arguments, Trial};
use netalias_testkit::{Docker, Process, is_required, until};

const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
/// What is skipped where it cannot run.
const SUITE: &str = "all tests of clients on a real engine";
/// Does its part and returns what to print.
type Test = fn(&Docker) -> String;

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(load::ROLE) {
        load::run(&name);
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // Side by side they would take each other's time, and the machine's two ends of port 53.
    arguments.test_threads = Some(1);
    let listing = arguments.list;
    let docker = match inside::possible() {
        Err(why) if is_required() && !listing => {
            eprintln!("NETALIAS_REQUIRE_DOCKER=1, but {why}");
            return ExitCode::FAILURE;
        }
        Err(why) => {
            eprintln!("SKIPPED, {SUITE}: {why}");
            None
        }
        Ok(()) => Docker::for_suite(SUITE, listing),
    };
    let measured: &'static Mutex<Vec<String>> = Box::leak(Box::default());
    let all: [(&str, Test); 4] = [
        ("the_first_choice_on_a_v4_only_network", spread::v4_only),
        ("the_first_choice_on_a_dual_stack_network", spread::dual_stack),
        ("a_rolling_replacement", replacement::under_load),
        ("query_as_client_in_a_container", as_client::all_sticks_and_sortproof_spreads),
    ];
    let trial = |(name, test): (&str, Test)| {
        let run = move || {
            let docker = docker.ok_or("no engine")?;
            docker.clean();
            let text = test(docker);
            println!("{text}");
            measured.lock().expect("a lock").push(text);
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(docker.is_none() && !listing)
    };
    let conclusion = libtest_mimic::run(&arguments, all.into_iter().map(trial).collect());
    if let Some(docker) = docker {
        docker.clean();
        if std::env::var("NETALIAS_CLIENTS_TABLE").is_ok_and(|value| value == "1") {
            write_down(docker, &measured.lock().expect("a lock"));
        }
    }
    conclusion.exit_code()
}

/// The tables, with what they depend on.
fn write_down(docker: &Docker, measured: &[String]) {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned()
    };
    let engine = docker.run(&["version", "--format", "{{.Server.Version}}"]);
    let machine = format!(
        "{}: Docker Engine {engine}, Linux {}, {}",
        said("date", &["+%Y-%m-%d"]),
        said("uname", &["-r"]),
        said("getconf", &["GNU_LIBC_VERSION"]),
    );
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder");
    let file = target.join("clients.md");
    let text = format!("{machine}\n\n{}\n", measured.join("\n").trim());
    std::fs::write(&file, text).expect("target/clients.md");
    println!("written to {}", file.display());
}

/// netalias on the host, at a network's gateway, where its containers reach it.
fn serve(gateway: &str, answers: &str) -> Process {
    let mut command = Command::new(BINARY);
    let listen = format!("{gateway}:53");
    let ours = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("NETALIAS_"));
    for name in ours {
        command.env_remove(name);
    }
    command.args(["serve", "--listen", &listen, "--http", "127.0.0.1:0"]);
    command.args(["--order", "rotate", "--answers", answers, "--forward", "off"]);
    let process = Process::start(&mut command);
    until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
    process
}
