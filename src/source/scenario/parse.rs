//! The scenario language: the docker and dig commands that a user types, one a line.

use std::time::Duration;

use super::command::{
    Attach, Command, Create, Dig, Expected, Filter, Health, Labels, Line, Port, Run, Signal, Verb,
};
use super::words::{Fault, Flag, Flags, Word, Words, bare, is_arrow, with_value};
use crate::model::Name;

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
    let texts = words.rest.iter().map(|word| word.text.clone()).collect();
    let command = command(&mut words).map_err(at)?;
    Ok(Some(Line { number, text: text.trim().to_owned(), words: texts, command }))
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
    with_value(&["--label"]),
    bare(&["--internal"]),
    bare(&["--ipv6"]),
];
const CONNECT_FLAGS: &[Flag] = &[
    with_value(&["--alias"]),
    with_value(&["--link"]),
    with_value(&["--ip"]),
    with_value(&["--ip6"]),
];
const RUN_FLAGS: &[Flag] = &[
    with_value(&["--name"]),
    with_value(&["--hostname", "-h"]),
    with_value(&["--network", "--net"]),
    with_value(&["--network-alias", "--net-alias"]),
    with_value(&["--ip"]),
    with_value(&["--ip6"]),
    with_value(&["--label", "-l"]),
    with_value(&["--link"]),
    with_value(&["--expose"]),
    with_value(&["--publish", "-p"]),
    with_value(&["--health-cmd"]),
    with_value(&["--health-interval"]),
    with_value(&["--health-timeout"]),
    with_value(&["--health-retries"]),
    with_value(&["--health-start-period"]),
    with_value(&["--stop-signal"]),
    with_value(&["--stop-timeout"]),
    with_value(&["--restart"]),
    bare(&["--detach", "-d"]),
    bare(&["--interactive", "-i"]),
    bare(&["--tty", "-t"]),
];
const FORCE_FLAGS: &[Flag] = &[bare(&["--force", "-f"])];
const STOP_FLAGS: &[Flag] = &[with_value(&["--time", "-t"])];
const KILL_FLAGS: &[Flag] = &[with_value(&["--signal", "-s"])];
const PRUNE_FLAGS: &[Flag] = &[bare(&["--force", "-f"]), with_value(&["--filter"])];
const QUERY_FLAGS: &[Flag] = &[with_value(&["--count", "-n"])];

const COMMANDS: &str = "docker, dig, netalias query, health or sleep";
const DOCKER_COMMANDS: &str = "network create, network rm, network connect, network disconnect, \
     network prune, run, create, start, stop, kill, restart, pause, unpause, rename, rm, \
     container prune or exec";
const RESTART: &str = "no, always, unless-stopped or on-failure[:TIMES]";

fn command(words: &mut Words) -> Result<Command, Fault> {
    let word = words.next(COMMANDS)?;
    match word.text.as_str() {
        "docker" => docker(words),
        "dig" => dig(words, None),
        "netalias" => spread(words),
        "health" => {
            let container = words.next("a container")?.text;
            let health = words.next("healthy, unhealthy or starting")?;
            let health: Health = health.parse("healthy, unhealthy or starting")?;
            words.end()?;
            Ok(Command::Health(container, health))
        }
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
    let verb = match word.text.as_str() {
        "network" => return network(words),
        "container" => {
            words.keyword("prune")?;
            return Ok(Command::Prune(prune(words)?));
        }
        "run" => return Ok(Command::Run(run(words)?)),
        "create" => return Ok(Command::Create(run(words)?)),
        "exec" => {
            let client = words.next("a container")?.text;
            words.keyword("dig")?;
            return dig(words, Some(client));
        }
        "rename" => {
            let [old, new] = Flags::read(words, &[])?.exactly(["a container", "its new name"])?;
            return Ok(Command::Rename(old, new));
        }
        "start" => Verb::Start,
        "stop" => Verb::Stop,
        "restart" => Verb::Restart,
        "kill" => Verb::Kill(Signal::KILL),
        "pause" => Verb::Pause,
        "unpause" => Verb::Unpause,
        "rm" => Verb::Remove { force: false },
        _ => return Err(word.fault(DOCKER_COMMANDS)),
    };
    let known = match verb {
        Verb::Stop | Verb::Restart => STOP_FLAGS,
        Verb::Kill(_) => KILL_FLAGS,
        Verb::Remove { .. } => FORCE_FLAGS,
        Verb::Start | Verb::Pause | Verb::Unpause => &[],
    };
    let flags = Flags::read(words, known)?;
    let verb = match verb {
        Verb::Kill(_) => Verb::Kill(signal(&flags, "--signal")?.unwrap_or(Signal::KILL)),
        Verb::Remove { .. } => Verb::Remove { force: flags.has("--force") },
        other => other,
    };
    Ok(Command::Container(verb, flags.some("a container")?))
}

fn network(words: &mut Words) -> Result<Command, Fault> {
    const WHAT: &str = "create, rm, connect, disconnect or prune";
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
                labels: labels(&flags)?,
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
        "prune" => Ok(Command::NetworkPrune(prune(words)?)),
        _ => Err(word.fault(WHAT)),
    }
}

