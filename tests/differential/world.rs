//! The random life of an engine: networks, containers, and what happens to them.

use std::collections::BTreeSet;

use fastrand::Rng;
use netalias_testkit::{Docker, IMAGE, label};

use crate::facts::{Container, DEFAULT_BRIDGE, Facts};
use crate::probe::UPSTREAM;

/// Names are few, so that they meet: an alias that is another's name or hostname, a link alias
/// that hides a name, a dotted alias that reads like a name on a network.
const ALIASES: &[&str] = &[
    "nd-web",
    "nd-db",
    "nd_under",
    "nd-UPPER",
    "nd-a",
    "nd-a.nd-b",
    "nd-a.nd-b.nd-c",
    "nd-x.nd-net",
    "nd-one",
    "nd-host1",
];
const NAMES: &[&str] =
    &["nd-one", "nd-two", "nd.dotted", "nd_three", "nd-Four", "nd-a", "nd-web", "nd-five"];
const HOSTNAMES: &[&str] = &["nd-host1", "nd-Host2", "nd-host.nd-dom", "nd-db", "nd-two"];
const LINKS: &[&str] = &["nd-Link", "nd-link2", "nd-web", "nd-link.nd-net"];
/// A network whose name has a dot makes names with two readings; so does one that is an alias.
const NETWORKS: &[&str] = &["nd-net", "nd-b.nd-c", "nd-c", "nd-Mixed", "nd-web", "nd-z"];

/// The engine's test objects, and how they came to be.
pub(crate) struct World<'a> {
    docker: &'a Docker,
    rng: Rng,
    /// Every docker command so far, as it could be typed.
    pub(crate) commands: Vec<String>,
    /// Every name that anyone ever had.
    pub(crate) names: BTreeSet<String>,
    networks: Vec<&'static str>,
    most: usize,
    serial: usize,
}

impl<'a> World<'a> {
    /// Nothing yet, and how much there is to be.
    pub(crate) fn new(docker: &'a Docker, seed: u64, networks: usize, most: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let networks = rng.choose_multiple(NETWORKS.iter().copied(), networks);
        let (commands, names) = (Vec::new(), BTreeSet::new());
        Self { docker, rng, commands, names, networks, most, serial: 0 }
    }

    /// The networks, and as many containers on them as there may be.
    pub(crate) fn build(&mut self) -> Result<(), String> {
        self.rng.shuffle(&mut self.networks);
        for (index, name) in self.networks.clone().into_iter().enumerate() {
            self.create_network(index, name)?;
        }
        for _ in 0..self.most {
            let facts = self.facts()?;
            self.run(&facts)?;
            // Names that are on several networks of a client are where order shows.
            if self.rng.bool() {
                let facts = self.facts()?;
                self.connect(&facts)?;
            }
        }
        Ok(())
    }

    /// What the engine has now.
    pub(crate) fn facts(&mut self) -> Result<Facts, String> {
        let facts = Facts::read(self.docker)?;
        self.names.extend(facts.names());
        Ok(facts)
    }

    /// One thing happens.
    pub(crate) fn churn(&mut self) -> Result<(), String> {
        let facts = self.facts()?;
        loop {
            let done = match self.rng.u8(0..20) {
                0..=2 => self.run(&facts)?,
                3 => self.remove(&facts)?,
                4..=6 => self.rename(&facts)?,
                7..=8 => self.restart(&facts)?,
                9 => self.kill(&facts)?,
                10..=12 => self.start(&facts)?,
                13..=15 => self.connect(&facts)?,
                16..=17 => self.disconnect(&facts)?,
                18 => self.pause(&facts, false)?,
                _ => self.pause(&facts, true)?,
            };
            if done {
                return Ok(());
            }
        }
    }

    fn create_network(&mut self, index: usize, name: &str) -> Result<(), String> {
        // Each kind occurs; which name has it is drawn, for names decide Docker's order.
        let kind = if index < 3 { index } else { self.rng.usize(0..4) };
        let v4 = format!("10.214.{index}");
        let v6 = format!("fd00:214:{index}:");
        let (subnet4, subnet6) = (format!("{v4}.0/24"), format!("{v6}:/64"));
        let (gateway4, gateway6) = (format!("{v4}.1"), format!("{v6}:1"));
        let mut args = vec!["network", "create", "--label", label()];
        args.extend(["--subnet", &subnet4, "--gateway", &gateway4]);
        match kind {
            0 => {}
            1 => args.push("--internal"),
            _ => args.extend(["--ipv6", "--subnet", &subnet6, "--gateway", &gateway6]),
        }
        if kind == 3 {
            args.push("--internal");
        }
        args.push(name);
        self.docker(&args).map(drop)
    }

