//! `bench`: how fast netalias is, beside the kernel's limit and its peers, and how it grows.

mod answer;
mod batch;
mod compare;
mod docker;
mod engine;
mod flood;
mod inspects;
mod limit;
mod load;
mod netalias;
mod peers;
mod real;
mod sandbox;
mod scale;
mod server;
mod soak;
mod table;
mod workload;
mod zones;

use std::process::ExitCode;

use clap::Parser;

/// Measures netalias. bench/README.md says how, and what the figures mean.
#[derive(Parser)]
#[command(name = "bench")]
enum Command {
    /// Servers side by side: answers a second, what one costs, how long it takes
    Compare(compare::CompareArgs),
    /// What grows with the number of endpoints: start, memory, changes, answers, a resync
    Scale(scale::ScaleArgs),
    /// More questions than can be answered: answers, memory, and the other duties meanwhile
    Flood(flood::FloodArgs),
    /// Changes and questions at once for long: exit code 1 if anything grows or is wrong
    Soak(soak::SoakArgs),
    /// How many inspects under way at once are good for netalias and for others
    Inspects(inspects::InspectsArgs),
    /// From a change in a real engine to the answer: exit code 1 if it is late
    Real(real::RealArgs),
    /// The responder that marks the kernel's limit
    Limit(limit::LimitArgs),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Compare(args) => compare::run(&args),
        Command::Scale(args) => scale::run(&args),
        Command::Flood(args) => flood::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Inspects(args) => inspects::run(&args),
        Command::Real(args) => real::run(&args),
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
