//! The configuration: flags, environment and file, merged into a valid `Config`.
//!
//! Nothing is read or opened here; whoever calls brings the file's text.

mod forward;
mod log_level;
mod records;
mod selection;
mod written;

pub use forward::{ForwardDomainSetting, ForwardSetting};
pub use log_level::LogLevel;
pub use records::{OneOrMany, RecordSetting};
pub use selection::{DomainSetting, NameSetting};

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _};

use crate::model::{
    Access, Answers, ContainerId, Domains, EngineUrl, Forward, Health, Name, NameError, Order,
    Overrides, Pattern, Policy, Range, Rules, Scope, Selection, StaticError, StaticNames,
    StaticRecord, StaticSet, Upstream, UrlError,
};
use forward::{FORWARD_DOMAIN_KEYS, FORWARD_KEYS};
use records::RECORD_KEYS;
use selection::SELECTION_KEYS;
use written::{list, quoted, record_table};

/// What would be in force: every value is set, and valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where DNS is served, by UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Where health, metrics and names are served.
    pub http: SocketAddr,
    /// The engines to follow.
    pub docker: Vec<EngineUrl>,
    /// The domains below which every name is valid too, and how questions there are answered.
    pub domain: Vec<DomainSetting>,
    /// How some names are answered.
    pub name: Vec<NameSetting>,
    /// How all others are answered.
    pub selection: Selection,
    /// What clients see that are no container.
    pub scope: Scope,
    /// Who may ask.
    pub allow: Access,
    /// Where clients that are no container reach the host; none is at the gateways.
    pub host_address: Vec<IpAddr>,
    /// A hosts file whose names are answered, too.
    pub hosts: Option<PathBuf>,
    /// The names of the file's `[[record]]` tables.
    pub record: Vec<StaticRecord>,
    /// What becomes of names that are not ours.
    pub forward: Forward,
    /// The least important log line that is written.
    pub log: LogLevel,
}

