//! An answer that is given from memory is, octet for octet, the one that a look-up would give:
//! random questions, histories and rules, asked of two desks whose directories are told the same.
//! It prints its seed; set `NETALIAS_SEED` to it to see the same run again.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::net::IpAddr;
use std::sync::Arc;

use netalias::config::{Config, Settings};
use netalias::directory;
use netalias::dns::forward::Forwarder;
use netalias::dns::{Carrier, Desk, Keys, Service, Verdict};
use netalias::model::Policy;
use netalias::source::scenario::{Player, parse_line};
use netalias::status::Status;
use netalias_testkit::seed;

/// How often some questions are asked together in one run: about 60,000 questions.
const STEPS: usize = 20_000;
/// Once in so many times they come after a change.
const CHANGE: u8 = 60;

/// A desk, the directory behind it, and the engine that its directory follows.
struct World {
    desk: Desk,
    player: Player,
    publisher: directory::Publisher,
    status: Arc<Status>,
}

impl World {
    fn new(desk: fn(Service) -> Desk) -> Self {
        let (publisher, reader) = directory::new(1, Policy::default());
        let status = Arc::new(Status::new(&[]));
        let forwarder = Forwarder::new(reader.clone(), status.clone(), Vec::new());
        let forwarder = forwarder.expect("a forwarder");
        let service = Service { directory: reader, status: status.clone(), forwarder };
        let player = Player::new(publisher.clone());
        Self { desk: desk(service), player, publisher, status }
    }

    fn play(&mut self, line: &str) {
        let line = parse_line("history", 1, line).expect("a command").expect("a command");
        // What the engine refuses changes nothing.
        let _ = self.player.play(&line.command);
    }

    /// The reply to a request.
    fn answer(&mut self, asked: &Asked) -> Vec<u8> {
        fastrand::seed(asked.chance);
        let mut out = Vec::new();
        let Asked { request, client, carrier, .. } = asked;
        let verdict = self.desk.answer(request, *client, *carrier, &mut out);
        said(&verdict, out)
    }

    /// The replies to requests that are read together, and the change that comes in between.
    fn answer_all(&mut self, all: &[Asked], change: Option<&str>) -> Vec<Vec<u8>> {
        let mut keys = Keys::default();
        let mut read = Vec::new();
        for Asked { request, client, .. } in all {
            read.push(self.desk.read(request, *client, &mut keys));
        }
        self.desk.fetch(read.iter().flatten());
        if let Some(line) = change {
            self.play(line);
        }
        let replies = read.iter().zip(all).map(|(read, asked)| {
            fastrand::seed(asked.chance);
            let mut out = Vec::new();
            let Some(read) = read else { return b"silence".to_vec() };
            let verdict = self.desk.reply(read, &keys, asked.carrier, &mut out);
            said(&verdict, out)
        });
        replies.collect()
    }
}

/// A request, and chance that is the same in both worlds.
struct Asked {
    request: Vec<u8>,
    client: IpAddr,
    carrier: Carrier,
    chance: u64,
}

fn said(verdict: &Verdict, out: Vec<u8>) -> Vec<u8> {
    match verdict {
        Verdict::Reply => out,
        Verdict::Silence => b"silence".to_vec(),
        Verdict::Later(_) => b"later".to_vec(),
    }
}

/// Names that most questions are for: one with about as many addresses as a datagram without EDNS
/// has room for, and one on a network of both families, whose clients sort what they get.
fn names() -> impl Iterator<Item = String> {
    let network = "docker network create --subnet 10.7.0.0/24 n2".to_owned();
    let dual =
        "docker network create --ipv6 --subnet 10.6.0.0/24 --subnet fd00:6::/64 n3".to_owned();
    let sorts = |n| format!("docker run -d --name s{n} --net n3 --net-alias both busybox");
    let crowd = std::iter::once(network).chain((0..27).map(joins_the_crowd));
    crowd.chain(std::iter::once(dual)).chain((0..6).map(sorts))
}

fn joins_the_crowd(n: u8) -> String {
    format!("docker run -d --name m{n} --net n2 --net-alias crowd busybox")
}

