//! Servers and clients that mean harm.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{MX, NS, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use netalias_testkit::{
    Act, FakeUpstream, a_record, cname_record, soa_record, until, with_address,
};

use crate::setup::{HOST, TOTAL, ask_as, client, extended, facts, good, question, received, to};

/// CVE-2023-28452 and the like: whoever can send one packet must not be able to deny a name.
#[test]
fn tudoor_garbage_does_not_end_the_wait_for_the_good_answer() {
    let upstream = FakeUpstream::start(|seen| {
        let mut wrong_id = with_address(seen, [6, 6, 6, 6], 60);
        wrong_id.metadata.id ^= 1;
        let mut wrong_name = with_address(seen, [6, 6, 6, 6], 60);
        wrong_name.queries[0].set_name(Name::from_ascii("evil.example.").expect("a name"));
        let mut wrong_case = with_address(seen, [6, 6, 6, 6], 60);
        wrong_case.queries[0].set_name(Name::from_ascii("Good.example.").expect("a name"));
        let mut wrong_type = with_address(seen, [6, 6, 6, 6], 60);
        wrong_type.queries[0].set_query_type(RecordType::AAAA);
        let mut two = with_address(seen, [6, 6, 6, 6], 60);
        two.add_query(two.queries[0].clone());
        let mut none = with_address(seen, [6, 6, 6, 6], 60);
        none.queries.clear();
        let id = &seen.octets[..2];
        let garbage = [id, &[0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0, 0xc0, 0x0c]].concat();
        let acts = [wrong_id, wrong_name, wrong_case, wrong_type, two, none];
        let acts = acts.iter().map(Act::send);
        acts.chain([
            Act::Send(garbage),
            Act::Send(id.to_vec()),
            Act::Send(Vec::new()),
            Act::Send(seen.octets.clone()),
            Act::Pause(Duration::from_millis(50)),
            Act::send(&with_address(seen, [192, 0, 2, 1], 60)),
        ])
        .collect()
    });
    assert_eq!(to(&[&upstream]).a("good.example."), good("192.0.2.1"));
    assert_eq!(upstream.seen().len(), 1, "and it is not asked again");
}

#[test]
fn a_flood_of_guesses_moves_the_question_to_tcp() {
    let upstream = FakeUpstream::start(|seen| {
        if seen.tcp {
            return vec![Act::send(&with_address(seen, [192, 0, 2, 1], 60))];
        }
        let mut guess = with_address(seen, [6, 6, 6, 6], 60);
        let own = seen.message.metadata.id;
        let ids = (1..200).map(|step| own.wrapping_add(step));
        ids.map(|id| {
            guess.metadata.id = id;
            Act::send(&guess)
        })
        .collect()
    });
    assert_eq!(to(&[&upstream]).a("target.example."), good("192.0.2.1"));
    assert!(upstream.seen().iter().any(|seen| seen.tcp));
}

/// RFC 9267 and CVE-2020-25681 to -25683: whatever comes, nothing breaks.
#[test]
fn dnspooq_malformed_answers_at_random_break_nothing() {
    let upstream = FakeUpstream::start(|seen| {
        let good = with_address(seen, [192, 0, 2, 1], 60);
        let octets = good.to_vec().expect("a message");
        let number: u64 =
            seen.name().iter().next().map_or(0, |label| {
                label.iter().fold(17, |sum, octet| sum * 31 + u64::from(*octet))
            });
        let mut state = number | 1;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).expect("small")
        };
        let mut acts = Vec::new();
        for _ in 0..8 {
            let mut bad = octets.clone();
            // The id stays, or it would be dropped unread.
            for _ in 0..=random(4) {
                let at = 2 + random(bad.len() - 2);
                bad[at] = u8::try_from(random(256)).expect("an octet");
            }
            bad.truncate(3 + random(bad.len()));
            // Neither a right answer nor TC, which both would rightly end the wait.
            let right = Message::from_vec(&bad).is_ok_and(|message| {
                message.metadata.truncation || message.queries == good.queries
            });
            let formerr = bad.get(3).is_some_and(|octet| matches!(octet & 15, 1 | 4));
            if !right && !formerr {
                acts.push(Act::Send(bad));
            }
        }
        acts.push(Act::send(&good));
        acts
    });
    let setup = to(&[&upstream]);
    for number in 0..300 {
        let name = format!("n{number}.example.");
        assert_eq!(setup.a(&name), good("192.0.2.1"), "{name}");
    }
}

