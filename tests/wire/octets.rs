//! Messages as octets, and exchanges of them over both transports.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use netalias_testkit::framed;

/// How long a server on this machine may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A query, built octet by octet.
#[derive(Clone)]
pub(crate) struct Query {
    pub(crate) flags: u16,
    pub(crate) counts: [u16; 4],
    pub(crate) question: Vec<u8>,
    pub(crate) rest: Vec<u8>,
}

pub(crate) const ID: u16 = 0x1234;
pub(crate) const RD: u16 = 0x0100;
pub(crate) const A: u16 = 1;
pub(crate) const AAAA: u16 = 28;
/// An OPT record without options: 1232 octets, version 0.
pub(crate) const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

impl Query {
    /// An ordinary one: RD, class IN, no EDNS.
    pub(crate) fn new(name: &str, qtype: u16) -> Self {
        let mut question = labels(name);
        question.extend(qtype.to_be_bytes());
        question.extend([0, 1]);
        Self { flags: RD, counts: [1, 0, 0, 0], question, rest: Vec::new() }
    }

    /// With an additional record.
    pub(crate) fn with(mut self, record: &[u8]) -> Self {
        self.counts[3] += 1;
        self.rest.extend(record);
        self
    }

    pub(crate) fn class(mut self, class: u16) -> Self {
        let at = self.question.len() - 2;
        self.question[at..].copy_from_slice(&class.to_be_bytes());
        self
    }

    pub(crate) fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut octets = [ID, self.flags].map(u16::to_be_bytes).concat();
        octets.extend(self.counts.iter().flat_map(|count| count.to_be_bytes()));
        octets.extend(&self.question);
        octets.extend(&self.rest);
        octets
    }
}

/// A name on the wire.
pub(crate) fn labels(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(u8::try_from(label.len()).expect("a label"));
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// OPT with a size, the upper half of its TTL, its flags and its options.
pub(crate) fn opt(size: u16, version: u8, flags: u16, options: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 41];
    record.extend(size.to_be_bytes());
    record.extend([0, version]);
    record.extend(flags.to_be_bytes());
    record.extend(u16::try_from(options.len()).expect("short").to_be_bytes());
    record.extend(options);
    record
}

/// A reply taken apart as far as tests look at it.
pub(crate) struct Reply {
    pub(crate) octets: Vec<u8>,
}

impl Reply {
    /// The header's words behind the id: flags and the four counts.
    pub(crate) fn header(&self) -> (u16, [u16; 4]) {
        let word = |at: usize| u16::from_be_bytes([self.octets[at], self.octets[at + 1]]);
        assert_eq!(word(0), ID, "the request's id");
        (word(2), [word(4), word(6), word(8), word(10)])
    }

    /// What comes behind the question of a query.
    pub(crate) fn after(&self, query: &Query) -> &[u8] {
        let end = 12 + query.question.len();
        assert_eq!(self.octets[12..end], query.question, "the question, octet for octet");
        &self.octets[end..]
    }

    /// hickory's view of it, which refuses what is not whole.
    pub(crate) fn message(&self) -> hickory_proto::op::Message {
        hickory_proto::op::Message::from_vec(&self.octets).expect("a message")
    }
}

/// Sends octets by UDP. None is silence: the reply to a later question from the same port came,
/// and none to this.
pub(crate) fn udp(server: SocketAddr, octets: &[u8]) -> Option<Reply> {
    let client = Client::new(server, Ipv4Addr::LOCALHOST);
    client.send(&[octets]);
    let mut replies = client.replies();
    assert!(replies.len() <= 1, "one reply at most");
    replies.pop().map(|octets| Reply { octets })
}

/// A client that sends from one port, so that one thread of the server reads all of it.
pub(crate) struct Client {
    socket: UdpSocket,
}

/// The id of the question that comes last.
const LAST: [u8; 2] = [0xff, 0xff];

impl Client {
    pub(crate) fn new(server: SocketAddr, source: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((source, 0)).expect("a socket");
        socket.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        socket.connect(server).expect("a socket");
        Self { socket }
    }

    /// Sends these, and a question whose answer says that all before it have got theirs, or will
    /// get none.
    pub(crate) fn send(&self, requests: &[impl AsRef<[u8]>]) {
        for request in requests {
            self.socket.send(request.as_ref()).expect("sent");
        }
        // A name of its own, so that it takes nobody's turn.
        let mut last = Query::new("w1", A).octets();
        last[..2].copy_from_slice(&LAST);
        self.socket.send(&last).expect("sent");
    }

    /// The replies to what was sent.
    pub(crate) fn replies(&self) -> Vec<Vec<u8>> {
        let mut replies = Vec::new();
        loop {
            let mut buffer = vec![0; 65_535];
            let length = self.socket.recv(&mut buffer).expect("the last question is answered");
            buffer.truncate(length);
            if buffer.starts_with(&LAST) {
                return replies;
            }
            replies.push(buffer);
        }
    }
}

/// Sends octets by TCP. None: the connection is closed without a reply.
pub(crate) fn tcp(server: SocketAddr, octets: &[u8]) -> Option<Reply> {
    let mut stream = connect(server);
    stream.write_all(&framed(octets)).expect("sent");
    read(&mut stream)
}

pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a connection");
    stream
}

/// The next message of a connection. None: it is closed.
pub(crate) fn read(stream: &mut TcpStream) -> Option<Reply> {
    let mut length = [0; 2];
    if let Err(error) = stream.read_exact(&mut length) {
        let closed = [std::io::ErrorKind::UnexpectedEof, std::io::ErrorKind::ConnectionReset];
        assert!(closed.contains(&error.kind()), "{error}");
        return None;
    }
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets).expect("a whole message");
    Some(Reply { octets })
}

/// The replies over both transports.
pub(crate) fn both(server: SocketAddr, query: &Query) -> [Reply; 2] {
    let octets = query.octets();
    let silent = "the server says nothing";
    [udp(server, &octets).expect(silent), tcp(server, &octets).expect(silent)]
}
