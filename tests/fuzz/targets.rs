//! What is fuzzed: functions from any octets to nothing, which panic where a promise is broken.
//! `fuzz/` runs them under libFuzzer, and the tests beside this file over the corpora and mutants.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name as WireName, RecordType};
use netalias::config::{Config, Settings};
use netalias::directory;
use netalias::dns::forward::{Forwarder, scrubbed};
use netalias::dns::{Carrier, Desk, Service, Verdict};
use netalias::model::{Change, ContainerId, Name, NetworkId, Policy, Reach};
use netalias::source::docker::translate::{Seen, container, event, network};
use netalias::source::docker::{Elements, Sent, Target};
use netalias::source::scenario::{Player, parse, parse_line};
use netalias::status::Status;
use serde_json::{Map, Value};

/// A target's name, which its corpus has, too.
pub type Named = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Named; 7] = [
    ("request", request),
    ("upstream", upstream),
    ("event", event_json),
    ("inspect", inspect_json),
    ("list", list),
    ("scenario", scenario),
    ("config", config),
];

/// What the desks know: names of both families, with many addresses, dots and a link.
const HISTORY: &str = "\
docker network create --ipv6 --subnet 10.9.0.0/16 --subnet fd00:9::/64 netlb
docker run -d --name w1 --net netlb --net-alias web --net-alias a.b.c --expose 80 busybox
docker run -d --name w2 --net netlb --net-alias web --expose 80 busybox
docker run -d --name one --net netlb --link w1:db --label netalias.order=shuffle busybox";
/// A client on that network, which may ask others.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));
/// The most that a datagram carries in reply (DNS flag day 2020), and without EDNS (RFC 1035).
const MOST: u16 = 1232;
const LEAST: u16 = 512;
const HEADER: usize = 12;
/// The longest that a record of others is kept, and a denial.
const MAX_TTL: u32 = 3600;
const MAX_NEGATIVE_TTL: u32 = 30;

thread_local! {
    /// One desk that remembers and one that does not, whose directories are told the same.
    static DESKS: RefCell<[Desk; 2]> = RefCell::new([desk(Desk::new), desk(Desk::forgetful)]);
}

fn desk(new: fn(Service) -> Desk) -> Desk {
    let (publisher, reader) = directory::new(1, Policy::default());
    let status = Arc::new(Status::new(&[]));
    let forwarder = Forwarder::new(reader.clone(), status.clone(), Vec::new());
    let forwarder = forwarder.expect("a forwarder");
    let mut player = Player::new(publisher);
    let many = (0..60).map(|n| format!("docker run -d --name m{n} --net netlb --net-alias big b"));
    for line in HISTORY.lines().map(str::to_owned).chain(many) {
        let line = parse_line("history", 1, &line).expect("a command").expect("a command");
        player.play(&line.command).expect("it is carried out");
    }
    new(Service { directory: reader, status, forwarder })
}

/// Octets as a request over both transports. A desk that remembers and one that looks everything
/// up give the same reply, or none; a reply is whole, has its question, and is not too long.
pub fn request(octets: &[u8]) {
    for carrier in [Carrier::Udp, Carrier::Tcp] {
        let replies = DESKS.with_borrow_mut(|desks| {
            desks.each_mut().map(|desk| {
                // The same draw for both.
                fastrand::seed(digest(octets));
                let mut out = Vec::new();
                match desk.answer(octets, CLIENT, carrier, &mut out) {
                    Verdict::Reply => Some(out),
                    Verdict::Silence => None,
                    Verdict::Later(_) => Some(b"later".to_vec()),
                }
            })
        });
        let is_error = |reply: &Vec<u8>| reply.get(3).is_some_and(|o| matches!(o & 15, 1 | 4 | 5));
        match &replies {
            // Errors are told so many times a second, and the two count from other moments.
            [Some(reply), None] | [None, Some(reply)] => {
                assert!(carrier == Carrier::Udp && is_error(reply), "one is silent: {replies:?}");
            }
            [given, looked_up] => assert_eq!(given, looked_up, "memory says otherwise"),
        }
        for reply in replies.iter().flatten().filter(|reply| *reply != b"later") {
            check_reply(octets, reply, carrier);
        }
    }
}

