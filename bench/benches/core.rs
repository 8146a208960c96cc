//! What one change and one question cost inside, without a network.
#![allow(clippy::expect_used, missing_docs)] // What cannot go on ends.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use divan::{Bencher, black_box};
use netalias::directory::{self, Reader};
use netalias::dns::forward::Forwarder;
use netalias::dns::{Carrier, Desk, Service};
use netalias::model::{Asker, Change, Name, Policy, Question, RecordType, Registry, decide};
use netalias::source::scenario::{Engine, parse_line};
use netalias::status::Status;

/// Names, with four containers each: 100 to 100,000 endpoints.
const NAMES: [u32; 4] = [25, 250, 2500, 25_000];
const CLIENT: Asker = Asker {
    address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)),
    v4: None,
    v6: None,
    chance: 0,
    room: usize::MAX,
};

fn main() {
    divan::main();
}

/// The registry's part of a container that leaves a network, or comes back.
#[divan::bench(args = NAMES)]
fn apply(bencher: Bencher, names: u32) {
    let (everything, there, gone) = world(names);
    let mut registry = Registry::default();
    for change in everything {
        registry.apply(change);
    }
    let mut turn = [gone, there].into_iter().cycle();
    bencher.bench_local(|| registry.apply(turn.next().expect("an endless row")));
}

/// The same, up to the map that is asked.
#[divan::bench(args = NAMES)]
fn publish(bencher: Bencher, names: u32) {
    let (everything, there, gone) = world(names);
    let (publisher, _reader) = directory::new(1, Policy::default());
    for change in everything {
        publisher.apply(change);
    }
    let mut turn = [gone, there].into_iter().cycle();
    bencher.bench_local(|| publisher.apply(turn.next().expect("an endless row")));
}

/// Finding a name as a container asks for it.
#[divan::bench(args = NAMES)]
fn lookup(bencher: Bencher, names: u32) {
    let (reader, name, policy) = reader(names);
    bencher.bench_local(|| {
        let mut asker = CLIENT;
        reader.lookup(&mut asker, black_box(&name), RecordType::A, &policy)
    });
}

/// The decision about what was found: four addresses, each in its turn.
#[divan::bench(args = [RecordType::A, RecordType::Aaaa])]
fn decision(bencher: Bencher, qtype: RecordType) {
    let (reader, name, policy) = reader(250);
    let mut asker = CLIENT;
    let found = reader.lookup(&mut asker, &name, qtype, &policy);
    bencher.bench_local(|| {
        let (zone, found) = (&found.zone, &found.found);
        let question = Question { zone, found, qtype, asker: &asker };
        decide(black_box(&question), &policy, true)
    });
}

/// From the octets of a request to those of a reply: from memory, and by a look-up.
#[divan::bench(args = [true, false], sample_size = 1000)]
fn respond(bencher: Bencher, remembers: bool) {
    let (reader, _, _) = reader(250);
    let status = Arc::new(Status::new(&[]));
    let forwarder = Forwarder::new(reader.clone(), status.clone(), Vec::new());
    let forwarder = forwarder.expect("a forwarder");
    let service = Service { directory: reader, status, forwarder };
    let mut desk = if remembers { Desk::new(service) } else { Desk::forgetful(service) };
    let request = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02n7\0\0\x01\0\x01";
    let mut out = Vec::new();
    bencher.bench_local(|| {
        desk.answer(black_box(request), CLIENT.address, Carrier::Udp, &mut out);
        out.len()
    });
}

fn reader(names: u32) -> (Reader, Name, Policy) {
    let (publisher, reader) = directory::new(1, Policy::default());
    for change in world(names).0 {
        publisher.apply(change);
    }
    publisher.source_is_complete();
    (reader, Name::parse("n7").expect("a name"), Policy::default())
}

/// Everything in a network of four containers for each name; and one of them, there and gone.
fn world(names: u32) -> (Vec<Change>, Change, Change) {
    let mut engine = Engine::default();
    let mut play = |line: &str| {
        let line = parse_line("bench", 1, line).expect("a command").expect("a command");
        let mut changes = Vec::new();
        engine.carry_out(&line.command, &mut changes).expect("it can be done");
        changes
    };
    play("docker network create --subnet 10.0.0.0/8 net");
    play("docker run -d --name client --net net --ip 10.0.0.9 image");
    for name in 0..names {
        for which in 0..4 {
            play(&format!("docker run -d --name c{name}-{which} --net net --net-alias n{name} i"));
        }
    }
    let mut gone = play("docker network disconnect net c7-0");
    let mut there = play("docker network connect --alias n7 net c7-0");
    (engine.everything(), there.remove(0), gone.remove(0))
}
