//! Backends are replaced one after the other while clients look their name up and connect.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netalias_testkit::{Docker, IMAGE, Process, until};

use crate::inside::Place;
use crate::load::{Load, Met};
use crate::{LABEL, serve};

const ALIAS: &str = "ncl-roll-web";
const NETWORK: &str = "ncl-roll";
const GATEWAY: &str = "10.215.3.1";
const BACKENDS: usize = 3;
/// Each backend is replaced so often.
const ROUNDS: usize = 2;
/// A backend that, as it should, goes on serving for a while after it was told to stop.
const SERVES: &str = "mkdir -p /www && echo ok > /www/index.html; \
                      trap 'sleep 2; exit 0' TERM; httpd -f -p 80 -h /www & wait";
/// What tells the engine, and netalias, that a new one serves.
const HEALTH: &str = "busybox wget -q -O /dev/null http://127.0.0.1/";

pub(crate) fn under_load(docker: &Docker) -> String {
    docker.network(&["--subnet", "10.215.3.0/24", "--gateway", GATEWAY, NETWORK]);
    docker.sleeper(&["--name", "ncl-roll-client", "--network", NETWORK]);
    let place = Place::of(docker, "ncl-roll-client");
    let name = |number: usize| format!("{NETWORK}-{number}");
    (0..BACKENDS).for_each(|number| start(docker, &name(number)));
    (0..BACKENDS).for_each(|number| is_healthy(docker, &name(number)));
    let netalias = serve(GATEWAY, "auto");
    let [through_netalias, through_docker] =
        [GATEWAY, "127.0.0.11"].map(|nameserver| Load::start(&place, nameserver, ALIAS));
    let mut drains = 0;
    for number in 0..BACKENDS * ROUNDS {
        drains += usize::from(stop(docker, &name(number), &netalias));
        start(docker, &name(number + BACKENDS));
        is_healthy(docker, &name(number + BACKENDS));
    }
    let (netalias, docker) = (through_netalias.end(), through_docker.end());
    let mut text = format!(
        "{} replacements of {BACKENDS} backends, 50 connections a second; \
         /v1/names said \"draining\" during {drains} stops\n\n\
         | through | connections | failed |\n| --- | --- | --- |\n",
        BACKENDS * ROUNDS
    );
    for (through, met) in [("netalias", &netalias), ("Docker's own DNS", &docker)] {
        text += &format!("| {through} | {} | {} |\n", met.attempts, met.failures.len());
    }
    for (through, met) in [("netalias", &netalias), ("Docker's own DNS", &docker)] {
        text += &listed(through, met);
    }
    assert!(netalias.attempts > 100 && docker.attempts > 100, "too few connections\n{text}");
    // Only who knows of the stop before it is done can leave the address out in time.
    let in_time = drains == BACKENDS * ROUNDS;
    assert!(!in_time || netalias.failures.is_empty(), "{text}");
    text
}

fn start(docker: &Docker, name: &str) {
    let fixed = ["run", "-d", "--label", LABEL, "--name", name];
    let on = ["--network", NETWORK, "--network-alias", ALIAS];
    let health = ["--health-cmd", HEALTH, "--health-interval", "1s", "--health-retries", "1"];
    docker.run(&[&fixed[..], &on, &health, &[IMAGE, "sh", "-c", SERVES]].concat());
}

fn is_healthy(docker: &Docker, name: &str) {
    let inspect = ["inspect", "--format", "{{.State.Health.Status}}", name];
    until("a backend is healthy", || (docker.run(&inspect) == "healthy").then_some(()));
}

/// Stops and removes a backend; whether netalias said meanwhile that it drains.
fn stop(docker: &Docker, name: &str, netalias: &Process) -> bool {
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut drains = false;
            while !stopped.load(Ordering::Relaxed) {
                let (_, body) = netalias.get(&format!("/v1/names?name={ALIAS}"));
                drains |= body.contains("\"draining\"");
                std::thread::park_timeout(Duration::from_millis(50));
            }
            drains
        });
        docker.run(&["stop", "-t", "3", name]);
        docker.run(&["rm", name]);
        stopped.store(true, Ordering::Relaxed);
        watcher.join().expect("the watcher")
    })
}

/// What failed, by address and reason, in the order of its first time.
fn listed(through: &str, met: &Met) -> String {
    let mut kinds: Vec<(&str, &str, usize)> = Vec::new();
    for failure in &met.failures {
        let (when, what) = failure.split_once(": ").unwrap_or(("", failure));
        match kinds.iter_mut().find(|(_, kind, _)| *kind == what) {
            Some((_, _, times)) => *times += 1,
            None => kinds.push((when, what, 1)),
        }
    }
    let line = |(when, what, times): &(&str, &str, usize)| {
        format!("- through {through}, {times} times, first after {when}: {what}\n")
    };
    let lines: String = kinds.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}
