//! Table B, a test for each row. Rows about names of others are in `tests/forward.rs`.

use std::io::Write as _;
use std::net::Shutdown;

use hickory_proto::rr::{RData, Record, RecordType};
use netalias_testkit::framed;

use super::octets::{A, AAAA, ID, OPT, Query, RD, both, connect, labels, opt, read, tcp, udp};
use super::server;

const FORMERR: (u16, [u16; 4]) = (0x8101, [0; 4]);

#[test]
fn b01_a_of_an_alias_is_compressed_and_rotates() {
    let server = server("b01", 0, &["--ttl", "7"]);
    let query = Query::new("web", A);
    let mut firsts = Vec::new();
    for reply in both(server.dns, &query).iter().chain(&both(server.dns, &query)) {
        assert_eq!(reply.header(), (0x8580, [1, 3, 0, 0]));
        let records: Vec<_> = reply.after(&query).chunks(16).collect();
        assert_eq!(records.len(), 3);
        for record in &records {
            assert_eq!(record[..12], *b"\xc0\x0c\0\x01\0\x01\0\0\0\x07\0\x04");
        }
        firsts.push(records[0][15]);
    }
    assert_eq!(firsts, [2, 3, 4, 2]);
}

#[test]
fn b02_rd_is_copied() {
    let server = server("b02", 0, &[]);
    for reply in both(server.dns, &Query::new("web", A).flags(0)) {
        assert_eq!(reply.header().0, 0x8480);
    }
}

#[test]
fn b03_b44_another_type_of_a_known_name_is_nodata_with_a_short_soa() {
    let server = server("b03", 0, &[]);
    for qtype in [AAAA, 15, 33, 65] {
        for reply in both(server.dns, &Query::new("web.rr.internal", qtype)) {
            assert_eq!(reply.header(), (0x8580, [1, 0, 1, 0]), "type {qtype}");
            let message = reply.message();
            let soa = &message.authorities[0];
            assert_eq!(soa.name.to_string(), "rr.internal.");
            let RData::SOA(data) = &soa.data else { panic!("{soa:?}") };
            assert!(soa.ttl <= 5 && data.minimum <= 5, "b44: the MINIMUM is {}", data.minimum);
        }
    }
}

#[test]
fn b04_an_unknown_name_is_nxdomain_with_soa() {
    let server = server("b04", 0, &[]);
    for name in ["nobody.rr.internal", "nobody.netlb", "nobody"] {
        for reply in both(server.dns, &Query::new(name, A)) {
            assert_eq!(reply.header(), (0x8583, [1, 0, 1, 0]), "{name}");
        }
    }
}

#[test]
fn b05_an_empty_non_terminal_exists_and_nothing_is_below_a_leaf() {
    let server = server("b05", 0, &[]);
    for (name, flags) in [
        ("b.c.rr.internal", 0x8580),
        ("a.b.c.rr.internal", 0x8580),
        ("x.a.b.c.rr.internal", 0x8583),
    ] {
        for reply in both(server.dns, &Query::new(name, A)) {
            assert_eq!(reply.header().0, flags, "{name}");
        }
    }
}

#[test]
fn b06_a_cname_is_followed_and_a_loop_ends() {
    let config = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wire-b06.toml");
    let record = |name: &str, value: &str| {
        format!("[[record]]\nname = \"{name}\"\ntype = \"CNAME\"\nvalue = \"{value}\"\n")
    };
    let text = record("alias.test", "web.netlb") + &record("x.test", "y.test");
    std::fs::write(&config, text + &record("y.test", "x.test")).expect("a file");
    let server = server("b06", 0, &["--config", config.to_str().expect("UTF-8")]);
    for reply in both(server.dns, &Query::new("alias.test", A)) {
        assert_eq!(reply.header(), (0x8580, [1, 4, 0, 0]));
        let types: Vec<_> = reply.message().answers.iter().map(Record::record_type).collect();
        assert_eq!(types[..2], [RecordType::CNAME, RecordType::A]);
    }
    for reply in both(server.dns, &Query::new("x.test", A)) {
        assert_eq!(reply.header().0, 0x8182, "a loop is SERVFAIL");
    }
}

