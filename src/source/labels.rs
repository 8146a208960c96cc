//! The labels `netalias.…` of a container, whichever source it comes from.

use std::str::FromStr;

use crate::model::{Labels, Name, Port};

/// What the labels of a container say to us.
pub(super) struct Spoken {
    /// It is to be left out.
    pub(super) ignore: bool,
    /// What they say about its answers.
    pub(super) answers: Labels,
    /// Its further names.
    pub(super) aliases: Vec<String>,
    /// Service names with their ports, `("http", "80/tcp")`.
    ports: Vec<(String, String)>,
    /// Labels of ours whose value cannot be read.
    pub(super) invalid: Vec<String>,
}

impl Spoken {
    /// A value that cannot be read is as if it was not there, but named.
    pub(super) fn read<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut read = Self {
            ignore: false,
            answers: Labels::default(),
            aliases: Vec::new(),
            ports: Vec::new(),
            invalid: Vec::new(),
        };
        for (key, value) in labels {
            match key.strip_prefix("netalias.") {
                Some("ignore") => read.ignore = value == "true",
                Some("publish-not-ready") => read.answers.publish_not_ready = value == "true",
                Some("weight") => {
                    let weight = value.parse().ok().filter(|weight| *weight > 0);
                    read.answers.weight = weight.unwrap_or_else(|| read.complain(key, value));
                }
                Some("order") => read.answers.selection.order = read.parsed(key, value),
                Some("answers") => read.answers.selection.answers = read.parsed(key, value),
                Some("ttl") => read.answers.selection.ttl = read.parsed(key, value),
                Some("health") => read.answers.selection.health = read.parsed(key, value),
                Some("alias") => {
                    let aliases = value.split(',').map(str::trim).filter(|text| !text.is_empty());
                    read.aliases = aliases.map(str::to_owned).collect();
                }
                Some(key) => {
                    let service = key.strip_prefix("port.");
                    read.ports
                        .extend(service.map(|service| (service.to_owned(), value.to_owned())));
                }
                None => {}
            }
        }
        read.ports.sort_unstable();
        read
    }

    fn parsed<T: FromStr>(&mut self, key: &str, value: &str) -> Option<T> {
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.invalid.push(format!("{key}={value}"));
        }
        parsed
    }

    /// Names a weight that is none, and gives the weight that is then in force.
    fn complain(&mut self, key: &str, value: &str) -> u8 {
        self.invalid.push(format!("{key}={value}"));
        Labels::default().weight
    }

    /// The ports that it exposes, as `80/tcp`, and those that its labels name.
    pub(super) fn ports(&self, exposed: &[String]) -> Box<[Port]> {
        let named = &self.ports;
        let mut texts: Vec<&String> =
            exposed.iter().chain(named.iter().map(|(_, port)| port)).collect();
        texts.sort_unstable();
        texts.dedup();
        let port = |text: &String| {
            let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            let services = named.iter().filter(|(_, port)| port == text);
            Some(Port {
                number: number.parse().ok()?,
                protocol: protocol.into(),
                services: services.filter_map(|(name, _)| Name::parse(name).ok()).collect(),
            })
        };
        texts.into_iter().filter_map(port).collect()
    }
}
