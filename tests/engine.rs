//! The real binary beside a real Docker engine. Where none answers the tests are ignored, and say
//! so; with `NETALIAS_REQUIRE_DOCKER=1` they fail instead.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

#[path = "engine/compose.rs"]
mod compose;
#[path = "engine/networks.rs"]
mod networks;

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use netalias::source::scenario::{Dig, Expected, Line};
use netalias_testkit::{
    CarriesOut, Docker, Folder, IMAGE, OnEngine, Process, Proxy, ask, check, is_needed,
    is_required, kernel_port, label, until,
};

const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
/// Where the engine is.
const SOCKET: &str = "/var/run/docker.sock";
/// A test that has the engine to itself.
type Test = fn(&Docker);
/// From `docker run` or `docker kill` returning to the changed answer.
const AT_ONCE: Duration = Duration::from_millis(100);

fn main() {
    let mut arguments = Arguments::from_args();
    // One engine, and scenarios that use the same names: one at a time.
    arguments.test_threads = Some(1);
    let listing = arguments.list;
    let docker = Docker::for_suite("all tests on a real engine", listing);
    let mut trials = scenarios(docker);
    let own: [(&str, Test); 9] = [
        (
            "lists_say_of_networks_what_inspects_say",
            networks::lists_say_of_networks_what_inspects_say,
        ),
        ("a_change_is_in_the_answer_within_100_ms", a_change_is_in_the_answer_within_100_ms),
        ("two_containers_swap_addresses", two_containers_swap_addresses),
        ("containers_die_while_they_are_looked_at", containers_die_while_they_are_looked_at),
        ("fifty_containers_start_at_once", fifty_containers_start_at_once),
        ("an_engine_that_comes_later_is_found", an_engine_that_comes_later_is_found),
        ("a_paused_and_an_unhealthy_container", a_paused_and_an_unhealthy_container),
        ("every_source_of_names", every_source_of_names),
        ("a_stopping_container_gets_no_new_clients", a_stopping_container_gets_no_new_clients),
    ];
    let composed: [(&str, Test); 2] = [
        ("compose_replaces_one_service_after_the_other", compose::one_service_after_the_other),
        ("compose_replaces_all_replicas_at_once", compose::all_replicas_at_once),
    ];
    let compose = listing || compose::is_there();
    if docker.is_some() && !compose {
        eprintln!("SKIPPED, replacement by compose: neither docker-compose nor docker compose");
        assert!(!is_required(), "NETALIAS_REQUIRE_DOCKER=1");
    }
    let able = own.map(|test| (test, true)).into_iter();
    for ((name, test), able) in able.chain(composed.map(|test| (test, compose))) {
        let trial = Trial::test(name, move || {
            let docker = docker.ok_or("no engine")?;
            docker.clean();
            test(docker);
            Ok(())
        });
        trials.push(trial.with_ignored_flag((docker.is_none() || !able) && !listing));
    }
    trials.push(forgetting(docker, listing));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(docker) = docker {
        docker.clean();
    }
    conclusion.exit();
}

fn scenarios(docker: Option<&'static Docker>) -> Vec<Trial> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/scenarios")
        .map(|entry| entry.expect("tests/scenarios").path())
        .collect();
    // An engine finds out by itself who is healthy, and when.
    files
        .retain(|path| !std::fs::read_to_string(path).is_ok_and(|text| text.contains("\nhealth ")));
    files.sort();
    let trial = |path: std::path::PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("engine::{file}");
        let trial = Trial::test(name, move || {
            let docker = docker.ok_or("no engine")?;
            docker.clean();
            let text = std::fs::read_to_string(&path)?;
            let through = Through::only_what_is_needed(docker);
            let mut subject = OnEngine::start(BINARY, &text, &through);
            check(&file, &text, &mut subject).map_err(Failed::from)?;
            through.nothing_was_refused().map_err(Failed::from)
        });
        trial.with_ignored_flag(docker.is_none())
    };
    files.into_iter().map(trial).collect()
}

/// The engine, asked through a proxy that lets pass only what the documentation says.
struct Through {
    docker: &'static Docker,
    proxy: Proxy,
    _folder: Folder,
}

impl Through {
    fn only_what_is_needed(docker: &'static Docker) -> Self {
        let folder = Folder::new();
        let proxy = Proxy::start(&folder.socket(), Path::new(SOCKET), is_needed);
        Self { docker, proxy, _folder: folder }
    }

