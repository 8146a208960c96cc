//! Who may ask, ourselves as a server, and changes while running.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use netalias_testkit::{Act, FakeUpstream, Seen, until, with_address};

use crate::setup::{
    CAGED, CONTAINER, HOST, TOTAL, ask_as, extended, facts, good, question, setup, setup_in, to,
};

/// CVE-2024-29018: what cannot send packets out must not send questions out either.
#[test]
fn moby_cve_2024_29018_a_client_on_internal_networks_only_is_refused() {
    let upstream = FakeUpstream::answering([192, 0, 2, 1]);
    let setup = to(&[&upstream]);
    let ask = |source, name| ask_as(source, setup.demo.dns, &question(name, RecordType::A));
    for (client, why) in [(CAGED, "a container"), ([127, 213, 2, 99], "whoever else is there")] {
        let answer = ask(client, "example.com.");
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{why}");
        assert_eq!(extended(&answer).0, 18);
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(facts(&ask(CAGED, "caged.")), good("127.213.2.2"), "local names still work");
    for client in [CONTAINER, HOST, [127, 213, 2, 3], [127, 213, 1, 3], [127, 213, 2, 1]] {
        assert_eq!(facts(&ask(client, "example.com.")), good("192.0.2.1"), "{client:?}");
    }
    assert_eq!(ask(CAGED, "example.com.").metadata.response_code, ResponseCode::Refused, "kept");
}

#[test]
fn tsuname_a_server_that_is_netalias_itself_is_refused_at_start() {
    let free = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let own = free.to_string();
    for command in ["check", "serve"] {
        let mut netalias = Command::new(env!("CARGO_BIN_EXE_netalias"));
        netalias.args([command, "--listen", &own, "--forward", &own]);
        let output = netalias.output().expect("the binary starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        let told = format!("forward: {own} is where netalias itself listens; name another server");
        assert!(stderr.contains(&told), "{stderr}");
    }
}

#[test]
fn tsuname_where_the_system_names_netalias_itself_nobody_is_asked() {
    let setup = setup_in(
        |folder| format!("resolv_conf = '{}/resolv.conf'", folder.display()),
        &[("resolv.conf", "nameserver 127.0.0.53\n")],
        // resolv.conf(5) knows no ports: it means this one.
        "127.0.0.53:53",
    );
    let started = Instant::now();
    let answer = setup.ask("example.com.", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(extended(&answer).0, 23);
    assert!(started.elapsed() < Duration::from_secs(2), "nobody is asked");
    let told = "this server is netalias itself, and is not asked";
    setup.demo.says(told);
}

/// A server that passes every question back to netalias, as Docker's 127.0.0.11 can.
fn leading_back(with_options: bool) -> (FakeUpstream, Arc<OnceLock<SocketAddr>>) {
    let back = Arc::new(OnceLock::new());
    let to = back.clone();
    let upstream = FakeUpstream::start(move |seen| {
        let server = *to.get().expect("set before the first question");
        let mut onward = seen.message.clone();
        onward.metadata.id ^= 0x5555;
        if !with_options {
            onward.edns = None;
        }
        let mut answer = ask_as(HOST, server, &onward);
        answer.metadata.id = seen.message.metadata.id;
        vec![Act::send(&answer)]
    });
    (upstream, back)
}

#[test]
fn g13_a_loop_through_another_server_ends_within_ten_packets_and_five_seconds() {
    for with_options in [true, false] {
        let (upstream, back) = leading_back(with_options);
        let setup = to(&[&upstream]);
        back.set(setup.demo.dns).expect("once");
        let started = Instant::now();
        let answer = setup.ask("example.com.", RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        if with_options {
            // The mark tells at once; without it the question waits for itself.
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
            assert!(setup.metric("netalias_forwards_total{outcome=\"looped\"}") > 0);
            let told = "a server that we ask asks us; name servers with --forward";
            setup.demo.says(told);
        }
        let packets = upstream.seen().len();
        assert!(packets <= 10, "{packets} packets");
        assert_eq!(setup.a("here."), good("127.213.1.2"));
    }
}

#[test]
fn a_single_label_leaves_only_when_asked_to() {
    let upstream = FakeUpstream::answering([192, 0, 2, 1]);
    let setup = to(&[&upstream]);
    assert_eq!(setup.a("nobody.").0, ResponseCode::NXDomain);
    assert!(upstream.seen().is_empty());
    let setup =
        crate::setup::setup(&format!("servers = ['{}']\nsingle_labels = true", upstream.address));
    assert_eq!(setup.a("nobody."), good("192.0.2.1"));
    assert_eq!(setup.a("here."), good("127.213.1.2"), "what is ours stays ours");
}

/// It was denied, as a single label that nobody has; stubs that validate ask for its keys.
#[test]
fn the_root_exists() {
    let upstream = FakeUpstream::answering([192, 0, 2, 1]);
    let forwarding = to(&[&upstream]);
    let alone = setup("enabled = false");
    for qtype in [RecordType::NS, RecordType::SOA, RecordType::DNSKEY] {
        assert_eq!(forwarding.ask(".", qtype).metadata.response_code, ResponseCode::NoError);
        assert_eq!(alone.ask(".", qtype).metadata.response_code, ResponseCode::Refused);
    }
    assert_eq!(upstream.seen().len(), 3, "it is passed on");
}

#[test]
fn zone_transfers_and_other_meta_types_stay_here() {
    let upstream = FakeUpstream::answering([192, 0, 2, 1]);
    let setup = to(&[&upstream]);
    for qtype in [RecordType::AXFR, RecordType::IXFR, RecordType::Unknown(253)] {
        let answer = setup.ask("example.com.", qtype);
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{qtype}");
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn an_alias_of_ours_to_a_name_of_others_is_followed_there() {
    let upstream = FakeUpstream::answering([192, 0, 2, 1]);
    let setup = setup(&format!(
        "servers = ['{}']\n[[record]]\nname = 'www.here'\ntype = 'CNAME'\nvalue = 'example.com'",
        upstream.address
    ));
    let answer = setup.ask("www.here.", RecordType::A);
    assert_eq!(facts(&answer).1, ["example.com.", "192.0.2.1"]);
    assert_eq!(upstream.seen()[0].name().to_string(), "example.com.");
}

#[test]
fn other_servers_are_in_force_at_once_and_nothing_of_the_old_ones_is_kept() {
    let old = FakeUpstream::answering([192, 0, 2, 1]);
    let new = FakeUpstream::answering([192, 0, 2, 2]);
    let setup = to(&[&old]);
    assert_eq!(setup.a("example.com."), good("192.0.2.1"));
    let config = format!("[forward]\nservers = ['{}']\n", new.address);
    fs::write(setup.folder.path().join("config.toml"), config).expect("a file");
    until("the new server answers", || {
        (setup.a("example.com.") == good("192.0.2.2")).then_some(())
    });
    fs::write(setup.folder.path().join("config.toml"), "[forward]\nenabled = false\n")
        .expect("a file");
    until("nobody answers", || (setup.a("example.com.").0 == ResponseCode::Refused).then_some(()));
}

#[test]
fn the_systems_servers_are_read_again_when_they_change() {
    // Port 53 on addresses of loopback that nobody else has.
    let [one, two] = [[127, 0, 53, 1], [127, 0, 53, 2]].map(|address: [u8; 4]| {
        let socket = UdpSocket::bind((IpAddr::from(address), 53)).expect("port 53, as root");
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let message = Message::from_vec(&buffer[..length]).expect("a message");
                let octets = buffer[..length].to_vec();
                let seen = Seen { message, octets, from, tcp: false };
                let answer = with_address(&seen, address, 60).to_vec().expect("a message");
                let _ = socket.send_to(&answer, from);
            }
        });
        IpAddr::from(address).to_string()
    });
    let setup = setup_in(
        |folder| format!("resolv_conf = '{}/resolv.conf'", folder.display()),
        &[("resolv.conf", &format!("nameserver {one}\n"))],
        "127.0.0.1:0",
    );
    assert_eq!(setup.a("example.com."), good(&one));
    fs::write(setup.folder.path().join("resolv.conf"), format!("nameserver {two}\n"))
        .expect("a file");
    until("the other server answers", || (setup.a("example.com.") == good(&two)).then_some(()));
    fs::remove_file(setup.folder.path().join("resolv.conf")).expect("it is there");
    until("there is no server", || {
        (setup.a("example.com.").0 == ResponseCode::ServFail).then_some(())
    });
}

#[test]
fn metrics_tell_what_became_of_questions() {
    let upstream = FakeUpstream::answering([192, 0, 2, 1]);
    let setup = to(&[&upstream]);
    for name in ["a.example.", "a.example.", "b.example.", "x.test."] {
        setup.a(name);
    }
    ask_as(CAGED, setup.demo.dns, &question("a.example.", RecordType::A));
    for (outcome, count) in [("answered", 2), ("cached", 1), ("local", 1), ("no_way_out", 1)] {
        let line = format!("netalias_forwards_total{{outcome=\"{outcome}\"}}");
        assert_eq!(setup.metric(&line), count, "{outcome}");
    }
    assert_eq!(setup.metric("netalias_forwards_waiting"), 0);
}

#[test]
fn what_check_prints_is_in_force() {
    let mut netalias = Command::new(env!("CARGO_BIN_EXE_netalias"));
    let output = netalias.args(["check", "--forward", "10.0.0.1,tls://10.0.0.2#dns.lan"]).output();
    let printed = String::from_utf8_lossy(&output.expect("the binary starts").stdout).into_owned();
    let servers = "servers = [\"10.0.0.1:53\", \"tls://10.0.0.2:853#dns.lan\"]";
    assert!(printed.contains("[forward]\nenabled = true\n"), "{printed}");
    assert!(printed.contains(servers), "{printed}");
}

/// The promise holds through every way a server can be slow.
#[test]
fn whatever_servers_do_there_is_an_answer_within_four_seconds() {
    let hole = FakeUpstream::black_hole();
    let dripping = FakeUpstream::start(|seen| {
        let mut reply = seen.reply();
        reply.metadata.truncation = true;
        if seen.tcp { vec![Act::Pause(Duration::from_secs(9))] } else { vec![Act::send(&reply)] }
    });
    let late = FakeUpstream::start(|seen| {
        let good = with_address(seen, [192, 0, 2, 1], 60);
        vec![Act::Pause(Duration::from_millis(1500)), Act::send(&good)]
    });
    let (slow, dead) = (to(&[&hole, &dripping, &late]), to(&[&hole, &dripping]));
    let started = Instant::now();
    assert_eq!(slow.a("example.com."), good("192.0.2.1"), "late is better than never");
    assert!(started.elapsed() < TOTAL, "{:?}", started.elapsed());
    let started = Instant::now();
    assert_eq!(dead.a("example.com.").0, ResponseCode::ServFail);
    assert!(started.elapsed() < TOTAL, "{:?}", started.elapsed());
}
