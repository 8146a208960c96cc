//! What a client gets, row by row.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::NS;
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use netalias_testkit::{Act, FakeUpstream, soa_record, until, with_address};

use crate::setup::{
    HOST, TOTAL, ask_as, extended, facts, good, question, received, sent, setup, to,
};

#[test]
fn row_42_and_28_the_answer_is_the_clients_own_and_nothing_of_the_client_leaves() {
    let upstream = FakeUpstream::start(|seen| {
        let mut reply = with_address(seen, [192, 0, 2, 1], 60);
        reply.metadata.authoritative = true;
        reply.metadata.authentic_data = true;
        vec![Act::send(&reply)]
    });
    let setup = to(&[&upstream]);
    let mut message = question("wWw.ExAmPle.com.", RecordType::A);
    let edns = message.edns.get_or_insert_default();
    edns.set_max_payload(4096);
    edns.set_dnssec_ok(true);
    let subnet = ClientSubnet::new([10, 1, 2, 0].into(), 24, 0);
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    edns.options_mut().insert(EdnsOption::Unknown(10, vec![7; 8]));
    let answer = ask_as(HOST, setup.demo.dns, &message);
    let header = &answer.metadata;
    assert_eq!(header.id, message.metadata.id);
    assert!(header.recursion_available && header.recursion_desired);
    assert!(!header.authoritative, "it is not ours");
    assert!(!header.authentic_data, "nothing was validated here");
    assert!(answer.queries[0].name().eq_case(message.queries[0].name()));
    assert!(answer.answers[0].name.eq_case(message.queries[0].name()));
    assert!(answer.edns.is_some_and(|edns| edns.options().options.is_empty()));
    let seen = upstream.seen().remove(0).message;
    assert_ne!(seen.metadata.id, message.metadata.id, "an id of our own");
    assert!(seen.metadata.recursion_desired && !seen.metadata.authentic_data);
    let edns = seen.edns.expect("an OPT");
    assert_eq!(edns.max_payload(), 1232);
    for option in [EdnsCode::Subnet, EdnsCode::Cookie] {
        assert_eq!(edns.option(option), None);
    }
}