/// Kaminsky's attack and CVE-2021-25220: a server tells of one name alone.
#[test]
fn kaminsky_and_maginot_unrelated_records_are_dropped_and_never_kept() {
    let upstream = FakeUpstream::start(|seen| {
        let name = seen.name().to_string();
        let mut reply = match name.as_str() {
            "asked.example." => seen.reply(),
            _ => with_address(seen, [192, 0, 2, 2], 60),
        };
        if name == "asked.example." {
            reply.add_answer(a_record("bank.example.", [6, 6, 6, 6], 3600));
            reply.add_answer(cname_record("asked.example.", "alias.example."));
            reply.add_answer(a_record("alias.example.", [192, 0, 2, 1], 60));
            reply.add_answer(a_record("here.", [6, 6, 6, 6], 3600));
            let ns = RData::NS(NS(Name::from_ascii("ns.evil.").expect("a name")));
            reply.add_authority(Record::from_rdata(
                Name::from_ascii("com.").expect("a name"),
                60,
                ns,
            ));
            reply.add_authority(soa_record("other.", 60, 60));
            reply.add_additional(a_record("bank.example.", [6, 6, 6, 6], 3600));
        }
        vec![Act::send(&reply)]
    });
    let setup = to(&[&upstream]);
    let answer = setup.ask("asked.example.", RecordType::A);
    assert_eq!(facts(&answer).1, ["alias.example.", "192.0.2.1"]);
    assert!(answer.authorities.is_empty() && answer.additionals.is_empty());
    assert_eq!(setup.a("bank.example."), good("192.0.2.2"), "not what the other answer said");
    assert_eq!(setup.a("here."), good("127.213.1.2"));
    assert_eq!(setup.a("alias.example."), good("192.0.2.2"), "nor the end of its chain");
}

#[test]
fn maginot_an_alias_into_our_names_brings_no_records_for_them() {
    let upstream = FakeUpstream::start(|seen| {
        let target = format!(
            "{}.",
            seen.name().iter().next().map_or("", |label| match label {
                b"a" => "web.rr.internal",
                b"b" => "web.netlb",
                b"c" => "web",
                _ => "localhost",
            })
        );
        let mut reply = seen.reply();
        reply.add_answer(cname_record(&seen.name().to_string(), &target));
        reply.add_answer(a_record(&target, [6, 6, 6, 6], 60));
        vec![Act::send(&reply)]
    });
    let setup = to(&[&upstream]);
    for (name, target) in [
        ("a.example.", "web.rr.internal."),
        ("b.example.", "web.netlb."),
        ("c.example.", "web."),
        ("d.example.", "localhost."),
    ] {
        assert_eq!(setup.a(name), good(target), "{name}");
    }
}

/// RUSTSEC-2020-0001: a target that is the root; and chains that never end.
#[test]
fn rustsec_2020_0001_null_targets_and_endless_aliases() {
    let upstream = FakeUpstream::start(|seen| {
        let mut reply = seen.reply();
        let name = seen.name().clone();
        match seen.message.queries[0].query_type() {
            RecordType::MX => {
                reply.add_answer(Record::from_rdata(name, 60, RData::MX(MX::new(0, Name::root()))));
            }
            RecordType::SRV => {
                let data = RData::SRV(SRV::new(0, 0, 0, Name::root()));
                reply.add_answer(Record::from_rdata(name, 60, data));
            }
            _ => {
                let names = ["self.example.", "a.example.", "b.example."];
                reply.add_answer(cname_record(names[0], names[0]));
                reply.add_answer(cname_record(names[1], names[2]));
                reply.add_answer(cname_record(names[2], names[1]));
                for step in 0..100 {
                    let next = format!("s{}.example.", step + 1);
                    reply.add_answer(cname_record(&format!("s{step}.example."), &next));
                }
            }
        }
        vec![Act::send(&reply)]
    });
    let setup = to(&[&upstream]);
    assert_eq!(facts(&setup.ask("m.example.", RecordType::MX)), good("0 ."));
    assert_eq!(facts(&setup.ask("s.example.", RecordType::SRV)), good("0 0 0 ."));
    assert_eq!(setup.a("self.example.").1.len(), 1);
    assert_eq!(setup.a("a.example.").1.len(), 2);
    assert_eq!(setup.a("s0.example.").1.len(), 16, "as many aliases as are followed");
}