fn run(words: &mut Words) -> Result<Run, Fault> {
    let flags = Flags::read_before_command(words, RUN_FLAGS)?;
    let mut positional = flags.some("an image")?.into_iter();
    let text = |flag: &str| flags.value(flag).map(|word| word.text.clone());
    let network = match text("--network").as_deref() {
        // Docker has both words for the network of those that ask for none.
        None | Some("default") => "bridge".to_owned(),
        Some(network) => network.to_owned(),
    };
    let seconds: Vec<i64> = flags.parsed("--stop-timeout", "a number of seconds")?;
    Ok(Run {
        name: text("--name"),
        hostname: text("--hostname"),
        attach: attach(&flags, network, "--network-alias")?,
        image: positional.next().unwrap_or_default(),
        command: positional.collect(),
        labels: labels(&flags)?,
        exposed: flags.parsed("--expose", PORT)?,
        published: flags.all("--publish").map(published).collect::<Result<_, _>>()?,
        health_check: text("--health-cmd"),
        stop_signal: signal(&flags, "--stop-signal")?,
        stop_timeout: seconds.last().copied(),
        restart: flags.value("--restart").map(restart).transpose()?,
    })
}

const PORT: &str = "a port such as 80 or 53/udp";

/// `[[ADDRESS:]HOST_PORT:]PORT[/PROTOCOL]`: what the host has is not looked at.
fn published(word: &Word) -> Result<Port, Fault> {
    let own = word.text.rsplit(':').next().unwrap_or_default();
    own.parse().map_err(|()| word.fault("a port such as 80, 8080:80 or 127.0.0.1:8080:80/udp"))
}

fn restart(word: &Word) -> Result<String, Fault> {
    let (policy, times) = match word.text.split_once(':') {
        Some((policy, times)) => (policy, Some(times)),
        None => (word.text.as_str(), None),
    };
    let counted = times.is_none_or(|n| policy == "on-failure" && n.parse::<u32>().is_ok());
    let known = ["no", "always", "unless-stopped", "on-failure"].contains(&policy);
    if known && counted { Ok(policy.to_owned()) } else { Err(word.fault(RESTART)) }
}

fn signal(flags: &Flags, name: &str) -> Result<Option<Signal>, Fault> {
    Ok(flags.parsed(name, "a signal such as TERM, HUP or 9")?.pop())
}

/// `KEY[=VALUE]`; the last one of a key counts.
fn labels(flags: &Flags) -> Result<Labels, Fault> {
    let label = |word: &Word| {
        let (key, value) = key_and_value(word, &word.text)?;
        Ok((key, value.unwrap_or_default()))
    };
    flags.all("--label").map(label).collect()
}

fn prune(words: &mut Words) -> Result<Filter, Fault> {
    let flags = Flags::read(words, PRUNE_FLAGS)?;
    let [] = flags.exactly([])?;
    let filter = |word: &Word| {
        let label = word.text.strip_prefix("label=");
        key_and_value(word, label.ok_or_else(|| word.fault("label=KEY or label=KEY=VALUE"))?)
    };
    flags.all("--filter").map(filter).collect()
}

fn key_and_value(word: &Word, text: &str) -> Result<(String, Option<String>), Fault> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    if key.is_empty() {
        return Err(word.fault("a label such as KEY or KEY=VALUE"));
    }
    Ok((key.to_owned(), value))
}

