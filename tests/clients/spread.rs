//! How the first choice of each client is spread over the backends of one name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netalias_testkit::{Docker, IMAGE, label};

use crate::inside::Place;
use crate::programs::{self, Program};
use crate::serve;

/// Docker's own resolver, from inside a container.
const DOCKERS: &str = "127.0.0.11";
/// What netalias is told about `answers`, each a column behind Docker's own.
const POLICIES: [&str; 4] = ["all", "1", "sortproof", "auto"];

/// A network with a client and the backends, whose number grows.
struct Net {
    name: &'static str,
    gateway: &'static str,
    dual_stack: bool,
}

pub(crate) fn v4_only(docker: &Docker) -> String {
    docker.network(&["--subnet", "10.215.1.0/24", "--gateway", "10.215.1.1", "ncl-four"]);
    let net = Net { name: "ncl-four", gateway: "10.215.1.1", dual_stack: false };
    net.measure(docker)
}

pub(crate) fn dual_stack(docker: &Docker) -> String {
    let v4 = ["--subnet", "10.215.2.0/24", "--gateway", "10.215.2.1"];
    let v6 = ["--ipv6", "--subnet", "fd00:215:2::/64", "ncl-both"];
    docker.network(&[v4, v6].concat());
    let net = Net { name: "ncl-both", gateway: "10.215.2.1", dual_stack: true };
    net.measure(docker)
}

impl Net {
    fn alias(&self) -> String {
        format!("{}-web", self.name)
    }

    fn families(&self) -> usize {
        if self.dual_stack { 2 } else { 1 }
    }

    fn measure(&self, docker: &Docker) -> String {
        let (programs, left_out) = programs::all();
        let mut text = String::new();
        let mut wrong = Vec::new();
        let mut backends = BTreeMap::new();
        (0..3).for_each(|number| self.backend(docker, number, &mut backends));
        // Amid the backends: it has a different number of bits in common with each few of them.
        let client = format!("{}-client", self.name);
        docker.sleeper(&["--name", &client, "--network", self.name]);
        let place = Place::of(docker, &client);
        for size in [3, 5] {
            (backends.len() / self.families()..size)
                .for_each(|number| self.backend(docker, number, &mut backends));
            let mut rows: Vec<Row> = programs.iter().map(|_| Row::default()).collect();
            for answers in [None].into_iter().chain(POLICIES.map(Some)) {
                let server = answers.map(|answers| serve(self.gateway, answers));
                let nameserver = if server.is_some() { self.gateway } else { DOCKERS };
                let who = answers.map_or("Docker".to_owned(), |a| format!("answers = {a}"));
                for (program, row) in programs.iter().zip(&mut rows) {
                    if program.only_v6 && !self.dual_stack {
                        continue;
                    }
                    let picks = self.picks(&place, nameserver, program);
                    let what = format!("{size} on {}, {who}, {}", self.name, program.label);
                    match count(&picks, &backends, size) {
                        Err(why) => wrong.push(format!("{what}: {why}")),
                        Ok((counts, families)) => {
                            if self.is_even(answers) && !even(&counts, program.count) {
                                let all = summary(&picks);
                                wrong.push(format!("{what}: {counts:?} is not even: {all}"));
                            }
                            row.cells.push(joined(&counts));
                            row.families.extend(families);
                        }
                    }
                }
            }
            text += &self.table(size, &programs, &rows);
        }
        text.extend(left_out.iter().map(|why| format!("Left out: {why}\n")));
        assert!(wrong.is_empty(), "{text}\n{}", wrong.join("\n"));
        text
    }

    /// Starts one more backend, and takes down its addresses.
    fn backend(&self, docker: &Docker, number: usize, known: &mut BTreeMap<IpAddr, usize>) {
        let (name, alias) = (format!("{}-{number}", self.name), self.alias());
        let fixed = ["run", "-d", "--label", label(), "--stop-timeout", "0", "--name", &name];
        let on = ["--network", self.name, "--network-alias", &alias];
        let httpd = [IMAGE, "httpd", "-f", "-p", "80"];
        docker.run(&[&fixed[..], &on, &httpd].concat());
        Place::of(docker, &name);
        let of = format!("index .NetworkSettings.Networks \"{}\"", self.name);
        let format = format!("{{{{({of}).IPAddress}}}} {{{{({of}).GlobalIPv6Address}}}}");
        let addresses = docker.run(&["inspect", "--format", &format, &name]);
        let addresses = addresses.split_whitespace().map(|a| a.parse().expect("an address"));
        known.extend(addresses.map(|address| (address, number)));
    }

