//! `bench`: how fast netalias is, beside the kernel's limit and its peers, and how it grows.

mod answer;
mod batch;
mod compare;
mod limit;
mod load;
mod netalias;
mod peers;
mod sandbox;
mod server;
mod table;
mod workload;

use std::process::ExitCode;

use clap::Parser;

/// Measures netalias. bench/README.md says how, and what the figures mean.
#[derive(Parser)]
#[command(name = "bench")]
enum Command {
    /// Servers side by side: answers a second, what one costs, how long it takes
    Compare(compare::CompareArgs),
    /// The responder that marks the kernel's limit
    Limit(limit::LimitArgs),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Compare(args) => compare::run(&args),
        Command::Limit(args) => limit::run(&args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}
