//! `netalias ls`: what a running server knows.

use anyhow::{Context as _, bail};

use super::ask_http::ServerArgs;
use super::table;
use crate::http::{Directory, NameEntry};

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
        let shown =
            entries.iter().filter(|entry| args.name.is_some() || !goes_without_saying(entry));
        table::print(
            ["NAME", "NETWORK", "ADDRESS", "CONTAINER", "FROM", "STATE"],
            &shown.flat_map(rows).collect::<Vec<_>>(),
        );
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

fn rows(entry: &NameEntry) -> Vec<[String; 6]> {
    let mut rows = Vec::new();
    for endpoint in &entry.endpoints {
        let v4 = endpoint.v4.map(|address| address.to_string());
        let v6 = endpoint.v6.map(|address| address.to_string());
        let state = if endpoint.answered {
            endpoint.state.clone()
        } else {
            format!("{}, not answered", endpoint.state)
        };
        let mut row: [String; 6] = Default::default();
        row[3].clone_from(&endpoint.container);
        row[4].clone_from(&endpoint.source);
        row[5] = state;
        if rows.is_empty() {
            row[0].clone_from(&entry.name);
            row[1].clone_from(&entry.network);
        }
        let addresses: Vec<String> = v4.into_iter().chain(v6).collect();
        row[2] = addresses.first().cloned().unwrap_or_default();
        rows.push(row);
        for address in addresses.into_iter().skip(1) {
            let mut row: [String; 6] = Default::default();
            row[2] = address;
            rows.push(row);
        }
    }
    rows
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
