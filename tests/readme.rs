//! What README says, checked: its outputs, flags, keys, files and links.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use netalias_testkit::{Process, kernel_port};

const README: &str = include_str!("../README.md");
const BINARY: &str = env!("CARGO_BIN_EXE_netalias");

#[test]
fn the_outputs_are_what_the_demo_prints() {
    let demo = Process::start(Command::new(BINARY).arg("demo").args(kernel_port()));
    // Played but for the fourth container, which joins after the pause.
    demo.says("nettest3");
    let block = README.split("```console\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut commands = 0;
    for part in block.expect("a console block").split("$ netalias ").skip(1) {
        let (command, expected) = part.split_once('\n').expect("an output");
        let mut args: Vec<&str> = command.split(' ').collect();
        let (dns, http) = (demo.dns.to_string(), demo.http.to_string());
        match args[0] {
            "query" => args.extend(["--server", &dns]),
            _ => args.extend(["--http", &http]),
        }
        let output = Command::new(BINARY).args(&args).output().expect("the binary starts");
        let printed = String::from_utf8_lossy(&output.stdout).replace(&dns, "127.0.0.1:1053");
        assert_eq!(without_time(&printed), without_time(expected), "netalias {command}");
        commands += 1;
    }
    assert_eq!(commands, 3);
}

/// The text without the time that a question took.
fn without_time(text: &str) -> String {
    let cut = |line: &str| line.split("last in ").next().map(str::to_owned);
    text.lines().filter_map(cut).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_flags_are_those_that_help_tells() {
    for command in ["serve", "ls", "query"] {
        let start = format!("    netalias {command} ");
        let synopsis = README.split(&start).nth(1).expect("a synopsis");
        let synopsis = synopsis.split("\n    netalias").next().expect("a synopsis");
        let output = Command::new(BINARY).args([command, "--help"]).output().expect("help");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = flags(&help);
        let missing: Vec<_> = flags(synopsis).difference(&told).cloned().collect();
        assert!(missing.is_empty(), "{command} has no {missing:?}");
        if command == "serve" {
            let common = ["--help", "--config"].map(str::to_owned);
            let unsaid: Vec<_> = told.difference(&flags(synopsis)).cloned().collect();
            let unsaid: Vec<_> = unsaid.into_iter().filter(|f| !common.contains(f)).collect();
            assert!(unsaid.is_empty(), "README does not tell {unsaid:?}");
        }
    }
}

fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c.is_whitespace() || "[]|,`'".contains(c));
    let flags = words.filter(|word| word.starts_with("--") && word.len() > 2);
    flags.map(|word| word.trim_end_matches('.').to_owned()).collect()
}

#[test]
fn the_differences_from_docker_are_the_rules_of_the_comparison() {
    let rules = include_str!("differential/differences.md");
    let rows: Vec<&str> = rules.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in &rows {
        assert!(README.contains(row), "{row}");
    }
    let told = README.lines().filter(|line| line.starts_with("| `") && line.contains("Docker"));
    let told: Vec<&str> = told.filter(|line| !rows.contains(line)).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn the_clients_tried_are_those_of_the_matrix() {
    let source = include_str!("matrix/clients.rs");
    let clients: Vec<&str> =
        source.split("client(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(clients.len() >= 9, "{clients:?}");
    let table = README.split("| program | ").nth(1).and_then(|rest| rest.split("\n\n").next());
    let rows = table.expect("a table").lines().skip(2);
    let told: Vec<&str> = rows.filter_map(|row| row.split(['|', ',']).nth(1)).collect();
    assert_eq!(told.iter().map(|row| row.trim()).collect::<Vec<_>>(), clients);
}

const RESULTS: &str = include_str!("../bench/RESULTS.md");

fn cells(row: &str) -> Vec<String> {
    let cells = row.trim_matches('|').split('|');
    cells.map(|cell| cell.replace([',', '*'], "").trim().to_owned()).collect()
}

/// The first row of the results that begins so.
fn measured(start: &str) -> Vec<String> {
    cells(RESULTS.lines().find(|row| row.starts_with(start)).expect("a row"))
}

/// The rows of the README's table whose head begins so, without the head.
fn told(head: &str) -> Vec<Vec<String>> {
    let table = README.split(head).nth(1).and_then(|rest| rest.split("\n\n").next());
    table.expect("a table").lines().skip(2).map(cells).collect()
}

#[test]
fn the_speeds_told_are_those_of_the_results() {
    let rows = told("| answers a second");
    assert_eq!(rows.len(), 5, "{rows:?}");
    for row in rows {
        let server = match &*row[0] {
            "the kernel's limit" => "limit",
            other => other.split(' ').next().expect("a name"),
        };
        for (workload, told) in ["w1", "w2", "w3", "w4"].iter().zip(&row[1..]) {
            let measured = measured(&format!("| {workload} | {server} |"));
            assert_eq!(*told, measured[2], "{server}, {workload}");
        }
    }
}

#[test]
fn the_growth_told_is_that_of_the_results() {
    let rows = told("| containers |");
    assert_eq!(rows.len(), 3, "{rows:?}");
    for (row, column) in rows.iter().zip([1, 3, 4]) {
        for (containers, told) in ["1000", "10000", "100000"].iter().zip(&row[1..]) {
            assert_eq!(*told, measured(&format!("| {containers} |"))[column], "{row:?}");
        }
    }
}

#[test]
fn every_file_and_link_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local: Vec<&str> = targets.filter(|target| !target.contains("://")).collect();
    assert!(local.len() >= 4, "{local:?}");
    for target in local {
        assert!(root.join(target).exists(), "{target}");
    }
    for file in ["docker-compose.yml", "Dockerfile", "config/netalias.toml"] {
        assert!(root.join(file).exists(), "{file}");
    }
}

#[test]
fn the_default_ports_and_the_sidecars_address_are_as_said() {
    let compose = include_str!("../docker-compose.yml");
    for said in ["127.0.0.1:1053:53/udp", "127.0.0.1:1053:53/tcp", "172.200.1.53", "name: netlb"] {
        assert!(compose.contains(said), "{said}");
    }
    assert!(README.contains("dig @127.0.0.1 -p 1053 inner-dns-net"));
    let check = Command::new(BINARY)
        .arg("check")
        .env_remove("NETALIAS_LISTEN")
        .output()
        .expect("the binary starts");
    assert!(String::from_utf8_lossy(&check.stdout).contains("listen = [\"127.0.0.1:1053\"]"));
}
