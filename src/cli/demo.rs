//! `netalias demo`: plays a scenario and serves it, without an engine.

use std::io::Write as _;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::ConfigArgs;
use super::reload::Watched;
use super::serve::{Server, joined, start_log};
use crate::config::Config;
use crate::source::scenario::{self, Command, Line, Player, ScenarioError};

#[derive(clap::Args)]
pub(super) struct DemoArgs {
    /// The scenario's file, or - to type it in; without it, three containers share an alias and a
    /// fourth one joins them
    scenario: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    let watched = Watched::start(args.config)?;
    let config = &watched.config;
    start_log(config)?;
    let lines = match args.scenario.as_deref() {
        Some("-") => None,
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("cannot read the scenario {path}"))?;
            Some((path, scenario::parse(path, &text)?))
        }
        None => Some((scenario::DEMO_NAME, scenario::parse(scenario::DEMO_NAME, scenario::DEMO)?)),
    };
    let server = Server::start(config, &[]).await?;
    greet(&server, config)?;
    server.keep_watch(watched);
    let player = Player::new(server.publisher.clone());
    let scenario = async {
        match lines {
            Some((file, lines)) => play(player, file, lines).await,
            None => play_typed(player).await,
        }
    };
    let stopped = server.until_told_to_stop();
    tokio::pin!(stopped);
    tokio::select! {
        result = &mut stopped => result?,
        result = scenario => {
            result?;
            stopped.await?;
        }
    }
    Ok(true)
}

fn greet(server: &Server, config: &Config) -> anyhow::Result<()> {
    say(&format!("DNS on {}, HTTP on {}; no engine is asked", joined(&server.dns), server.http))?;
    if let (Some(address), Some(domain)) = (server.dns.first(), config.domain.first()) {
        let at = format!("@{} -p {}", address.ip(), address.port());
        say(&format!("try: dig {at} inner-dns-net"))?;
        say(&format!("     dig {at} inner-dns-net.{}", domain.name))?;
    }
    Ok(())
}

async fn play(mut player: Player, file: &str, lines: Vec<Line>) -> anyhow::Result<()> {
    for line in lines {
        say(&format!("$ {}", line.text))?;
        if let Command::Sleep(pause) = line.command {
            tokio::time::sleep(pause).await;
        }
        carry_out(&mut player, file, &line)?;
    }
    say("that is the whole scenario; still serving, Ctrl-C ends it")
}

/// Plays what is typed; a wrong line is told and changes nothing.
async fn play_typed(mut player: Player) -> anyhow::Result<()> {
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut number = 0;
    while let Some(text) = input.next_line().await.context("cannot read the scenario")? {
        number += 1;
        let result = match scenario::parse_line("-", number, &text) {
            Ok(Some(line)) => carry_out(&mut player, "-", &line),
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(()) => say(&format!("$ {text}"))?,
            Err(error) => say(&format!("! {error:#}"))?,
        }
    }
    Ok(())
}

fn carry_out(player: &mut Player, file: &str, line: &Line) -> anyhow::Result<()> {
    player.play(&line.command).map_err(|error| {
        let what = error.to_string();
        ScenarioError { file: file.to_owned(), line: line.number, column: 1, what }.into()
    })
}

/// Writes a line at once: whoever reads a pipe waits for it.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}