/// What was typed: in flags and environment, or in the file. Empty is "not said".
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, serde::Deserialize)]
// The comments are the help that people read.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, clippy::doc_markdown)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Serve DNS here, by UDP and TCP [default: 127.0.0.1:1053]
    #[arg(long, value_name = "ADDR:PORT", env = "NETALIAS_LISTEN", value_delimiter = ',')]
    pub listen: Vec<SocketAddr>,
    /// Serve health, metrics and names here [default: 127.0.0.1:8053]
    #[arg(long, value_name = "ADDR:PORT", env = "NETALIAS_HTTP")]
    pub http: Option<SocketAddr>,
    /// Follow this engine, unix:///PATH or tcp://HOST:PORT [default: DOCKER_HOST or local socket]
    #[arg(long, value_name = "URL", env = "NETALIAS_DOCKER", value_delimiter = ',')]
    #[serde(deserialize_with = "texts")]
    pub docker: Vec<EngineUrl>,
    /// Make every name valid below this domain too [default: rr.internal]
    #[arg(long, value_name = "NAME", env = "NETALIAS_DOMAIN", value_delimiter = ',')]
    pub domain: Vec<DomainSetting>,
    /// How some names are answered; the file alone has them.
    #[arg(skip)]
    pub name: Vec<NameSetting>,
    /// Which address comes first: rotate (each in turn), shuffle, weighted (by label) or sticky
    /// (the same for the same client) [default: rotate]
    #[arg(long, value_name = "ORDER", env = "NETALIAS_ORDER")]
    #[serde(deserialize_with = "text")]
    pub order: Option<Order>,
    /// How many addresses there are: all, a number, sortproof (what a client sorts behind the
    /// first one), or auto (sortproof where clients sort, else all) [default: auto]
    #[arg(long, value_name = "ANSWERS", env = "NETALIAS_ANSWERS")]
    #[serde(deserialize_with = "selection::answers")]
    pub answers: Option<Answers>,
    /// TTL of positive answers [default: 0]
    #[arg(long, value_name = "SECONDS", env = "NETALIAS_TTL")]
    pub ttl: Option<u32>,
    /// Which endpoints are answered: prefer (the fittest there are), require (only fit ones) or
    /// ignore (all) [default: prefer]
    #[arg(long, value_name = "POLICY", env = "NETALIAS_HEALTH")]
    #[serde(deserialize_with = "text")]
    pub health: Option<Health>,
    /// What clients see that are no container: all networks, those that netalias itself is on
    /// (own), or those named; auto is own in a container, else all [default: auto]
    #[arg(long, value_name = "all|own|NAME,…", env = "NETALIAS_SCOPE")]
    #[serde(deserialize_with = "text")]
    pub scope: Option<Scope>,
    /// Answer these clients alone, others get no reply: loopback, private (addresses), engine
    /// (the subnets of its networks), all, or ADDRESS/PREFIX [default: loopback,private,engine]
    #[arg(long, value_name = "RANGE", env = "NETALIAS_ALLOW", value_delimiter = ',')]
    #[serde(deserialize_with = "texts")]
    pub allow: Vec<Range>,
    /// Where clients that are no container reach the host, for containers on the host's network
    /// and host.docker.internal [default: the networks' gateways]
    #[arg(long, value_name = "ADDR", env = "NETALIAS_HOST_ADDRESS", value_delimiter = ',')]
    pub host_address: Vec<IpAddr>,
    /// Answer the names of this hosts file, too
    #[arg(long, value_name = "FILE", env = "NETALIAS_HOSTS")]
    pub hosts: Option<PathBuf>,
    /// Names of the configuration's own; the file alone has them.
    #[arg(skip)]
    pub record: Vec<RecordSetting>,
    /// Ask these servers about names that are not ours, those of resolv.conf (system), or nobody
    /// (off); a server is ADDR[:PORT], tls://ADDR#NAME or https://ADDR/PATH#NAME [default: system]
    #[arg(long, value_name = "off|system|ADDR,…", env = "NETALIAS_FORWARD")]
    pub forward: Option<ForwardSetting>,
    /// Write log lines down to this level: error, warn, info or debug [default: info]
    #[arg(long, value_name = "LEVEL", env = "NETALIAS_LOG")]
    #[serde(deserialize_with = "text")]
    pub log: Option<LogLevel>,
}

