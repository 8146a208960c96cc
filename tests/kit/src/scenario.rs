//! A scenario file as a test: the same lines against the core, the binary and a real engine.

use std::net::IpAddr;
use std::process::Command as Program;
use std::time::{Duration, Instant};

use netalias::directory::{self, Reader};
use netalias::model::{Asker, Domains, Name, Outcome, Policy, Question, RecordType, decide};
use netalias::source::scenario::{Command, Dig, Expected, Line, Player, parse};

use crate::ask::{ask, spread};
use crate::docker::{Docker, IMAGE, label};
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
        ask(self.0.dns, &dig.name, &dig.qtype).expect("an answer").as_expected()
    }

    fn settle(&mut self, _: &Dig, _: &[IpAddr]) {}
}

/// The real binary beside a real engine, which is told the commands by `docker`.
pub struct OnEngine<'a> {
    process: Process,
    docker: &'a Docker,
}

impl<'a> OnEngine<'a> {
    /// Starts the binary at this path and waits for its first complete list.
    #[must_use]
    pub fn start(binary: &str, docker: &'a Docker) -> Self {
        let mut command = Program::new(binary);
        let process = Process::start(command.arg("serve").args(kernel_port()));
        until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
        Self { process, docker }
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
        if let Command::Sleep(pause) = line.command {
            return Err(format!("a test waits on conditions, not for {pause:?}"));
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
                let fixed = ["--label", label(), "--stop-timeout", "0"].map(str::to_owned);
                words.splice(2..2, fixed);
                words.extend([IMAGE, "sleep", "3600"].map(str::to_owned));
            }
            Command::NetworkCreate(_) => {
                words.splice(3..3, ["--label", label()].map(str::to_owned));
            }
            _ => {}
        }
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        self.docker.run(&words);
        Ok(())
    }

    fn dig(&mut self, dig: &Dig) -> Expected {
        ask(self.process.dns, &dig.name, &dig.qtype).expect("an answer").as_expected()
    }

    /// The engine answers the command before we have read its event: wait until the directory has
    /// what the scenario expects, without asking over DNS, which would take a turn.
    fn settle(&mut self, dig: &Dig, expected: &[IpAddr]) {
        let v4 = dig.qtype == "A";
        let mut wanted: Vec<IpAddr> = expected.to_vec();
        wanted.sort_unstable();
        let deadline = Instant::now() + SETTLE;
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
