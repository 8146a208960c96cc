//! Backends are replaced one after the other while clients look their name up and connect:
//! through netalias and through Docker's own DNS, at the same time, to the same backends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netalias_testkit::{Docker, IMAGE, Process, label, until};

use crate::inside::Place;
use crate::load::{Load, Met};
use crate::serve;

const NETWORK: &str = "ncl-roll";
const GATEWAY: &str = "10.215.3.1";
const BACKENDS: usize = 3;
/// What a backend does from its stop signal to its end, two seconds later; `$!` is its server.
const STOPS: [(&str, &str); 2] = [
    ("serve on", "sleep 2"),
    ("take no new connections from 0.2 s on", "sleep 0.2; kill $!; sleep 1.8"),
];
/// What tells the engine, and netalias, that a new one serves.
const HEALTH: &str = "busybox wget -q -O /dev/null http://127.0.0.1/";

pub(crate) fn under_load(docker: &Docker) -> String {
    docker.network(&["--subnet", "10.215.3.0/24", "--gateway", GATEWAY, NETWORK]);
    docker.sleeper(&["--name", "ncl-roll-client", "--network", NETWORK]);
    let place = Place::of(docker, "ncl-roll-client");
    let netalias = serve(GATEWAY, "auto");
    let mut rows = String::new();
    let mut details = String::new();
    for (number, (kind, stop)) in STOPS.into_iter().enumerate() {
        let backends = Backends { docker, alias: format!("{NETWORK}-web{number}"), stop };
        let met = backends.replaced(&place, &netalias);
        for (through, met) in ["netalias", "Docker's own DNS"].into_iter().zip(&met) {
            let (attempts, failed) = (met.attempts, met.failures.len());
            rows.extend([format!("| {kind} | {through} | {attempts} | {failed} |\n")]);
            details += &listed(kind, through, met);
            assert!(attempts > 100, "too few connections\n{rows}{details}");
        }
        assert!(met[0].failures.is_empty(), "{rows}{details}");
    }
    format!(
        "{BACKENDS} backends replaced one after the other, each of which ends 2 s after its stop \
         signal; 50 connections a second\n\n\
         | backends told to stop | through | connections | failed |\n| --- | --- | --- | --- |\n\
         {rows}\n{details}"
    )
}

/// The backends of one name, all of which stop in the same way.
struct Backends<'a> {
    docker: &'a Docker,
    alias: String,
    stop: &'static str,
}

impl Backends<'_> {
    /// What clients of netalias and of Docker's own DNS meet while each is replaced.
    fn replaced(&self, place: &Place, netalias: &Process) -> [Met; 2] {
        (0..BACKENDS).for_each(|number| self.start(number));
        (0..BACKENDS).for_each(|number| self.is_healthy(number));
        // netalias hears of it a moment after the engine says it.
        until("netalias has all of them", || {
            let (_, body) = netalias.get(&format!("/v1/names?name={}", self.alias));
            (body.matches("\"healthy\"").count() >= BACKENDS).then_some(())
        });
        let loads =
            [GATEWAY, "127.0.0.11"].map(|nameserver| Load::start(place, nameserver, &self.alias));
        for number in 0..BACKENDS {
            self.stop(number, netalias);
            self.start(number + BACKENDS);
            self.is_healthy(number + BACKENDS);
        }
        loads.map(Load::end)
    }

    fn name(&self, number: usize) -> String {
        format!("{}-{number}", self.alias)
    }

    fn start(&self, number: usize) {
        let serves = format!(
            "mkdir -p /www && echo ok > /www/index.html; httpd -f -p 80 -h /www & \
             trap '{}; exit 0' TERM; wait",
            self.stop
        );
        let name = self.name(number);
        let fixed = ["run", "-d", "--label", label(), "--name", &name];
        let on = ["--network", NETWORK, "--network-alias", &self.alias];
        let health = ["--health-cmd", HEALTH, "--health-interval", "1s", "--health-retries", "1"];
        self.docker.run(&[&fixed[..], &on, &health, &[IMAGE, "sh", "-c", &serves]].concat());
    }

    fn is_healthy(&self, number: usize) {
        let name = self.name(number);
        let inspect = ["inspect", "--format", "{{.State.Health.Status}}", &name];
        until("it is healthy", || (self.docker.run(&inspect) == "healthy").then_some(()));
    }

    /// Stops and removes a backend, which netalias says meanwhile.
    fn stop(&self, number: usize, netalias: &Process) {
        let name = self.name(number);
        let stopped = AtomicBool::new(false);
        let drains = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut drains = false;
                while !drains && !stopped.load(Ordering::Relaxed) {
                    let (_, body) = netalias.get(&format!("/v1/names?name={}", self.alias));
                    drains = body.contains("\"draining\"");
                    std::thread::park_timeout(Duration::from_millis(50));
                }
                drains
            });
            self.docker.run(&["stop", "-t", "3", &name]);
            stopped.store(true, Ordering::Relaxed);
            watcher.join().expect("the watcher")
        });
        self.docker.run(&["rm", &name]);
        assert!(drains, "nothing said that {name} was draining");
    }
}

/// What failed, by address and reason, in the order of its first time.
fn listed(kind: &str, through: &str, met: &Met) -> String {
    let mut kinds: Vec<(&str, &str, usize)> = Vec::new();
    for failure in &met.failures {
        let (when, what) = failure.split_once(": ").unwrap_or(("", failure));
        match kinds.iter_mut().find(|(_, kind, _)| *kind == what) {
            Some((_, _, times)) => *times += 1,
            None => kinds.push((when, what, 1)),
        }
    }
    let line = |(when, what, times): &(&str, &str, usize)| {
        format!("- {kind}, through {through}: {times} times, first after {when}: {what}\n")
    };
    kinds.iter().map(line).collect()
}
