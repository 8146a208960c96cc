//! The scenario language: the docker and dig commands that a user types, one a line.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::words::{Fault, Flag, Flags, Word, Words, bare, is_arrow, with_value};
use crate::model::{Name, Subnet};

/// Reads a whole scenario. `file` is what errors call it.
pub fn parse(file: &str, text: &str) -> Result<Vec<Line>, ScenarioError> {
    let lines = text.lines().enumerate();
    let parsed = lines.map(|(index, line)| parse_line(file, index + 1, line));
    parsed.filter_map(Result::transpose).collect()
}

/// Reads one line; an empty one or a comment is None.
pub fn parse_line(file: &str, number: usize, text: &str) -> Result<Option<Line>, ScenarioError> {
    let at = |Fault { column, what }| ScenarioError {
        file: file.to_owned(),
        line: number,
        column,
        what,
    };
    let mut words = Words::split(text).map_err(at)?;
    if words.rest.is_empty() {
        return Ok(None);
    }
    let command = command(&mut words).map_err(at)?;
    Ok(Some(Line { number, text: text.trim().to_owned(), command }))
}

/// A line with its command.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Counted from one.
    pub number: usize,
    /// The line as it was written.
    pub text: String,
    /// What it says.
    pub command: Command,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `docker network create [--subnet S]… [--ip-range R] [--gateway G]… [--internal] NAME`
    NetworkCreate(Create),
    /// `docker network rm NAME…`
    NetworkRemove(Vec<String>),
    /// `docker network connect [--alias A]… [--ip A] [--ip6 A] NETWORK CONTAINER`
    Connect {
        /// The container's name or id.
        container: String,
        /// What it is attached with.
        attach: Attach,
    },
    /// `docker network disconnect [-f] NETWORK CONTAINER`
    Disconnect {
        /// The network's name.
        network: String,
        /// The container's name or id.
        container: String,
    },
    /// `docker run [-dit] [--name N] [--net N] [--net-alias A]… [--ip A] [-h H] IMAGE [COMMAND]…`
    Run(Run),
    /// `docker start|stop|kill|restart|pause|unpause|rm CONTAINER…`
    Container(Verb, Vec<String>),
    /// `docker rename OLD NEW`
    Rename(String, String),
    /// `sleep SECONDS`
    Sleep(Duration),
    /// `[docker exec CONTAINER] dig NAME [TYPE] → EXPECTED`
    Dig(Dig),
    /// `netalias query NAME [TYPE] -n COUNT → ADDRESS=TIMES…`: how often each came first.
    Spread {
        /// The question.
        dig: Dig,
        /// How often it is asked.
        count: usize,
        /// Each address with how often it came first.
        expected: Vec<(IpAddr, usize)>,
    },
}

/// A network to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// Its name.
    pub name: String,
    /// Its ranges; none lets the engine choose.
    pub subnets: Vec<Subnet>,
    /// Where addresses are taken from, if not the whole subnet.
    pub range: Option<Subnet>,
    /// Addresses that are not given away.
    pub gateways: Vec<IpAddr>,
    /// Without a way out.
    pub internal: bool,
}

/// How a container is attached to a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attach {
    /// The network's name.
    pub network: String,
    /// Its names there, beside its own.
    pub aliases: Vec<String>,
    /// The address it asks for.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address it asks for.
    pub v6: Option<Ipv6Addr>,
}

/// A container to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Its name; none lets the engine choose.
    pub name: Option<String>,
    /// Its hostname; none is the short id.
    pub hostname: Option<String>,
    /// Its first network.
    pub attach: Attach,
}

/// What is done to a container that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `docker start`
    Start,
    /// `docker stop`, and `docker kill` with a signal that ends it
    Stop,
    /// `docker restart`
    Restart,
    /// `docker pause`
    Pause,
    /// `docker unpause`
    Unpause,
    /// `docker rm`, which needs `-f` for a running one
    Remove {
        /// `-f`
        force: bool,
    },
    /// `docker kill -s HUP` and the like, which end nothing
    Signal,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dig {
    /// The container that asks; none is the host.
    pub client: Option<String>,
    /// The name, as written.
    pub name: String,
    /// `A` or another type, as written.
    pub qtype: String,
    /// The answer.
    pub expected: Expected,
}

/// The answer that a `dig` line expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// These addresses in this order.
    Addresses(Vec<IpAddr>),
    /// `DATA` (other than addresses), `NODATA`, `NXDOMAIN`, `SERVFAIL` or `REFUSED`.
    Code(String),
}