/// Networks of one and of both families, links, hosts, and every label that says how to choose.
fn change(chance: &mut fastrand::Rng) -> String {
    let container = format!("c{}", chance.u8(..4));
    let network = format!("n{}", chance.u8(..2));
    let other = format!("c{}", chance.u8(..4));
    match chance.u8(..20) {
        0 => "docker network create --subnet 10.9.0.0/24 n0".to_owned(),
        1 => "docker network create --ipv6 --subnet 10.8.0.0/24 --subnet fd00:8::/64 n1".to_owned(),
        2 => format!("docker network rm {network}"),
        3 => format!("docker network connect --alias a.b {network} {container}"),
        4 => format!("docker network disconnect {network} {container}"),
        5 => format!("docker stop {container}"),
        6 => format!("docker start {container}"),
        7 => format!("docker pause {container}"),
        8 => format!("docker unpause {container}"),
        9 => format!("docker rename {container} {other}"),
        10 => format!("docker rm -f {container}"),
        11 => format!(
            "docker run -d --name {container} --net {network} --link {other}:app --net-alias app \
             busybox"
        ),
        12 | 13 => joins_the_crowd(chance.u8(27..36)),
        14 => format!("docker rm -f m{}", chance.u8(27..36)),
        15 => format!("docker pause m{}", chance.u8(27..36)),
        _ => {
            let order = ["rotate", "shuffle", "weighted", "sticky"][chance.usize(..4)];
            let answers = ["all", "auto", "sortproof", "1", "2"][chance.usize(..5)];
            let health = ["prefer", "require", "ignore"][chance.usize(..3)];
            let weight = chance.u8(1..6);
            format!(
                "docker run -d --name {container} --net {network} --net-alias app --expose 80 \
                 --label netalias.order={order} --label netalias.answers={answers} \
                 --label netalias.health={health} --label netalias.weight={weight} busybox"
            )
        }
    }
}

/// What a configuration may say, and what may be in force already.
fn policy(chance: &mut fastrand::Rng) -> Policy {
    let ttl = chance.u8(..3);
    let text = [
        format!("ttl = {ttl}"),
        format!("ttl = {ttl}\n[[domain]]\nname = \"one.internal\"\nanswers = 1"),
        "[[name]]\nname = \"a*\"\norder = \"sticky\"".to_owned(),
        "[[record]]\nname = \"app\"\ntype = \"A\"\nvalue = \"10.1.1.1\"".to_owned(),
        "scope = \"n1\"\nallow = [\"10.0.0.0/8\"]".to_owned(),
        "domain = []\nhealth = \"ignore\"".to_owned(),
    ][chance.usize(..6)]
    .clone();
    let file: Settings = toml::from_str(&text).expect("a configuration");
    let config = Config::new(Settings::default(), file, None).expect("a configuration");
    config.policy(None, None).expect("a policy")
}

/// A query in every form: case, EDNS, sizes, flags.
fn request(chance: &mut fastrand::Rng) -> Vec<u8> {
    let names = [
        "app",
        "app",
        "app",
        "crowd",
        "crowd.n2.rr.internal",
        "both",
        "c0",
        "c1",
        "a.b",
        "b",
        "app.n0",
        "app.n1",
        "app.rr.internal",
        "app.one.internal",
        "app.n1.rr.internal",
        "_80._tcp.app",
        "n0",
        "rr.internal",
        "nobody",
        "example.org",
        "2.0.9.10.in-addr.arpa",
        "3.0.8.10.in-addr.arpa",
        "9.10.in-addr.arpa",
    ];
    // Most are like others, as they are in life.
    let usual = chance.bool();
    let usual_names = ["app", "app", "crowd", "both"];
    let among = if usual { &usual_names[..] } else { &names[..] };
    let name = among[chance.usize(..among.len())];
    let types = [1_u16, 28, 1, 28, 28, 12, 16, 33, 65, 255, 6, 5];
    let mut octets = chance.u16(..).to_be_bytes().to_vec();
    octets.extend([[1, 0], [0, 0], [1, 0x20], [1, 0x10]][chance.usize(..4)]);
    let edns = chance.u8(..if usual { 2 } else { 4 });
    octets.extend([0, 1, 0, 0, 0, 0, 0, u8::from(edns > 0)]);
    for label in name.split('.') {
        octets.push(u8::try_from(label.len()).expect("short"));
        let odd = chance.u8(..8) == 0;
        let turn = |octet: u8| if odd { octet.to_ascii_uppercase() } else { octet };
        octets.extend(label.bytes().map(turn));
    }
    octets.push(0);
    octets.extend(types[chance.usize(..if usual { 2 } else { types.len() })].to_be_bytes());
    octets.extend([0, if chance.u8(..50) == 0 { 3 } else { 1 }]);
    if edns > 0 {
        let size = [0_u16, 512, 1232, 4096][chance.usize(..4)].to_be_bytes();
        let dnssec_ok = if edns == 2 { 0x80 } else { 0 };
        octets.extend([0, 0, 41, size[0], size[1], 0, 0, dnssec_ok, 0]);
        let cookie: &[u8] = if edns == 3 { &[0, 10, 0, 2, 1, 2] } else { &[] };
        octets.extend([0, u8::try_from(cookie.len()).expect("short")]);
        octets.extend(cookie);
    }
    octets
}

