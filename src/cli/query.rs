//! `netalias query`: asks over DNS and shows the answers and their spread.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::ask_http::reachable;
use super::table;
use crate::config::{Config, Settings};
use crate::dns::{Transport, ask};

#[derive(clap::Args)]
pub(super) struct QueryArgs {
    /// The name to ask for
    name: String,
    /// The type of the question
    #[arg(default_value = "A")]
    r#type: String,
    /// Ask this often, and count how often each answer came first [default: 1]
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u32>,
    /// Show beside it what this system's own resolver (getaddrinfo) picks [default count: 300]
    #[arg(long)]
    as_client: bool,
    /// The server to ask [default: 127.0.0.1:1053]
    #[arg(long, value_name = "ADDR:PORT")]
    server: Option<SocketAddr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where `serve` was told to listen: the default of --server
    #[arg(long, hide = true, env = "NETALIAS_LISTEN", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
}

/// What came back, in the order of the questions.
#[derive(serde::Serialize)]
struct Report {
    server: SocketAddr,
    name: String,
    r#type: String,
    count: u32,
    /// Of the last answer.
    rcode: String,
    /// The records of the last answer.
    answers: Vec<Answer>,
    /// How often each came first.
    first: BTreeMap<String, u32>,
    /// How often the system's own resolver gave each one first.
    #[serde(skip_serializing_if = "Option::is_none")]
    picked: Option<BTreeMap<String, u32>>,
}

#[derive(serde::Serialize)]
struct Answer {
    name: String,
    ttl: u32,
    r#type: String,
    data: String,
}

pub(super) async fn run(args: QueryArgs) -> anyhow::Result<bool> {
    let mut name = Name::from_ascii(&args.name)
        .with_context(|| format!("{:?} is no name to ask for", args.name))?;
    name.set_fqdn(true);
    let qtype: RecordType = args
        .r#type
        .to_uppercase()
        .parse()
        .with_context(|| format!("{:?} is no record type", args.r#type))?;
    let count = args.count.unwrap_or(if args.as_client { CLIENT_COUNT } else { 1 });
    if count == 0 {
        bail!("-n 0 asks nothing; ask at least once");
    }
    let defaults = Settings { listen: args.listen.clone(), ..Settings::default() };
    let listen = Config::new(defaults, Settings::default(), None)?.listen;
    let server = args.server.unwrap_or_else(|| reachable(listen[0]));
    let mut first = BTreeMap::new();
    let mut last = None;
    for _ in 0..count {
        let started = Instant::now();
        let (answer, transport) = ask(server, &name, qtype).await?;
        if let Some(record) = answer.answers.iter().find(|r| r.record_type() == qtype) {
            *first.entry(record.data.to_string()).or_default() += 1;
        }
        last = Some((answer, transport, started.elapsed()));
    }
    let Some((answer, transport, time)) = last else { bail!("nothing was asked") };
    let mut report = report(&args, count, server, &answer, first);
    if args.as_client {
        let name = args.name.clone();
        report.picked = Some(tokio::task::spawn_blocking(move || picked(&name, count)).await??);
    }
    if args.json {
        anstream::println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, &answer, transport, time);
    }
    Ok(answer.metadata.response_code == ResponseCode::NoError && !answer.answers.is_empty())
}

/// How often the system's resolver is asked, where nothing else is said: enough to see a spread.
const CLIENT_COUNT: u32 = 300;

/// What a program that connects to the name would take: the first address of each getaddrinfo.
/// It goes its own way (hosts file, resolv.conf, sorting by RFC 6724), and not to `--server`.
fn picked(name: &str, count: u32) -> anyhow::Result<BTreeMap<String, u32>> {
    let mut picked = BTreeMap::new();
    for _ in 0..count {
        let found = (name, 0).to_socket_addrs();
        let mut found =
            found.with_context(|| format!("this system's resolver does not find {name}"))?;
        let first = found.next().context("this system's resolver found no address")?;
        *picked.entry(first.ip().to_string()).or_default() += 1;
    }
    Ok(picked)
}

fn report(
    args: &QueryArgs,
    count: u32,
    server: SocketAddr,
    message: &Message,
    first: BTreeMap<String, u32>,
) -> Report {
    let answers = message.answers.iter().map(|record| Answer {
        name: record.name.to_string(),
        ttl: record.ttl,
        r#type: record.record_type().to_string(),
        data: record.data.to_string(),
    });
    Report {
        server,
        name: args.name.clone(),
        r#type: args.r#type.to_uppercase(),
        count,
        rcode: rcode(message),
        answers: answers.collect(),
        first,
        picked: None,
    }
}

fn print(report: &Report, message: &Message, transport: Transport, time: Duration) {
    if let Some(picked) = &report.picked {
        let addresses: BTreeSet<&String> = report.first.keys().chain(picked.keys()).collect();
        let times = |counts: &BTreeMap<String, u32>, address: &String| {
            counts.get(address).copied().unwrap_or_default().to_string()
        };
        let row = |address: &String| {
            [address.clone(), times(&report.first, address), times(picked, address)]
        };
        let rows: Vec<[String; 3]> = addresses.into_iter().map(row).collect();
        table::print(["ADDRESS", "CAME FIRST", "PICKED"], &rows);
    } else if report.count > 1 {
        let row = |(data, times): (&String, &u32)| [data.clone(), times.to_string()];
        let rows: Vec<[String; 2]> = report.first.iter().map(row).collect();
        table::print(["CAME FIRST", "TIMES"], &rows);
    } else if !report.answers.is_empty() {
        let row = |answer: &Answer| {
            [
                answer.name.clone(),
                answer.ttl.to_string(),
                answer.r#type.clone(),
                answer.data.clone(),
            ]
        };
        let rows: Vec<[String; 4]> = report.answers.iter().map(row).collect();
        table::print(["NAME", "TTL", "TYPE", "DATA"], &rows);
    }
    let protocol = match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    };
    let nodata =
        message.metadata.response_code == ResponseCode::NoError && report.answers.is_empty();
    let rcode = if nodata { "NODATA" } else { &report.rcode };
    let times = if report.count > 1 { format!("{} times, ", report.count) } else { String::new() };
    let records = match report.answers.len() {
        1 => "1 record".to_owned(),
        n => format!("{n} records"),
    };
    let ms = time.as_secs_f64() * 1000.0;
    anstream::println!(
        "{rcode}, {records} from {} by {protocol}, {times}last in {ms:.1} ms",
        report.server,
    );
}

/// The code as dig spells it.
fn rcode(message: &Message) -> String {
    match message.metadata.response_code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        other => other.to_string(),
    }
}
