//! Requests changed at random, over real sockets, while good ones are asked all the time. It
//! prints its seed; `NETALIAS_SEED` and `NETALIAS_MUTATIONS` say which run it is, and how long.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use fastrand::Rng;
use hickory_proto::op::{Message, MessageType};
use netalias_testkit::{framed, said, seed};

use super::abuse::memory;
use super::mutate::{corpus, mutant};
use super::octets::{A, Query, connect, tcp, udp};
use super::server;

/// Mutants over UDP, unless more are wanted; over TCP a tenth of them.
const MUTATIONS: usize = 10_000;
/// Datagrams between two good questions: less than a socket's buffer holds, so none is lost.
const BATCH: usize = 16;
/// Messages on one connection.
const ON_CONNECTION: usize = 10;
/// One good question in so many is asked over TCP, too.
const OVER_TCP: usize = 16;

struct Attack {
    server: SocketAddr,
    corpus: Vec<Vec<u8>>,
    chance: Rng,
    asked: usize,
    replies: usize,
}

impl Attack {
    fn new(server: SocketAddr, seed: u64) -> Self {
        Self {
            server,
            corpus: corpus("request"),
            chance: Rng::with_seed(seed),
            asked: 0,
            replies: 0,
        }
    }

    fn mutant(&mut self) -> Vec<u8> {
        let parents = [(); 2].map(|()| self.chance.usize(..self.corpus.len()));
        mutant(&mut self.chance, &self.corpus[parents[0]], &self.corpus[parents[1]])
    }

    fn ask(&mut self) {
        let query = Query::new("web", A).octets();
        let reply = udp(self.server, &query).expect("the good question is answered");
        assert_eq!(reply.header().1[1], 3);
        if self.asked.is_multiple_of(OVER_TCP) {
            let reply = tcp(self.server, &query).expect("the good question is answered by TCP");
            assert_eq!(reply.header().1[1], 3);
        }
        self.asked += 1;
    }

    fn over_udp(&mut self, many: usize) {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        socket.connect(self.server).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        let mut buffer = vec![0; 65_535];
        for sent in 0..many {
            socket.send(&self.mutant()).expect("sent");
            if sent % BATCH == 0 {
                self.ask();
            }
            while let Ok(length) = socket.recv(&mut buffer) {
                let reply = Message::from_vec(&buffer[..length]).expect("a message");
                assert_eq!(reply.metadata.message_type, MessageType::Response);
                assert!(length <= 1232, "{length} octets");
                self.replies += 1;
            }
        }
    }

    fn over_tcp(&mut self, many: usize) {
        for sent in (0..many).step_by(ON_CONNECTION) {
            let mut stream = connect(self.server);
            for _ in sent..many.min(sent + ON_CONNECTION) {
                let mut message = framed(&self.mutant());
                // A length that is not the message's.
                if self.chance.u8(..8) == 0 {
                    message[1] = self.chance.u8(..);
                }
                // It may have closed, and does at a message that it cannot read.
                if stream.write_all(&message).is_err() {
                    stream = connect(self.server);
                }
            }
            self.replies += drain(&stream);
            self.ask();
        }
    }
}

/// Whole messages that have come.
fn drain(stream: &TcpStream) -> usize {
    let mut stream = stream;
    stream.set_nonblocking(true).expect("an option");
    let (mut octets, mut replies) = (Vec::new(), 0);
    let _ = stream.read_to_end(&mut octets);
    let mut rest = &octets[..];
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(message) = after.get(..length) else { break };
        let reply = Message::from_vec(message).expect("a message");
        assert_eq!(reply.metadata.message_type, MessageType::Response);
        rest = &after[length..];
        replies += 1;
    }
    replies
}

#[test]
fn mutants_harm_neither_good_questions_nor_memory() {
    let seed = seed();
    let many = said("NETALIAS_MUTATIONS").unwrap_or(MUTATIONS);
    eprintln!("NETALIAS_SEED={seed}");
    let server = server("mutants", 60, &[]);
    let mut attack = Attack::new(server.dns, seed);
    // What is allocated once is there after these.
    attack.over_udp(many / 10);
    attack.over_tcp(many / 100);
    let before = memory(&server);
    let start = std::time::Instant::now();
    attack.over_udp(many);
    attack.over_tcp(many / 10);
    let elapsed: Duration = start.elapsed();
    let after = memory(&server);
    eprintln!(
        "{many} over UDP and {} over TCP in {elapsed:.1?}: {} good questions answered, {} other \
         replies, {before} kB before, {after} kB after",
        many / 10,
        attack.asked,
        attack.replies
    );
    assert!(attack.replies > many / 50, "hardly anything was read: {}", attack.replies);
    assert!(after < before + 5_000, "{before} kB before, {after} kB after");
    assert!(!server.lines().iter().any(|line| line.contains("panicked")), "{:?}", server.lines());
}
