//! A scenario file as a test: the same lines against the core, the binary and a real engine.

use std::net::IpAddr;
use std::process::Command as Program;
use std::time::{Duration, Instant};

use netalias::directory::{self, Reader};
use netalias::model::{Asker, Domains, Name, Outcome, Policy, Question, RecordType, decide};
use netalias::source::scenario::{Command, Dig, Expected, Line, Player, parse};

use crate::ask::{ask, ask_from, spread};
use crate::docker::{Docker, IMAGE, LABEL};
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
        let domains = Domains::new(vec![Name::parse("rr.internal").expect("a name")]);
        let (publisher, reader) = directory::new(1, Policy { domains, ..Policy::default() });
        Self { player: Player::new(publisher), reader }
    }
}

impl Core {
    /// The address that a container asks from.
    fn client(&self, container: &str) -> IpAddr {
        let name = Name::parse(container).expect("a name");
        let sets = self.reader.sets(Some(&name));
        let member = sets.first().and_then(|set| set.members.first()).expect("a running container");
        member.v4.map(IpAddr::V4).or(member.v6.map(IpAddr::V6)).expect("an address")
    }
}

impl Subject for Core {
    fn play(&mut self, line: &Line) -> Result<(), String> {
        self.player.play(&line.command).map_err(|error| error.to_string())
    }

    fn dig(&mut self, dig: &Dig) -> Expected {
        let client = dig.client.as_deref().map_or([127, 0, 0, 1].into(), |name| self.client(name));
        let policy = self.reader.policy();
        let mut asker = Asker { address: client, v4: None, v6: None, chance: 0 };
        let name = Name::parse(&dig.name).expect("a name");
        let lookup = self.reader.lookup(&mut asker, &name, &policy);
        let qtype = match dig.qtype.as_str() {
            "A" => RecordType::A,
            "AAAA" => RecordType::Aaaa,
            "TXT" => RecordType::Txt,
            "SRV" => RecordType::Srv,
            "PTR" => RecordType::Ptr,
            _ => RecordType::Other,
        };
        let code = |code: &str| Expected::Code(code.to_owned());
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

    fn settle(&mut self, _: &Dig, _: &[IpAddr]) {}
}

/// The real binary, which is told the commands by `netalias demo -`.
pub struct Wire(Process);

impl Wire {
    /// Starts the binary at this path.
    #[must_use]
    pub fn start(binary: &str) -> Self {
        let mut command = Program::new(binary);
        Self(Process::start(command.args(["demo", "-"]).args(kernel_port())))
    }
}

impl Wire {
    /// The address that a container asks from: on loopback, the test can ask from it, too.
    fn client(&self, container: &str) -> IpAddr {
        let (_, body) = self.0.get(&format!("/v1/names?name={container}"));
        let names: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let address = names["names"][0]["endpoints"][0]["v4"].as_str().expect("an address");
        address.parse().expect("an address")
    }
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
            dig.client.as_ref().map_or([127, 0, 0, 1].into(), |client| self.client(client));
        ask_from(source, self.0.dns, &dig.name, &dig.qtype).expect("an answer").as_expected()
    }

    fn settle(&mut self, _: &Dig, _: &[IpAddr]) {}
}

/// The real binary beside a real engine, which is told the commands by `docker`.
pub struct OnEngine<'a> {
    binary: String,
    process: Process,
    docker: &'a Docker,
}

impl<'a> OnEngine<'a> {
    /// Starts the binary at this path and waits for its first complete list.
    #[must_use]
    pub fn start(binary: &str, docker: &'a Docker) -> Self {
        let mut command = Program::new(binary);
        let listen = ["serve", "--listen", "0.0.0.0:0", "--http", "127.0.0.1:0"];
        let process = Process::start(command.args(listen));
        until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
        Self { binary: binary.to_owned(), process, docker }
    }

    /// Asks from inside a container's network namespace, with the binary itself.
    fn ask_inside(&self, container: &str, dig: &Dig) -> Expected {
        let inspect = |format: &str| self.docker.run(&["inspect", "--format", format, container]);
        let pid = inspect("{{.State.Pid}}");
        let gateways = inspect("{{range .NetworkSettings.Networks}}{{.Gateway}} {{end}}");
        let gateway = gateways.split_whitespace().next().expect("a gateway");
        let server = format!("{gateway}:{}", self.process.dns.port());
        let output = Program::new("nsenter")
            .args(["-t", &pid, "-n", &self.binary, "query", &dig.name, &dig.qtype])
            .args(["--json", "--server", &server])
            .output()
            .expect("nsenter");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let answers = report["answers"].as_array().expect("answers");
        let data = |answer: &serde_json::Value| answer["data"].as_str()?.parse().ok();
        let addresses: Vec<IpAddr> = answers.iter().filter_map(data).collect();
        match report["rcode"].as_str() {
            Some("NOERROR") if answers.is_empty() => Expected::Code("NODATA".to_owned()),
            Some("NOERROR") if addresses.is_empty() => Expected::Code("DATA".to_owned()),
            Some("NOERROR") => Expected::Addresses(addresses),
            code => Expected::Code(code.unwrap_or_default().to_owned()),
        }
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
    /// The line as it stands, but for the label, the image and its command.
    fn play(&mut self, line: &Line) -> Result<(), String> {
        match &line.command {
            Command::Sleep(pause) => {
                return Err(format!("a test waits on conditions, not for {pause:?}"));
            }
            Command::Health(..) => return Err("an engine finds out health by itself".to_owned()),
            _ => {}
        }
        let mut words = line.words.clone();
        match &line.command {
            Command::Health(container, _) => {
                return Err(format!(
                    "a real engine finds out by itself how {container} is: write the line for an \
                     engine without containers"
                ));
            }
            Command::Run(run) | Command::Create(run) => {
                words.truncate(words.len() - run.command.len() - 1);
                let label = ["--label", LABEL, "--stop-timeout", "0"].map(str::to_owned);
                words.splice(2..2, label);
                words.extend([IMAGE, "sleep", "3600"].map(str::to_owned));
            }
            Command::NetworkCreate(_) => {
                words.splice(3..3, ["--label", LABEL].map(str::to_owned));
            }
            _ => {}
        }
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        self.docker.run(&words);
        Ok(())
    }

    fn dig(&mut self, dig: &Dig) -> Expected {
        if let Some(client) = &dig.client {
            return self.ask_inside(client, dig);
        }
        let server = ([127, 0, 0, 1], self.process.dns.port()).into();
        ask(server, &dig.name, &dig.qtype).expect("an answer").as_expected()
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

/// Within this time every event has been followed.
const EVENTS: Duration = Duration::from_millis(500);
/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(2);
/// The engine's events arrive within milliseconds; after this the answer is compared anyway, and
/// the difference told.
const SETTLE: Duration = Duration::from_secs(5);