/// Why there is no valid configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file has a key that there is not.
    #[error("{file}:{line}: unknown key {key:?}; did you mean {nearest:?}?")]
    UnknownKey {
        /// The file.
        file: String,
        /// The line, counted from one.
        line: usize,
        /// The key.
        key: String,
        /// The valid key most like it.
        nearest: &'static str,
    },
    /// The file is no TOML, or a value in it is not what its key takes.
    #[error("{file}:{line}: {what}")]
    Invalid {
        /// The file.
        file: String,
        /// The line, counted from one.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A record cannot be served.
    #[error("record {name:?}: {what}")]
    Record {
        /// Its owner, as written.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// Records that cannot stand together.
    #[error("record: {0}")]
    Records(#[from] StaticError),
    /// RFC 2181 section 8 ends TTLs at 2^31 - 1.
    #[error("ttl {0} is too large: at most {MAX_TTL} seconds")]
    Ttl(u32),
    /// A domain with servers of its own lacks them.
    #[error("forward.domain {0}: it has no servers")]
    NoServers(Name),
    /// Questions would run in a circle.
    #[error("forward: {0} is where netalias itself listens; name another server")]
    ForwardsToItself(Upstream),
    /// Two places would say how questions below it are answered.
    #[error("domain {0} is there twice; say all of it in one place")]
    Twice(Name),
    /// The second one would never be in force: the first pattern that matches counts.
    #[error("the pattern {0} of names is there twice; say all of it in one place")]
    TwicePattern(Pattern),
    /// The engine named by the environment is none.
    #[error("DOCKER_HOST: {0}")]
    DockerHost(#[from] UrlError),
    /// A domain is no name.
    #[error("domain: {0}")]
    Domain(#[from] NameError),
}

/// The largest TTL in seconds (RFC 2181 section 8).
const MAX_TTL: u32 = i32::MAX.unsigned_abs();
const DEFAULT_DNS_PORT: u16 = 1053;
const DEFAULT_HTTP_PORT: u16 = 8053;
const DEFAULT_DOCKER: &str = "unix:///var/run/docker.sock";
const DEFAULT_DOMAIN: &str = "rr.internal";
/// Every key of the file; the example file and a test hold the list to [`Settings`].
const KEYS: [&str; 16] = [
    "listen",
    "http",
    "docker",
    "domain",
    "name",
    "order",
    "answers",
    "ttl",
    "health",
    "scope",
    "allow",
    "host_address",
    "hosts",
    "log",
    "record",
    "forward",
];

impl Config {
    /// Flags (which hold the environment already) beat the file, the file beats the defaults.
    /// `docker_host` is the environment's `DOCKER_HOST`.
    pub fn new(
        flags: Settings,
        file: Settings,
        docker_host: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let docker = match first_said([flags.docker, file.docker]) {
            Some(engines) => engines,
            None => vec![docker_host.unwrap_or(DEFAULT_DOCKER).parse()?],
        };
        let domain = match first_said([flags.domain, file.domain]) {
            Some(domains) => domains,
            None => vec![DEFAULT_DOMAIN.parse()?],
        };
        let names: Vec<&Name> = domain.iter().map(|domain| &domain.name).collect();
        if let Some((_, twice)) =
            names.iter().enumerate().find(|(i, name)| names[..*i].contains(name))
        {
            return Err(ConfigError::Twice((*twice).clone()));
        }
        let patterns: Vec<&Pattern> = file.name.iter().map(|name| &name.name).collect();
        let again = (1..patterns.len()).find(|i| patterns[..*i].contains(&patterns[*i]));
        if let Some(again) = again {
            return Err(ConfigError::TwicePattern(patterns[again].clone()));
        }
        let listen = first_said([flags.listen, file.listen]);
        let ttl = flags.ttl.or(file.ttl).unwrap_or_default();
        let record: Vec<Vec<StaticRecord>> =
            file.record.iter().map(RecordSetting::records).collect::<Result<_, _>>()?;
        let record = record.concat();
        let tables = file.name.iter().map(|name| name.selection);
        let tables = domain.iter().map(|domain| domain.selection).chain(tables);
        let ttls = tables.filter_map(|selection| selection.ttl).chain([ttl]);
        let ttls = record.iter().filter_map(|record| record.ttl).chain(ttls);
        if let Some(ttl) = ttls.into_iter().find(|ttl| *ttl > MAX_TTL) {
            return Err(ConfigError::Ttl(ttl));
        }
        let listen = listen.unwrap_or_else(|| vec![loopback(DEFAULT_DNS_PORT)]);
        Ok(Self {
            forward: forward::forward(flags.forward, file.forward, &listen)?,
            listen,
            http: flags.http.or(file.http).unwrap_or_else(|| loopback(DEFAULT_HTTP_PORT)),
            docker,
            domain,
            name: file.name,
            selection: Selection {
                order: flags.order.or(file.order).unwrap_or_default(),
                answers: flags.answers.or(file.answers).unwrap_or_default(),
                ttl,
                health: flags.health.or(file.health).unwrap_or_default(),
            },
            scope: flags.scope.or(file.scope).unwrap_or_default(),
            allow: first_said([flags.allow, file.allow]).map(Access::new).unwrap_or_default(),
            host_address: first_said([flags.host_address, file.host_address]).unwrap_or_default(),
            hosts: flags.hosts.or(file.hosts),
            record,
            log: flags.log.or(file.log).unwrap_or_default(),
        })
    }

    /// The policy that follows. `hosts` is the hosts file's text, `own` the container that
    /// netalias itself runs in.
    pub fn policy(
        &self,
        hosts: Option<&str>,
        own: Option<ContainerId>,
    ) -> Result<Policy, ConfigError> {
        let mut all = self.record.clone();
        if let (Some(path), Some(text)) = (&self.hosts, hosts) {
            all.extend(records::hosts(&path.display().to_string(), text)?);
        }
        Ok(Policy {
            access: self.allow.clone(),
            rules: self.rules(),
            domains: Domains::new(self.domain.iter().map(|domain| domain.name.clone()).collect()),
            scope: self.scope.clone(),
            own,
            host: (!self.host_address.is_empty())
                .then(|| Arc::new(StaticSet::of_addresses(Name::root(), &self.host_address))),
            statics: StaticNames::new(&all)?,
            forward: Arc::new(self.forward.clone()),
        })
    }

    fn rules(&self) -> Rules {
        let Selection { order, answers, ttl, health } = self.selection;
        let general = Overrides {
            order: Some(order),
            answers: Some(answers),
            ttl: Some(ttl),
            health: Some(health),
        };
        let domains = self.domain.iter().map(|domain| (domain.name.clone(), domain.selection));
        let names = self.name.iter().map(|name| (name.name.clone(), name.selection));
        Rules { general, domains: domains.collect(), names: names.collect() }
    }

    /// The first key that cannot change while running and is different in `other`.
    #[must_use]
    pub fn needs_restart(&self, other: &Self) -> Option<&'static str> {
        let fixed = [
            ("listen", self.listen == other.listen),
            ("http", self.http == other.http),
            ("docker", self.docker == other.docker),
            ("log", self.log == other.log),
        ];
        fixed.into_iter().find(|(_, same)| !same).map(|(key, _)| key)
    }

    /// The configuration as a file that would give it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let lines = [
            format!("listen = {}", list(&self.listen)),
            format!("http   = \"{}\"", self.http),
            format!(
                "docker = {}",
                list(&self.docker.iter().map(EngineUrl::as_str).collect::<Vec<_>>())
            ),
            format!("order  = \"{}\"", self.selection.order),
            format!("answers = \"{}\"", self.selection.answers),
            format!("ttl    = {}", self.selection.ttl),
            format!("health = \"{}\"", self.selection.health),
            format!("scope  = {}", quoted(written::scope(&self.scope))),
            format!("allow  = {}", list(&self.allow.ranges().collect::<Vec<_>>())),
            format!("log    = \"{}\"", self.log.as_str()),
        ];
        let host = (!self.host_address.is_empty())
            .then(|| format!("host_address = {}", list(&self.host_address)));
        let hosts = self.hosts.iter().map(|path| format!("hosts  = {}", quoted(path.display())));
        let records = self.record.iter().map(record_table);
        let names = self.name.iter();
        let names = names.map(|n| selection::table("name", &quoted(&n.name), n.selection));
        let plain = self.domain.iter().all(|domain| domain.selection == Overrides::default());
        let names_alone: Vec<String> = self.domain.iter().map(|d| written::name(&d.name)).collect();
        let domain_list = plain.then(|| format!("domain = {}", list(&names_alone)));
        let domains = self.domain.iter().filter(|_| !plain);
        let domains = domains
            .map(|d| selection::table("domain", &quoted(written::name(&d.name)), d.selection));
        let forward = std::iter::once(forward::table(&self.forward));
        let records = domains.chain(names).chain(records).chain(forward);
        lines
            .into_iter()
            .chain(domain_list)
            .chain(host)
            .chain(hosts)
            .chain(records)
            .collect::<Vec<_>>()
            .join("\n")
            + "\n"
    }
}

impl Settings {
    /// Reads a file's text; `file` is what errors call it.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, ConfigError> {
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let invalid = |error: &toml::de::Error| ConfigError::Invalid {
            file: file.to_owned(),
            line: line(error.span().map_or(0, |span| span.start)),
            what: error.message().to_owned(),
        };
        let table = toml::de::DeTable::parse(text).map_err(|error| invalid(&error))?;
        let unknown = |table: &toml::de::DeTable<'_>, keys: &'static [&'static str]| {
            let key = table.keys().find(|key| !keys.contains(&key.get_ref().as_ref()))?;
            Some(ConfigError::UnknownKey {
                file: file.to_owned(),
                line: line(key.span().start),
                key: key.get_ref().to_string(),
                nearest: nearest(key.get_ref(), keys),
            })
        };
        let in_tables = |key: &str, keys: &'static [&'static str]| {
            let tables = table.get_ref().get(key).and_then(|value| value.get_ref().as_array());
            let mut tables = tables.into_iter().flatten().filter_map(|t| t.get_ref().as_table());
            tables.find_map(|table| unknown(table, keys))
        };
        let forward = table.get_ref().get("forward").and_then(|value| value.get_ref().as_table());
        let of_forward = forward.and_then(|table| {
            let domains = table.get("domain").and_then(|value| value.get_ref().as_array());
            let mut domains = domains.into_iter().flatten().filter_map(|t| t.get_ref().as_table());
            let of_domains = domains.find_map(|table| unknown(table, &FORWARD_DOMAIN_KEYS));
            unknown(table, &FORWARD_KEYS).or(of_domains)
        });
        let in_tables = in_tables("record", &RECORD_KEYS)
            .or(of_forward)
            .or_else(|| in_tables("domain", &SELECTION_KEYS))
            .or_else(|| in_tables("name", &SELECTION_KEYS));
        if let Some(error) = unknown(table.get_ref(), &KEYS).or(in_tables) {
            return Err(error);
        }
        toml::from_str(text).map_err(|error| invalid(&error))
    }
}