#[test]
fn answers_from_memory_are_those_of_a_look_up() {
    let seed = seed();
    eprintln!("NETALIAS_SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let (mut remembering, mut forgetful) = (World::new(Desk::new), World::new(Desk::forgetful));
    let (mut history, mut asked_in_all) = (Vec::new(), 0);
    for line in names() {
        remembering.play(&line);
        forgetful.play(&line);
    }
    for step in 0..STEPS {
        if step < 20 || chance.u8(..CHANGE) == 0 {
            if step >= 20 && chance.u8(..8) == 0 {
                let policy = policy(&mut chance);
                history.push(format!("{policy:?}"));
                remembering.publisher.set_policy(policy.clone());
                forgetful.publisher.set_policy(policy);
            } else {
                let line = change(&mut chance);
                remembering.play(&line);
                forgetful.play(&line);
                history.push(line);
            }
        }
        let all: Vec<Asked> = (0..chance.usize(1..6)).map(|_| asked(&mut chance)).collect();
        // A change that comes when requests have been read, and not answered.
        let late = (chance.u8(..CHANGE) == 0).then(|| change(&mut chance));
        history.extend(late.clone());
        let given = remembering.answer_all(&all, late.as_deref());
        let looked_up = match &late {
            None => all.iter().map(|asked| forgetful.answer(asked)).collect(),
            Some(late) => forgetful.answer_all(&all, Some(late)),
        };
        asked_in_all += all.len();
        for (Asked { request, client, .. }, (given, looked_up)) in
            all.iter().zip(given.iter().zip(&looked_up))
        {
            // Errors are told so many times a second, and the two do not count from the same
            // moment.
            if is_silence(given) && is_error(looked_up) || is_silence(looked_up) && is_error(given)
            {
                continue;
            }
            let last = &history[history.len().saturating_sub(10)..];
            assert_eq!(
                given, looked_up,
                "NETALIAS_SEED={seed}, step {step}: {client} asks {request:?} after {last:#?}"
            );
        }
    }
    remembering.desk.count();
    let from_memory = remembering.status.answers.from_memory.get();
    assert!(from_memory > 1_000, "memory was hardly used: {from_memory} of {asked_in_all}");
    eprintln!("{from_memory} of {asked_in_all} answers were given from memory");
}

#[test]
fn of_a_few_more_answers_than_are_kept_most_are_given_from_memory() {
    let mut world = World::new(Desk::new);
    world.play("docker network create --subnet 10.20.0.0/16 many");
    let clients: Vec<IpAddr> = (2..=251).map(|last| IpAddr::from([10, 20, 0, last])).collect();
    for (n, address) in clients.iter().enumerate() {
        world.play(&format!("docker run -d --name c{n} --network many --ip {address} app"));
    }
    // 30,000, each of which is another one's: what a client sees is its own.
    let names: Vec<Vec<u8>> = (0..120).map(|n| query(&format!("c{n}"))).collect();
    let mut round = || {
        let before = world.status.answers.from_memory.get();
        for client in &clients {
            for name in &names {
                let mut out = Vec::new();
                let verdict = world.desk.answer(name, *client, Carrier::Udp, &mut out);
                assert!(matches!(verdict, Verdict::Reply) && out[7] == 1, "{client}: {out:?}");
            }
        }
        world.desk.count();
        world.status.answers.from_memory.get() - before
    };
    assert_eq!(round(), 0, "nothing was known");
    round();
    let from_memory = round();
    assert!(from_memory > 15_000, "{from_memory} of 30,000");
}

/// The question for the A records of a name of one label.
fn query(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).expect("a label");
    let header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header, &[length][..], name.as_bytes(), &[0, 0, 1, 0, 1]].concat()
}

fn asked(chance: &mut fastrand::Rng) -> Asked {
    let request = request(chance);
    let clients = [
        "127.0.0.1",
        "10.9.0.2",
        "10.9.0.3",
        "10.8.0.2",
        "fd00:8::2",
        "192.0.2.1",
        "10.7.0.2",
        "10.6.0.3",
        "fd00:6::4",
    ];
    let client = clients[chance.usize(..clients.len())].parse().expect("an address");
    let carrier = if chance.u8(..8) == 0 { Carrier::Tcp } else { Carrier::Udp };
    Asked { request, client, carrier, chance: chance.u64(..) }
}

fn is_silence(reply: &[u8]) -> bool {
    reply == b"silence"
}

fn is_error(reply: &[u8]) -> bool {
    reply.get(3).is_some_and(|octet| matches!(octet & 15, 1 | 4 | 5))
}
