//! The asking side: this test's binary again, in a container's network namespace.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use netalias_testkit::until;
use serde::{Deserialize, Serialize};

/// The argument that makes the test's binary the asking side.
pub(crate) const ROLE: &str = "ask-from-this-network-namespace";
/// The resolver that every test container is given by `--dns`. The asking side answers there, so
/// that a question which Docker passes on is told from one that it answers itself, at once, and
/// nothing leaves the machine.
pub(crate) const UPSTREAM: &str = "127.0.0.54";
/// Docker's resolver, as every container sees it.
const DOCKER: &str = "127.0.0.11:53";
/// The primary server in the negative answers of our upstream.
const MARK: &str = "passed-on.invalid.";
/// Both servers are on this machine; a datagram that is lost is asked again.
const TIMEOUT: Duration = Duration::from_secs(1);
const TRIES: u8 = 3;
/// Questions under way: fewer than a socket's buffer has room for.
const WINDOW: usize = 32;

/// A name as it is spelt on the wire, without the final dot, and a type.
pub(crate) type Question = (String, String);

/// What the asking side is told.
#[derive(Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Where netalias can be reached from there.
    pub(crate) netalias: SocketAddr,
    /// The source addresses that are the container's.
    pub(crate) sources: Vec<IpAddr>,
    /// What both servers are asked.
    pub(crate) questions: Vec<Question>,
}

/// What came back, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Nothing listens there.
    Nobody,
    /// No answer came.
    Silence,
    /// It was asked of our upstream.
    PassedOn,
    /// An answer of the server's own.
    Answer(Answer),
}

/// An answer without its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The response code's mnemonic.
    pub(crate) code: String,
    /// The AA bit.
    pub(crate) authoritative: bool,
    /// The TTL of all records in the answer section.
    pub(crate) ttl: Option<u32>,
    /// Whether a SOA says how long it may be taken for negative.
    pub(crate) soa: bool,
    /// Whether question and owner names came back in the case of the question.
    pub(crate) case_kept: bool,
    /// The data of the answer section.
    pub(crate) data: BTreeSet<String>,
}

/// Asks both servers from the network namespace of a process: Docker's reply and netalias's to
/// each question.
pub(crate) fn ask_from(pid: u32, batch: &Batch) -> Result<Vec<(Reply, Reply)>, String> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = enter(pid);
    command.arg(here).arg(ROLE).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("nsenter: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let text = serde_json::to_vec(batch).map_err(|error| error.to_string())?;
        stdin.write_all(&text).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("the asking side ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Why network namespaces cannot be entered, if they cannot.
pub(crate) fn obstacle() -> Option<String> {
    let output = enter(std::process::id()).arg("true").output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("nsenter: {error}")),
    }
}

