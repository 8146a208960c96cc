//! `docker-compose up` replaces backends while their name is asked for: what was answered, beside
//! what the engine says of each container at that time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netalias_testkit::{Docker, IMAGE, Process, label, until};

use crate::{AT_ONCE, addresses, serve};

const NETWORK: &str = "nt-compose";
const ALIAS: &str = "nt-rolled";
/// Services, or replicas of one.
const BACKENDS: usize = 3;
/// What a backend does from its stop signal on: nothing, through its grace period.
const GRACEFUL: &str = "trap 'sleep 1; exit 0' TERM; sleep 3600 & wait";
/// Answers without which a replacement shows nothing.
const ENOUGH: usize = 20;
/// From one question to the next.
const PACE: Duration = Duration::from_millis(5);

/// Each depends on the one before it, so that Compose stops one when the others serve.
pub(crate) fn one_service_after_the_other(docker: &Docker) {
    let services = |generation: usize| {
        let service = |n: usize| {
            let depends =
                if n == 0 { String::new() } else { format!(", depends_on: [w{}]", n - 1) };
            let address = format!(", ipv4_address: 10.213.29.{}", 10 * generation + n);
            service(&format!("w{n}"), generation, &address, &depends)
        };
        (0..BACKENDS).map(service).collect()
    };
    let (beside_others, _) = replaced(docker, &services, &[]);
    assert!(beside_others > ENOUGH, "{beside_others} answers while one stopped");
}

/// Compose stops all of them, and none is left: then those that stop are better than nobody.
pub(crate) fn all_replicas_at_once(docker: &Docker) {
    let scale = format!("w={BACKENDS}");
    let (_, alone) =
        replaced(docker, &|generation| service("w", generation, "", ""), &["--scale", &scale]);
    assert!(alone > ENOUGH, "{alone} answers while all stopped");
}

/// One answer, and when it was asked for and came.
struct Seen {
    asked: Duration,
    came: Duration,
    addresses: BTreeSet<IpAddr>,
}

/// A container, and what the engine told of it.
#[derive(Debug)]
struct Life {
    address: IpAddr,
    started: Duration,
    /// When its stop signal was sent.
    told: Option<Duration>,
    died: Option<Duration>,
}

/// Brings the services up, then up again with a change, and holds every answer meanwhile against
/// the engine's events: how many there were, as [`judge`] counts them.
fn replaced(docker: &Docker, services: &dyn Fn(usize) -> String, more: &[&str]) -> (usize, usize) {
    docker.network(&["--subnet", "10.213.29.0/24", NETWORK]);
    let since = now();
    let up = |generation| {
        let file = compose_file(&services(generation));
        let file = file.to_str().expect("UTF-8");
        let project = format!("{NETWORK}-{}", label());
        let args = ["-p", &project, "-f", file, "up", "-d", "--no-color"];
        run(compose().args(args).args(more));
    };
    up(1);
    let mut lives = BTreeMap::new();
    let old = backends(docker, &mut lives);
    let netalias = serve();
    until("all are answered", || (answered(&netalias) == old).then_some(()));
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let asked = now();
                let addresses = answered(&netalias);
                seen.push(Seen { asked, came: now(), addresses });
                std::thread::park_timeout(PACE);
            }
            seen
        });
        up(2);
        done.store(true, Ordering::Relaxed);
        asking.join().expect("answers")
    });
    let new = backends(docker, &mut lives);
    until("only the new ones are answered", || (answered(&netalias) == new).then_some(()));
    let (_, known) = netalias.get(&format!("/v1/names?name={ALIAS}"));
    let is_known = |id: &&String| known.contains(&format!("\"{id}\""));
    assert_eq!(lives.len(), 2 * BACKENDS, "all were replaced");
    assert_eq!(lives.keys().filter(is_known).count(), BACKENDS, "{known}");
    told_by_events(docker, since, &mut lives);
    judge(&seen, &lives.into_values().collect::<Vec<_>>())
}

