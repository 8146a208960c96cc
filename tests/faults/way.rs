//! The way to the engine: cut, stalled, forgotten, slow, garbled, failing; and our own standstill.

use std::time::{Duration, Instant};

use netalias_testkit::{Fault, OwnEngine, Process, Questions, signal, until, within};

use super::Test;
use super::flood::Caller;
use super::following::{
    Following, NOTICED, QUESTIONS, RECOVERY, SOON, address_of, changes, count, is_ready_within,
    is_right_within, serve, three_backends,
};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("way::cut", cut),
    ("way::stall", stall),
    ("way::half_open", half_open),
    ("way::slow_bytes", slow_bytes),
    ("way::garbage_json", garbage_json),
    ("way::http_500", http_500),
    ("way::delay", delay),
    ("way::list_subscribe_race", list_subscribe_race),
    ("way::our_reader_stalls", our_reader_stalls),
];

fn cut(engine: &mut OwnEngine) {
    let docker = engine.docker();
    three_backends(docker);
    let following = Following::start(engine);
    let questions =
        Questions::ask(following.process.dns, "web1", address_of(docker, "web1", "net"));
    docker.run(&["kill", "web2"]);
    following.proxy.cut();
    docker.run(&["start", "web2"]);
    let time = following.is_right_within(docker, SOON);
    println!("right {time:?} after a cut stream");
    following.is_ready_within(SOON);
    questions.all_were_answered();
}

/// A fault that takes the engine away: it is told, nothing is forgotten, and all is found again.
fn away(engine: &OwnEngine, fault: Fault, cut: bool) {
    let docker = engine.docker();
    three_backends(docker);
    let following = Following::start(engine);
    let questions =
        Questions::ask(following.process.dns, "web1", address_of(docker, "web1", "net"));
    let before = descriptors(&following.process);
    following.proxy.fault(fault);
    if cut {
        following.proxy.cut();
    }
    changes(docker);
    let ((), time) = within(NOTICED, "staleness is told", || following.says_stale().then_some(()));
    println!("staleness is told {time:?} after the changes");
    questions.wait_for(QUESTIONS);
    following.proxy.fault(Fault::None);
    let time = following.is_right_within(docker, RECOVERY);
    println!("right {time:?} after the fault");
    following.is_ready_within(RECOVERY);
    questions.all_were_answered();
    // This question itself, and a sign of life, may take one each.
    within(RECOVERY, "no connection is left over", || {
        (descriptors(&following.process) <= before + 2).then_some(())
    });
}

fn descriptors(process: &Process) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.id()));
    open.expect("a child of ours").count()
}

fn stall(engine: &mut OwnEngine) {
    away(engine, Fault::Stall, false);
}

fn garbage_json(engine: &mut OwnEngine) {
    away(engine, Fault::Garble, false);
}

fn http_500(engine: &mut OwnEngine) {
    away(engine, Fault::Fail, true);
}

/// A list takes longer than it may.
fn slow_bytes(engine: &mut OwnEngine) {
    away(engine, Fault::Trickle(Duration::from_millis(20)), false);
}

/// The event stream is open, and nothing comes through it; all else works.
fn half_open(engine: &mut OwnEngine) {
    let docker = engine.docker();
    three_backends(docker);
    let following = Following::start(engine);
    following.proxy.forget();
    changes(docker);
    let time = following.is_right_within(docker, NOTICED);
    until("the stream is given up", || {
        let told = following.process.lines();
        told.iter().any(|line| line.contains("event stream is silent")).then_some(())
    });
    following.is_ready_within(RECOVERY);
    println!("right {time:?} after the changes");
    assert!(count(&following.process, "engine_drift") > 0);
    docker.run(&["rm", "-f", "late"]);
    following.is_right_within(docker, SOON);
}

/// Slow, but nothing is wrong: nothing is doubted.
fn delay(engine: &mut OwnEngine) {
    let docker = engine.docker();
    three_backends(docker);
    let following = Following::start(engine);
    following.proxy.fault(Fault::Delay(Duration::from_millis(300)));
    changes(docker);
    following.is_right_within(docker, RECOVERY);
    following.is_ready_within(RECOVERY);
    assert_eq!(count(&following.process, "engine_attempts"), 1);
}

/// A container starts while we subscribe and list: none is missed.
fn list_subscribe_race(engine: &mut OwnEngine) {
    let docker = engine.docker();
    docker.network(&["--subnet", "10.1.0.0/24", "net"]);
    for round in 0..20 {
        let name = format!("race{round}");
        let following = std::thread::scope(|scope| {
            let start = scope.spawn(|| docker.sleeper(&["--name", &name, "--network", "net"]));
            let following = Following::start(engine);
            start.join().expect("it starts");
            following
        });
        following.is_right_within(docker, SOON);
        // The stream, too, is opened while something happens.
        std::thread::scope(|scope| {
            let stop = scope.spawn(|| docker.run(&["rm", "-f", &name]));
            following.proxy.cut();
            stop.join().expect("it goes");
        });
        following.is_right_within(docker, SOON);
    }
}

/// We are stopped while the engine tells more than it keeps for us: it throws the rest away.
fn our_reader_stalls(engine: &mut OwnEngine) {
    const EVENTS: usize = 1_300;
    let docker = engine.docker();
    three_backends(docker);
    // A proxy between would keep more for us.
    let process = Process::start(&mut serve(&engine.url()));
    is_ready_within(&process, RECOVERY);
    signal("STOP", process.id());
    let started = Instant::now();
    let mut caller = Caller::connect(&engine.socket());
    let times = (0..EVENTS).map(|_| caller.kill_by_cont("web1"));
    let slow = times.filter(|time| *time > Duration::from_millis(90)).count();
    changes(docker);
    let time = started.elapsed();
    assert!(time > Duration::from_secs(6), "long enough to be noticed: {time:?}");
    signal("CONT", process.id());
    let time = is_right_within(&process, docker, RECOVERY);
    println!("right {time:?} after the standstill; {slow} events took the engine 90 ms or more");
    is_ready_within(&process, RECOVERY);
    until("it knows that it stood still", || {
        let told = process.lines();
        told.iter().any(|line| line.contains("this process stood still")).then_some(())
    });
}
