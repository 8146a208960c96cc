//! Every record type on the wire: what a client gets for PTR, TXT, SOA, NS, ANY and the names of
//! the configuration.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use netalias_testkit::{Process, ask, kernel_port};

const SCENARIO: &str = "
docker network create --ipv6 --subnet 172.200.1.0/24 --subnet fd00:200:1::/64 netlb
docker network create --subnet 10.32.0.0/11 wide
docker run -d --name web1 -h host1 --net netlb --net-alias web --ip6 fd00:200:1::a busybox
docker run -d --name web2 --net netlb --net-alias web busybox
docker pause web2
";

fn scratch(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

/// A demo that has played the scenario, with this configuration file.
fn demo(name: &str, config: &str) -> Process {
    let scenario = scratch(&format!("{name}.scenario"), SCENARIO);
    let config = scratch(&format!("{name}.toml"), config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_netalias"));
    let args = ["demo", &scenario, "--config", &config];
    let demo = Process::start(command.args(args).args(kernel_port()));
    demo.says("the whole scenario");
    demo
}

/// The answer section, then the authority section, a record a line as in a zone file.
fn records(server: SocketAddr, name: &str, qtype: &str) -> Vec<String> {
    let message = ask(server, name, qtype).expect("an answer").message;
    let line = |r: &hickory_proto::rr::Record| format!("{} {} {}", r.name, r.record_type(), r.data);
    let code = format!("{:?}", message.metadata.response_code);
    let authorities = message.authorities.iter().map(|r| format!("; {}", line(r)));
    [code].into_iter().chain(message.answers.iter().map(line)).chain(authorities).collect()
}

#[test]
fn an_address_points_back_to_its_container_on_its_network() {
    let demo = demo("ptr", "");
    let v6 = "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.2.0.0.0.d.f.ip6.arpa";
    for (name, expected) in [
        ("2.1.200.172.in-addr.arpa", "2.1.200.172.in-addr.arpa. PTR web1.netlb."),
        ("3.1.200.172.IN-ADDR.arpa", "3.1.200.172.IN-ADDR.arpa. PTR web2.netlb."),
        (v6, &format!("{v6}. PTR web1.netlb.")),
    ] {
        assert_eq!(records(demo.dns, name, "PTR"), ["NoError", expected]);
    }
    let soa =
        |zone: &str| format!("; {zone}. SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 0");
    let nobody = records(demo.dns, "99.1.200.172.in-addr.arpa", "PTR");
    assert_eq!(nobody, ["NXDomain", &soa("1.200.172.in-addr.arpa")]);
    let wide = records(demo.dns, "9.9.40.10.in-addr.arpa", "PTR");
    assert_eq!(wide, ["NXDomain", &soa("10.in-addr.arpa")], "a range that ends inside a label");
    let between = records(demo.dns, "1.200.172.in-addr.arpa", "PTR");
    assert_eq!(between, ["NoError", &soa("1.200.172.in-addr.arpa")]);
    let address = records(demo.dns, "2.1.200.172.in-addr.arpa", "A");
    assert_eq!(address, ["NoError", &soa("netlb")]);
    assert_eq!(records(demo.dns, "8.8.8.8.in-addr.arpa", "PTR"), ["Refused"]);
}

#[test]
fn txt_lists_the_endpoints_of_a_name() {
    let demo = demo("txt", "");
    assert_eq!(
        records(demo.dns, "web.rr.internal", "TXT"),
        [
            "NoError",
            "web.rr.internal. TXT container=web1network=netlbhealth=running",
            "web.rr.internal. TXT container=web2network=netlbhealth=paused",
        ]
    );
}

#[test]
fn the_apex_has_soa_and_ns_and_nothing_else() {
    let demo = demo("apex", "domain = [\"rr.internal\", \"lb.test\"]");
    for zone in ["rr.internal", "lb.test"] {
        let data = format!("{zone}. SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 0");
        assert_eq!(records(demo.dns, zone, "SOA"), ["NoError", &data]);
        let ns = format!("{zone}. NS ns.{zone}.");
        assert_eq!(records(demo.dns, zone, "NS"), ["NoError", &ns]);
        for qtype in ["A", "MX", "HTTPS"] {
            assert_eq!(records(demo.dns, zone, qtype), ["NoError", &format!("; {data}")]);
        }
    }
    let soa = records(demo.dns, "web.lb.test", "SOA");
    assert_eq!(soa.len(), 2, "a name that is no apex has no SOA: {soa:?}");
    assert!(soa[1].starts_with("; lb.test. SOA"), "{soa:?}");
}

/// RFC 8482 section 4.1: one RRset is enough.
#[test]
fn any_is_answered_by_one_rrset() {
    let demo = demo("any", "");
    assert_eq!(records(demo.dns, "web", "ANY"), ["NoError", "web. A 172.200.1.2"]);
    assert_eq!(records(demo.dns, "nosuch.rr.internal", "ANY")[0], "NXDomain");
}

#[test]
fn the_host_has_its_names_on_every_network() {
    let demo = demo("host", "");
    for name in ["host.docker.internal.netlb", "gateway.docker.internal.netlb.rr.internal"] {
        let expected = format!("{name}. A 172.200.1.1");
        assert_eq!(records(demo.dns, name, "A"), ["NoError", &expected]);
        let expected = format!("{name}. AAAA fd00:200:1::1");
        assert_eq!(records(demo.dns, name, "AAAA"), ["NoError", &expected]);
    }
}

#[test]
fn clients_that_are_no_container_reach_the_host_where_the_configuration_says() {
    let demo = demo("host-address", "host_address = ['192.168.1.5', 'fd00::5']");
    for (qtype, address) in [("A", "192.168.1.5"), ("AAAA", "fd00::5")] {
        let expected = format!("host.docker.internal. {qtype} {address}");
        assert_eq!(records(demo.dns, "host.docker.internal", qtype), ["NoError", &expected]);
    }
    assert_eq!(records(demo.dns, "web1", "A"), ["NoError", "web1. A 172.200.1.2"]);
}

const STATICS: &str = "
ttl = 3
[[record]]
name = 'registry.test'
type = 'A'
value = ['10.0.0.5', '10.0.0.6']
ttl = 60
[[record]]
name = 'alias.test'
type = 'CNAME'
value = 'web.rr.internal'
[[record]]
name = 'outside.test'
type = 'CNAME'
value = 'example.org'
[[record]]
name = 'loop.test'
type = 'CNAME'
value = 'loop.test'
[[record]]
name = '*.apps.test'
type = 'AAAA'
value = 'fd00::1'
[[record]]
name = 'note.test'
type = 'TXT'
value = 'hello there'
";

#[test]
fn names_of_the_configuration_rotate_cover_and_lead_on() {
    let hosts = scratch("statics.hosts", "10.9.9.9 printer printer.office # the big one\n");
    let demo = demo("statics", &format!("hosts = '{hosts}'\n{STATICS}"));
    let registry = |a: &str, b: &str| {
        vec![
            "NoError".to_owned(),
            format!("registry.test. A 10.0.0.{a}"),
            format!("registry.test. A 10.0.0.{b}"),
        ]
    };
    assert_eq!(records(demo.dns, "registry.test", "A"), registry("5", "6"));
    assert_eq!(records(demo.dns, "registry.test", "A"), registry("6", "5"));
    assert_eq!(
        records(demo.dns, "alias.test", "A"),
        ["NoError", "alias.test. CNAME web.rr.internal.", "web.rr.internal. A 172.200.1.2"]
    );
    assert_eq!(
        records(demo.dns, "alias.test", "CNAME"),
        ["NoError", "alias.test. CNAME web.rr.internal."]
    );
    let outside = records(demo.dns, "outside.test", "A");
    assert_eq!(outside, ["NoError", "outside.test. CNAME example.org."], "the part that is ours");
    assert_eq!(records(demo.dns, "loop.test", "A")[0], "ServFail");
    let covered = records(demo.dns, "any.thing.apps.test", "AAAA");
    assert_eq!(covered, ["NoError", "any.thing.apps.test. AAAA fd00::1"]);
    assert_eq!(records(demo.dns, "any.apps.test", "A")[0], "NoError");
    assert_eq!(records(demo.dns, "apps.test", "A")[0], "NoError", "an empty non-terminal");
    assert_eq!(records(demo.dns, "note.test", "TXT"), ["NoError", "note.test. TXT hello there"]);
    for name in ["printer", "printer.office"] {
        let expected = format!("{name}. A 10.9.9.9");
        assert_eq!(records(demo.dns, name, "A"), ["NoError", &expected]);
    }
    let mut ls = Command::new(env!("CARGO_BIN_EXE_netalias"));
    let output = ls.args(["ls", "--http", &demo.http.to_string()]).output().expect("ls");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let first: Vec<Vec<&str>> =
        shown.lines().skip(1).take(4).map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(first[0], ["*.apps.test", "-", "fd00::1", "-", "record", "configured"]);
    assert_eq!(first[1], ["alias.test", "-", "-", "record", "CNAME", "web.rr.internal"]);
    let ttls = |name: &str| -> Vec<u32> {
        let message = ask(demo.dns, name, "A").expect("an answer").message;
        message.answers.iter().map(|record| record.ttl).collect()
    };
    assert_eq!(ttls("registry.test"), [60, 60]);
    assert_eq!(ttls("web"), [3]);
    assert_eq!(ttls("alias.test"), [3, 3]);
}

#[test]
fn a_domain_says_how_questions_below_it_are_answered() {
    let config = "
[[domain]]
name = 'rr.internal'
[[domain]]
name = 'one.internal'
answers = 1
ttl = 5
health = 'ignore'
[[domain]]
name = 'sticky.internal'
order = 'sticky'
health = 'ignore'
[[name]]
name = 'web2*'
ttl = 9
";
    let demo = demo("domains", config);
    let firsts = |name: &str, count: usize| -> Vec<(usize, u32, String)> {
        let one = |_| {
            let message = ask(demo.dns, name, "A").expect("an answer").message;
            let first = &message.answers[0];
            (message.answers.len(), first.ttl, first.data.to_string())
        };
        (0..count).map(one).collect()
    };
    let answer = |count, ttl, last: u8| (count, ttl, format!("172.200.1.{last}"));
    assert_eq!(firsts("web2.rr.internal", 1), [answer(1, 9, 3)], "a pattern says so");
    assert_eq!(firsts("web2.one.internal", 1), [answer(1, 5, 3)], "the domain goes before it");
    let one = firsts("web.one.internal", 4);
    assert_eq!(one, [answer(1, 5, 2), answer(1, 5, 3), answer(1, 5, 2), answer(1, 5, 3)]);
    let sticky = firsts("web.sticky.internal", 20);
    assert!(sticky.iter().all(|first| *first == sticky[0]), "{sticky:?}");
}

#[test]
fn shuffle_answers_everyone_and_lets_anyone_be_first() {
    const ASKED: usize = 600;
    let demo = demo("shuffle", "order = 'shuffle'\nhealth = 'ignore'\nanswers = 'all'");
    let mut firsts = BTreeMap::new();
    for _ in 0..ASKED {
        let addresses = ask(demo.dns, "web", "A").expect("an answer").addresses;
        let all: BTreeSet<_> = addresses.iter().copied().collect();
        assert_eq!((addresses.len(), all.len()), (2, 2), "{addresses:?}");
        *firsts.entry(addresses[0]).or_insert(0) += 1;
    }
    // Fair draws come below this less than once in a million runs.
    assert!(firsts.len() == 2 && firsts.values().all(|times| *times > 230), "{firsts:?}");
}

#[test]
fn a_host_side_client_sees_what_the_scope_says() {
    let all = demo("scope-all", "");
    assert_eq!(records(all.dns, "web1", "A").len(), 2);
    let named = demo("scope-named", "scope = 'wide'");
    assert_eq!(records(named.dns, "web1", "A")[0], "NXDomain");
    assert_eq!(records(named.dns, "web1.rr.internal", "A")[0], "NXDomain");
    assert_eq!(records(named.dns, "web1.netlb", "A")[0], "Refused", "that network is not seen");
    let both = demo("scope-both", "scope = 'wide,netlb'");
    assert_eq!(records(both.dns, "web1", "A").len(), 2);
}
