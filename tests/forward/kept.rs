//! Answers of others that are kept: by the library, which tells what has to be waited for.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use netalias::directory;
use netalias::dns::forward::Forwarder;
use netalias::dns::{Carrier, Desk, Service, Verdict};
use netalias::model::{Forward, Policy};
use netalias::status::Status;
use netalias_testkit::FakeUpstream;

use super::setup::{HOST, facts, good, question};

/// It was handed to the thread that waits for other servers, which sent it by itself.
#[test]
fn a_kept_answer_is_given_at_once_over_either_transport() {
    let upstream = FakeUpstream::answering([192, 0, 2, 9]);
    let server = upstream.address.to_string().parse().expect("a server");
    let forward = Arc::new(Forward { servers: Some(vec![server]), ..Forward::default() });
    let (publisher, reader) = directory::new(1, Policy { forward, ..Policy::default() });
    publisher.source_is_complete();
    let status = Arc::new(Status::new(&[]));
    let forwarder = Forwarder::new(reader.clone(), status.clone(), Vec::new());
    let forwarder = forwarder.expect("a forwarder");
    let service = Service { directory: reader, status: status.clone(), forwarder };
    let (mut desk, mut out) = (Desk::new(service.clone()), Vec::new());
    let asked = question("a.example.com.", RecordType::A).to_vec().expect("a message");
    let mut answer = |carrier, out: &mut Vec<u8>| {
        out.clear();
        desk.answer(&asked, IpAddr::from(HOST), carrier, out)
    };
    let Verdict::Later(waiting) = answer(Carrier::Udp, &mut out) else {
        panic!("nothing is kept yet");
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let first = runtime.block_on(waiting.finish(&service));
    assert_eq!(facts(&Message::from_vec(&first).expect("a message")), good("192.0.2.9"));
    for carrier in [Carrier::Udp, Carrier::Tcp] {
        assert!(matches!(answer(carrier, &mut out), Verdict::Reply));
        assert_eq!(facts(&Message::from_vec(&out).expect("a message")), good("192.0.2.9"));
    }
    let counters = (upstream.seen().len(), status.forwards.cached.get(), status.answers.data.get());
    assert_eq!(counters, (1, 2, 3), "asked once, kept twice, three answers");
}