fn dig(words: &mut Words, client: Option<String>) -> Result<Command, Fault> {
    let (name, qtype) = question(words)?;
    let expected = expected(words)?;
    Ok(Command::Dig(Dig { client, name, qtype, expected }))
}

fn spread(words: &mut Words) -> Result<Command, Fault> {
    words.keyword("query")?;
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
        links: flags.parsed("--link", "a link such as CONTAINER or CONTAINER:ALIAS")?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn wrong(line: &str, what: &str) {
        let error = parse_line("file", 7, line).expect_err(line);
        assert_eq!(error.to_string(), format!("file:7:{what}"));
    }

    fn run_of(line: &str) -> Run {
        match parse_line("file", 1, line).unwrap().unwrap().command {
            Command::Run(run) | Command::Create(run) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_wrong_word_is_named_with_its_column() {
        wrong(
            "docker fly",
            "8: \"fly\" is not expected here, but network create, network rm, \
            network connect, network disconnect, network prune, run, create, start, stop, kill, \
            restart, pause, unpause, rename, rm, container prune or exec",
        );
        wrong("docker container ls", "18: \"ls\" is not expected here, but prune");
        wrong(
            "docker run --label =x busybox",
            "20: \"=x\" is not expected here, but a label such as KEY or KEY=VALUE",
        );
        wrong(
            "docker run --expose 70000 busybox",
            "21: \"70000\" is not expected here, but a port such as 80 or 53/udp",
        );
        wrong(
            "docker run -p 80:80/tpc busybox",
            "15: \"80:80/tpc\" is not expected here, but \
            a port such as 80, 8080:80 or 127.0.0.1:8080:80/udp",
        );
        wrong(
            "docker create --link a:b:c busybox",
            "22: \"a:b:c\" is not expected here, but \
            a link such as CONTAINER or CONTAINER:ALIAS",
        );
        wrong(
            "docker run --restart=often busybox",
            "22: \"often\" is not expected here, but \
            no, always, unless-stopped or on-failure[:TIMES]",
        );
        wrong(
            "docker run --stop-signal FOO busybox",
            "26: \"FOO\" is not expected here, but a signal such as TERM, HUP or 9",
        );
        wrong(
            "docker kill -s 65 web",
            "16: \"65\" is not expected here, but a signal such as TERM, HUP or 9",
        );
        wrong(
            "docker network prune --filter name=x",
            "31: \"name=x\" is not expected here, but label=KEY or label=KEY=VALUE",
        );
        wrong(
            "health web well",
            "12: \"well\" is not expected here, but healthy, unhealthy or \
            starting",
        );
        wrong(
            "health web healthy now",
            "20: \"now\" is not expected here, but the end of the \
            line",
        );
    }

    #[test]
    fn a_missing_word_is_named_with_the_place_where_it_should_stand() {
        wrong("docker run --label", "19: the value of --label is missing");
        wrong("docker create --name web", "25: an image is missing");
        wrong("docker network connect --link a:b net", "38: a container is missing");
        wrong("health web", "11: healthy, unhealthy or starting is missing");
        wrong("docker kill -s HUP", "19: a container is missing");
    }

    #[test]
    fn docker_run_is_read_whole() {
        let run = run_of(
            "docker run -dit -l a=1 --label b --link db --link web:www --expose 53/udp \
            -p 127.0.0.1:8080:80 --health-cmd 'test -e /x' --health-interval 1s --stop-signal INT \
            --stop-timeout 3 --restart on-failure:4 --network container:x img sleep -x 9",
        );
        let pairs: Vec<_> = run.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "")]);
        let links: Vec<_> = run.attach.links.iter().map(|l| (&*l.container, &*l.alias)).collect();
        assert_eq!(links, [("db", "db"), ("web", "www")]);
        assert_eq!(run.exposed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["53/udp"]);
        assert_eq!(run.published.iter().map(ToString::to_string).collect::<Vec<_>>(), ["80/tcp"]);
        assert_eq!(run.health_check.as_deref(), Some("test -e /x"));
        assert_eq!((run.stop_signal, run.stop_timeout), (Some(Signal::INT), Some(3)));
        assert_eq!(run.restart.as_deref(), Some("on-failure"));
        assert_eq!(run.attach.network, "container:x");
        assert_eq!((run.image.as_str(), run.command.join(" ")), ("img", "sleep -x 9".to_owned()));
    }
}