#[test]
fn b07_the_case_of_the_question_is_echoed_and_does_not_matter() {
    let server = server("b07", 0, &[]);
    for name in ["wEb", "WEB.netLB", "Web.RR.Internal"] {
        for reply in both(server.dns, &Query::new(name, A)) {
            assert_eq!(reply.header(), (0x8580, [1, 3, 0, 0]), "{name}");
            // `after` compares the question.
            assert_eq!(reply.after(&Query::new(name, A)).len(), 48);
        }
    }
}

#[test]
fn b08_soa_and_ns_are_at_the_apex() {
    let server = server("b08", 0, &[]);
    for qtype in [6, 2] {
        for reply in both(server.dns, &Query::new("rr.internal", qtype)) {
            assert_eq!(reply.header(), (0x8580, [1, 1, 0, 0]), "type {qtype}");
        }
    }
}

#[test]
fn b09_any_is_one_rrset() {
    let server = server("b09", 0, &[]);
    for reply in both(server.dns, &Query::new("web", 255)) {
        assert_eq!(reply.header(), (0x8580, [1, 3, 0, 0]));
    }
}

#[test]
fn b10_odd_types_are_nodata_never_silence() {
    let server = server("b10", 0, &[]);
    for qtype in [666, 0, 41, 250, 253, 65_535] {
        for reply in both(server.dns, &Query::new("web", qtype)) {
            assert_eq!(reply.header(), (0x8580, [1, 0, 1, 0]), "type {qtype}");
        }
    }
}

#[test]
fn b11_zones_are_not_transferred() {
    let server = server("b11", 0, &[]);
    for qtype in [252, 251] {
        for reply in both(server.dns, &Query::new("rr.internal", qtype)) {
            assert_eq!(reply.header().0, 0x8185, "type {qtype}");
        }
    }
}

#[test]
fn b12_other_classes_are_refused() {
    let server = server("b12", 0, &[]);
    for (name, class) in
        [("version.bind", 3), ("id.server", 3), ("web", 3), ("web", 254), ("web", 0), ("web", 255)]
    {
        for reply in both(server.dns, &Query::new(name, 16).class(class)) {
            assert_eq!(reply.header(), (0x8185, [1, 0, 0, 0]), "{name} in class {class}");
        }
    }
}

#[test]
fn b13_other_operations_are_not_implemented() {
    let server = server("b13", 0, &[]);
    for opcode in [1, 2, 3, 4, 5, 6, 15_u16] {
        for reply in both(server.dns, &Query::new("web", 6).flags(RD | opcode << 11)) {
            assert_eq!(reply.header(), (0x8104 | opcode << 11, [0; 4]), "opcode {opcode}");
        }
    }
}

#[test]
fn b14_a_query_has_one_question() {
    let server = server("b14", 0, &[]);
    let mut none = Query::new("web", A);
    none.counts[0] = 0;
    let mut two = Query::new("web", A);
    two.counts[0] = 2;
    two.rest = two.question.clone();
    for query in [none, two] {
        for reply in both(server.dns, &query) {
            assert_eq!(reply.header(), FORMERR);
        }
    }
}

#[test]
fn b15_counts_that_lie_are_malformed() {
    let server = server("b15", 0, &[]);
    for section in 0..4 {
        let mut query = Query::new("web", A);
        query.counts[section] = 65_535;
        for reply in both(server.dns, &query) {
            assert_eq!(reply.header(), FORMERR, "section {section}");
        }
    }
    let mut without = Query::new("web", A);
    without.question.clear();
    for reply in both(server.dns, &without) {
        assert_eq!(reply.header(), FORMERR);
    }
}

#[test]
fn b16_a_query_with_an_answer_is_malformed() {
    let server = server("b16", 0, &[]);
    let mut query = Query::new("web", A);
    query.counts[1] = 1;
    query.rest = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04".to_vec();
    for reply in both(server.dns, &query) {
        assert_eq!(reply.header(), FORMERR);
    }
}

#[test]
fn b17_trailing_octets_do_no_harm() {
    let server = server("b17", 0, &[]);
    let mut query = Query::new("web", A);
    query.rest = b"junk".to_vec();
    for reply in both(server.dns, &query) {
        assert_eq!(reply.header(), (0x8580, [1, 3, 0, 0]));
    }
}

