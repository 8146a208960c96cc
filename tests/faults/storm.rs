//! A storm: containers are started, stopped, killed, paused, renamed, moved and swapped at random.
//! At each quiet point the map is the engine's state, and no answer leads to somebody else.

use std::collections::HashSet;
use std::time::Duration;

use netalias_testkit::{Docker, IMAGE, OwnEngine, Owners, Witness, label, said, seed};

use super::Test;
use super::following::{Following, SOON, count, running};

pub(crate) const TESTS: &[(&str, Test)] = &[("storm::random_steps", random_steps)];

/// Steps of a run that nobody has asked for more.
const STEPS: usize = 100;
/// So many steps, at most, from one quiet point to the next.
const GUST: usize = 8;
/// After this time an answer must not lead to a container that does not have the name. The map
/// converges in milliseconds; a busy machine may take its time for a question.
const CONVERGENCE: Duration = Duration::from_secs(1);
const CONTAINERS: usize = 5;

fn random_steps(engine: &mut OwnEngine) {
    let seed = seed();
    let steps = said("NETALIAS_STEPS").unwrap_or(STEPS);
    println!("NETALIAS_SEED={seed} NETALIAS_STEPS={steps}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let docker = engine.docker();
    docker.network(&["--subnet", "10.1.0.0/24", "net"]);
    docker.network(&["--subnet", "10.2.0.0/24", "other"]);
    let following = Following::start(engine);
    let mut names: Vec<String> = (0..CONTAINERS).map(|n| format!("x{n}")).collect();
    names.extend(["app", "far", "app.net", "app.other"].map(str::to_owned));
    let mut witness = Witness::start(following.process.dns, names);
    let (mut played, mut refused, mut quiet, mut slowest) = (0, 0, 0, Duration::ZERO);
    while played < steps {
        for _ in 0..chance.usize(1..=GUST) {
            // Many are refused, since the container is not there, or not in that state.
            match step(docker, &mut chance) {
                Ok(()) => played += 1,
                Err(_) => refused += 1,
            }
            witness.engine_has(owners(docker));
        }
        slowest = slowest.max(following.is_right_within(docker, SOON));
        quiet += 1;
    }
    let (answers, addresses) = witness.verdict(CONVERGENCE).expect("no answer leads astray");
    println!(
        "{played} steps ({refused} refused), right at {quiet} quiet points after {slowest:?} at \
         most; {answers} answers with {addresses} addresses, none of them somebody else's"
    );
    assert_eq!(count(&following.process, "engine_drift"), 0);
    assert_eq!(count(&following.process, "engine_attempts"), 1);
}

fn step(docker: &Docker, chance: &mut fastrand::Rng) -> Result<(), String> {
    let one = chance.usize(..CONTAINERS);
    let other = (one + chance.usize(1..CONTAINERS)) % CONTAINERS;
    let (one, other) = (format!("x{one}"), format!("x{other}"));
    let network = ["net", "other"][chance.usize(..2)];
    let run = |line: &str| docker.attempt(&line.split(' ').collect::<Vec<_>>()).map(drop);
    match chance.usize(..20) {
        0..5 => {
            let fixed = format!("run -d --label {} --stop-timeout 0", label());
            let on = format!("--name {one} --network {network} --network-alias app");
            run(&format!("{fixed} {on} {IMAGE} sleep 3600"))
        }
        5 => run(&format!("network connect --alias far {network} {one}")),
        6 => run(&format!("network connect --alias app {network} {one}")),
        7 => run(&format!("network disconnect {network} {one}")),
        8 => run(&format!("network disconnect -f {network} {one}")),
        9 => run(&format!("kill {one}")),
        10 => run(&format!("start {one}")),
        11 => run(&format!("restart -t 0 {one}")),
        12 => run(&format!("pause {one}")),
        13 => run(&format!("unpause {one}")),
        14 => run(&format!("rename {one} {other}")),
        15 => run(&format!("rm -f {one}")),
        16 => run(&format!("stop -t 0 {one}")),
        17 => {
            // The network goes, with whom it has, and comes back empty.
            let on = format!("ps -aq --filter network={network}");
            let on = docker.run(&on.split(' ').collect::<Vec<_>>());
            for container in on.split_whitespace() {
                run(&format!("rm -f {container}"))?;
            }
            run(&format!("network rm {network}"))?;
            let subnet = if network == "net" { "10.1.0.0/24" } else { "10.2.0.0/24" };
            docker.network(&["--subnet", subnet, network]);
            Ok(())
        }
        // Whoever starts first gets the lower address.
        _ => {
            run(&format!("kill {one}"))?;
            run(&format!("kill {other}")).ok();
            run(&format!("start {other}"))?;
            run(&format!("start {one}"))
        }
    }
}

/// Who has each address, and which names lead there; bare ones, since the host sees all networks.
fn owners(docker: &Docker) -> Owners {
    let mut owners = Owners::new();
    for container in running(docker) {
        let own = container["Name"].as_str().expect("a name").trim_start_matches('/').to_owned();
        for (network, on) in container["NetworkSettings"]["Networks"].as_object().expect("a map") {
            let Ok(address) = on["IPAddress"].as_str().unwrap_or_default().parse() else {
                continue;
            };
            let names: &mut HashSet<String> = owners.entry(address).or_default();
            let aliases = on["Aliases"].as_array().into_iter().flatten();
            for name in aliases.filter_map(serde_json::Value::as_str).chain([&*own]) {
                names.insert(name.to_owned());
                names.insert(format!("{name}.{network}"));
            }
        }
    }
    owners
}