    fn run(&mut self, facts: &Facts) -> Result<bool, String> {
        if facts.containers.len() >= self.most {
            return Ok(false);
        }
        let mut args = vec!["run".to_owned(), "-d".to_owned()];
        let mut say = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
        say(&["--label", label(), "--stop-timeout", "0"]);
        // Now and then the engine chooses the name.
        if self.rng.u8(0..8) > 0 {
            say(&["--name", &self.free_name(facts)]);
        }
        let hosts: Vec<&Container> = facts.clients().filter(|host| !host.paused).collect();
        // Those who live with another one, and on the host, occur in every run.
        let kind = match facts.containers.len() {
            4 => 0,
            6 => 1,
            _ => self.rng.u8(0..14),
        };
        match kind {
            0 if !hosts.is_empty() => {
                let host = hosts[self.rng.usize(0..hosts.len())];
                say(&["--network", &format!("container:{}", host.name)]);
            }
            1 if !facts.containers.iter().any(|c| c.on("host").is_some()) => {
                say(&["--network", "host"]);
            }
            kind => {
                say(&["--dns", UPSTREAM]);
                if self.rng.u8(0..3) == 0 {
                    say(&["-h", self.one_of(HOSTNAMES)]);
                }
                if kind > 2 {
                    let network = self.network();
                    say(&["--network", network]);
                    for alias in self.some_of(ALIASES) {
                        say(&["--network-alias", alias]);
                    }
                    let targets: Vec<&Container> = facts.attached(network).map(|at| at.0).collect();
                    if self.rng.bool() && !targets.is_empty() {
                        let target = targets[self.rng.usize(0..targets.len())];
                        say(&["--link", &format!("{}:{}", target.name, self.one_of(LINKS))]);
                    }
                }
            }
        }
        say(&[IMAGE, "sleep", "3600"]);
        self.docker(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(true)
    }

    fn remove(&mut self, facts: &Facts) -> Result<bool, String> {
        let few = facts.containers.len() * 2 <= self.most;
        let Some(container) = self.container(facts, |_| !few) else { return Ok(false) };
        self.docker(&["rm", "-f", &container.name])
    }

    fn rename(&mut self, facts: &Facts) -> Result<bool, String> {
        let Some(container) = self.container(facts, |_| true) else { return Ok(false) };
        let name = self.free_name(facts);
        self.docker(&["rename", &container.name, &name])
    }

    fn restart(&mut self, facts: &Facts) -> Result<bool, String> {
        let able = |c: &Container| c.running && !c.paused && can_start(c, facts);
        let Some(container) = self.container(facts, able) else { return Ok(false) };
        self.docker(&["restart", "--time", "0", &container.name])
    }

    fn kill(&mut self, facts: &Facts) -> Result<bool, String> {
        let able = |c: &Container| c.running && !c.paused;
        let Some(container) = self.container(facts, able) else { return Ok(false) };
        self.docker(&["kill", &container.name])
    }

    fn start(&mut self, facts: &Facts) -> Result<bool, String> {
        let able = |c: &Container| !c.running && can_start(c, facts);
        let Some(container) = self.container(facts, able) else { return Ok(false) };
        self.docker(&["start", &container.name])
    }

    fn connect(&mut self, facts: &Facts) -> Result<bool, String> {
        let able = |c: &Container| !c.is_guest() && !c.paused;
        let Some(container) = self.container(facts, able) else { return Ok(false) };
        let bridge = self.rng.u8(0..6) == 0;
        let network = if bridge { DEFAULT_BRIDGE } else { self.network() };
        if container.on(network).is_some() {
            return Ok(false);
        }
        let mut args = vec!["network", "connect"];
        if !bridge {
            args.extend(self.some_of(ALIASES).into_iter().flat_map(|alias| ["--alias", alias]));
        }
        args.extend([network, &container.name]);
        self.docker(&args)
    }

    fn disconnect(&mut self, facts: &Facts) -> Result<bool, String> {
        let able = |c: &Container| !c.is_guest() && !c.paused && c.attachments.len() > 1;
        let Some(container) = self.container(facts, able) else { return Ok(false) };
        let network = &container.attachments[self.rng.usize(0..container.attachments.len())];
        self.docker(&["network", "disconnect", &network.network, &container.name])
    }

    fn pause(&mut self, facts: &Facts, on: bool) -> Result<bool, String> {
        let able = |c: &Container| c.running && c.paused != on;
        let Some(container) = self.container(facts, able) else { return Ok(false) };
        self.docker(&[if on { "pause" } else { "unpause" }, &container.name])
    }

    /// Runs a docker command and remembers it.
    fn docker(&mut self, args: &[&str]) -> Result<bool, String> {
        self.commands.push(format!("docker {}", args.join(" ")));
        self.docker.attempt(args)?;
        Ok(true)
    }

    fn container<'f>(
        &mut self,
        facts: &'f Facts,
        able: impl Fn(&Container) -> bool,
    ) -> Option<&'f Container> {
        let able: Vec<&Container> = facts.containers.iter().filter(|c| able(c)).collect();
        (!able.is_empty()).then(|| able[self.rng.usize(0..able.len())])
    }

    fn network(&mut self) -> &'static str {
        self.networks[self.rng.usize(0..self.networks.len())]
    }

    fn one_of(&mut self, names: &[&'static str]) -> &'static str {
        names[self.rng.usize(0..names.len())]
    }

    /// None to two of them.
    fn some_of(&mut self, names: &[&'static str]) -> Vec<&'static str> {
        let count = self.rng.usize(0..3);
        self.rng.choose_multiple(names.iter().copied(), count)
    }

    /// A container name that nobody has.
    fn free_name(&mut self, facts: &Facts) -> String {
        let taken = |name: &str| facts.containers.iter().any(|c| c.name == name);
        let name = self.one_of(NAMES);
        if !taken(name) {
            return name.to_owned();
        }
        self.serial += 1;
        format!("nd-n{}", self.serial)
    }
}

/// The engine starts a container only when whatever it refers to is there.
fn can_start(container: &Container, facts: &Facts) -> bool {
    let exists = |name: &str| facts.containers.iter().any(|c| c.name == name);
    let links = container.attachments.iter().flat_map(|attachment| &attachment.links);
    let host = |id: &String| {
        let mut hosts = facts.containers.iter().filter(|c| c.id == *id);
        hosts.any(|host| host.running && !host.paused)
    };
    links.into_iter().all(|(target, _)| exists(target)) && container.shares.iter().all(host)
}
