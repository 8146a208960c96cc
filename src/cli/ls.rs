//! `netalias ls`: what a running server knows.

use std::net::IpAddr;

use anyhow::{Context as _, bail};

use super::ask_http::ServerArgs;
use super::table::{self, Screen};
use crate::http::{Directory, EndpointEntry, NameEntry};

/// The header, and the prompt that comes after.
const AROUND: usize = 2;
/// What stands before the state of a name that two owners claim.
const COLLISION: &str = "collision, ";
/// What stands behind the state of whoever is left out.
const NOT_ANSWERED: &str = ", not answered";

#[derive(clap::Args)]
pub(super) struct LsArgs {
    /// Show this name only
    name: Option<String>,
    /// Print JSON: all names, short ids among them
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: LsArgs) -> anyhow::Result<bool> {
    let path = match &args.name {
        Some(name) => format!("/v1/names?name={}", percent_encoded(name)),
        None => "/v1/names".to_owned(),
    };
    let (status, body) = args.server.get(&path).await?;
    if !status.is_success() {
        bail!("{}", String::from_utf8_lossy(&body).trim_end());
    }
    let directory: Directory =
        serde_json::from_slice(&body).context("the server's answer is not ours")?;
    let entries = &directory.names;
    if args.json {
        anstream::println!("{}", serde_json::to_string_pretty(&directory)?);
    } else if let (Some(name), true) = (&args.name, entries.is_empty()) {
        anstream::eprintln!("netalias: nothing has the name {name}");
    } else {
        let shown = entries.iter().filter(|e| args.name.is_some() || !goes_without_saying(e));
        show(&shown.collect::<Vec<_>>(), args.name.is_some());
        for warning in &directory.warnings {
            anstream::eprintln!("warning: {warning}");
        }
    }
    Ok(args.name.is_none() || !entries.is_empty())
}

/// Every container answers to its short id, and the host on every network: a list for people does
/// without.
fn goes_without_saying(entry: &NameEntry) -> bool {
    entry.endpoints.iter().all(|endpoint| matches!(&*endpoint.source, "id" | "host"))
}

/// One line an address; more than a screen of them is one line a name instead.
fn show(entries: &[&NameEntry], in_full: bool) {
    let screen = Screen::of_stdout();
    let full: Vec<_> = entries.iter().flat_map(|entry| rows(entry)).collect();
    if !in_full && screen.is_some_and(|screen| full.len() + AROUND > screen.height) {
        let header = ["NAME", "NETWORK", "ADDRESS", "FROM", "STATE"];
        let folded: Vec<_> = entries.iter().map(|entry| folded(entry)).collect();
        table::print_on(screen, header.map(yields), &folded);
        anstream::println!("{} names; netalias ls NAME shows one in full", folded.len());
    } else {
        let header = ["NAME", "NETWORK", "ADDRESS", "CONTAINER", "FROM", "STATE"];
        table::print_on(screen, header.map(yields), &full);
    }
}

/// What is whole or nothing: part of an address is none.
fn yields(title: &str) -> (&str, bool) {
    (title, !["ADDRESS", "FROM", "STATE"].contains(&title))
}

fn rows(entry: &NameEntry) -> Vec<[String; 6]> {
    let mut rows = Vec::new();
    for endpoint in &entry.endpoints {
        let mut row: [String; 6] = Default::default();
        row[3].clone_from(&endpoint.container);
        row[4].clone_from(&endpoint.source);
        row[5] = state(endpoint);
        if rows.is_empty() {
            row[0].clone_from(&entry.name);
            row[1].clone_from(&entry.network);
            if entry.collision {
                row[5].insert_str(0, COLLISION);
            }
        }
        let addresses = addresses(endpoint);
        row[2] = addresses.first().map(ToString::to_string).unwrap_or_default();
        rows.push(row);
        for address in addresses.into_iter().skip(1) {
            let mut row: [String; 6] = Default::default();
            row[2] = address.to_string();
            rows.push(row);
        }
    }
    rows
}

/// A name in one line: its first address and how many more there are, every source once, and how
/// many endpoints are in which state.
fn folded(entry: &NameEntry) -> [String; 5] {
    let mut found: Vec<IpAddr> = entry.endpoints.iter().flat_map(addresses).collect();
    found.sort_unstable();
    found.dedup();
    let more = found.len().saturating_sub(1);
    let first = found.first().map(ToString::to_string).unwrap_or_default();
    let address = if more == 0 { first } else { format!("{first} +{more}") };
    let sources = counted(entry.endpoints.iter().map(|endpoint| endpoint.source.clone()));
    let sources: Vec<String> = sources.into_iter().map(|(source, _)| source).collect();
    let states = counted(entry.endpoints.iter().map(|endpoint| endpoint.state.clone()));
    let counted = |(state, times): &(String, usize)| match entry.endpoints.len() {
        1 => state.clone(),
        _ => format!("{times} {state}"),
    };
    let mut state = states.iter().map(counted).collect::<Vec<_>>().join(", ");
    if !entry.endpoints.iter().any(|endpoint| endpoint.answered) {
        state.push_str(NOT_ANSWERED);
    }
    if entry.collision {
        state.insert_str(0, COLLISION);
    }
    [entry.name.clone(), entry.network.clone(), address, sources.join(","), state]
}

fn addresses(endpoint: &EndpointEntry) -> Vec<IpAddr> {
    let v6 = endpoint.v6.map(IpAddr::V6);
    endpoint.v4.map(IpAddr::V4).into_iter().chain(v6).collect()
}

fn state(endpoint: &EndpointEntry) -> String {
    let left_out = if endpoint.answered { "" } else { NOT_ANSWERED };
    format!("{}{left_out}", endpoint.state)
}

/// Each once, in the order of its first time, and how often.
fn counted(texts: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for text in texts {
        match counted.iter_mut().find(|(known, _)| *known == text) {
            Some((_, times)) => *times += 1,
            None => counted.push((text, 1)),
        }
    }
    counted
}

/// Every octet that is not unreserved (RFC 3986 section 2.3) as `%XX`.
fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|octet| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(octet).to_string()
        }
        _ => format!("%{octet:02X}"),
    });
    encoded.collect()
}
