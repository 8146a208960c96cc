//! Requests that come together are read together: each must get what it gets alone.

use std::net::Ipv4Addr;

use fastrand::Rng;
use netalias_testkit::{Process, seed, signal, until};

use super::mutate::{corpus, mutant};
use super::octets::{A, Client, Query};
use super::server;

/// More than are read at a time, so that a batch ends and another begins within them.
const BURST: usize = 45;
const BURSTS: u8 = 100;

/// Good requests and bad ones, many of them more than once; each has an id of its own, if it is
/// long enough to have one.
fn burst(chance: &mut Rng, corpus: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut burst: Vec<Vec<u8>> = Vec::new();
    for id in 0..u16::try_from(BURST).expect("few") {
        let [one, other] = [(); 2].map(|()| &corpus[chance.usize(..corpus.len())]);
        let mut request = match chance.u8(..4) {
            0 => mutant(chance, one, other),
            1 if !burst.is_empty() => burst[chance.usize(..burst.len())].clone(),
            2 => Query::new(["web", "w2", "WEB", "a.b.c"][chance.usize(..4)], A).octets(),
            _ => one.clone(),
        };
        if let Some(octets) = request.first_chunk_mut() {
            *octets = id.to_be_bytes();
        }
        burst.push(request);
    }
    burst
}

fn is_stopped(server: &Process) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.id())).expect("ours");
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    })
}

#[test]
fn requests_that_are_read_together_get_what_each_gets_alone() {
    let seed = seed();
    eprintln!("NETALIAS_SEED={seed}");
    let mut chance = Rng::with_seed(seed);
    let corpus = corpus("request");
    let servers = ["alone", "together"].map(|name| server(name, 0, &[]));
    let mut compared = 0;
    for n in 0..BURSTS {
        // With an address of its own each burst meets no limit of errors.
        let source = Ipv4Addr::new(127, 0, 1, n);
        let clients = servers.each_ref().map(|server| Client::new(server.dns, source));
        let burst = burst(&mut chance, &corpus);
        let mut alone = Vec::new();
        for request in &burst {
            clients[0].send(&[request]);
            alone.extend(clients[0].replies());
        }
        signal("STOP", servers[1].id());
        until("no thread runs", || is_stopped(&servers[1]).then_some(()));
        clients[1].send(&burst);
        signal("CONT", servers[1].id());
        let together = clients[1].replies();
        assert_eq!(alone, together, "NETALIAS_SEED={seed}");
        compared += alone.len();
    }
    assert!(compared > BURST * usize::from(BURSTS) / 2, "hardly anything was answered: {compared}");
}