#[test]
fn b18_edns_is_answered_by_edns_and_only_then() {
    let server = server("b18", 0, &[]);
    for qtype in [A, AAAA] {
        let query = Query::new("web", qtype).with(OPT);
        for reply in both(server.dns, &query) {
            assert_eq!(reply.header().1[3], 1);
            let edns = reply.message().edns.expect("OPT");
            assert_eq!((edns.max_payload(), edns.version(), edns.rcode_high()), (1232, 0, 0));
        }
        for reply in both(server.dns, &Query::new("web", qtype)) {
            assert_eq!(reply.header().1[3], 0);
        }
    }
    let query = Query::new("web", A).with(OPT);
    for reply in both(server.dns, &query) {
        assert!(reply.octets.ends_with(OPT), "{:?}", reply.octets);
    }
}

#[test]
fn b19_other_versions_of_edns_are_badvers() {
    let server = server("b19", 0, &[]);
    for version in [1, 255] {
        let query = Query::new("web", A).with(&opt(1232, version, 0, b""));
        for reply in both(server.dns, &query) {
            assert_eq!(reply.header(), (0x8100, [1, 0, 0, 1]));
            assert_eq!(reply.after(&query), b"\0\0\x29\x04\xd0\x01\0\0\0\0\0");
        }
    }
}

#[test]
fn b20_unknown_options_and_flags_are_ignored() {
    let server = server("b20", 0, &[]);
    let query = Query::new("web", A).with(&opt(1232, 0, 0x7fff, b"\xfd\xe9\0\x02xy"));
    for reply in both(server.dns, &query) {
        assert_eq!(reply.header(), (0x8580, [1, 3, 0, 1]));
        assert!(reply.octets.ends_with(OPT));
    }
}

#[test]
fn b21_do_is_copied() {
    let server = server("b21", 0, &[]);
    for qtype in [A, AAAA] {
        let query = Query::new("web", qtype).with(&opt(1232, 0, 0x8000, b""));
        for reply in both(server.dns, &query) {
            let edns = reply.message().edns.expect("OPT");
            assert!(edns.flags().dnssec_ok);
            assert_eq!(reply.header().0 & 0x20, 0, "AD is clear");
        }
    }
}

#[test]
fn b22_malformed_opt_is_formerr() {
    let server = server("b22", 0, &[]);
    let mut in_answer = Query::new("web", A);
    in_answer.counts[1] = 1;
    in_answer.rest = OPT.to_vec();
    for query in [
        Query::new("web", A).with(OPT).with(OPT),
        Query::new("web", A).with(b"\x01a\0\0\x29\x04\xd0\0\0\0\0\0\0"),
        Query::new("web", A).with(&opt(1232, 0, 0, b"\0\x0a\0\x09short")),
        in_answer,
    ] {
        for reply in both(server.dns, &query) {
            assert_eq!(reply.header(), FORMERR);
        }
    }
}

#[test]
fn b23_a_datagram_is_no_longer_than_the_client_and_we_take() {
    let server = server("b23", 200, &["--answers", "all"]);
    for (size, most) in [(None, 512), (Some(0), 512), (Some(511), 512), (Some(600), 600)]
        .into_iter()
        .chain([(Some(4096), 1232), (Some(65_535), 1232)])
    {
        let query = Query::new("big", A);
        let query = match size {
            Some(size) => query.with(&opt(size, 0, 0, b"")),
            None => query,
        };
        let reply = udp(server.dns, &query.octets()).expect("a reply");
        assert!(reply.octets.len() <= most, "{size:?}: {}", reply.octets.len());
        assert!(reply.octets.len() > most - 16, "{size:?}: as full as it can be");
    }
}

#[test]
fn b24_a_cut_reply_has_whole_records_tc_and_opt_and_tcp_gives_all() {
    let server = server("b24", 200, &["--answers", "all"]);
    for (query, records) in [
        (Query::new("big", A), 30),
        (Query::new("big", A).with(OPT), 75),
        (Query::new("bIG", A).with(OPT), 75),
        (Query::new("big.rr.internal", A).with(&opt(512, 0, 0, b"")), 29),
    ] {
        // Twice: looked up, and from memory.
        for _ in 0..2 {
            let reply = udp(server.dns, &query.octets()).expect("a reply");
            let additionals = query.counts[3];
            assert_eq!(reply.header(), (0x8780, [1, records, 0, additionals]));
            let opt = usize::from(additionals) * OPT.len();
            assert_eq!(reply.after(&query).len(), usize::from(records) * 16 + opt, "no junk");
        }
        let reply = tcp(server.dns, &query.octets()).expect("a reply");
        assert_eq!(reply.header(), (0x8580, [1, 200, 0, query.counts[3]]));
        assert!(reply.octets.len() <= 3_250, "every owner name is compressed");
    }
}