    fn nothing_was_refused(&self) -> Result<(), String> {
        let refused = self.proxy.requests().into_iter().find(|asked| !is_needed(asked));
        refused.map_or(Ok(()), |asked| Err(format!("it asked for {asked:?}")))
    }
}

impl CarriesOut for Through {
    fn url(&self) -> Option<String> {
        Some(self.proxy.url())
    }

    fn carry_out(&self, line: &Line) -> Result<(), String> {
        self.docker.carry_out(line)
    }

    fn ask_inside(&self, binary: &str, container: &str, port: u16, dig: &Dig) -> Option<Expected> {
        self.docker.ask_inside(binary, container, port, dig)
    }
}

/// The engine joins a swarm and leaves it. That makes Docker's DNS forget running containers, so it
/// is done only where Docker is required and nobody else's containers run.
fn forgetting(docker: Option<&'static Docker>, listing: bool) -> Trial {
    let obstacle = docker.and_then(|docker| {
        let swarm = docker.run(&["info", "--format", "{{.Swarm.LocalNodeState}}"]);
        let running = docker.run(&["ps", "-q"]);
        match (is_required(), swarm.as_str(), running.is_empty()) {
            (true, "inactive", true) => None,
            (false, ..) => Some("NETALIAS_REQUIRE_DOCKER is not set".to_owned()),
            (_, "inactive", false) => Some("containers of others run here".to_owned()),
            (_, state, _) => Some(format!("the engine's swarm is {state}")),
        }
    });
    if let Some(why) = &obstacle {
        eprintln!("SKIPPED, an_engine_that_forgets: {why}");
    }
    let ignored = !listing && (docker.is_none() || obstacle.is_some());
    let trial = Trial::test("an_engine_that_forgets", move || {
        an_engine_that_forgets(docker.ok_or("no engine")?);
        Ok(())
    });
    trial.with_ignored_flag(ignored)
}

