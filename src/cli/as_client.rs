//! `netalias query --as-client`: what the system's own resolver picks, beside what DNS gave.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use anyhow::Context as _;
use hickory_proto::rr::{Name, RData, RecordType};

use super::table;
use crate::dns::ask;

/// How often each address came first.
type Firsts = BTreeMap<IpAddr, u32>;

/// Both sides, each asked `count` times.
#[derive(serde::Serialize)]
struct Report {
    server: SocketAddr,
    name: String,
    count: u32,
    /// First in the server's answers to questions for A, and to as many for AAAA.
    dns: Firsts,
    /// First in what `getaddrinfo` returned.
    client: Firsts,
    /// Why it returned nothing, and how often.
    failures: BTreeMap<String, u32>,
}

/// True when both sides have an address.
pub(super) async fn run(
    text: &str,
    name: &Name,
    server: SocketAddr,
    count: u32,
    json: bool,
) -> anyhow::Result<bool> {
    let mut dns = Firsts::new();
    for qtype in [RecordType::A, RecordType::AAAA] {
        for _ in 0..count {
            let (answer, _) = ask(server, name, qtype).await?;
            let mut addresses = answer.answers.iter().filter_map(|record| address(&record.data));
            if let Some(first) = addresses.next() {
                *dns.entry(first).or_default() += 1;
            }
        }
    }
    let owned = text.to_owned();
    let picked = tokio::task::spawn_blocking(move || pick(&owned, count)).await;
    let (client, failures) = picked.context("the system's resolver")?;
    let report = Report { server, name: text.to_owned(), count, dns, client, failures };
    if json {
        anstream::println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(!report.dns.is_empty() && !report.client.is_empty())
}

/// The first address of each look-up, as a program meets it that connects to a name.
fn pick(name: &str, count: u32) -> (Firsts, BTreeMap<String, u32>) {
    let (mut firsts, mut failures) = (Firsts::new(), BTreeMap::new());
    for _ in 0..count {
        // The port is no part of the look-up: the standard library fills it in afterwards.
        match (name, 0).to_socket_addrs().map(|mut addresses| addresses.next()) {
            Ok(Some(first)) => *firsts.entry(first.ip()).or_default() += 1,
            Ok(None) => *failures.entry("no address".to_owned()).or_default() += 1,
            Err(error) => *failures.entry(error.to_string()).or_default() += 1,
        }
    }
    (firsts, failures)
}

fn print(report: &Report) {
    let mut addresses: Vec<&IpAddr> = report.dns.keys().chain(report.client.keys()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let times = |firsts: &Firsts, address: &IpAddr| firsts.get(address).unwrap_or(&0).to_string();
    let row = |address: &&IpAddr| {
        [address.to_string(), times(&report.dns, address), times(&report.client, address)]
    };
    let rows: Vec<[String; 3]> = addresses.iter().map(row).collect();
    if !rows.is_empty() {
        table::print(["ADDRESS", "FIRST IN DNS", "PICKED"], &rows);
    }
    for (why, times) in &report.failures {
        anstream::println!("the system's resolver found nothing, {times} times: {why}");
    }
    let Report { server, count, .. } = report;
    anstream::println!(
        "{server} asked {count} times for A and for AAAA, the system's resolver {count} times"
    );
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    }
}
