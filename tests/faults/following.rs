//! The binary that follows the engine, what it knows, and what it should know.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use netalias_testkit::{
    Asked, Docker, Folder, OwnEngine, Process, Proxy, kernel_port, until, within,
};
use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
/// From the end of a fault to the right map.
pub(crate) const RECOVERY: Duration = Duration::from_secs(10);
/// The same after a cut stream, and after a change of which events tell.
pub(crate) const SOON: Duration = Duration::from_secs(1);
/// By this time a connection that is half open must have been noticed.
pub(crate) const NOTICED: Duration = Duration::from_secs(15);
/// Questions that are answered while a fault lasts, before it may end.
pub(crate) const QUESTIONS: usize = 100;
/// The pause between two looks.
const PACE: Duration = Duration::from_millis(5);

/// The addresses of each name on each network.
pub(crate) type Names = BTreeMap<String, BTreeSet<IpAddr>>;

/// A running `netalias serve`, and the proxy between it and the engine.
pub(crate) struct Following {
    pub(crate) process: Process,
    pub(crate) proxy: Proxy,
    _folder: Folder,
}

impl Following {
    /// Through a proxy that lets everything pass.
    pub(crate) fn start(engine: &OwnEngine) -> Self {
        Self::through(engine, |_| true)
    }

    /// Through a proxy that lets pass what the filter allows.
    pub(crate) fn through(engine: &OwnEngine, filter: fn(&Asked) -> bool) -> Self {
        let folder = Folder::new();
        let proxy = Proxy::start(&folder.path().join("proxy.sock"), &engine.socket(), filter);
        let process = Process::start(&mut serve(&proxy.url()));
        until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
        Self { process, proxy, _folder: folder }
    }

    /// Whether it says that it is not up to date, on every page that has it.
    pub(crate) fn says_stale(&self) -> bool {
        says_stale(&self.process)
    }

    pub(crate) fn is_right_within(&self, docker: &Docker, time: Duration) -> Duration {
        is_right_within(&self.process, docker, time)
    }

    pub(crate) fn is_ready_within(&self, time: Duration) {
        is_ready_within(&self.process, time);
    }
}

pub(crate) fn serve(url: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["serve", "--log", "debug", "--docker", url]).args(kernel_port());
    command
}

pub(crate) fn says_stale(process: &Process) -> bool {
    let (code, text) = process.get("/readyz");
    let live = metric(process, "netalias_engine_state{", r#"state="live""#) > 0.0;
    let stale = staleness(process) > 2.0;
    if code == 200 {
        return false;
    }
    assert!(text.contains("stale: answering from the last map"), "{text}");
    stale && !live && process.get("/healthz").0 == 200
}

pub(crate) fn is_ready_within(process: &Process, time: Duration) {
    within(time, "readiness", || {
        (process.get("/readyz").0 == 200 && staleness(process) <= 0.0).then_some(())
    });
}

fn staleness(process: &Process) -> f64 {
    metric(process, "netalias_engine_staleness_seconds", "")
}

/// The value of an engine's counter.
pub(crate) fn count(process: &Process, name: &str) -> u64 {
    let value = metric(process, &format!("netalias_{name}_total"), "");
    // A counter is printed whole.
    format!("{value:.0}").parse().expect("a count")
}

/// The value of the metric whose line begins so and has that label.
fn metric(process: &Process, name: &str, label: &str) -> f64 {
    let (_, text) = process.get("/metrics");
    let line = text.lines().find(|line| line.starts_with(name) && line.contains(label));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} {label} in {text}"))
}

pub(crate) fn is_right_within(process: &Process, docker: &Docker, time: Duration) -> Duration {
    let started = Instant::now();
    let truth = truth(docker);
    let mut seen;
    loop {
        // What is found before the time is over counts, not when it is compared.
        let looked = started.elapsed();
        seen = known(process);
        if seen == truth {
            return looked;
        }
        if looked > time {
            break;
        }
        std::thread::park_timeout(PACE);
    }
    let told = process.lines();
    let told = told[told.len().saturating_sub(20)..].join("\n");
    panic!("not right after {time:?}:\n{seen:#?}\nbut the engine has\n{truth:#?}\n{told}");
}

/// What every name of a running container should be, as the engine's own answers say.
pub(crate) fn truth(docker: &Docker) -> Names {
    let mut names = Names::new();
    for container in &running(docker) {
        let own = container["Name"].as_str().expect("a name").trim_start_matches('/');
        for (network, on) in container["NetworkSettings"]["Networks"].as_object().expect("a map") {
            let Ok(address) = on["IPAddress"].as_str().unwrap_or_default().parse() else {
                continue;
            };
            let aliases = on["Aliases"].as_array().into_iter().flatten();
            // The short id is among them.
            for name in aliases.filter_map(Value::as_str).chain([own]) {
                names.entry(format!("{name}.{network}")).or_default().insert(address);
            }
        }
    }
    names
}

/// The engine's word on each running container.
pub(crate) fn running(docker: &Docker) -> Vec<Value> {
    let ids = docker.run(&["ps", "-q", "--no-trunc"]);
    let ids: Vec<&str> = ids.split_whitespace().collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let text = docker.run(&[&["inspect"][..], &ids].concat());
    let all: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    all.into_iter().filter(|container| container["State"]["Running"] == true).collect()
}

/// The same as the binary has it.
pub(crate) fn known(process: &Process) -> Names {
    let (code, body) = process.get("/v1/names");
    assert_eq!(code, 200, "{body}");
    let listing: Value = serde_json::from_str(&body).expect("JSON");
    let mut names = Names::new();
    for entry in listing["names"].as_array().expect("names") {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let name = format!("{}.{}", text("name"), text("network"));
        for endpoint in entry["endpoints"].as_array().into_iter().flatten() {
            let of_a_container = endpoint["source"] != "host";
            let address = endpoint["v4"].as_str().and_then(|text| text.parse().ok());
            if let Some(address) = address.filter(|_| of_a_container) {
                names.entry(name.clone()).or_default().insert(address);
            }
        }
    }
    names
}

/// Three backends of one alias.
pub(crate) fn three_backends(docker: &Docker) {
    docker.network(&["--subnet", "10.1.0.0/24", "net"]);
    docker.network(&["--subnet", "10.2.0.0/24", "other"]);
    for name in ["web1", "web2", "web3"] {
        docker.sleeper(&["--name", name, "--network", "net", "--network-alias", "app"]);
    }
}

/// Changes of every kind, but none of web1.
pub(crate) fn changes(docker: &Docker) {
    docker.run(&["kill", "web2", "web3"]);
    // They swap their addresses.
    docker.run(&["start", "web3"]);
    docker.run(&["start", "web2"]);
    docker.run(&["rename", "web2", "web-two"]);
    docker.sleeper(&["--name", "late", "--network", "net", "--network-alias", "app"]);
    docker.run(&["network", "connect", "--alias", "far", "other", "late"]);
    docker.sleeper(&["--name", "gone", "--network", "net", "--network-alias", "app"]);
    docker.run(&["rm", "-f", "gone"]);
}

pub(crate) fn address_of(docker: &Docker, container: &str, network: &str) -> IpAddr {
    let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    docker.run(&["inspect", "--format", &format, container]).parse().expect("an address")
}

/// Which file a socket is: another one of the same path is another socket, and was made at another
/// time, though it may get the number that the old one had.
pub(crate) fn identity(path: &Path) -> (u64, SystemTime) {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).expect("a socket");
    (file.ino(), file.modified().expect("a time"))
}