fn digest(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
}

/// What holds of every reply to any request.
pub fn check_reply(request: &[u8], reply: &[u8], carrier: Carrier) {
    assert!(request.len() >= HEADER && request[2] & 0x80 == 0, "a reply to what is no request");
    let message = Message::from_vec(reply).expect("the reply is a message");
    assert_eq!(message.metadata.message_type, MessageType::Response);
    assert_eq!(reply[..2], request[..2], "the id");
    assert_eq!((reply[2] ^ request[2]) & 0x79, 0, "opcode and RD");
    assert_eq!(message.metadata.op_code == OpCode::Query, request[2] & 0x78 == 0);
    if let [_] = &message.queries[..] {
        let end = question_end(reply);
        assert_eq!(reply.get(HEADER..end), request.get(HEADER..end), "the question, as it came");
    } else {
        assert_eq!(reply.len(), HEADER, "without its question a reply is a header");
    }
    let edns = Message::from_vec(request).ok().map(|request| request.edns);
    let limit = match (carrier, edns) {
        (Carrier::Tcp, _) => u16::MAX,
        (Carrier::Udp, Some(Some(edns))) => edns.max_payload().clamp(LEAST, MOST),
        (Carrier::Udp, Some(None)) => LEAST,
        // hickory reads less than we do, so it cannot tell.
        (Carrier::Udp, None) => MOST,
    };
    assert!(reply.len() <= usize::from(limit), "{} octets of {limit}", reply.len());
}

