//! What a scenario line can say: docker's commands, questions and what is expected.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use crate::model::Subnet;

/// A line with its command.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Counted from one.
    pub number: usize,
    /// The line as it was written.
    pub text: String,
    /// Its words, as a shell would split them.
    pub words: Vec<String>,
    /// What it says.
    pub command: Command,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `docker network create [--subnet S]… [--ip-range R] [--gateway G]… [--internal]
    /// [--label L]… NAME`
    NetworkCreate(Create),
    /// `docker network rm NAME…`
    NetworkRemove(Vec<String>),
    /// `docker network prune [-f] [--filter label=L]…`
    NetworkPrune(Filter),
    /// `docker network connect [--alias A]… [--link L]… [--ip A] [--ip6 A] NETWORK CONTAINER`
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
    /// `docker run [-dit] [--name N] [--net N] [--net-alias A]… [--ip A] [-h H] … IMAGE
    /// [COMMAND]…`; [`Run`] has all that counts.
    Run(Run),
    /// `docker create`, with what `docker run` takes.
    Create(Run),
    /// `docker start|stop|kill|restart|pause|unpause|rm CONTAINER…`
    Container(Verb, Vec<String>),
    /// `docker container prune [-f] [--filter label=L]…`
    Prune(Filter),
    /// `docker rename OLD NEW`
    Rename(String, String),
    /// `health CONTAINER starting|healthy|unhealthy`: what the container's check finds from now
    /// on. Only an engine without containers can be told so.
    Health(String, Health),
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
    /// Its labels.
    pub labels: Labels,
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
    /// What others are called by it alone.
    pub links: Vec<Link>,
}

/// `CONTAINER:ALIAS`: one container calls another one so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The other one's name, as written.
    pub container: String,
    /// What it is called.
    pub alias: String,
}

/// `PORT/PROTOCOL`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// Labels with their values, which may be empty.
pub type Labels = BTreeMap<String, String>;

/// What a prune is limited to: labels, with the value that they must have, if any.
pub type Filter = Vec<(String, Option<String>)>;

/// A container to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Its name; none lets the engine choose.
    pub name: Option<String>,
    /// Its hostname; none is the short id.
    pub hostname: Option<String>,
    /// Its first network, which may be `host`, `none` or `container:NAME`.
    pub attach: Attach,
    /// What it is made from, as written.
    pub image: String,
    /// What is run in it.
    pub command: Vec<String>,
    /// Its labels.
    pub labels: Labels,
    /// Ports that it says it listens on.
    pub exposed: Vec<Port>,
    /// Ports of its own that the host has, too.
    pub published: Vec<Port>,
    /// Its health check, if it has one.
    pub health_check: Option<String>,
    /// The signal that `docker stop` sends first.
    pub stop_signal: Option<Signal>,
    /// How many seconds it may take to stop.
    pub stop_timeout: Option<i64>,
    /// `no`, `always`, `unless-stopped` or `on-failure`.
    pub restart: Option<String>,
}

/// What is done to a container that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `docker start`
    Start,
    /// `docker stop`
    Stop,
    /// `docker kill`, which ends it or not, as the signal is
    Kill(Signal),
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
}

/// A signal of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub u8);

/// What a health check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing yet.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
}

impl Signal {
    /// Whether it ends the first process of a container, which does nothing about signals: the
    /// kernel spares it all but one (`pid_namespaces(7)`).
    #[must_use]
    pub fn ends(self) -> bool {
        self == Self::KILL
    }

    /// The interrupt of a terminal.
    pub const INT: Self = Self(2);
    /// As `INT`, with a dump.
    pub const QUIT: Self = Self(3);
    /// The end, without appeal.
    pub const KILL: Self = Self(9);
    /// The request to end.
    pub const TERM: Self = Self(15);

    /// `TERM`, without `SIG`, for those that have a name here.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(_, number)| *number == self.0).map(|(name, _)| *name)
    }
}

/// The numbers of Linux on most machines.
const NAMES: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
    ("WINCH", 28),
];

impl FromStr for Signal {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.to_ascii_uppercase();
        let name = text.strip_prefix("SIG").unwrap_or(&text);
        let named = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        let number = || text.parse().ok().filter(|number| (1..=64).contains(number));
        named.or_else(number).map(Self).ok_or(())
    }
}

impl Health {
    /// The word that the engine has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl FromStr for Health {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Starting, Self::Healthy, Self::Unhealthy]
            .into_iter()
            .find(|health| health.as_str() == text)
            .ok_or(())
    }
}

/// `PORT[/PROTOCOL]`
impl FromStr for Port {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let number = number.parse().map_err(|_| ())?;
        let known = number > 0 && ["tcp", "udp", "sctp"].contains(&protocol);
        known.then(|| Self { number, protocol: protocol.to_owned() }).ok_or(())
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

/// `CONTAINER[:ALIAS]`
impl FromStr for Link {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (container, alias) = text.split_once(':').unwrap_or((text, text));
        let whole = !container.is_empty() && !alias.is_empty() && !alias.contains(':');
        whole.then(|| Self { container: container.to_owned(), alias: alias.to_owned() }).ok_or(())
    }
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