#[test]
fn what_does_not_fit_udp_is_asked_over_tcp() {
    let upstream = FakeUpstream::start(|seen| {
        let mut reply = seen.reply();
        reply.metadata.truncation = !seen.tcp;
        let count = if seen.tcp { 20 } else { 1 };
        for last in 0..count {
            reply.add_answer(a_record(&seen.name().to_string(), [192, 0, 2, last], 60));
        }
        vec![Act::send(&reply)]
    });
    let setup = to(&[&upstream]);
    assert_eq!(setup.a("big.example.").1.len(), 20);
    let transports: Vec<bool> = upstream.seen().iter().map(|seen| seen.tcp).collect();
    assert_eq!(transports, [false, true]);
}

/// RUSTSEC-2026-0119, CVE-2024-8508, CVE-2020-1350: 64 kB of names and pointers.
#[test]
fn compression_bombs_and_sigred_over_tcp_do_no_harm() {
    let upstream = FakeUpstream::start(|seen| {
        let mut reply = seen.reply();
        reply.metadata.truncation = !seen.tcp;
        if !seen.tcp {
            return vec![Act::send(&reply)];
        }
        let names = (0..4000).map(|number| format!("n{number}."));
        if seen.name().iter().next() == Some(b"names") {
            for name in names {
                let target = RData::NS(NS(Name::from_ascii(&name).expect("a name")));
                reply.add_answer(Record::from_rdata(seen.name().clone(), 60, target));
            }
            return vec![Act::send(&reply)];
        }
        // Owners and data that are pointers, up to the last octet of a message.
        let mut octets = reply.to_vec().expect("a message");
        let record = [0xc0, 12, 0, 24, 0, 1, 0, 0, 0, 60, 0, 20];
        let signature = [[0; 18].as_slice(), &[0xc0, 12]].concat();
        let mut count: u16 = 0;
        while octets.len() + record.len() + signature.len() <= 65_535 {
            octets.extend(record);
            octets.extend(&signature);
            count += 1;
        }
        octets[6..8].copy_from_slice(&count.to_be_bytes());
        octets.resize(65_535, 0);
        vec![Act::Send(octets)]
    });
    let setup = to(&[&upstream]);
    let started = Instant::now();
    let answer = setup.ask("names.example.", RecordType::NS);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert!(!answer.answers.is_empty());
    let code = setup.ask("sig.example.", RecordType::SIG).metadata.response_code;
    assert!(matches!(code, ResponseCode::NoError | ResponseCode::ServFail), "{code}");
    assert!(started.elapsed() < TOTAL, "{:?}", started.elapsed());
    assert_eq!(setup.a("here."), good("127.213.1.2"));
}

/// CVE-2020-25684 to -25686: each equal question under way makes a forgery easier.
#[test]
fn dnspooq_a_thousand_equal_questions_are_asked_once_and_ports_and_ids_are_drawn() {
    let release = Arc::new(AtomicUsize::new(0));
    let held = release.clone();
    let upstream = FakeUpstream::start(move |seen| {
        if seen.name().iter().next() == Some(b"same") {
            until("all are under way", || (held.load(Ordering::Relaxed) > 0).then_some(()));
        }
        vec![Act::send(&with_address(seen, [192, 0, 2, 1], 60))]
    });
    let setup = to(&[&upstream]);
    let message = question("same.example.", RecordType::A);
    let octets = message.to_vec().expect("a message");
    let sources =
        (0..1000).map(|number: u16| [127, 1, 0, u8::try_from(number % 20).expect("small") + 1]);
    let clients: Vec<UdpSocket> = sources.map(|source| client(source, setup.demo.dns)).collect();
    for (sent, client) in (1..).zip(&clients) {
        client.send(&octets).expect("UDP");
        // A batch at a time, so that no datagram is lost on the way.
        if sent % 100 == 0 {
            let waiting = || setup.metric("netalias_forwards_waiting");
            until("all wait", || (waiting() == sent).then_some(()));
        }
    }
    assert_eq!(clients.len(), 1000);
    release.store(1, Ordering::Relaxed);
    for client in &clients {
        assert_eq!(facts(&received(client)), good("192.0.2.1"));
    }
    // Sent again after a second, it is the same datagram from the same port.
    let asked: HashSet<_> = upstream.seen().into_iter().map(|s| (s.from, s.octets)).collect();
    assert_eq!(asked.len(), 1);
    for number in 0..32 {
        setup.a(&format!("n{number}.example."));
    }
    let ports: HashSet<u16> = upstream.seen().iter().map(|seen| seen.from.port()).collect();
    let ids: HashSet<u16> = upstream.seen().iter().map(|seen| seen.message.metadata.id).collect();
    assert!(ports.len() > 25 && ids.len() > 30, "{} ports, {} ids", ports.len(), ids.len());
    let mut in_order: Vec<u16> = ids.into_iter().collect();
    in_order.sort_unstable();
    let span = in_order.last().zip(in_order.first()).map_or(0, |(last, first)| last - first);
    assert!(span > 10_000, "ids are spread: {span}");
}

