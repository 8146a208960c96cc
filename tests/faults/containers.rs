//! Containers live and die in every way that an engine has: after each step the map is right.

use std::time::Duration;

use netalias_testkit::{Docker, IMAGE, OwnEngine, ask, label, signal, until};

use super::Test;
use super::following::{
    Following, RECOVERY, SOON, address_of, count, known, three_backends, truth,
};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("containers::killed_by_docker_by_the_host_and_by_oom", killed),
    ("containers::hup_and_cont_signals", hup_and_cont_signals),
    ("containers::restart", restart),
    ("containers::ip_swap", ip_swap),
    ("containers::pause_unpause", pause_unpause),
    ("containers::connect_disconnect_live", connect_disconnect_live),
    ("containers::connect_while_stopped", connect_while_stopped),
    ("containers::rename", rename),
    ("containers::create_without_start_and_rm", create_without_start_and_rm),
    ("containers::network_rm_and_prunes", network_rm_and_prunes),
    ("containers::health_flap", health_flap),
    ("containers::many_at_once", many_at_once),
];

/// Plays docker commands; after each one the map is right at once, by events alone.
fn play(engine: &OwnEngine, lines: &[&str]) -> Following {
    let docker = engine.docker();
    three_backends(docker);
    let following = Following::start(engine);
    for line in lines {
        docker.run(&line.split(' ').collect::<Vec<_>>());
        let time = following.is_right_within(docker, SOON);
        println!("{line}: {time:?}");
    }
    assert_eq!(count(&following.process, "engine_drift"), 0);
    assert_eq!(count(&following.process, "engine_attempts"), 1);
    following
}

fn killed(engine: &mut OwnEngine) {
    let following = play(engine, &["kill web1"]);
    let docker = engine.docker();
    signal("KILL", engine.process_of("web2"));
    let gone = || (!running_names(docker).contains("web2")).then_some(());
    until("the engine knows", gone);
    following.is_right_within(docker, SOON);
    let hungry = ["run", "-d", "--label", label(), "--memory", "8m", "--memory-swap", "8m"];
    let on = ["--name", "hungry", "--network", "net", IMAGE, "sh", "-c"];
    let eat = "until test -e /tmp/go; do sleep 0.05; done; x=x; while :; do x=$x$x; done";
    docker.run(&[&hungry[..], &on, &[eat]].concat());
    following.is_right_within(docker, SOON);
    docker.run(&["exec", "hungry", "sh", "-c", "echo go > /tmp/go"]);
    until("it is killed", || (!running_names(docker).contains("hungry")).then_some(()));
    following.is_right_within(docker, SOON);
    let oom = ["inspect", "--format", "{{.State.OOMKilled}}", "hungry"];
    println!("killed for want of memory: {}", docker.run(&oom));
}

fn running_names(docker: &Docker) -> String {
    docker.run(&["ps", "--format", "{{.Names}}"])
}

/// They end nobody, and take nobody's name.
fn hup_and_cont_signals(engine: &mut OwnEngine) {
    let following = play(engine, &["kill -s HUP web1", "kill -s CONT web1", "kill -s USR1 web2"]);
    let names = known(&following.process);
    assert_eq!(names["app.net"].len(), 3);
    assert_eq!(ask(following.process.dns, "app.net", "A").expect("an answer").addresses.len(), 3);
}

fn restart(engine: &mut OwnEngine) {
    let lines = ["restart -t 0 web1", "restart -t 0 web1 web2 web3", "restart -t 0 web2"];
    let following = play(engine, &lines);
    assert_eq!(known(&following.process)["app.net"].len(), 3, "a late die removed nobody");
}

fn ip_swap(engine: &mut OwnEngine) {
    three_backends(engine.docker());
    let docker = engine.docker();
    let before = ["web1", "web2"].map(|name| address_of(docker, name, "net"));
    docker.clean();
    let lines = ["kill web1 web2", "start web2", "start web1"];
    let following = play(engine, &lines);
    let after = ["web1", "web2"].map(|name| address_of(docker, name, "net"));
    assert_eq!(after, [before[1], before[0]], "the engine did swap them");
    for (name, address) in ["web1", "web2"].into_iter().zip(after) {
        assert_eq!(ask(following.process.dns, name, "A").expect("an answer").addresses, [address]);
    }
}