/// The valid key most like a misspelt one.
fn nearest(key: &str, keys: &'static [&'static str]) -> &'static str {
    let distance = |valid: &&&str| strsim::damerau_levenshtein(valid, key);
    keys.iter().min_by_key(distance).unwrap_or(&KEYS[0])
}

fn first_said<T, const N: usize>(lists: [Vec<T>; N]) -> Option<Vec<T>> {
    lists.into_iter().find(|list| !list.is_empty())
}

/// A value that is written as text in the file.
fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

/// A list of such values.
fn texts<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../config/netalias.toml");

    fn defaults() -> Config {
        Config::new(Settings::default(), Settings::default(), None).unwrap()
    }

    #[test]
    fn the_example_file_lists_every_key_with_its_default() {
        let file = Settings::from_toml("netalias.toml", EXAMPLE).unwrap();
        assert_eq!(Config::new(Settings::default(), file, None).unwrap(), defaults());
        for key in KEYS {
            // What has no default stands in a comment.
            let list = [format!("{key} = "), format!("# {key} = "), format!("# [[{key}]]")];
            let shown = list.into_iter().chain([format!("[{key}]")]).collect::<Vec<_>>();
            assert!(EXAMPLE.lines().any(|l| shown.iter().any(|s| l.starts_with(s))), "{key}");
        }
        // The commented tables are valid, too.
        let (_, tables) = EXAMPLE.split_once("# [[domain]]\n").unwrap();
        let tables = tables.lines().filter(|l| l.starts_with("#   ") || l.starts_with("# [["));
        let tables: Vec<&str> = tables.map(|line| &line[2..]).collect();
        let text = format!("[[domain]]\n{}", tables.join("\n"));
        let file = Settings::from_toml("tables", &text).unwrap();
        let config = Config::new(Settings::default(), file, None).unwrap();
        assert_eq!((config.domain.len(), config.name.len(), config.record.len()), (1, 1, 2));
        assert_eq!(config.forward.domains.len(), 1);
        assert!(config.policy(None, None).is_ok());
    }

    #[test]
    fn what_check_prints_is_a_file_that_gives_the_same() {
        let flags = Settings {
            listen: vec!["[::1]:53".parse().unwrap(), "10.0.0.1:53".parse().unwrap()],
            ttl: Some(5),
            answers: Some("sortproof".parse().unwrap()),
            health: Some(Health::Require),
            scope: Some("netlb,shop".parse().unwrap()),
            allow: vec!["loopback".parse().unwrap(), "203.0.113.0/24".parse().unwrap()],
            hosts: Some("/etc/hosts".into()),
            host_address: vec!["192.168.1.5".parse().unwrap(), "fd00::5".parse().unwrap()],
            ..Settings::default()
        };
        let records = "[[domain]]\nname = \"one.internal\"\nanswers = 1\n\
                       [[name]]\nname = \"web-*\"\norder = \"sticky\"\nttl = 3\n\
                       [[record]]\nname = \"*.x.test\"\ntype = \"txt\"\nvalue = \"a\\\"b\"\n\
                       [[record]]\nname = \"y.test\"\ntype = \"CNAME\"\nvalue = \"web\"\nttl = 9\n";
        let file = Settings::from_toml("records", records).unwrap();
        let config = Config::new(flags, file, None).unwrap();
        let read = Settings::from_toml("printed", &config.to_toml()).unwrap();
        assert_eq!(Config::new(Settings::default(), read, None).unwrap(), config);
    }

    #[test]
    fn flag_beats_file_beats_docker_host_beats_default() {
        let engines = |text: &str| vec![text.parse().unwrap()];
        let flag = Settings { docker: engines("tcp://flag:1"), ..Settings::default() };
        let file = Settings { docker: engines("tcp://file:1"), ..Settings::default() };
        let none = Settings::default;
        let docker = |flags, file, host| Config::new(flags, file, host).unwrap().docker;
        let host = Some("tcp://host:1");
        assert_eq!(docker(flag, file.clone(), host), engines("tcp://flag:1"));
        assert_eq!(docker(none(), file, host), engines("tcp://file:1"));
        assert_eq!(docker(none(), none(), host), engines("tcp://host:1"));
        assert_eq!(docker(none(), none(), None), engines(DEFAULT_DOCKER));
    }

    #[test]
    fn an_error_names_the_file_the_line_and_the_remedy() {
        for (text, message) in [
            ("ttl = 1\nlisen = []\n", "f:2: unknown key \"lisen\"; did you mean \"listen\"?"),
            ("helth = \"prefer\"", "f:1: unknown key \"helth\"; did you mean \"health\"?"),
            ("\nttl = \"x\"", "f:2: invalid type: string \"x\", expected u32"),
            ("health = \"no\"", "f:1: \"no\" is not one of prefer, require, ignore"),
            (
                "docker = [\"docker.sock\"]",
                "f:1: \"docker.sock\" is no engine: write unix:///PATH or tcp://HOST:PORT",
            ),
            ("domain = [\"a..b\"]", "f:1: a label is empty"),
            (
                "[[domain]]\nname = \"a\"\nanswer = 1",
                "f:3: unknown key \"answer\"; did you mean \"answers\"?",
            ),
            ("[[name]]\nname = \"a*b*\"", "f:1: \"a*b*\": a pattern is a name with one * at most"),
            ("answers = 0", "f:1: \"0\" is not one of auto, all, sortproof, or a number"),
            ("[[record]]\nnam = 1", "f:2: unknown key \"nam\"; did you mean \"name\"?"),
        ] {
            let error = Settings::from_toml("f", text).unwrap_err().to_string();
            assert_eq!(error, message, "{text}");
        }
        for (text, message) in [
            (
                "name = \"a\"\ntype = \"A\"\nvalue = \"::1\"",
                "::1 is an IPv6 address; its type is AAAA",
            ),
            (
                "name = \"a\"\ntype = \"MX\"\nvalue = \"b\"",
                "\"MX\" is not one of A, AAAA, CNAME, TXT",
            ),
            ("name = \"a b\"\ntype = \"A\"\nvalue = \"1.1.1.1\"", "a space or control character"),
            ("name = \"a\"\ntype = \"A\"\nvalue = []", "it has no value"),
        ] {
            let file = Settings::from_toml("f", &format!("[[record]]\n{text}")).unwrap();
            let error = Config::new(Settings::default(), file, None).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let twice = vec!["a.test".parse().unwrap(), "A.test".parse().unwrap()];
        let flags = Settings { domain: twice, ..Settings::default() };
        let error = Config::new(flags, Settings::default(), None).unwrap_err().to_string();
        assert_eq!(error, "domain a.test is there twice; say all of it in one place");
        let file = Settings { ttl: Some(u32::MAX), ..Settings::default() };
        let error = Config::new(Settings::default(), file, None).unwrap_err();
        assert_eq!(error, ConfigError::Ttl(u32::MAX));
    }
}