#[test]
fn b24_a_large_set_gives_the_next_that_fit_rather_than_tc() {
    let server = server("b24-auto", 200, &[]);
    let query = Query::new("big", A).with(OPT);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let reply = udp(server.dns, &query.octets()).expect("a reply");
        assert_eq!(reply.header(), (0x8580, [1, 75, 0, 1]));
        seen.insert(reply.after(&query)[12..16].to_vec());
    }
    assert_eq!(seen.len(), 200, "each comes first once");
    let reply = tcp(server.dns, &query.octets()).expect("a reply");
    assert_eq!(reply.header().1[1], 200);
}

#[test]
fn b25_cookies_of_any_length_are_ignored() {
    let server = server("b25", 0, &[]);
    for length in [8, 7, 12, 24] {
        let option = [&[0, 10, 0, length][..], &vec![1; usize::from(length)]].concat();
        let query = Query::new("web", A).with(&opt(1232, 0, 0, &option));
        for reply in both(server.dns, &query) {
            assert_eq!(reply.header(), (0x8580, [1, 3, 0, 1]));
            assert!(reply.octets.ends_with(OPT));
        }
    }
}

#[test]
fn b26_keepalive_is_answered_over_tcp_alone() {
    let server = server("b26", 0, &[]);
    let query = Query::new("web", A).with(&opt(1232, 0, 0, b"\0\x0b\0\0"));
    let reply = udp(server.dns, &query.octets()).expect("a reply");
    assert!(reply.octets.ends_with(OPT));
    let reply = tcp(server.dns, &query.octets()).expect("a reply");
    assert!(reply.octets.ends_with(b"\0\x0b\0\x02\0\x64"), "ten seconds");
}

#[test]
fn b27_b28_padding_subnet_and_nsid_are_not_echoed() {
    let server = server("b28", 0, &[]);
    for option in [&b"\0\x0c\0\x04pad!"[..], b"\0\x08\0\x07\0\x01\x18\0\x0a\0\0", b"\0\x03\0\0"] {
        let query = Query::new("web", A).with(&opt(1232, 0, 0, option));
        for reply in both(server.dns, &query) {
            assert_eq!(reply.header(), (0x8580, [1, 3, 0, 1]));
            assert!(reply.octets.ends_with(OPT));
        }
    }
}

#[test]
fn b29_responses_get_silence() {
    let server = server("b29", 0, &[]);
    let response = Query::new("web", A).flags(0x8180);
    let mut malformed = response.clone();
    malformed.counts[0] = 9;
    let mut update = response.clone();
    update.flags |= 5 << 11;
    for query in [response.clone(), malformed, update, response.clone().with(OPT)] {
        assert!(udp(server.dns, &query.octets()).is_none());
        assert!(tcp(server.dns, &query.octets()).is_none(), "closed");
    }
    assert!(udp(server.dns, &response.octets()[..12]).is_none());
}

#[test]
fn b30_scraps_get_silence() {
    let server = server("b30", 0, &[]);
    for length in [0, 1, 2, 11] {
        assert!(udp(server.dns, &Query::new("web", A).octets()[..length]).is_none(), "{length}");
    }
}

#[test]
fn b31_b32_names_that_are_none_are_malformed_and_odd_octets_are_not() {
    let server = server("b31", 0, &[]);
    let asked = |name: &[u8]| {
        let mut query = Query::new("web", A);
        query.question = [name, b"\0\x01\0\x01"].concat();
        both(server.dns, &query).map(|reply| reply.header())
    };
    let long = [b"\x3f".as_slice(), &[b'a'; 63]].concat();
    let too_long = [&long[..], &long, &long, &long, b"\0"].concat();
    for name in [
        &b"\xc0\x0c"[..],
        b"\xc0\x0e\xc0\x0c",
        b"\xc0\xff",
        b"\x03web\xc0\x0c",
        b"\x40a\0",
        b"\x80a\0",
        &too_long,
    ] {
        assert_eq!(asked(name), [FORMERR; 2], "{name:?}");
    }
    let longest = [&long[..], &long, &long, b"\x3d", &[b'a'; 61], b"\0"].concat();
    for name in [&longest[..], b"\x05a.b\0\xff\0", &[&long[..], b"\0"].concat()] {
        for (flags, counts) in asked(name) {
            assert!([0x8583, 0x8185].contains(&flags), "{name:?}: {flags:04x}");
            assert_eq!(counts[0], 1);
        }
    }
}