fn an_engine_that_forgets(docker: &Docker) {
    docker.network(&["--subnet", "10.213.28.0/24", "nt-forget"]);
    docker.sleeper(&["--name", "nt-kept", "--network", "nt-forget", "--network-alias", "nt-k"]);
    let process = serve();
    let expected = vec![address_of(docker, "nt-kept", "nt-forget")];
    assert_eq!(addresses(&process, "nt-k"), expected);
    docker.run(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    docker.run(&["swarm", "leave", "--force"]);
    let pid = docker.run(&["inspect", "--format", "{{.State.Pid}}", "nt-kept"]);
    let inside = ["-t", &pid, "-n", BINARY, "query", "nt-k", "--server", "127.0.0.11:53"];
    let own = Command::new("nsenter").args(inside).output().expect("nsenter");
    println!("Docker's own DNS: {}", String::from_utf8_lossy(&own.stdout).trim());
    assert_eq!(addresses(&process, "nt-k"), expected, "it followed the events");
    assert_eq!(addresses(&serve(), "nt-k"), expected, "and a new one finds the container, too");
}

fn serve() -> Process {
    let process = Process::start(Command::new(BINARY).arg("serve").args(kernel_port()));
    until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
    process
}

/// The addresses of a name, in ascending order.
fn addresses(process: &Process, name: &str) -> Vec<IpAddr> {
    let mut addresses = ask(process.dns, name, "A").expect("an answer").addresses;
    addresses.sort_unstable();
    addresses
}

fn address_of(docker: &Docker, container: &str, network: &str) -> IpAddr {
    let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    docker.run(&["inspect", "--format", &format, container]).parse().expect("an address")
}

fn a_change_is_in_the_answer_within_100_ms(docker: &Docker) {
    docker.network(&["--subnet", "10.213.20.0/24", "nt-latency"]);
    let process = serve();
    for round in 0..5 {
        let name = format!("nt-latency{round}");
        docker.sleeper(&["--name", &name, "--network", "nt-latency", "--network-alias", "nt-fast"]);
        let ((), time) = until("the new container is in the answer", || {
            (addresses(&process, "nt-fast").len() == 1).then_some(())
        });
        assert!(time <= AT_ONCE, "in after {time:?}");
        println!("round {round}: in after {time:?}");
        docker.run(&["kill", &name]);
        let ((), time) = until("the killed container is out of the answer", || {
            addresses(&process, "nt-fast").is_empty().then_some(())
        });
        assert!(time <= AT_ONCE, "out after {time:?}");
        println!("round {round}: out after {time:?}");
    }
}

/// A stale record would then point at another live container.
fn two_containers_swap_addresses(docker: &Docker) {
    docker.network(&["--subnet", "10.213.21.0/24", "nt-swap"]);
    docker.sleeper(&["--name", "nt-ca", "--network", "nt-swap", "--network-alias", "nt-a"]);
    docker.sleeper(&["--name", "nt-cb", "--network", "nt-swap", "--network-alias", "nt-b"]);
    let process = serve();
    let before = [addresses(&process, "nt-a"), addresses(&process, "nt-b")];
    docker.run(&["kill", "nt-ca", "nt-cb"]);
    docker.run(&["start", "nt-cb"]);
    docker.run(&["start", "nt-ca"]);
    let (a, b) = (
        vec![address_of(docker, "nt-ca", "nt-swap")],
        vec![address_of(docker, "nt-cb", "nt-swap")],
    );
    assert_eq!([b.clone(), a.clone()], before, "the engine did swap them");
    until("the names follow", || {
        (addresses(&process, "nt-a") == a && addresses(&process, "nt-b") == b).then_some(())
    });
}

/// Each of them has exited before, while or after its inspect is answered.
fn containers_die_while_they_are_looked_at(docker: &Docker) {
    docker.network(&["--subnet", "10.213.22.0/24", "nt-brief"]);
    let process = serve();
    let run = |n: usize| {
        let name = format!("nt-brief{n}");
        let args = ["run", "-d", "--label", label(), "--name", &name, "--network", "nt-brief"];
        docker.run(&[&args[..], &["--network-alias", "nt-briefly", IMAGE, "true"]].concat());
    };
    in_parallel(20, run);
    let running = ["ps", "-q", "--filter", "network=nt-brief"];
    until("all have exited", || docker.run(&running).is_empty().then_some(()));
    until("none has a name", || {
        let all = (0..20).map(|n| format!("nt-brief{n}")).chain(["nt-briefly".to_owned()]);
        all.map(|name| addresses(&process, &name)).all(|found| found.is_empty()).then_some(())
    });
}

fn fifty_containers_start_at_once(docker: &Docker) {
    docker.network(&["--subnet", "10.213.23.0/24", "nt-fifty"]);
    let process = serve();
    in_parallel(50, |n| {
        let name = format!("nt-fifty{n}");
        docker.sleeper(&["--name", &name, "--network", "nt-fifty", "--network-alias", "nt-many"]);
    });
    let inspect = ["network", "inspect", "nt-fifty", "--format"];
    let format = "{{range .Containers}}{{.IPv4Address}} {{end}}";
    let listed = docker.run(&[&inspect[..], &[format]].concat());
    let mut expected: Vec<IpAddr> = listed
        .split_whitespace()
        .map(|cidr| cidr.split('/').next().unwrap_or(cidr).parse().expect("an address"))
        .collect();
    expected.sort_unstable();
    assert_eq!(expected.len(), 50);
    // More than 29 records do not fit a datagram of 512 octets.
    let known = || {
        let (_, body) = process.get("/v1/names?name=nt-many");
        expected.iter().all(|address| body.contains(&format!("\"{address}\""))).then_some(())
    };
    until("all fifty are known", known);
    for n in 0..50 {
        let name = format!("nt-fifty{n}");
        assert_eq!(addresses(&process, &name), [address_of(docker, &name, "nt-fifty")]);
    }
}

fn an_engine_that_comes_later_is_found(docker: &Docker) {
    docker.network(&["--subnet", "10.213.24.0/24", "nt-later"]);
    docker.sleeper(&["--name", "nt-late", "--network", "nt-later"]);
    let folder = std::env::temp_dir().join(format!("{}-later-{}", label(), std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let socket = folder.join("docker.sock");
    let url = format!("unix://{}", socket.display());
    let mut command = Command::new(BINARY);
    let process = Process::start(command.args(["serve", "--docker", &url]).args(kernel_port()));
    // Never NXDOMAIN for a name that may exist.
    let answer = ask(process.dns, "nt-late.nt-later", "A").expect("an answer").as_expected();
    assert_eq!(answer, Expected::Code("SERVFAIL".to_owned()));
    assert_eq!(process.get("/healthz").0, 503);
    let (code, text) = process.get("/readyz");
    assert_eq!(code, 503, "{text}");
    process.says("no socket there; is the engine running, and its socket mounted?");
    std::os::unix::fs::symlink(SOCKET, &socket).expect("a link");
    until("it is found", || (process.get("/readyz").0 == 200).then_some(()));
    let expected = vec![address_of(docker, "nt-late", "nt-later")];
    assert_eq!(addresses(&process, "nt-late.nt-later"), expected);
    assert_eq!(process.get("/healthz").0, 200);
    std::fs::remove_dir_all(&folder).expect("a folder");
}

fn a_paused_and_an_unhealthy_container(docker: &Docker) {
    docker.network(&["--subnet", "10.213.25.0/24", "nt-fit"]);
    let on =
        |name: &'static str| ["--name", name, "--network", "nt-fit", "--network-alias", "nt-f"];
    docker.sleeper(&on("nt-well"));
    docker.sleeper(&on("nt-frozen"));
    let health = ["--health-cmd", "test -e /tmp/well", "--health-interval", "100ms"];
    docker.sleeper(&[&health[..], &["--health-retries", "1"], &on("nt-ill")].concat());
    docker.run(&["pause", "nt-frozen"]);
    let process = serve();
    let address = |name| address_of(docker, name, "nt-fit");
    let only_well = vec![address("nt-well")];
    until("only the fit one is answered", || {
        (addresses(&process, "nt-f") == only_well).then_some(())
    });
    assert_eq!(addresses(&process, "nt-ill"), [address("nt-ill")], "never a name without address");
    docker.run(&["exec", "nt-ill", "sh", "-c", "echo > /tmp/well"]);
    docker.run(&["unpause", "nt-frozen"]);
    let mut all = vec![address("nt-well"), address("nt-frozen"), address("nt-ill")];
    all.sort_unstable();
    until("all are answered", || (addresses(&process, "nt-f") == all).then_some(()));
}

/// From the stop signal on, through the whole grace period; other signals change nothing.
fn a_stopping_container_gets_no_new_clients(docker: &Docker) {
    docker.network(&["--subnet", "10.213.27.0/24", "nt-drain"]);
    // Its process 1 has no handlers, so that TERM and QUIT pass by and the grace period is long.
    let slow = ["--network", "nt-drain", "--network-alias", "nt-d", "--stop-timeout", "60"];
    let start = |name: &str, more: &[&str]| {
        docker.sleeper(&[&slow[..], &["--name", name], more].concat());
        address_of(docker, name, "nt-drain")
    };
    let (stays, term) = (start("nt-stays", &[]), start("nt-term", &[]));
    let quit = start("nt-quit", &["--stop-signal", "SIGQUIT"]);
    let process = serve();
    let answered = |addresses_wanted: &[IpAddr]| {
        let mut wanted = addresses_wanted.to_vec();
        wanted.sort_unstable();
        let ((), time) =
            until("the answer", || (addresses(&process, "nt-d") == wanted).then_some(()));
        time
    };
    answered(&[stays, term, quit]);
    for signal in ["HUP", "USR1", "CONT"] {
        docker.run(&["kill", "-s", signal, "nt-stays"]);
    }
    docker.run(&["kill", "-s", "TERM", "nt-quit"]);
    let mut stop = Command::new("docker").args(["stop", "nt-term"]).spawn().expect("docker");
    let time = answered(&[stays, quit]);
    assert!(stop.try_wait().expect("docker").is_none(), "it still runs, and is out after {time:?}");
    let shown = process.get("/v1/names?name=nt-term").1;
    assert!(shown.contains("draining"), "{shown}");
    assert_eq!(addresses(&process, "nt-term"), [term], "its own name still leads to it");
    docker.run(&["kill", "-s", "QUIT", "nt-quit"]);
    answered(&[stays]);
    docker.run(&["kill", "nt-term", "nt-quit"]);
    stop.wait().expect("docker");
    docker.run(&["start", "nt-term"]);
    answered(&[stays, address_of(docker, "nt-term", "nt-drain")]);
    docker.run(&["rm", "-f", "nt-term"]);
    answered(&[stays]);
    // The kernel's killer gives no notice.
    let hungry = ["--memory", "8m", "--memory-swap", "8m", "--name", "nt-hungry"];
    let network = ["--network", "nt-drain", "--network-alias", "nt-h"];
    let run = ["run", "-d", "--label", label()];
    let eat = [
        IMAGE,
        "sh",
        "-c",
        "until test -e /tmp/go; do sleep 0.05; done; x=x; while :; do x=$x$x; done",
    ];
    docker.run(&[&run[..], &hungry, &network, &eat].concat());
    until("it has a name", || (addresses(&process, "nt-h").len() == 1).then_some(()));
    docker.run(&["exec", "nt-hungry", "sh", "-c", "echo go > /tmp/go"]);
    until("it has none", || addresses(&process, "nt-h").is_empty().then_some(()));
}

/// Links, shared and host networks, labels and exposed ports; asked by the host, and from inside.
fn every_source_of_names(docker: &Docker) {
    docker.network(&["--subnet", "10.213.26.0/24", "nt-src"]);
    let labels = ["-l", "netalias.alias=nt-la, nt-lb", "-l", "netalias.port.http=80/tcp"];
    let web =
        [&labels[..], &["--expose", "80", "--name", "nt-web", "--network", "nt-src"]].concat();
    docker.sleeper(&web);
    docker.sleeper(&["--name", "nt-client", "--network", "nt-src", "--link", "nt-web:nt-db"]);
    docker.sleeper(&["--name", "nt-sharer", "--network", "container:nt-web"]);
    docker.sleeper(&["--name", "nt-hosted", "--network", "host"]);
    let ignored = ["-l", "netalias.ignore=true", "--name", "nt-ignored", "--network", "nt-src"];
    docker.sleeper(&ignored);
    let mut command = Command::new(BINARY);
    let listen = ["--listen", "0.0.0.0:0", "--http", "127.0.0.1:0", "--forward", "off"];
    let process = Process::start(command.arg("serve").args(listen));
    until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
    let web = address_of(docker, "nt-web", "nt-src");
    let gateway: IpAddr = "10.213.26.1".parse().expect("an address");
    let server = std::net::SocketAddr::from(([127, 0, 0, 1], process.dns.port()));
    let host_asks = |name: &str| ask(server, name, "A").expect("an answer").as_expected();
    for (name, address) in [
        ("nt-la", web),
        ("nt-lb.nt-src.rr.internal", web),
        ("nt-sharer.nt-src", web),
        ("nt-hosted.nt-src", gateway),
        ("host.docker.internal.nt-src", gateway),
    ] {
        assert_eq!(host_asks(name), Expected::Addresses(vec![address]), "{name}");
    }
    for name in ["nt-ignored.rr.internal", "nt-db.rr.internal"] {
        assert_eq!(host_asks(name), Expected::Code("NXDOMAIN".to_owned()), "{name}");
    }
    let data = |name: &str, qtype: &str| -> Vec<String> {
        let answers = ask(server, name, qtype).expect("an answer").message.answers;
        answers.iter().map(|record| record.data.to_string()).collect()
    };
    assert_eq!(data("_http._tcp.nt-web", "SRV"), ["0 1 80 nt-web.nt-src."]);
    let below = data("_80._tcp.nt-la.rr.internal", "SRV");
    assert_eq!(below, ["0 1 80 nt-web.nt-src.rr.internal."]);
    assert_eq!(data("_443._tcp.nt-web", "SRV"), [""; 0]);
    let octets: Vec<String> = web.to_string().rsplit('.').map(str::to_owned).collect();
    let pointer = data(&format!("{}.in-addr.arpa", octets.join(".")), "PTR");
    assert_eq!(pointer, ["nt-web.nt-src."], "the owner of the address, not who shares it");
    // From inside: the binary itself asks, in the client's network namespace.
    let pid = docker.run(&["inspect", "--format", "{{.State.Pid}}", "nt-client"]);
    let server = format!("{gateway}:{}", process.dns.port());
    let client_asks = |name: &str| {
        let inside = ["-t", &pid, "-n", BINARY, "query", name, "--json", "--server", &server];
        let output = Command::new("nsenter").args(inside).output().expect("nsenter");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["answers"][0]["data"].as_str().unwrap_or_default().to_owned()
    };
    for name in ["nt-db", "NT-DB.nt-src", "nt-db.rr.internal", "nt-sharer", "nt-web"] {
        assert_eq!(client_asks(name), web.to_string(), "{name}");
    }
    assert_eq!(client_asks("nt-hosted"), gateway.to_string());
}

/// Runs `task` for each of 0..n, eight at a time.
fn in_parallel(n: usize, task: impl Fn(usize) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if index >= n {
                        break;
                    }
                    task(index);
                }
            });
        }
    });
}