/// A paused container keeps its name; where others have it too, they are answered.
fn pause_unpause(engine: &mut OwnEngine) {
    let following = play(engine, &["pause web1", "pause web2"]);
    let answered = |name: &str| ask(following.process.dns, name, "A").expect("an answer").addresses;
    let address = |name| address_of(engine.docker(), name, "net");
    until("those that are not paused are answered", || {
        (answered("app") == [address("web3")]).then_some(())
    });
    assert_eq!(answered("web1"), [address("web1")]);
    engine.docker().run(&["unpause", "web1"]);
    until("it is answered again", || (answered("app").len() == 2).then_some(()));
}

fn connect_disconnect_live(engine: &mut OwnEngine) {
    play(
        engine,
        &[
            "network connect --alias far other web1",
            "network disconnect net web1",
            "network connect --alias app --alias near net web1",
            "network disconnect -f other web1",
            "network disconnect -f net web2",
        ],
    );
}

/// There is no event for it; the next start tells.
fn connect_while_stopped(engine: &mut OwnEngine) {
    let lines = ["kill web1", "network connect --alias far other web1", "start web1"];
    let following = play(engine, &lines);
    assert!(known(&following.process).contains_key("far.other"));
}

fn rename(engine: &mut OwnEngine) {
    let lines = ["rename web1 web9", "rename web2 web1", "rename web9 web2", "restart -t 0 web1"];
    play(engine, &lines);
}

fn create_without_start_and_rm(engine: &mut OwnEngine) {
    let create = format!("create --label {} --name made --network net {IMAGE} sleep 9", label());
    let following = play(engine, &[&create, "rm made"]);
    assert!(!known(&following.process).contains_key("made.net"));
}

fn network_rm_and_prunes(engine: &mut OwnEngine) {
    let filter = format!("label={}", label());
    play(
        engine,
        &[
            "network connect other web1",
            "network disconnect other web1",
            "network rm other",
            "kill web1 web2",
            &format!("container prune -f --filter {filter}"),
            "kill web3",
            &format!("system prune -f --filter {filter}"),
            &format!("network prune -f --filter {filter}"),
        ],
    );
    assert!(truth(engine.docker()).is_empty());
}

/// Each check makes three events that change nothing, and none of them is looked at.
fn health_flap(engine: &mut OwnEngine) {
    let following = play(engine, &[]);
    let docker = engine.docker();
    let health = ["--health-cmd", "test -e /tmp/well", "--health-interval", "200ms"];
    let on = ["--health-retries", "1", "--name", "flap", "--network", "net"];
    docker.sleeper(&[&health[..], &on, &["--network-alias", "app"]].concat());
    let answered = || ask(following.process.dns, "app", "A").expect("an answer").addresses.len();
    for (command, expected) in [("echo > /tmp/well", 4), ("rm /tmp/well", 3)].repeat(2) {
        if command.starts_with("rm") {
            // The image has no rm.
            docker.run(&["restart", "-t", "0", "flap"]);
        } else {
            docker.run(&["exec", "flap", "sh", "-c", command]);
        }
        if expected == 4 {
            until("it is answered when it is well", || (answered() == expected).then_some(()));
        }
        following.is_right_within(docker, RECOVERY);
    }
    assert_eq!(count(&following.process, "engine_drift"), 0);
}

/// As many as a project of some size has; up, and down again.
fn many_at_once(engine: &mut OwnEngine) {
    const MANY: usize = 60;
    let docker = engine.docker();
    docker.network(&["--subnet", "10.1.0.0/24", "net"]);
    let following = Following::start(engine);
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if n >= MANY {
                        return;
                    }
                    let name = format!("many{n}");
                    docker.sleeper(&[
                        "--name",
                        &name,
                        "--network",
                        "net",
                        "--network-alias",
                        "app",
                    ]);
                }
            });
        }
    });
    println!("{MANY} up: right after {:?}", following.is_right_within(docker, SOON));
    assert_eq!(known(&following.process)["app.net"].len(), MANY);
    docker.clean();
    println!("and down: right after {:?}", following.is_right_within(docker, SOON));
    let limit = Duration::from_secs(60);
    following.is_ready_within(limit);
}