#[test]
fn b33_tcp_takes_messages_as_they_come() {
    let server = server("b33", 0, &[]);
    for scrap in [&b""[..], b"short"] {
        assert!(tcp(server.dns, scrap).is_none(), "closed");
    }
    let octets = framed(&Query::new("web", A).octets());
    let mut slow = connect(server.dns);
    for octet in &octets {
        slow.write_all(&[*octet]).expect("sent");
    }
    assert_eq!(read(&mut slow).expect("a reply").header().1[1], 3);
    let mut half = connect(server.dns);
    half.write_all(&octets).expect("sent");
    half.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(read(&mut half).expect("a reply").header().1[1], 3);
    assert!(read(&mut half).is_none());
}

#[test]
fn b34_twenty_queries_at_once_on_one_connection() {
    let server = server("b34", 0, &[]);
    let mut stream = connect(server.dns);
    let ids: Vec<u16> = (1..=20).collect();
    let all = ids.iter().flat_map(|id| {
        let mut octets = Query::new("web", A).octets();
        octets[..2].copy_from_slice(&id.to_be_bytes());
        framed(&octets)
    });
    stream.write_all(&all.collect::<Vec<u8>>()).expect("sent");
    let mut answered: Vec<u16> = (0..20)
        .map(|_| read(&mut stream).expect("a reply").octets)
        .map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, ids);
}

#[test]
fn b37_an_address_points_back_and_an_unknown_one_is_nxdomain() {
    let server = server("b37", 0, &[]);
    // Twice: looked up, and from memory.
    for _ in 0..2 {
        for reply in both(server.dns, &Query::new("2.0.64.10.in-addr.arpa", 12)) {
            assert_eq!(reply.header(), (0x8580, [1, 1, 0, 0]));
        }
    }
    for reply in both(server.dns, &Query::new("99.9.64.10.in-addr.arpa", 12)) {
        assert_eq!(reply.header(), (0x8583, [1, 0, 1, 0]));
    }
}

#[test]
fn b40_who_may_not_ask_gets_silence() {
    let server = server("b40", 0, &["--allow", "127.0.0.1"]);
    let query = Query::new("web", A);
    let [reply, _] = both(server.dns, &query);
    assert_eq!(reply.header().1[1], 3);
    // From another address of this machine, and malformed, too.
    let stranger = std::net::UdpSocket::bind(("127.0.0.9", 0)).expect("a socket");
    stranger.connect(server.dns).expect("a socket");
    let response = query.clone().flags(0x8180);
    for octets in [query.octets(), query.octets()[..20].to_vec(), response.octets()] {
        stranger.send(&octets).expect("sent");
    }
    netalias_testkit::until("all three are counted", || {
        server.get("/metrics").1.contains("netalias_dns_not_admitted_total 3").then_some(())
    });
    stranger.set_nonblocking(true).expect("a socket");
    let nothing = stranger.recv(&mut [0; 64]).expect_err("silence");
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn b43_before_the_first_list_an_unknown_name_is_servfail() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netalias"));
    command.args(["serve", "--docker", "unix:///nonexistent.sock"]);
    let server = netalias_testkit::Process::start(command.args(netalias_testkit::kernel_port()));
    let query = Query::new("web", A).with(OPT);
    let reply = tcp(server.dns, &query.octets()).expect("a reply");
    assert_eq!(reply.header().0, 0x8182);
    // EDE 14, Not Ready (RFC 8914 section 4.15).
    let tail = reply.after(&query);
    assert_eq!((&tail[11..13], &tail[15..17]), (&[0, 15][..], &[0, 14][..]));
}

#[test]
fn names_are_written_as_they_are_asked() {
    assert_eq!(labels("wEb.a"), b"\x03wEb\x01a\0");
    assert_eq!(ID, 0x1234);
}