/// Nobody is sent to a container after its stop signal while another one serves, and as long as
/// there is any, somebody is answered. Returns how many answers there were while one stopped and
/// another one served, and while all stopped.
fn judge(seen: &[Seen], lives: &[Life]) -> (usize, usize) {
    let (mut beside_others, mut alone) = (0, 0);
    for Seen { asked, came, addresses } in seen {
        let is_there = |life: &&Life| {
            life.started + AT_ONCE < *asked && life.died.is_none_or(|died| died > *came)
        };
        let serves = |life: &&Life| is_there(life) && life.told.is_none_or(|told| told > *came);
        let stops = |life: &&Life| life.told.is_some_and(|told| told + AT_ONCE < *asked);
        let stops_now = lives.iter().filter(is_there).any(|life| stops(&life));
        assert!(
            !addresses.is_empty() || !lives.iter().any(|life| is_there(&life)),
            "nobody was answered at {asked:?} of {lives:#?}"
        );
        if !lives.iter().any(|life| serves(&life)) {
            alone += usize::from(stops_now);
            continue;
        }
        beside_others += usize::from(stops_now);
        // The engine gives an address away as soon as its container has gone.
        let is_heir = |heir: &Life, life: &Life| {
            heir.address == life.address && heir.started > life.started && heir.started <= *came
        };
        let wrong = |life: &&Life| {
            addresses.contains(&life.address) && !lives.iter().any(|heir| is_heir(heir, life))
        };
        let wrong: Vec<&Life> = lives.iter().filter(stops).filter(wrong).collect();
        assert!(wrong.is_empty(), "asked at {asked:?}: {addresses:?} has {wrong:?} of {lives:#?}");
    }
    println!("{} answers, {beside_others} beside others, {alone} alone", seen.len());
    (beside_others, alone)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

fn answered(process: &Process) -> BTreeSet<IpAddr> {
    addresses(process, ALIAS).into_iter().collect()
}

/// The addresses of the running backends, which are noted under their ids.
fn backends(docker: &Docker, lives: &mut BTreeMap<String, Life>) -> BTreeSet<IpAddr> {
    let format =
        format!("{{{{.Id}}}} {{{{(index .NetworkSettings.Networks \"{NETWORK}\").IPAddress}}}}");
    let filter = format!("network={NETWORK}");
    let running = docker.run(&["ps", "-q", "--filter", &filter]);
    let ids: Vec<&str> = running.split_whitespace().collect();
    assert_eq!(ids.len(), BACKENDS, "{ids:?}");
    let inspected = docker.run(&[&["inspect", "--format", &format][..], &ids].concat());
    let mut found = BTreeSet::new();
    for line in inspected.lines() {
        let (id, address) = line.split_once(' ').expect("an id and an address");
        let address = address.parse().expect("an address");
        found.insert(address);
        let life = Life { address, started: Duration::MAX, told: None, died: None };
        lives.insert(id.to_owned(), life);
    }
    found
}

/// When the engine started, signalled and lost each of them.
fn told_by_events(docker: &Docker, since: Duration, lives: &mut BTreeMap<String, Life>) {
    let seconds = |time: Duration| format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    let (since, until) = (seconds(since), seconds(now()));
    let format = "{{.TimeNano}} {{.Action}} {{.ID}}";
    let filters = ["event=start", "event=kill", "event=die"];
    let filters = filters.into_iter().flat_map(|filter| ["--filter", filter]);
    let range = ["events", "--since", &since, "--until", &until, "--format", format];
    for line in docker.run(&range.into_iter().chain(filters).collect::<Vec<_>>()).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [time, action, id] = words[..] else { panic!("{line}") };
        let Some(life) = lives.get_mut(id) else { continue };
        let time = Duration::from_nanos(time.parse().expect("a time"));
        match action {
            "start" => life.started = time,
            "kill" => life.told = life.told.or(Some(time)),
            _ => life.died = Some(time),
        }
    }
    let told = |life: &&Life| life.told.is_some() && life.died.is_some();
    assert_eq!(lives.values().filter(told).count(), BACKENDS, "{lives:#?}");
    assert!(lives.values().all(|life| life.started < Duration::MAX), "{lives:#?}");
}

fn service(name: &str, generation: usize, address: &str, more: &str) -> String {
    format!(
        "  {name}: {{image: {IMAGE}, command: [sh, -c, \"{GRACEFUL}\"], stop_grace_period: 10s, \
         labels: {{{}: '', generation: '{generation}'}}, \
         networks: {{{NETWORK}: {{aliases: [{ALIAS}]{address}}}}}{more}}}\n",
        label()
    )
}

fn compose_file(services: &str) -> PathBuf {
    let network = format!("networks: {{{NETWORK}: {{external: true}}}}\n");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compose.yml");
    fs::write(&file, format!("version: '3.5'\nservices:\n{services}{network}")).expect("a file");
    file
}

/// Whether this machine has Compose.
pub(crate) fn is_there() -> bool {
    compose().arg("version").output().is_ok_and(|output| output.status.success())
}

/// Compose, as a program of its own or as a part of `docker`.
fn compose() -> Command {
    if Command::new("docker-compose").arg("version").output().is_ok() {
        return Command::new("docker-compose");
    }
    let mut part = Command::new("docker");
    part.arg("compose");
    part
}

fn run(command: &mut Command) {
    let output = command.output().expect("compose");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}
