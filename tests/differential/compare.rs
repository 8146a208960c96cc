//! A quiet point: every client is asked the same of both servers, and each difference judged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use netalias_testkit::Process;
use serde_json::Value;

use crate::case::{Case, Facet, Sheet, damaged, netalias_verdict};
use crate::facts::{Container, Facts};
use crate::probe::{Batch, ask_from};
use crate::questions::questions;
use crate::rules::RULES;

/// After the engine has answered a command its event arrives within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(5);

/// What a whole run has found.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) quiet_points: usize,
    pub(crate) clients: usize,
    pub(crate) questions: usize,
    /// Questions that both answer alike in all that is compared.
    pub(crate) alike: usize,
    /// Wrong replies made up, all of which were noticed.
    pub(crate) damaged: usize,
    /// How often each rule was needed.
    pub(crate) rules: BTreeMap<&'static str, usize>,
    /// Differences that nothing explains.
    pub(crate) unexplained: Vec<String>,
}

/// How a difference was judged.
enum Judgement {
    Meant(&'static str),
    Unexplained,
}

/// Asks all clients and judges.
pub(crate) fn compare(
    facts: &Facts,
    ever: &BTreeSet<String>,
    process: &Process,
    rng: &mut Rng,
    tally: &mut Tally,
) -> Result<(), String> {
    settle(facts, process)?;
    tally.quiet_points += 1;
    for client in facts.clients() {
        let gateways: Vec<_> = client.attachments.iter().flat_map(|on| &on.gateways).collect();
        let gateways: Vec<_> =
            gateways.into_iter().filter(|g| g.is_ipv4() || process.dns.is_ipv6()).collect();
        let gateway = *gateways[rng.usize(0..gateways.len())];
        let asked = questions(rng, facts, client, ever, tally.clients == 0);
        let batch = Batch {
            netalias: SocketAddr::new(gateway, process.dns.port()),
            sources: client.addresses().collect(),
            questions: asked.iter().map(|a| (a.name.clone(), a.qtype.to_owned())).collect(),
        };
        let replies = ask_from(client.pid, &batch)
            .map_err(|why| format!("cannot ask {gateway} from {}: {why}", client.name))?;
        let keys = asked.iter().map(|a| (a.name.clone(), a.qtype));
        let sheet: Sheet = keys.zip(replies).collect();
        tally.clients += 1;
        for asked in &asked {
            let (docker, netalias) = sheet[&(asked.name.clone(), asked.qtype)].clone();
            tally.judge(Case { facts, client, sheet: &sheet, asked, docker, netalias });
        }
    }
    Ok(())
}

impl Tally {
    fn judge(&mut self, mut case: Case) {
        self.questions += 1;
        let differences = case.differences();
        if differences.is_empty() {
            self.alike += 1;
        }
        let mut right = true;
        for facet in differences {
            match judge(&case, facet) {
                Judgement::Meant(rule) => *self.rules.entry(rule).or_default() += 1,
                Judgement::Unexplained => {
                    right = false;
                    self.unexplained.push(format!("{facet:?}: {}", describe(&case)));
                }
            }
        }
        if right {
            self.damage(&mut case);
        }
    }

    /// Holds the rules to their word: none excuses a wrong answer where Docker has one.
    fn damage(&mut self, case: &mut Case) {
        use crate::case::Verdict::{Data, NoData};
        // Where they differ on purpose a made-up reply may be the right one.
        if !matches!(case.docker(), Data(_) | NoData) || case.docker() != case.netalias() {
            return;
        }
        for reply in damaged(&case.netalias) {
            let changed = netalias_verdict(&reply) != case.docker();
            case.netalias = reply;
            let noticed = |facet| !matches!(judge(case, facet), Judgement::Meant(_));
            if case.differences().into_iter().any(noticed) {
                self.damaged += 1;
            } else if changed {
                self.unexplained.push(format!("a wrong answer was excused: {}", describe(case)));
            }
        }
    }
}

fn judge(case: &Case, facet: Facet) -> Judgement {
    let meant = RULES.iter().find(|rule| rule.facet == facet && (rule.applies)(case));
    meant.map_or(Judgement::Unexplained, |rule| Judgement::Meant(rule.name))
}

fn describe(case: &Case) -> String {
    let on: Vec<String> = case.client.attachments.iter().map(|a| a.network.clone()).collect();
    format!(
        "{} {} from {} (on {}): docker {}, netalias {}",
        case.asked.name,
        case.asked.qtype,
        case.client.name,
        on.join(", "),
        case.docker(),
        case.netalias(),
    )
}

/// Waits until netalias knows what the engine says, and nothing else of these containers.
fn settle(facts: &Facts, process: &Process) -> Result<(), String> {
    let started = Instant::now();
    let expected = expected(facts);
    let guests = guests(facts);
    loop {
        let mut known = known(facts, process)?;
        known.retain(|entry| !guests.contains(&(entry.name.clone(), entry.id.clone())));
        if known == expected {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            let missing: Vec<_> = expected.difference(&known).collect();
            let stale: Vec<_> = known.difference(&expected).collect();
            return Err(format!("/v1/names lacks {missing:#?} and should not have {stale:#?}"));
        }
        std::thread::park_timeout(PACE);
    }
}

/// One name of one container on one network.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: String,
    network: String,
    id: String,
    addresses: BTreeSet<String>,
}

fn expected(facts: &Facts) -> BTreeSet<Entry> {
    let mut expected = BTreeSet::new();
    for network in &facts.networks {
        for (container, on) in facts.attached(&network.name) {
            let entry = |name: &str| Entry {
                name: name.to_lowercase(),
                network: network.name.clone(),
                id: container.id.clone(),
                addresses: on.addresses.iter().map(ToString::to_string).collect(),
            };
            expected.extend(container.names(on).map(entry));
        }
    }
    expected
}

fn known(facts: &Facts, process: &Process) -> Result<BTreeSet<Entry>, String> {
    let (_, body) = process.get("/v1/names");
    let directory: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut known = BTreeSet::new();
    for entry in directory["names"].as_array().into_iter().flatten() {
        for endpoint in entry["endpoints"].as_array().into_iter().flatten() {
            let id = text(&endpoint["id"]);
            if facts.containers.iter().any(|container| container.id == id) {
                let addresses = [&endpoint["v4"], &endpoint["v6"]];
                let addresses = addresses.into_iter().filter(|a| a.is_string()).map(text);
                known.insert(Entry {
                    name: text(&entry["name"]),
                    network: text(&entry["network"]),
                    id,
                    addresses: addresses.collect(),
                });
            }
        }
    }
    Ok(known)
}

/// What those who have no endpoint of their own may be known by: Docker has nothing to compare.
fn guests(facts: &Facts) -> BTreeSet<(String, String)> {
    let guests = facts.containers.iter().filter(|c| c.running && c.is_guest());
    let names = |guest: &Container| {
        let names = guest.own_names().map(str::to_lowercase);
        names.map(|name| (name, guest.id.clone())).collect::<Vec<_>>()
    };
    guests.flat_map(names).collect()
}
