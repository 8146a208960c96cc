//! The command line: one command a file; `serve` alone wires tasks together.

mod as_client;
mod ask_http;
mod check;
mod demo;
mod healthcheck;
mod ls;
mod own_container;
mod query;
mod reload;
mod serve;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Settings};

/// Docker's network-alias DNS as a service of its own: rotating answers from a live engine.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Follow the engine and answer for its names
    Serve(ConfigArgs),
    /// Play a scenario without an engine, and answer for its names
    Demo(demo::DemoArgs),
    /// Show the names that a running server knows
    Ls(ls::LsArgs),
    /// Ask over DNS and show the answers, and how they are spread
    Query(query::QueryArgs),
    /// Check the configuration, and print what would be in force
    Check(ConfigArgs),
    /// Exit 0 if a running server can answer, 1 if not: for a container's HEALTHCHECK
    Healthcheck(ask_http::ServerArgs),
}

/// The configuration's sources.
#[derive(Args)]
struct ConfigArgs {
    /// Read this file, too; flags and environment beat it
    #[arg(long, value_name = "FILE", env = "NETALIAS_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// "The answer is no": nothing failed, but there is nothing.
const NO: u8 = 1;
/// Wrong usage, a wrong configuration, or something out of reach.
const FAILED: u8 = 2;

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where help or the message cannot be written, the code still tells.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(FAILED));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(cli.command));
            // A thread that waits for somebody to type would be waited for.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error).context("cannot start the runtime"),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NO),
        Err(error) => {
            anstream::eprintln!("netalias: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// True: done. False: the answer is no.
async fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Ls(args) => ls::run(args).await,
        Command::Query(args) => query::run(args).await,
        Command::Check(args) => check::run(&args),
        Command::Healthcheck(args) => Ok(healthcheck::run(args).await),
    }
}

impl ConfigArgs {
    fn load(&self) -> anyhow::Result<Config> {
        let file = match &self.config {
            Some(path) => Settings::from_toml(&path.display().to_string(), &reload::read(path)?)?,
            None => Settings::default(),
        };
        let docker_host = std::env::var("DOCKER_HOST").ok();
        Ok(Config::new(self.settings.clone(), file, docker_host.as_deref())?)
    }
}
