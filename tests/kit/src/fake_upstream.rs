//! A DNS server that behaves as a test says: it may delay, lie, stay silent or send anything.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record};

use crate::framed::{framed, read_framed};

/// A server on a port of its own, by UDP and TCP. It lives as long as the test's process.
pub struct FakeUpstream {
    /// Where it is.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A question that it was asked.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The message.
    pub message: Message,
    /// Its octets.
    pub octets: Vec<u8>,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whether it came by TCP.
    pub tcp: bool,
}

/// What it does about a question, one after the other.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends these octets; over TCP with their length in front.
    Send(Vec<u8>),
    /// Waits.
    Pause(Duration),
}

type Behaviour = Arc<dyn Fn(&Seen) -> Vec<Act> + Send + Sync>;

impl FakeUpstream {
    /// Starts one.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start(behaviour: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let (udp, tcp) = sockets();
        let address = udp.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let behaviour: Behaviour = Arc::new(behaviour);
        let (by_udp, by_tcp) = (behaviour.clone(), behaviour);
        let (seen_udp, seen_tcp) = (seen.clone(), seen.clone());
        thread::spawn(move || serve_udp(&Arc::new(udp), &by_udp, &seen_udp));
        thread::spawn(move || {
            for stream in tcp.incoming().map_while(Result::ok) {
                let (behaviour, seen) = (by_tcp.clone(), seen_tcp.clone());
                thread::spawn(move || serve_tcp(stream, &behaviour, &seen));
            }
        });
        Self { address, seen }
    }

    /// One that gives every name this address, for a minute.
    pub fn answering(address: [u8; 4]) -> Self {
        Self::start(move |seen| vec![Act::send(&with_address(seen, address, 60))])
    }

    /// One that answers every question with this code, and nothing else.
    pub fn saying(code: ResponseCode) -> Self {
        Self::start(move |seen| {
            let mut message = seen.reply();
            message.metadata.response_code = code;
            vec![Act::send(&message)]
        })
    }

    /// One that never answers.
    pub fn black_hole() -> Self {
        Self::start(|_| Vec::new())
    }

    /// What it was asked so far.
    ///
    /// # Panics
    /// When a thread of it has.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Act {
    /// Sends a message.
    ///
    /// # Panics
    /// When it cannot be encoded.
    pub fn send(message: &Message) -> Self {
        Self::Send(message.to_vec().expect("a message"))
    }
}

impl Seen {
    /// The name asked for.
    pub fn name(&self) -> &Name {
        self.message.queries[0].name()
    }

    /// An empty NOERROR answer.
    pub fn reply(&self) -> Message {
        let mut reply = Message::response(self.message.metadata.id, self.message.metadata.op_code);
        reply.metadata.recursion_desired = true;
        reply.metadata.recursion_available = true;
        reply.add_query(self.message.queries[0].clone());
        reply
    }
}

/// An answer of one address.
pub fn with_address(seen: &Seen, address: [u8; 4], ttl: u32) -> Message {
    let mut reply = seen.reply();
    reply.add_answer(a_record(&seen.name().to_string(), address, ttl));
    reply
}

/// An A record.
///
/// # Panics
/// When the name is none.
pub fn a_record(name: &str, address: [u8; 4], ttl: u32) -> Record {
    let data = RData::A(A(Ipv4Addr::from(address)));
    Record::from_rdata(Name::from_ascii(name).expect("a name"), ttl, data)
}

/// A CNAME record.
///
/// # Panics
/// When a name is none.
pub fn cname_record(name: &str, target: &str) -> Record {
    let wire = |text| Name::from_ascii(text).expect("a name");
    Record::from_rdata(wire(name), 60, RData::CNAME(CNAME(wire(target))))
}

/// A SOA record for a zone, with this TTL and MINIMUM.
///
/// # Panics
/// When the zone is no name.
pub fn soa_record(zone: &str, ttl: u32, minimum: u32) -> Record {
    let zone = Name::from_ascii(zone).expect("a name");
    let data = SOA::new(zone.clone(), zone.clone(), 1, 3600, 600, 86_400, minimum);
    Record::from_rdata(zone, ttl, RData::SOA(data))
}

/// Both on one port.
fn sockets() -> (UdpSocket, TcpListener) {
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    loop {
        let udp = UdpSocket::bind((loopback, 0)).expect("a port");
        // Another process may have the port on TCP; then another port will do.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")) {
            return (udp, tcp);
        }
    }
}

fn serve_udp(socket: &Arc<UdpSocket>, behaviour: &Behaviour, seen: &Mutex<Vec<Seen>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let octets = buffer[..length].to_vec();
        let Ok(message) = Message::from_vec(&octets) else { continue };
        let question = Seen { message, octets, from, tcp: false };
        seen.lock().unwrap().push(question.clone());
        let (socket, behaviour) = (socket.clone(), behaviour.clone());
        // A slow answer must not hold up others.
        thread::spawn(move || {
            for act in behaviour(&question) {
                match act {
                    Act::Send(octets) => drop(socket.send_to(&octets, from)),
                    Act::Pause(pause) => thread::sleep(pause),
                }
            }
        });
    }
}

fn serve_tcp(mut stream: TcpStream, behaviour: &Behaviour, seen: &Mutex<Vec<Seen>>) {
    let Ok(from) = stream.peer_addr() else { return };
    while let Ok(octets) = read_framed(&mut stream) {
        let Ok(message) = Message::from_vec(&octets) else { return };
        let question = Seen { message, octets, from, tcp: true };
        seen.lock().unwrap().push(question.clone());
        for act in behaviour(&question) {
            match act {
                Act::Send(octets) => {
                    if stream.write_all(&framed(&octets)).is_err() {
                        return;
                    }
                }
                Act::Pause(pause) => thread::sleep(pause),
            }
        }
    }
}