/// CVE-2024-33655: a slow server and one client must not pile up answers that burst out together.
#[test]
fn dnsbomb_one_client_waits_for_64_answers_at_most_and_others_are_served() {
    let upstream = FakeUpstream::start(|seen| {
        let slow = seen.name().to_string().starts_with("slow");
        let pause = Duration::from_secs(if slow { 5 } else { 0 });
        vec![Act::Pause(pause), Act::send(&with_address(seen, [192, 0, 2, 1], 60))]
    });
    let setup = to(&[&upstream]);
    let started = Instant::now();
    let client = client(HOST, setup.demo.dns);
    let (mut refused, mut waited) = (0, 0);
    for number in 0..1000 {
        let message = question(&format!("slow{number}.example."), RecordType::A);
        client.send(&message.to_vec().expect("a message")).expect("UDP");
        // A batch at a time, so that no datagram is lost on the way: all but the first are refused.
        if number >= 64 && (number - 64) % 72 == 71 {
            for _ in 0..72 {
                let told = "too many questions of this client are under way".to_owned();
                assert_eq!(extended(&received(&client)), (0, told));
                refused += 1;
            }
        }
    }
    let other = ask_as([127, 0, 0, 9], setup.demo.dns, &question("quick.example.", RecordType::A));
    assert_eq!(facts(&other), good("192.0.2.1"));
    while waited < 64 {
        assert_eq!(extended(&received(&client)).0, 22);
        waited += 1;
    }
    assert!(started.elapsed() < TOTAL + Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!((refused, waited), (936, 64));
    let names: HashSet<String> = upstream.seen().iter().map(|s| s.name().to_string()).collect();
    assert_eq!(names.len(), 65);
}

/// 4,000 questions wait, or would: memory is bounded, and local names are answered.
#[test]
fn g12_a_black_hole_costs_little_memory_and_local_names_are_answered() {
    let upstream = FakeUpstream::black_hole();
    let setup = to(&[&upstream]);
    let clients: Vec<UdpSocket> = (1..=80)
        .map(|last| {
            let socket = UdpSocket::bind((IpAddr::from([127, 0, 2, last]), 0)).expect("a port");
            socket.set_nonblocking(true).expect("a socket");
            socket.connect(setup.demo.dns).expect("UDP");
            socket
        })
        .collect();
    let mut answered = 0;
    for round in 0..50 {
        for (number, client) in clients.iter().enumerate() {
            let message = question(&format!("r{round}c{number}.example."), RecordType::A);
            client.send(&message.to_vec().expect("a message")).expect("UDP");
        }
        assert_eq!(setup.a("here."), good("127.213.1.2"), "amid the flood");
        answered += drain(&clients);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", setup.demo.id())).expect("status");
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: u64 =
        kilobytes.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).expect("a number");
    assert!(kilobytes < 64 * 1024, "{kilobytes} kB");
    until("every question is answered", || {
        answered += drain(&clients);
        (answered == 4000).then_some(())
    });
    until("nothing waits", || (setup.metric("netalias_forwards_waiting") == 0).then_some(()));
}

fn drain(clients: &[UdpSocket]) -> usize {
    let mut buffer = [0; 4096];
    let mut count = 0;
    for client in clients {
        loop {
            match client.recv(&mut buffer) {
                Ok(_) => count += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    count
}
