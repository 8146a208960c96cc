//! The daemon stops, dies, and comes back; its containers go on, or die behind its back.

use netalias_testkit::{OwnEngine, Process, Questions, signal, within};

use super::Test;
use super::following::{
    NOTICED, QUESTIONS, RECOVERY, address_of, changes, identity, is_ready_within, is_right_within,
    says_stale, serve, three_backends,
};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("daemon::clean_stop", clean_stop),
    ("daemon::sigkill_and_a_socket_of_a_new_inode", sigkill_and_a_socket_of_a_new_inode),
    ("daemon::container_dies_while_daemon_is_down", container_dies_while_daemon_is_down),
];

/// The binary beside the engine's own socket, with no proxy between.
fn follow(engine: &OwnEngine) -> Process {
    let process = Process::start(&mut serve(&engine.url()));
    is_ready_within(&process, RECOVERY);
    process
}

/// Takes the daemon away, does something, and brings it back.
fn without_daemon(
    engine: &mut OwnEngine,
    process: &Process,
    away: fn(&mut OwnEngine),
    meanwhile: impl FnOnce(),
) {
    let web1 = address_of(engine.docker(), "web1", "net");
    let questions = Questions::ask(process.dns, "web1", web1);
    away(engine);
    within(NOTICED, "staleness is told", || says_stale(process).then_some(()));
    let told = process.get("/readyz").1;
    assert!(told.contains("disconnected for") || told.contains("subscribing for"), "{told}");
    meanwhile();
    questions.wait_for(QUESTIONS);
    engine.start_again();
    let time = is_right_within(process, engine.docker(), RECOVERY);
    is_ready_within(process, RECOVERY);
    println!("right {time:?} after the engine answers");
    questions.all_were_answered();
}

fn clean_stop(engine: &mut OwnEngine) {
    three_backends(engine.docker());
    let process = follow(engine);
    let socket = engine.socket();
    without_daemon(engine, &process, OwnEngine::stop, || {
        assert!(!socket.exists(), "it removes its socket");
    });
    changes(engine.docker());
    is_right_within(&process, engine.docker(), RECOVERY);
}

fn sigkill_and_a_socket_of_a_new_inode(engine: &mut OwnEngine) {
    three_backends(engine.docker());
    let process = follow(engine);
    let socket = engine.socket();
    let before = identity(&socket);
    without_daemon(engine, &process, OwnEngine::kill, || {
        assert!(socket.exists(), "nobody has removed it");
    });
    assert_ne!(before, identity(&socket), "the same path, another socket");
    changes(engine.docker());
    is_right_within(&process, engine.docker(), RECOVERY);
}

/// No event ever tells, and an inspect still shows the address.
fn container_dies_while_daemon_is_down(engine: &mut OwnEngine) {
    three_backends(engine.docker());
    let process = follow(engine);
    let victim = engine.process_of("web2");
    without_daemon(engine, &process, OwnEngine::kill, || signal("KILL", victim));
    let state = ["inspect", "--format", "{{.State.Status}}", "web2"];
    assert_eq!(engine.docker().run(&state), "exited");
    address_of(engine.docker(), "web2", "net");
}
