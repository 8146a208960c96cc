//! The real binary beside a real Docker engine. Where none answers the tests are ignored, and say
//! so; with `NETALIAS_REQUIRE_DOCKER=1` they fail instead.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use netalias::source::scenario::Expected;
use netalias_testkit::{
    Docker, IMAGE, OnEngine, Process, Unavailable, ask, check, kernel_port, label, until,
};

const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
/// A test that has the engine to itself.
type Test = fn(&Docker);
/// From `docker run` or `docker kill` returning to the changed answer.
const AT_ONCE: Duration = Duration::from_millis(100);

fn main() {
    let mut arguments = Arguments::from_args();
    // One engine, and scenarios that use the same names: one at a time.
    arguments.test_threads = Some(1);
    let listing = arguments.list;
    let docker = if listing { Err(Unavailable("only listed".to_owned())) } else { Docker::ready() };
    let required = std::env::var("NETALIAS_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
    let docker: Option<&'static Docker> = match docker {
        Ok(docker) => Some(Box::leak(Box::new(docker))),
        Err(Unavailable(why)) if required => {
            eprintln!("NETALIAS_REQUIRE_DOCKER=1, but the engine cannot be used: {why}");
            std::process::exit(1);
        }
        Err(Unavailable(why)) => {
            eprintln!("SKIPPED, all tests on a real engine: {why}");
            None
        }
    };
    let mut trials = scenarios(docker);
    let own: [(&str, Test); 6] = [
        ("a_change_is_in_the_answer_within_100_ms", a_change_is_in_the_answer_within_100_ms),
        ("two_containers_swap_addresses", two_containers_swap_addresses),
        ("containers_die_while_they_are_looked_at", containers_die_while_they_are_looked_at),
        ("fifty_containers_start_at_once", fifty_containers_start_at_once),
        ("an_engine_that_comes_later_is_found", an_engine_that_comes_later_is_found),
        ("a_paused_and_an_unhealthy_container", a_paused_and_an_unhealthy_container),
    ];
    for (name, test) in own {
        let trial = Trial::test(name, move || {
            let docker = docker.ok_or("no engine")?;
            docker.clean();
            test(docker);
            Ok(())
        });
        trials.push(trial.with_ignored_flag(docker.is_none() && !listing));
    }
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
    files.sort();
    let trial = |path: std::path::PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("engine::{file}");
        let trial = Trial::test(name, move || {
            let docker = docker.ok_or("no engine")?;
            docker.clean();
            let text = std::fs::read_to_string(&path)?;
            check(&file, &text, &mut OnEngine::start(BINARY, docker)).map_err(Failed::from)
        });
        trial.with_ignored_flag(docker.is_none())
    };
    files.into_iter().map(trial).collect()
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
    until("it says what to do", || {
        let advice = "no socket there; is the engine running, and its socket mounted?";
        process.lines().iter().any(|line| line.contains(advice)).then_some(())
    });
    std::os::unix::fs::symlink("/var/run/docker.sock", &socket).expect("a link");
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