#[test]
fn row_42_ttls_are_capped_and_counted_down() {
    let upstream = FakeUpstream::start(|seen| {
        let mut reply = match seen.name().to_string().as_str() {
            "none.example." => seen.reply(),
            _ => with_address(seen, [192, 0, 2, 1], 100_000),
        };
        if reply.answers.is_empty() {
            reply.metadata.response_code = ResponseCode::NXDomain;
            reply.add_authority(soa_record("example.", 900, 900));
        }
        vec![Act::send(&reply)]
    });
    let setup = to(&[&upstream]);
    assert_eq!(setup.ask("long.example.", RecordType::A).answers[0].ttl, 3600);
    until("the TTL is counted down", || {
        (setup.ask("LONG.example.", RecordType::A).answers[0].ttl < 3600).then_some(())
    });
    let negative = setup.ask("none.example.", RecordType::A);
    assert_eq!(negative.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(negative.authorities[0].ttl, 30, "and negative ones are capped lower");
    setup.ask("none.example.", RecordType::A);
    assert_eq!(upstream.seen().len(), 2, "each is asked once");
}

#[test]
fn row_02_without_rd_nothing_leaves() {
    let upstream = FakeUpstream::answering([192, 0, 2, 1]);
    let setup = to(&[&upstream]);
    for (name, code) in [("example.com.", ResponseCode::Refused), ("here.", ResponseCode::NoError)]
    {
        let mut message = question(name, RecordType::A);
        message.metadata.recursion_desired = false;
        let answer = ask_as(HOST, setup.demo.dns, &message);
        assert_eq!(answer.metadata.response_code, code, "{name}");
        assert!(!answer.metadata.recursion_desired);
    }
    assert!(upstream.seen().is_empty());
    // What is known here for others is not told either.
    setup.a("example.com.");
    let mut message = question("example.com.", RecordType::A);
    message.metadata.recursion_desired = false;
    let answer = ask_as(HOST, setup.demo.dns, &message);
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    assert_eq!(extended(&answer).0, 20);
}

#[test]
fn rows_35_36_and_38_names_for_special_use_never_leave() {
    let upstream = FakeUpstream::answering([192, 0, 2, 1]);
    let setup = setup(&format!(
        "servers = ['{0}']\n[[forward.domain]]\nname = 'corp.internal'\nservers = ['{0}']",
        upstream.address
    ));
    for name in ["localhost.", "a.LOCALHOST."] {
        assert_eq!(setup.a(name), good("127.0.0.1"));
        assert_eq!(facts(&setup.ask(name, RecordType::AAAA)), good("::1"));
    }
    for (name, qtype, code, zone) in [
        ("localhost.", RecordType::MX, ResponseCode::NoError, "localhost."),
        ("x.invalid.", RecordType::A, ResponseCode::NXDomain, "invalid."),
        ("duck.onion.", RecordType::A, ResponseCode::NXDomain, "onion."),
        ("x.test.", RecordType::A, ResponseCode::NXDomain, "test."),
        ("db.internal.", RecordType::A, ResponseCode::NXDomain, "internal."),
        ("nas.home.arpa.", RecordType::A, ResponseCode::NXDomain, "home.arpa."),
        ("printer.local.", RecordType::A, ResponseCode::NXDomain, "local."),
        ("9.0.0.10.in-addr.arpa.", RecordType::PTR, ResponseCode::NXDomain, "10.in-addr.arpa."),
        ("_dns.resolver.arpa.", RecordType::SVCB, ResponseCode::NoError, "resolver.arpa."),
    ] {
        let answer = setup.ask(name, qtype);
        assert_eq!(answer.metadata.response_code, code, "{name}");
        let soa = answer.authorities.iter().map(|r| (r.record_type(), r.name.to_string()));
        assert_eq!(soa.collect::<Vec<_>>(), [(RecordType::SOA, zone.to_owned())], "{name}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    // But for a domain that has servers of its own.
    assert_eq!(setup.a("db.corp.internal."), good("192.0.2.1"));
}

#[test]
fn row_41_when_no_server_answers_it_is_servfail_in_time_and_local_names_do_not_wait() {
    let upstream = FakeUpstream::black_hole();
    let setup = to(&[&upstream]);
    let started = Instant::now();
    let waiting = sent(HOST, setup.demo.dns, &question("example.com.", RecordType::A));
    until("it is passed on", || (!upstream.seen().is_empty()).then_some(()));
    assert_eq!(setup.a("here.").0, ResponseCode::NoError);
    assert!(started.elapsed() < Duration::from_secs(3), "before the other one is answered");
    let answer = received(&waiting);
    assert!(started.elapsed() < TOTAL, "{:?}", started.elapsed());
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(answer.metadata.recursion_available && !answer.metadata.authoritative);
    let (code, text) = extended(&answer);
    assert_eq!((code, text), (22, format!("{}: no answer in time", upstream.address)));
    let asked = upstream.seen().len();
    assert!(asked <= 10, "{asked} packets");
    let again = setup.ask("example.com.", RecordType::A);
    assert_eq!(extended(&again).0, 13, "the failure is kept");
    assert_eq!(upstream.seen().len(), asked);
    until("but not for long", || {
        drop(sent(HOST, setup.demo.dns, &question("example.com.", RecordType::A)));
        (upstream.seen().len() > asked).then_some(())
    });
}

#[test]
fn row_41_a_closed_port_is_told_at_once() {
    let closed = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let setup = setup(&format!("servers = ['{closed}']"));
    let started = Instant::now();
    let answer = setup.ask("example.com.", RecordType::A);
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(extended(&answer).0, 23);
}

#[test]
fn a_server_that_fails_is_passed_over_and_asked_last_for_a_while() {
    let referral = FakeUpstream::start(|seen| {
        let mut reply = seen.reply();
        let ns = RData::NS(NS(Name::from_ascii("ns.example.").expect("a name")));
        reply.add_authority(Record::from_rdata(Name::root(), 60, ns));
        vec![Act::send(&reply)]
    });
    for bad in [
        FakeUpstream::saying(ResponseCode::ServFail),
        FakeUpstream::saying(ResponseCode::Refused),
        FakeUpstream::saying(ResponseCode::FormErr),
        FakeUpstream::black_hole(),
        referral,
    ] {
        let fine = FakeUpstream::answering([192, 0, 2, 9]);
        let setup = to(&[&bad, &fine]);
        assert_eq!(setup.a("one.example."), good("192.0.2.9"));
        let asked = bad.seen().len();
        assert!(asked > 0);
        assert_eq!(setup.a("two.example."), good("192.0.2.9"));
        let names: HashSet<String> = bad.seen().iter().map(|s| s.name().to_string()).collect();
        assert!(!names.contains("two.example."), "the one that works is asked first now");
    }
}

#[test]
fn nxdomain_is_an_answer_and_no_other_server_is_asked() {
    let first = FakeUpstream::saying(ResponseCode::NXDomain);
    let second = FakeUpstream::answering([192, 0, 2, 9]);
    let setup = to(&[&first, &second]);
    assert_eq!(setup.a("nobody.example.").0, ResponseCode::NXDomain);
    assert!(second.seen().is_empty());
}

#[test]
fn a_server_that_does_not_know_edns_is_asked_without() {
    let upstream = FakeUpstream::start(|seen| {
        let mut formerr =
            Message::response(seen.message.metadata.id, seen.message.metadata.op_code);
        formerr.metadata.response_code = ResponseCode::FormErr;
        let plain = seen.message.edns.is_none();
        vec![Act::send(&if plain { with_address(seen, [192, 0, 2, 1], 60) } else { formerr })]
    });
    assert_eq!(to(&[&upstream]).a("old.example."), good("192.0.2.1"));
}