fn question_end(message: &[u8]) -> usize {
    let mut at = HEADER;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

/// Octets as what another server sends back: what is passed on answers the question, and nothing
/// is kept too long.
pub fn upstream(octets: &[u8]) {
    let mut sent = Message::query();
    sent.metadata.id = octets.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let theirs =
        Message::from_vec(octets).ok().and_then(|message| message.queries.first().cloned());
    let fixed =
        || Query::query(WireName::from_ascii("www.example.org.").expect("a name"), RecordType::A);
    let query = theirs.unwrap_or_else(fixed);
    sent.add_query(query.clone());
    let Some(forwarded) = scrubbed(&sent, octets) else { return };
    let mut name = query.name().clone();
    for record in &forwarded.answers {
        assert_eq!((&record.name, record.dns_class), (&name, DNSClass::IN), "not asked for");
        let asked =
            query.query_type() == RecordType::ANY || record.record_type() == query.query_type();
        assert!(asked || record.record_type() == RecordType::CNAME, "{record}");
        assert!(record.ttl <= MAX_TTL, "{record}");
        if let (false, hickory_proto::rr::RData::CNAME(target)) = (asked, &record.data) {
            name = target.0.clone();
        }
    }
    if let Some(soa) = &forwarded.soa {
        assert_eq!(soa.record_type(), RecordType::SOA);
        assert!(soa.name.zone_of(&name) && soa.ttl <= MAX_NEGATIVE_TTL, "{soa}");
    }
    let mut told = Message::response(sent.metadata.id, OpCode::Query);
    told.add_query(query);
    told.answers = forwarded.answers;
    told.authorities.extend(forwarded.soa);
    told.to_vec().expect("what is passed on can be sent");
}

/// Octets as an event of an engine: it hints at the container or network that it names.
pub fn event_json(octets: &[u8]) {
    let Ok(message) = serde_json::from_slice::<bollard::models::EventMessage>(octets) else {
        return;
    };
    let actor = message.actor.clone().unwrap_or_default();
    let id = actor.id.unwrap_or_default();
    let attribute = actor.attributes.unwrap_or_default().remove("container");
    match event(message) {
        Seen::Target(Target::Container(ContainerId(seen))) => {
            assert!(*seen == *id || attribute.as_deref() == Some(&*seen), "{seen} of {id}");
        }
        Seen::Target(Target::Network(NetworkId(seen)))
        | Seen::Signal(ContainerId(seen), ..)
        | Seen::Died(ContainerId(seen), _) => {
            assert_eq!(*seen, *id);
        }
        Seen::Everything | Seen::Nothing => {}
    }
}

/// Octets as what an engine says of a container or of a network; the directory takes it.
pub fn inspect_json(octets: &[u8]) {
    let (publisher, reader) = directory::new(1, Policy::default());
    let (id, on) = (ContainerId("c".repeat(64).into()), NetworkId("n".into()));
    if let Ok(inspect) = serde_json::from_slice(octets) {
        let change = network(&on, inspect);
        assert!(matches!(&change, Change::Network(network) if network.id == on));
        publisher.apply(change);
    }
    if let Ok(inspect) = serde_json::from_slice(octets) {
        let change = container(&id, inspect, &Sent::from([(15, 1)])).change;
        match &change {
            Change::Container(container) => {
                assert_eq!(container.id, id);
                for (name, _) in &container.names {
                    assert_eq!(Name::parse(&name.to_string()).as_ref(), Ok(name));
                }
                if let Reach::Endpoints(endpoints) = &container.reach {
                    assert!(endpoints.is_sorted_by(|a, b| a.network <= b.network));
                    assert!(endpoints.iter().all(|e| e.v4.is_some() || e.v6.is_some()));
                }
            }
            other => assert_eq!(*other, Change::ContainerGone(id.clone())),
        }
        publisher.apply(change.clone());
        publisher.apply(change);
    }
    publisher.source_is_complete();
    publisher.apply(Change::ContainerGone(id));
    drop(reader);
}

/// Octets as a list of an engine, as it comes in pieces: its elements are those that a reader of
/// the whole finds, wherever it is cut, and what that reader refuses is refused.
pub fn list(octets: &[u8]) {
    let elements = |pieces: &[&[u8]]| {
        let (mut cutter, mut found) = (Elements::default(), Vec::new());
        let mut each = |element: &[u8]| {
            found.push(serde_json::from_slice::<Map<String, Value>>(element)?);
            Ok(())
        };
        let pushed = pieces.iter().try_for_each(|piece| cutter.push(piece, &mut each));
        pushed.and_then(|()| cutter.end()).is_ok().then_some(found)
    };
    let cut = digest(octets) % (octets.len() as u64 + 1);
    let (first, rest) = octets.split_at(usize::try_from(cut).expect("a place in it"));
    let (second, third) = rest.split_at(rest.len() / 2);
    let found = elements(&[first, second, third]);
    assert_eq!(found, elements(&[octets]), "cut or whole");
    match serde_json::from_slice::<Vec<Map<String, Value>>>(octets) {
        Ok(whole) => assert_eq!(found, Some(whole)),
        // It counts the list's own bracket, too.
        Err(error) if error.to_string().contains("recursion limit") => {}
        Err(error) => assert_eq!(found, None, "{error}"),
    }
}

/// Octets as a scenario: it is refused at a place in it, or can be played.
pub fn scenario(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    match parse("any", &text) {
        Ok(lines) => {
            let mut player = Player::new(directory::new(1, Policy::default()).0);
            for line in lines {
                // What the engine refuses changes nothing.
                let _ = player.play(&line.command);
            }
        }
        Err(error) => {
            let line = text.lines().nth(error.line - 1).expect("a line of the text");
            assert!((1..=line.chars().count() + 1).contains(&error.column), "{error}");
        }
    }
}

/// Octets as a configuration: what it comes to, written as a file, comes to the same.
pub fn config(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let read = |text: &str| {
        let file = Settings::from_toml("any", text)?;
        Config::new(Settings::default(), file, None)
    };
    match read(&text) {
        Ok(config) => {
            let again = read(&config.to_toml());
            assert_eq!(again.as_ref().ok(), Some(&config), "{:?}: {}", again, config.to_toml());
            let _ = config.policy(Some("10.0.0.1 one two # three"), None);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
