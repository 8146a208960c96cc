//! `netalias query`: asks over DNS and shows the answers and their spread.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::ask_http::reachable;
use super::{as_client, table};
use crate::config::{Config, Settings};
use crate::dns::{Transport, ask};

/// Enough look-ups to tell an even spread from an accident.
const AS_CLIENT: u32 = 300;

#[derive(clap::Args)]
pub(super) struct QueryArgs {
    /// The name to ask for
    name: String,
    /// The type of the question [default: A; A and AAAA with --as-client]
    r#type: Option<String>,
    /// Ask this often, and count how often each answer came first [default: 1; 300 with
    /// --as-client]
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u32>,
    /// Also look the name up as programs do, and show which address they get to use
    ///
    /// That is the first address of getaddrinfo, which sorts what the server sent (RFC 6724). It
    /// asks the servers of /etc/resolv.conf, whatever --server says, reads /etc/hosts and follows
    /// `search`. In a static binary, as in the image, it is the resolver of the C library that
    /// was linked in, not that of the system.
    #[arg(long, conflicts_with = "type")]
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
    let text = args.r#type.as_deref().unwrap_or("A");
    let qtype: RecordType =
        text.to_uppercase().parse().with_context(|| format!("{text:?} is no record type"))?;
    let count = args.count.unwrap_or(if args.as_client { AS_CLIENT } else { 1 });
    if count == 0 {
        bail!("-n 0 asks nothing; ask at least once");
    }
    let defaults = Settings { listen: args.listen.clone(), ..Settings::default() };
    let listen = Config::new(defaults, Settings::default(), None)?.listen;
    let server = args.server.unwrap_or_else(|| reachable(listen[0]));
    if args.as_client {
        return as_client::run(&args.name, &name, server, count, args.json).await;
    }
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
    let report = report(&args.name, qtype, count, server, &answer, first);
    if args.json {
        anstream::println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, &answer, transport, time);
    }
    Ok(answer.metadata.response_code == ResponseCode::NoError && !answer.answers.is_empty())
}

fn report(
    name: &str,
    qtype: RecordType,
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
        name: name.to_owned(),
        r#type: qtype.to_string(),
        count,
        rcode: rcode(message),
        answers: answers.collect(),
        first,
    }
}

fn print(report: &Report, message: &Message, transport: Transport, time: Duration) {
    if report.count > 1 {
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
