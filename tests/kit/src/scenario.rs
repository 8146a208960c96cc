//! A scenario file as a test: the same lines against the core, the binary and an engine.

use std::net::IpAddr;
use std::process::Command as Program;
use std::time::{Duration, Instant};

use netalias::config::{Config, Settings};
use netalias::directory::{self, Reader};
use netalias::model::{Asker, Name, Outcome, Question, RecordType, decide};
use netalias::source::scenario::{Command, Dig, Expected, Line, Player, parse};

use crate::ask::{ask_from, spread};
use crate::docker::{Docker, IMAGE, label};
use crate::fake_engine::FakeEngine;
use crate::folder::Folder;
use crate::process::{Process, kernel_port};
use crate::wait::until;

/// Something that carries out docker commands and answers questions.
pub trait Subject {
    /// Carries out one command.
    fn play(&mut self, line: &Line) -> Result<(), String>;
    /// Answers one question.
    fn dig(&mut self, dig: &Dig) -> Expected;
    /// Returns when what was played is in the answers, where that takes time: `expected` is what
    /// the next question must find.
    fn settle(&mut self, dig: &Dig, expected: &[IpAddr]);
}

/// Plays a scenario against a subject and compares every answer.
///
/// # Errors
/// Each line that went otherwise.
pub fn check(file: &str, text: &str, subject: &mut dyn Subject) -> Result<(), String> {
    let mut wrong = Vec::new();
    for line in parse(file, text).map_err(|error| error.to_string())? {
        let number = line.number;
        match &line.command {
            Command::Dig(dig) => {
                let expected = match &dig.expected {
                    Expected::Addresses(addresses) => addresses.clone(),
                    Expected::Code(_) => Vec::new(),
                };
                subject.settle(dig, &expected);
                let answer = subject.dig(dig);
                if answer != dig.expected {
                    wrong.push(format!("{file}:{number}: {}\n    got {answer}", line.text));
                }
            }
            Command::Spread { dig, count, expected } => {
                let addresses: Vec<IpAddr> = expected.iter().map(|(address, _)| *address).collect();
                subject.settle(dig, &addresses);
                let got = spread(*count, || subject.dig(dig))?;
                if got != *expected {
                    wrong.push(format!("{file}:{number}: {}\n    got {got:?}", line.text));
                }
            }
            _ => subject.play(&line).map_err(|why| format!("{file}:{number}: {why}"))?,
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// The pure core, in process: no socket, no thread.
pub struct Core {
    player: Player,
    reader: Reader,
}

impl Default for Core {
    fn default() -> Self {
        Self::of("")
    }
}

impl Core {
    /// With the configuration that a scenario has.
    ///
    /// # Panics
    /// When that is none.
    #[must_use]
    pub fn of(scenario: &str) -> Self {
        let file = Settings::from_toml("its configuration", &configuration(scenario));
        let config = Config::new(Settings::default(), file.expect("settings"), None);
        let policy = config.and_then(|config| config.policy(None, None)).expect("a configuration");
        let (publisher, reader) = directory::new(1, policy);
        Self { player: Player::new(publisher), reader }
    }

    /// The address that a container asks from.
    fn client(&self, container: &str) -> IpAddr {
        let name = Name::parse(container).expect("a name");
        let sets = self.reader.sets(Some(&name));
        let member = sets.first().and_then(|set| set.members.first()).expect("a running container");
        member.v4.map(IpAddr::V4).or(member.v6.map(IpAddr::V6)).expect("an address")
    }

    /// Answers one question; several threads may ask at once.
    ///
    /// # Panics
    /// When the name is none.
    #[must_use]
    pub fn answer(&self, dig: &Dig) -> Expected {
        let client = dig.client.as_deref().map_or([127, 0, 0, 1].into(), |name| self.client(name));
        let policy = self.reader.policy();
        let mut asker = Asker { address: client, v4: None, v6: None, chance: 0, room: usize::MAX };
        let name = Name::parse(&dig.name).expect("a name");
        let qtype = match dig.qtype.as_str() {
            "A" => RecordType::A,
            "AAAA" => RecordType::Aaaa,
            "TXT" => RecordType::Txt,
            "SRV" => RecordType::Srv,
            "PTR" => RecordType::Ptr,
            _ => RecordType::Other,
        };
        let code = |code: &str| Expected::Code(code.to_owned());
        let lookup = self.reader.lookup(&mut asker, &name, qtype, &policy);
        let (zone, found) = (&lookup.zone, &lookup.found);
        let question = Question { zone, found, qtype, asker: &asker };
        match decide(&question, &policy, self.reader.is_complete()).outcome {
            Outcome::A(a) => Expected::Addresses(a.into_iter().map(IpAddr::V4).collect()),
            Outcome::Aaaa(aaaa) => Expected::Addresses(aaaa.into_iter().map(IpAddr::V6).collect()),
            Outcome::Ptr(_)
            | Outcome::Srv(_)
            | Outcome::Txt(_)
            | Outcome::Cname(_)
            | Outcome::Soa
            | Outcome::Ns => code("DATA"),
            Outcome::NoData => code("NODATA"),
            Outcome::NxDomain => code("NXDOMAIN"),
            Outcome::ServFail => code("SERVFAIL"),
            Outcome::Refused => code("REFUSED"),
        }
    }
}

impl Subject for Core {
    fn play(&mut self, line: &Line) -> Result<(), String> {
        self.player.play(&line.command).map_err(|error| error.to_string())
    }

    fn dig(&mut self, dig: &Dig) -> Expected {
        self.answer(dig)
    }

    fn settle(&mut self, _: &Dig, _: &[IpAddr]) {}
}

/// The real binary, which is told the commands by `netalias demo -`.
pub struct Wire(Process);

impl Wire {
    /// Starts the binary at this path, with the configuration that a scenario has.
    #[must_use]
    pub fn start(binary: &str, scenario: &str) -> Self {
        let mut command = Program::new(binary);
        command.args(["demo", "-"]).args(kernel_port());
        Self(with_configuration(&mut command, scenario))
    }
}

/// A line of a scenario that begins so is one of its configuration.
const CONFIGURED: &str = "#= ";

fn configuration(scenario: &str) -> String {
    let lines = scenario.lines().filter_map(|line| line.strip_prefix(CONFIGURED));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Starts a command of the binary that reads a configuration.
fn with_configuration(command: &mut Program, scenario: &str) -> Process {
    let folder = Folder::new();
    let file = folder.path().join("netalias.toml");
    std::fs::write(&file, configuration(scenario)).expect("a file");
    // It is read before the first address is told.
    Process::start(command.arg("--config").arg(&file))
}

/// The address that a container asks from: on loopback, the test can ask from it, too.
fn address(process: &Process, container: &str) -> IpAddr {
    let known = || {
        let (_, body) = process.get(&format!("/v1/names?name={container}"));
        let names: serde_json::Value = serde_json::from_str(&body).ok()?;
        names["names"][0]["endpoints"][0]["v4"].as_str()?.parse().ok()
    };
    until("the client is known", known).0
}

/// The same scenario with its IPv4 addresses on loopback, where a test can be any container.
#[must_use]
pub fn on_loopback(text: &str) -> String {
    text.replace("10.213.", "127.213.").replace(".213.10.in-addr", ".213.127.in-addr")
}

impl Subject for Wire {
    fn play(&mut self, line: &Line) -> Result<(), String> {
        let before = self.0.lines().len();
        self.0.type_line(&line.text);
        let (reply, _) = until("the command is played", || {
            self.0.lines()[before..].iter().find(|l| l.starts_with(['$', '!'])).cloned()
        });
        if reply.starts_with('!') { Err(reply) } else { Ok(()) }
    }

    fn dig(&mut self, dig: &Dig) -> Expected {
        let source =
            dig.client.as_ref().map_or([127, 0, 0, 1].into(), |client| address(&self.0, client));
        ask_from(source, self.0.dns, &dig.name, &dig.qtype).expect("an answer").as_expected()
    }

    fn settle(&mut self, _: &Dig, _: &[IpAddr]) {}
}

/// An engine that the binary can follow.
pub trait CarriesOut {
    /// Where it is, if not where `docker` looks for it.
    fn url(&self) -> Option<String>;
    /// Carries out one command.
    fn carry_out(&self, line: &Line) -> Result<(), String>;
    /// Asks from inside a container, where it has an inside: the server is at its gateway.
    fn ask_inside(&self, binary: &str, container: &str, port: u16, dig: &Dig) -> Option<Expected>;
}

/// The real binary beside an engine, which is told the commands in its own way.
pub struct OnEngine<'a> {
    binary: String,
    process: Process,
    engine: &'a dyn CarriesOut,
}

impl<'a> OnEngine<'a> {
    /// Starts the binary at this path, with the configuration that a scenario has, and waits for
    /// its first complete list.
    #[must_use]
    pub fn start(binary: &str, scenario: &str, engine: &'a dyn CarriesOut) -> Self {
        let mut command = Program::new(binary);
        let listen = ["serve", "--listen", "0.0.0.0:0", "--http", "127.0.0.1:0"];
        command.args(listen).args(["--forward", "off"]);
        if let Some(url) = engine.url() {
            command.args(["--docker", &url]);
        }
        let process = with_configuration(&mut command, scenario);
        until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
        Self { binary: binary.to_owned(), process, engine }
    }

    /// Which addresses the directory has for a name, without taking a turn.
    fn known(&self, name: &str) -> Vec<IpAddr> {
        let (code, body) = self.process.get(&format!("/v1/names?name={name}"));
        assert_eq!(code, 200, "{body}");
        let entries: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let endpoints = entries["names"].as_array().into_iter().flatten().filter_map(|entry| {
            Some(entry["endpoints"].as_array()?.iter().filter(|e| e["answered"] == true))
        });
        let addresses = endpoints.flatten().flat_map(|endpoint| {
            [&endpoint["v4"], &endpoint["v6"]].map(|value| value.as_str()?.parse().ok())
        });
        addresses.flatten().collect()
    }
}

impl Subject for OnEngine<'_> {
    fn play(&mut self, line: &Line) -> Result<(), String> {
        if let Command::Sleep(pause) = line.command {
            return Err(format!("a test waits on conditions, not for {pause:?}"));
        }
        self.engine.carry_out(line)
    }

    fn dig(&mut self, dig: &Dig) -> Expected {
        let port = self.process.dns.port();
        let client = dig.client.as_ref();
        let inside = |client: &String| self.engine.ask_inside(&self.binary, client, port, dig);
        if let Some(answer) = client.and_then(inside) {
            return answer;
        }
        let source = client.map_or([127, 0, 0, 1].into(), |client| address(&self.process, client));
        let server = ([127, 0, 0, 1], port).into();
        ask_from(source, server, &dig.name, &dig.qtype).expect("an answer").as_expected()
    }

    /// The engine answers the command before we have read its event: wait until the directory has
    /// what the scenario expects, without asking over DNS, which would take a turn.
    fn settle(&mut self, dig: &Dig, expected: &[IpAddr]) {
        let v4 = dig.qtype == "A";
        let mut wanted: Vec<IpAddr> = expected.to_vec();
        wanted.sort_unstable();
        let deadline = Instant::now() + SETTLE;
        // What a container sees cannot be read elsewhere; scenarios ask so for single addresses,
        // where turns do not matter.
        while dig.client.is_some() {
            if self.dig(dig) == dig.expected || Instant::now() > deadline {
                return;
            }
            std::thread::park_timeout(PACE);
        }
        let started = Instant::now();
        let settled = |known: Vec<IpAddr>| {
            let mut known: Vec<_> = known.into_iter().filter(|a| a.is_ipv4() == v4).collect();
            known.sort_unstable();
            known.dedup();
            // An answer may be a part of what is known, or something has to go yet: then the
            // engine's events get their time.
            let part = !wanted.is_empty() && wanted.iter().all(|a| known.contains(a));
            known == wanted || (part && started.elapsed() > EVENTS)
        };
        while !settled(self.known(&dig.name)) && Instant::now() < deadline {
            std::thread::park_timeout(PACE);
        }
        // Without addresses there is no turn to take: the code itself can be waited for.
        let code = matches!(dig.expected, Expected::Code(_));
        while code && self.dig(dig) != dig.expected && Instant::now() < deadline {
            std::thread::park_timeout(PACE);
        }
    }
}

impl CarriesOut for Docker {
    fn url(&self) -> Option<String> {
        None
    }

    /// With the binary itself, in the container's network namespace.
    fn ask_inside(&self, binary: &str, container: &str, port: u16, dig: &Dig) -> Option<Expected> {
        let inspect = |format: &str| self.run(&["inspect", "--format", format, container]);
        let pid = inspect("{{.State.Pid}}");
        let gateways = inspect("{{range .NetworkSettings.Networks}}{{.Gateway}} {{end}}");
        let server = format!("{}:{port}", gateways.split_whitespace().next()?);
        let output = Program::new("nsenter")
            .args(["-t", &pid, "-n", binary, "query", &dig.name, &dig.qtype])
            .args(["--json", "--server", &server])
            .output()
            .expect("nsenter");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let answers = report["answers"].as_array()?;
        let data = |answer: &serde_json::Value| answer["data"].as_str()?.parse().ok();
        let addresses: Vec<IpAddr> = answers.iter().filter_map(data).collect();
        Some(match report["rcode"].as_str()? {
            "NOERROR" if answers.is_empty() => Expected::Code("NODATA".to_owned()),
            "NOERROR" if addresses.is_empty() => Expected::Code("DATA".to_owned()),
            "NOERROR" => Expected::Addresses(addresses),
            code => Expected::Code(code.to_owned()),
        })
    }

    fn carry_out(&self, line: &Line) -> Result<(), String> {
        let words = docker_words(line)?;
        self.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        Ok(())
    }
}

/// The line for `docker`, as it stands but for the label, the image and its command.
fn docker_words(line: &Line) -> Result<Vec<String>, String> {
    let mut words = line.words.clone();
    match &line.command {
        Command::Health(container, _) => {
            return Err(format!(
                "a real engine finds out by itself how {container} is: the line is for an engine \
                 without containers"
            ));
        }
        Command::Run(run) | Command::Create(run) => {
            words.truncate(words.len() - run.command.len() - 1);
            let fixed = ["--label", label(), "--stop-timeout", "0"].map(str::to_owned);
            words.splice(2..2, fixed);
            words.extend([IMAGE, "sleep", "3600"].map(str::to_owned));
        }
        Command::NetworkCreate(_) => {
            words.splice(3..3, ["--label", label()].map(str::to_owned));
        }
        Command::Prune(_) | Command::NetworkPrune(_) => {
            // Nothing but a test's own.
            let own = format!("label={}", label());
            words.extend(["-f", "--filter", &own].map(str::to_owned));
        }
        _ => {}
    }
    words.remove(0);
    Ok(words)
}

impl CarriesOut for FakeEngine {
    fn url(&self) -> Option<String> {
        Some(self.url())
    }

    fn ask_inside(&self, _: &str, _: &str, _: u16, _: &Dig) -> Option<Expected> {
        None
    }

    fn carry_out(&self, line: &Line) -> Result<(), String> {
        self.try_play(&line.text)
    }
}

/// Within this time every event has been followed.
const EVENTS: Duration = Duration::from_millis(500);
/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(2);
/// The engine's events arrive within milliseconds; after this the answer is compared anyway, and
/// the difference told.
const SETTLE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<String, String> {
        docker_words(&parse("test", text).expect(text)[0]).map(|words| words.join("|"))
    }

    #[test]
    fn a_real_engine_gets_the_lines_with_the_tests_label() {
        let fixed = format!("--label|{}|--stop-timeout|0", label());
        let image = "netalias-test/busybox|sleep|3600";
        let run = words("docker run -d --health-cmd 'test -e /x' busybox httpd -f");
        assert_eq!(run, Ok(format!("run|{fixed}|-d|--health-cmd|test -e /x|{image}")));
        assert_eq!(words("docker create busybox"), Ok(format!("create|{fixed}|{image}")));
        let prune = words("docker container prune");
        assert_eq!(prune, Ok(format!("container|prune|-f|--filter|label={}", label())));
        assert_eq!(words("docker rm -f a b"), Ok("rm|-f|a|b".to_owned()));
    }

    #[test]
    fn a_real_engine_is_not_told_what_a_health_check_finds() {
        let why = words("health web healthy").expect_err("it finds out by itself");
        assert!(why.starts_with("a real engine finds out by itself how web is"), "{why}");
    }
}