    /// What a program would use, look-up by look-up.
    fn picks(&self, place: &Place, nameserver: &str, program: &Program) -> Vec<String> {
        let mut command = place.command(nameserver, &program.script(&self.alias()));
        let output = command.output().expect("nsenter");
        let stdout = String::from_utf8_lossy(&output.stdout);
        let mut picks: Vec<String> = stdout.lines().map(str::to_owned).collect();
        let stderr = String::from_utf8_lossy(&output.stderr);
        if picks.len() != program.count {
            picks.push(format!("{} lines, and {}", picks.len(), stderr.trim()));
        }
        picks
    }

    /// Where a spread is promised. `all` on a network with both families is what clients that sort
    /// undo, each libc in its own way: nothing about it is always so.
    fn is_even(&self, answers: Option<&str>) -> bool {
        answers.is_some_and(|answers| !self.dual_stack || answers != "all")
    }

    fn table(&self, size: usize, programs: &[Program], rows: &[Row]) -> String {
        let network = if self.dual_stack { "dual-stack" } else { "v4-only" };
        let mut lines = vec![
            ["client".to_owned(), "picks".to_owned(), "Docker's own".to_owned()]
                .into_iter()
                .chain(POLICIES.map(|answers| format!("`{answers}`")))
                .collect::<Vec<_>>(),
        ];
        lines.push(vec!["---".to_owned(); lines[0].len()]);
        for (program, row) in programs.iter().zip(rows).filter(|(_, row)| !row.cells.is_empty()) {
            let families: Vec<&str> = row.families.iter().copied().collect();
            let head = [program.label.to_owned(), families.join(", ")];
            lines.push(head.into_iter().chain(row.cells.iter().cloned()).collect());
        }
        let lines: Vec<String> =
            lines.iter().map(|cells| format!("| {} |\n", cells.join(" | "))).collect();
        format!("{size} backends, {network} network\n\n{}\n", lines.concat())
    }
}

/// One client's results, column by column.
#[derive(Default)]
struct Row {
    cells: Vec<String>,
    families: BTreeSet<&'static str>,
}

/// How often each backend was picked, and by which families.
fn count(
    picks: &[String],
    backends: &BTreeMap<IpAddr, usize>,
    size: usize,
) -> Result<(Vec<usize>, BTreeSet<&'static str>), String> {
    let mut counts = vec![0; size];
    let mut families = BTreeSet::new();
    for line in picks {
        let mut words = line.split(|c: char| c.is_whitespace() || "(),".contains(c));
        let address = words.find_map(|word| word.parse::<IpAddr>().ok());
        let backend = address.and_then(|address| Some((address, *backends.get(&address)?)));
        let Some((address, number)) = backend else {
            return Err(format!("{line:?} is no backend's address"));
        };
        counts[number] += 1;
        families.insert(if address.is_ipv4() { "v4" } else { "v6" });
    }
    Ok((counts, families))
}

/// Each as often as the others, but for the one or none that is left over.
fn even(counts: &[usize], total: usize) -> bool {
    let share = total / counts.len();
    counts.iter().all(|count| count.abs_diff(share) <= 1)
}

fn joined(counts: &[usize]) -> String {
    counts.iter().map(usize::to_string).collect::<Vec<_>>().join("/")
}

/// The picks by address: what a report about an uneven spread needs.
fn summary(picks: &[String]) -> String {
    let mut by_address = BTreeMap::new();
    for pick in picks {
        *by_address.entry(pick).or_insert(0) += 1;
    }
    format!("{by_address:?}, beginning {:?}", &picks[..picks.len().min(8)])
}
