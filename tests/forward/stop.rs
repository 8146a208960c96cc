//! Questions that wait for other servers when netalias is told to stop.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use netalias_testkit::{Act, FakeUpstream, framed, read_framed, until, with_address};

use super::setup::{HOST, TOTAL, facts, good, question, received, sent, to};

/// A server that answers when it is let to.
fn held() -> (FakeUpstream, Arc<AtomicBool>) {
    let release = Arc::new(AtomicBool::new(false));
    let released = release.clone();
    let upstream = FakeUpstream::start(move |seen| {
        until("it is let", || released.load(Ordering::Relaxed).then_some(()));
        vec![Act::send(&with_address(seen, [192, 0, 2, 9], 60))]
    });
    (upstream, release)
}

fn sent_by_tcp(server: SocketAddr, message: &Message) -> TcpStream {
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.set_read_timeout(Some(TOTAL)).expect("a time-out");
    stream.write_all(&framed(&message.to_vec().expect("a message"))).expect("sent");
    stream
}

fn received_by_tcp(stream: &mut TcpStream) -> Message {
    Message::from_vec(&read_framed(stream).expect("an answer")).expect("a message")
}

#[test]
fn what_waits_for_other_servers_is_still_answered() {
    let (upstream, release) = held();
    let mut demo = to(&[&upstream]).demo;
    let by_udp = sent(HOST, demo.dns, &question("udp.example.com.", RecordType::A));
    let mut by_tcp = sent_by_tcp(demo.dns, &question("tcp.example.com.", RecordType::A));
    let is_asked = |name: &str| upstream.seen().iter().any(|s| s.name().to_string() == name);
    until("both are passed on", || {
        (is_asked("udp.example.com.") && is_asked("tcp.example.com.")).then_some(())
    });
    demo.terminate();
    demo.says("stopping");
    release.store(true, Ordering::Relaxed);
    assert_eq!(facts(&received(&by_udp)), good("192.0.2.9"));
    assert_eq!(facts(&received_by_tcp(&mut by_tcp)), good("192.0.2.9"));
    assert!(demo.ended().success());
}

#[test]
fn what_nobody_answers_holds_it_up_for_two_seconds() {
    let upstream = FakeUpstream::black_hole();
    let mut demo = to(&[&upstream]).demo;
    let _waiting = sent(HOST, demo.dns, &question("udp.example.com.", RecordType::A));
    let _connected = sent_by_tcp(demo.dns, &question("tcp.example.com.", RecordType::A));
    until("both are passed on", || (upstream.seen().len() >= 2).then_some(()));
    let told = Instant::now();
    demo.terminate();
    assert!(demo.ended().success());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
}