/// A command in the network namespace of a process, which only root may enter.
fn enter(pid: u32) -> Command {
    let root = std::fs::metadata("/proc/self/ns/net").is_ok_and(|_| is_root());
    let mut command = Command::new(if root { "nsenter" } else { "sudo" });
    if !root {
        command.args(["-n", "nsenter"]);
    }
    command.args(["--net", "--target", &pid.to_string(), "--"]);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The asking side's whole life: a batch on standard input, replies on standard output.
pub(crate) fn serve() -> io::Result<()> {
    let batch: Batch = serde_json::from_reader(io::stdin().lock())?;
    let upstream = UdpSocket::bind((UPSTREAM, 53))?;
    thread::spawn(move || answer_as_upstream(&upstream));
    let docker = connect(DOCKER.parse().map_err(io::Error::other)?)?;
    let docker = ask_all(&docker, &batch.questions)?;
    // An address that is new on its interface may not be used as a source yet.
    let (netalias, _) = until("the container's address is the source", || {
        let socket = connect(batch.netalias).ok()?;
        let source = socket.local_addr().ok()?.ip();
        batch.sources.contains(&source).then_some(socket)
    });
    let netalias = ask_all(&netalias, &batch.questions)?;
    let pairs: Vec<_> = docker.into_iter().zip(netalias).collect();
    serde_json::to_writer(io::stdout().lock(), &pairs)?;
    Ok(())
}

fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

/// A question that waits for its answer.
struct Flight {
    index: usize,
    sent: Instant,
    tries: u8,
}

/// Asks all questions over one socket, many at a time.
fn ask_all(socket: &UdpSocket, questions: &[Question]) -> io::Result<Vec<Reply>> {
    let wire: Vec<Message> =
        questions.iter().enumerate().map(message).collect::<io::Result<_>>()?;
    let send = |index: usize| {
        let bytes = wire[index].to_vec().map_err(io::Error::other)?;
        socket.send(&bytes).map(drop)
    };
    let mut replies: Vec<Option<Reply>> = vec![None; questions.len()];
    let mut flights: Vec<Flight> = Vec::new();
    let mut next = 0;
    let mut buffer = [0; 4096];
    while next < wire.len() || !flights.is_empty() {
        while flights.len() < WINDOW && next < wire.len() {
            match send(next) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Ok(vec![Reply::Nobody; questions.len()]);
                }
                outcome => outcome?,
            }
            flights.push(Flight { index: next, sent: Instant::now(), tries: 1 });
            next += 1;
        }
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let Ok(answer) = Message::from_vec(&buffer[..length]) else { continue };
                let index = usize::from(answer.metadata.id);
                let Some(at) = flights.iter().position(|flight| flight.index == index) else {
                    continue;
                };
                flights.swap_remove(at);
                replies[index] = Some(reply(&wire[index], &answer));
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                return Ok(vec![Reply::Nobody; questions.len()]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        for flight in flights.iter_mut().filter(|flight| flight.sent.elapsed() >= TIMEOUT) {
            flight.tries += 1;
            flight.sent = Instant::now();
            if flight.tries <= TRIES {
                send(flight.index)?;
            } else {
                replies[flight.index] = Some(Reply::Silence);
            }
        }
        flights.retain(|flight| replies[flight.index].is_none());
    }
    Ok(replies.into_iter().map(|reply| reply.unwrap_or(Reply::Silence)).collect())
}

fn message((index, (name, qtype)): (usize, &Question)) -> io::Result<Message> {
    let mut message = Message::query();
    message.metadata.id = u16::try_from(index).map_err(io::Error::other)?;
    message.metadata.recursion_desired = true;
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    message.set_edns(edns);
    let name = Name::from_ascii(format!("{name}.")).map_err(io::Error::other)?;
    let qtype: RecordType = qtype.parse().map_err(io::Error::other)?;
    message.add_query(Query::query(name, qtype));
    Ok(message)
}

fn reply(question: &Message, answer: &Message) -> Reply {
    let marks = |record: &Record| match &record.data {
        RData::SOA(soa) => soa.mname.to_ascii() == MARK,
        _ => false,
    };
    if answer.authorities.iter().any(marks) {
        return Reply::PassedOn;
    }
    let asked = question.queries[0].name();
    let owners = answer.answers.iter().map(|record| &record.name);
    let mut names = answer.queries.iter().map(Query::name).chain(owners);
    let code = match answer.metadata.response_code {
        _ if answer.metadata.truncation => "TRUNCATED".to_owned(),
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    };
    Reply::Answer(Answer {
        code,
        authoritative: answer.metadata.authoritative,
        ttl: answer.answers.iter().map(|record| record.ttl).max(),
        soa: answer.authorities.iter().any(|r| matches!(r.data, RData::SOA(_))),
        case_kept: names.all(|name| name.eq_case(asked)),
        data: answer.answers.iter().map(|r| r.data.to_string().to_lowercase()).collect(),
    })
}

/// The upstream: every name is unknown, and the SOA is the mark.
fn answer_as_upstream(socket: &UdpSocket) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        let mut answer = question.into_response();
        answer.metadata.response_code = ResponseCode::NXDomain;
        answer.metadata.recursion_available = true;
        let Ok(mark) = Name::from_ascii(MARK) else { continue };
        let soa = SOA::new(mark.clone(), mark, 1, 1, 1, 1, 0);
        answer.add_authority(Record::from_rdata(Name::root(), 0, RData::SOA(soa)));
        if let Ok(bytes) = answer.to_vec() {
            let _ = socket.send_to(&bytes, client);
        }
    }
}
