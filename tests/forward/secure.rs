//! Servers that are asked over TLS and HTTPS.

use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use netalias_testkit::FakeSecure;

use crate::setup::{Setup, extended, good, setup_in};

/// A demo that asks this server, and trusts this certificate.
fn to(url: &str, certificate: &str) -> Setup {
    let table =
        |folder: &std::path::Path| format!("servers = ['{url}']\nca = '{}/ca'", folder.display());
    setup_in(table, &[("ca", certificate)], "127.0.0.1:0")
}

#[test]
fn over_tls_a_connection_serves_one_question_after_the_other() {
    let upstream = FakeSecure::start(0);
    for name in ["", "#dns.example"] {
        let before = upstream.connections();
        let setup = to(&format!("tls://{}{name}", upstream.address), &upstream.certificate);
        for question in ["a.example.", "b.example.", "c.example."] {
            assert_eq!(setup.a(question), good("192.0.2.1"));
        }
        assert_eq!(upstream.connections() - before, 1);
    }
}

#[test]
fn over_tls_a_connection_that_the_server_closed_is_made_anew() {
    let upstream = FakeSecure::start(1);
    let setup = to(&format!("tls://{}", upstream.address), &upstream.certificate);
    for question in ["a.example.", "b.example.", "c.example."] {
        assert_eq!(setup.a(question), good("192.0.2.1"));
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn over_https_questions_share_a_connection() {
    let upstream = FakeSecure::start(0);
    let url = format!("https://{}/ask#dns.example", upstream.address);
    let setup = to(&url, &upstream.certificate);
    for question in ["a.example.", "b.example.", "c.example."] {
        assert_eq!(setup.a(question), good("192.0.2.1"));
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.paths(), ["/ask"; 3]);
}

/// A question over HTTPS is two pieces, and the second one waited until the first was acknowledged,
/// which servers put off for 40 ms.
#[test]
fn no_question_waits_for_an_acknowledgement() {
    let upstream = FakeSecure::start(0);
    for url in [
        format!("tls://{}#dns.example", upstream.address),
        format!("https://{}/ask#dns.example", upstream.address),
    ] {
        let setup = to(&url, &upstream.certificate);
        let took = (0..11).map(|n| {
            let asked = Instant::now();
            assert_eq!(setup.a(&format!("n{n}.example.")), good("192.0.2.1"));
            asked.elapsed()
        });
        let mut took: Vec<Duration> = took.collect();
        took.sort_unstable();
        assert!(took[5] < Duration::from_millis(30), "{url}: {took:?}");
    }
}

#[test]
fn a_certificate_for_another_name_or_by_nobody_known_is_refused() {
    let upstream = FakeSecure::start(0);
    let other = FakeSecure::start(0);
    for (url, certificate) in [
        (format!("tls://{}#other.example", upstream.address), &upstream.certificate),
        (format!("https://{}#other.example", upstream.address), &upstream.certificate),
        (format!("tls://{}#dns.example", upstream.address), &other.certificate),
    ] {
        let answer = to(&url, certificate).ask("a.example.", RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{url}");
        let (_, text) = extended(&answer);
        assert!(text.contains("certificate"), "{text}");
    }
    assert_eq!(upstream.connections(), 0, "nothing was asked");
}