/// A line that cannot be read, or that the engine cannot carry out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {what}")]
pub struct ScenarioError {
    /// The file.
    pub file: String,
    /// The line, counted from one.
    pub line: usize,
    /// The column in characters, counted from one.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

const CREATE_FLAGS: &[Flag] = &[
    with_value(&["--subnet"]),
    with_value(&["--ip-range"]),
    with_value(&["--gateway"]),
    with_value(&["--driver", "-d"]),
    bare(&["--internal"]),
    bare(&["--ipv6"]),
];
const CONNECT_FLAGS: &[Flag] =
    &[with_value(&["--alias"]), with_value(&["--ip"]), with_value(&["--ip6"])];
const RUN_FLAGS: &[Flag] = &[
    with_value(&["--name"]),
    with_value(&["--hostname", "-h"]),
    with_value(&["--network", "--net"]),
    with_value(&["--network-alias", "--net-alias"]),
    with_value(&["--ip"]),
    with_value(&["--ip6"]),
    bare(&["--detach", "-d"]),
    bare(&["--interactive", "-i"]),
    bare(&["--tty", "-t"]),
];
const FORCE_FLAGS: &[Flag] = &[bare(&["--force", "-f"])];
const STOP_FLAGS: &[Flag] = &[with_value(&["--time", "-t"])];
const KILL_FLAGS: &[Flag] = &[with_value(&["--signal", "-s"])];
const QUERY_FLAGS: &[Flag] = &[with_value(&["--count", "-n"])];

const COMMANDS: &str = "docker, dig, netalias query or sleep";
const DOCKER_COMMANDS: &str = "network create, network rm, network connect, network disconnect, \
     run, start, stop, kill, restart, pause, unpause, rename, rm or exec";

fn command(words: &mut Words) -> Result<Command, Fault> {
    let word = words.next(COMMANDS)?;
    match word.text.as_str() {
        "docker" => docker(words),
        "dig" => dig(words, None),
        "netalias" => spread(words),
        "sleep" => {
            let word = words.next("how many seconds")?;
            let seconds: f64 = word.parse("a number of seconds")?;
            let pause = Duration::try_from_secs_f64(seconds);
            Ok(Command::Sleep(pause.map_err(|_| word.fault("a number of seconds"))?))
        }
        _ => Err(word.fault(COMMANDS)),
    }
}

fn docker(words: &mut Words) -> Result<Command, Fault> {
    let word = words.next(DOCKER_COMMANDS)?;
    let force = |flags: &Flags| flags.has("--force");
    Ok(match word.text.as_str() {
        "network" => return network(words),
        "run" => return run(words),
        "exec" => {
            let client = words.next("a container")?.text;
            let dig_word = words.next("dig")?;
            if dig_word.text != "dig" {
                return Err(dig_word.fault("dig"));
            }
            return dig(words, Some(client));
        }
        "start" => Command::Container(Verb::Start, Flags::read(words, &[])?.some("a container")?),
        "stop" => {
            Command::Container(Verb::Stop, Flags::read(words, STOP_FLAGS)?.some("a container")?)
        }
        "restart" => {
            Command::Container(Verb::Restart, Flags::read(words, STOP_FLAGS)?.some("a container")?)
        }
        "kill" => {
            let flags = Flags::read(words, KILL_FLAGS)?;
            let signal = flags.value("--signal").map_or("KILL", |word| word.text.as_str());
            let ends = matches!(
                signal.trim_start_matches("SIG"),
                "KILL" | "TERM" | "INT" | "QUIT" | "9" | "15" | "2" | "3"
            );
            let verb = if ends { Verb::Stop } else { Verb::Signal };
            Command::Container(verb, flags.some("a container")?)
        }
        "pause" => Command::Container(Verb::Pause, Flags::read(words, &[])?.some("a container")?),
        "unpause" => {
            Command::Container(Verb::Unpause, Flags::read(words, &[])?.some("a container")?)
        }
        "rm" => {
            let flags = Flags::read(words, FORCE_FLAGS)?;
            Command::Container(Verb::Remove { force: force(&flags) }, flags.some("a container")?)
        }
        "rename" => {
            let [old, new] = Flags::read(words, &[])?.exactly(["a container", "its new name"])?;
            Command::Rename(old, new)
        }
        _ => return Err(word.fault(DOCKER_COMMANDS)),
    })
}

fn network(words: &mut Words) -> Result<Command, Fault> {
    const WHAT: &str = "create, rm, connect or disconnect";
    let word = words.next(WHAT)?;
    match word.text.as_str() {
        "create" => {
            let flags = Flags::read(words, CREATE_FLAGS)?;
            let [name] = flags.exactly(["the network's name"])?;
            Ok(Command::NetworkCreate(Create {
                name,
                subnets: flags.all("--subnet").map(Word::subnet).collect::<Result<_, _>>()?,
                range: flags.value("--ip-range").map(Word::subnet).transpose()?,
                gateways: flags.parsed("--gateway", "an address")?,
                internal: flags.has("--internal"),
            }))
        }
        "rm" => Ok(Command::NetworkRemove(Flags::read(words, &[])?.some("a network")?)),
        "connect" => {
            let flags = Flags::read(words, CONNECT_FLAGS)?;
            let [network, container] = flags.exactly(["a network", "a container"])?;
            Ok(Command::Connect { container, attach: attach(&flags, network, "--alias")? })
        }
        "disconnect" => {
            let flags = Flags::read(words, FORCE_FLAGS)?;
            let [network, container] = flags.exactly(["a network", "a container"])?;
            Ok(Command::Disconnect { network, container })
        }
        _ => Err(word.fault(WHAT)),
    }
}

fn run(words: &mut Words) -> Result<Command, Fault> {
    let flags = Flags::read_before_command(words, RUN_FLAGS)?;
    flags.some("an image")?;
    let text = |flag: &str| flags.value(flag).map(|word| word.text.clone());
    let network = text("--network").unwrap_or_else(|| "bridge".to_owned());
    Ok(Command::Run(Run {
        name: text("--name"),
        hostname: text("--hostname"),
        attach: attach(&flags, network, "--network-alias")?,
    }))
}

fn dig(words: &mut Words, client: Option<String>) -> Result<Command, Fault> {
    let (name, qtype) = question(words)?;
    let expected = expected(words)?;
    Ok(Command::Dig(Dig { client, name, qtype, expected }))
}

fn spread(words: &mut Words) -> Result<Command, Fault> {
    let word = words.next("query")?;
    if word.text != "query" {
        return Err(word.fault("query"));
    }
    let arrow = words.rest.iter().position(|word| is_arrow(&word.text));
    let after = words.rest.split_off(arrow.unwrap_or(words.rest.len()));
    let flags = Flags::read(words, QUERY_FLAGS)?;
    let counts: Vec<usize> = flags.parsed("--count", "a number")?;
    let mut positional = flags.positional.into_iter().map(|word| word.text);
    let end = words.end;
    let missing = move || Fault { column: end, what: "a name is missing".to_owned() };
    let name = positional.next().ok_or_else(missing)?;
    let qtype = positional.next().unwrap_or_else(|| "A".to_owned());
    let mut after = Words { rest: after, end };
    after.arrow()?;
    let mut expected = Vec::new();
    while let Some(word) = after.rest.pop_front() {
        let pair = word
            .text
            .split_once('=')
            .and_then(|(address, times)| Some((address.parse().ok()?, times.parse().ok()?)));
        expected.push(pair.ok_or_else(|| word.fault("ADDRESS=TIMES"))?);
    }
    let dig = Dig { client: None, name, qtype, expected: Expected::Addresses(Vec::new()) };
    Ok(Command::Spread { dig, count: counts.last().copied().unwrap_or(1), expected })
}

/// `NAME [TYPE]`
fn question(words: &mut Words) -> Result<(String, String), Fault> {
    let name = words.next("a name")?;
    if let Err(error) = Name::parse(&name.text) {
        return Err(Fault { column: name.column, what: format!("{}: {error}", name.text) });
    }
    let qtype = match words.rest.front() {
        Some(word) if !is_arrow(&word.text) => words.next("a type")?.text,
        _ => "A".to_owned(),
    };
    Ok((name.text, qtype))
}

fn attach(flags: &Flags, network: String, alias: &str) -> Result<Attach, Fault> {
    Ok(Attach {
        network,
        aliases: flags.all(alias).map(|word| word.text.clone()).collect(),
        v4: flags.parsed("--ip", "an IPv4 address")?.pop(),
        v6: flags.parsed("--ip6", "an IPv6 address")?.pop(),
    })
}

fn expected(words: &mut Words) -> Result<Expected, Fault> {
    const WHAT: &str = "addresses, DATA, NODATA, NXDOMAIN, SERVFAIL or REFUSED";
    words.arrow()?;
    let codes = ["DATA", "NODATA", "NXDOMAIN", "SERVFAIL", "REFUSED"];
    match words.rest.front() {
        None => Err(Fault { column: words.end, what: format!("{WHAT} is missing") }),
        Some(word) if codes.contains(&word.text.as_str()) => {
            Ok(Expected::Code(words.next(WHAT)?.text))
        }
        Some(_) => {
            let rest = std::mem::take(&mut words.rest);
            let addresses = rest.iter().map(|word| word.parse(WHAT));
            Ok(Expected::Addresses(addresses.collect::<Result<_, _>>()?))
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => f.write_str(code),
            Self::Addresses(addresses) => {
                let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(" "))
            }
        }
    }
}
