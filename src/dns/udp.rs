//! UDP: each thread reads its own socket, answers, and sends, in batches.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{array, io, thread};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, RecvMsg, recvmmsg, sendmmsg, sendmsg};
use smallvec::SmallVec;
use tokio::sync::mpsc;

use super::asked::{Family, V4, V6};
use super::desk::{Desk, Read, Verdict};
use super::memo::Keys;
use super::respond::Carrier;
use super::waiting::{Job, Send};

/// Datagrams that are read at a time.
const BATCH: usize = 32;
/// Requests that are read before the first of them is answered: so many waits for memory overlap,
/// and what is read stays in a processor's first cache.
const TOGETHER: usize = 8;
/// Octets of the longest request that is read; a longer one is cut, and malformed then. A question
/// takes 300 at most, and options of any use less than the rest.
const MAX_REQUEST: usize = 4096;
/// From one buffer to the next: whole pages would put the beginnings of all of them, which is what
/// is used, into the same few lines of a processor's first cache.
const STRIDE: usize = MAX_REQUEST + 64;
/// The pause after an error of the socket itself, so that a broken one costs no core.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// Batches that are still answered when it is told to stop: more is a flood, not a backlog.
const LAST_BATCHES: usize = 256;

/// Answers what comes until it is told to stop, and then what has come.
pub(super) fn serve(
    socket: UdpSocket,
    desk: Desk,
    jobs: mpsc::Sender<Job>,
    stop: &AtomicBool,
) -> io::Result<()> {
    let own = socket.local_addr()?;
    let socket = Arc::new(socket);
    match own {
        SocketAddr::V4(_) => Server::<V4>::new(socket, own, desk, jobs)?.run(stop),
        SocketAddr::V6(_) => Server::<V6>::new(socket, own, desk, jobs)?.run(stop),
    }
    Ok(())
}

struct Server<F: Family> {
    buffers: Box<[[u8; STRIDE]]>,
    received: MultiHeaders<F::Address>,
    replies: Replies<F>,
}

/// The replies to one batch, and what they come from.
struct Replies<F: Family> {
    socket: Arc<UdpSocket>,
    own: SocketAddr,
    desk: Desk,
    /// Where replies go that wait for other servers. When it is full the client is told so at once.
    jobs: mpsc::Sender<Job>,
    /// Room for the keys of the requests that are read together.
    keys: Keys,
    octets: [Vec<u8>; BATCH],
    clients: [Option<F::Address>; BATCH],
    asked: [Option<F::Asked>; BATCH],
    length: usize,
    headers: MultiHeaders<F::Address>,
}

impl<F: Family> Server<F> {
    fn new(
        socket: Arc<UdpSocket>,
        own: SocketAddr,
        desk: Desk,
        jobs: mpsc::Sender<Job>,
    ) -> io::Result<Self> {
        // A socket on one address replies from there anyway.
        let everywhere = own.ip().is_unspecified();
        if everywhere {
            F::ask_for_it(&socket)?;
        }
        let headers = || MultiHeaders::preallocate(BATCH, everywhere.then(F::space));
        Ok(Self {
            buffers: vec![[0; STRIDE]; BATCH].into(),
            received: headers(),
            replies: Replies {
                socket,
                own,
                desk,
                jobs,
                keys: Keys::default(),
                octets: array::from_fn(|_| Vec::new()),
                clients: [None; BATCH],
                asked: [None; BATCH],
                length: 0,
                headers: headers(),
            },
        })
    }

    fn run(&mut self, stop: &AtomicBool) {
        let mut last = 0;
        while last < LAST_BATCHES {
            let stopping = stop.load(Ordering::Relaxed);
            last += usize::from(stopping);
            match self.batch(stopping) {
                Err(Errno::EAGAIN) if stopping => return,
                // Without an error, or when nothing came for a while, it goes on.
                Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => {
                    tracing::warn!(socket = %self.replies.own, %error, "cannot receive");
                    thread::sleep(ERROR_PAUSE);
                }
            }
        }
    }

    fn batch(&mut self, stopping: bool) -> nix::Result<()> {
        let mut buffers = self.buffers.iter_mut();
        // There are as many buffers as that.
        let mut slices: [[IoSliceMut; 1]; BATCH] = array::from_fn(|_| {
            [IoSliceMut::new(buffers.next().map_or(&mut [], |b| &mut b[..MAX_REQUEST]))]
        });
        let flags = MsgFlags::MSG_WAITFORONE;
        let flags = if stopping { flags | MsgFlags::MSG_DONTWAIT } else { flags };
        let fd = self.replies.socket.as_raw_fd();
        let mut received = recvmmsg(fd, &mut self.received, slices.iter_mut(), flags, None)?;
        while self.replies.add(received.by_ref().take(TOGETHER)) {}
        self.replies.send();
        Ok(())
    }
}

impl<F: Family> Replies<F> {
    /// Adds the replies to the requests in some datagrams. Whether there were any.
    fn add<'m, 'a: 'm>(
        &mut self,
        messages: impl Iterator<Item = RecvMsg<'m, 'a, F::Address>>,
    ) -> bool {
        let mut some = false;
        self.keys.clear();
        let mut requests = SmallVec::<[(Read, Way<F>); TOGETHER]>::new();
        for message in messages {
            some = true;
            if let Some(way) = way(&message, self.own)
                && let Some(octets) = message.iovs().next()
                && let client = F::client(way.client).ip()
                && let Some(read) = self.desk.read(octets, client, &mut self.keys)
            {
                requests.push((read, way));
            }
        }
        if requests.len() > 1 {
            self.desk.fetch(requests.iter().map(|(read, _)| read));
        }
        for (read, way) in &requests {
            self.answer(read, way);
        }
        some
    }

    /// Adds the reply to a request, if there is one. If it waits, it is sent when it is there.
    fn answer(&mut self, read: &Read, way: &Way<F>) {
        let at = self.length;
        match self.desk.reply(read, &self.keys, Carrier::Udp, &mut self.octets[at]) {
            Verdict::Reply => {}
            Verdict::Silence => return,
            Verdict::Later(waiting) => {
                let (back, socket) = (Way { ..*way }, self.socket.clone());
                let send: Send = Box::new(move |reply| back.send(&socket, reply));
                let Err(unsent) = self.jobs.try_send(Job { waiting, send }) else { return };
                self.desk.turn_away(*unsent.into_inner().waiting, &mut self.octets[at]);
            }
        }
        (self.clients[at], self.asked[at]) = (Some(way.client), way.asked);
        self.length += 1;
    }

    /// Sends the replies, in as few calls as there are addresses that were asked in a row. A reply
    /// that cannot be sent is lost, as a datagram may be.
    fn send(&mut self) {
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
        let slices: [[IoSlice; 1]; BATCH] = array::from_fn(|at| [IoSlice::new(&self.octets[at])]);
        let mut at = 0;
        while at < self.length {
            let asked = self.asked[at];
            let key = asked.as_ref().map(F::address);
            let others = self.asked[at..self.length].iter();
            let run = others.take_while(|a| a.as_ref().map(F::address) == key).count();
            let from = asked.as_ref().map(F::write);
            let end = at + run;
            let sent = sendmmsg(
                fd,
                &mut self.headers,
                &slices[at..end],
                &self.clients[at..end],
                from.as_slice(),
                flags,
            );
            at += match sent {
                Ok(sent) => sent.count().max(1),
                Err(Errno::EINTR) => 0,
                Err(error) => {
                    tracing::debug!(%error, "a reply cannot be sent");
                    1
                }
            };
        }
        self.length = 0;
        self.desk.count();
    }
}

/// The way back to where a datagram came from, unless nobody is to be answered there.
fn way<F: Family>(message: &RecvMsg<F::Address>, own: SocketAddr) -> Option<Way<F>> {
    let address = message.address?;
    let asked = message.cmsgs().ok().and_then(|mut all| all.find_map(|one| F::read(&one)));
    let client = F::client(address);
    if is_nobody(client) || is_ourselves(client, own, asked.as_ref().map(F::address)) {
        return None;
    }
    Some(Way { client: address, asked })
}

/// The way back of one reply.
struct Way<F: Family> {
    client: F::Address,
    asked: Option<F::Asked>,
}

impl<F: Family> Way<F> {
    /// Sends a reply. It waits for no room in the kernel's buffer: other replies would wait, too.
    fn send(&self, socket: &UdpSocket, reply: &[u8]) {
        let from = self.asked.as_ref().map(F::write);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let (fd, reply) = (socket.as_raw_fd(), [IoSlice::new(reply)]);
        if let Err(error) = sendmsg(fd, &reply, from.as_slice(), flags, Some(&self.client)) {
            tracing::debug!(%error, "a reply cannot be sent");
        }
    }
}

/// Sources that no client has, and that a reply must not go to.
fn is_nobody(client: SocketAddr) -> bool {
    let broadcast = client.ip() == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    client.port() == 0 || client.ip().is_unspecified() || client.ip().is_multicast() || broadcast
}

/// Whether a datagram claims to come from the very socket that it came to: only a forged one does.
fn is_ourselves(client: SocketAddr, own: SocketAddr, asked: Option<IpAddr>) -> bool {
    client.port() == own.port()
        && (client.ip() == own.ip() || asked.is_some_and(|asked| asked == client.ip()))
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Message, Query, ResponseCode};
    use hickory_proto::rr::{Name as WireName, RecordType};

    use super::super::Service;
    use super::super::forward::Forwarder;
    use super::*;
    use crate::directory;
    use crate::model::{Forward, Policy};
    use crate::status::Status;

    /// It got no reply, so its client waited for the time that clients wait for a lost datagram.
    #[test]
    fn what_finds_no_room_to_wait_for_others_is_told_so_at_once() {
        let forward =
            Forward { servers: Some(vec!["127.0.0.1:9".parse().unwrap()]), ..Forward::default() };
        let (publisher, directory) =
            directory::new(1, Policy { forward: Arc::new(forward), ..Policy::default() });
        publisher.source_is_complete();
        let status = Arc::new(Status::new(&[]));
        let forwarder = Forwarder::new(directory.clone(), status.clone(), Vec::new()).unwrap();
        let desk = Desk::new(Service { directory, status: status.clone(), forwarder });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let own = socket.local_addr().unwrap();
        // Nobody takes them out.
        let (jobs, waiting) = mpsc::channel(1);
        let mut server = Server::<V4>::new(Arc::new(socket), own, desk, jobs).unwrap();

        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for id in 1..=3 {
            let mut question = Message::query();
            question.metadata.id = id;
            question.metadata.recursion_desired = true;
            let name = WireName::from_ascii(format!("q{id}.example.")).unwrap();
            question.add_query(Query::query(name, RecordType::A));
            client.send_to(&question.to_vec().unwrap(), own).unwrap();
        }
        server.batch(false).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        let replies =
            std::iter::from_fn(|| client.recv(&mut buffer).ok().map(|n| buffer[..n].to_vec()));
        let replies: Vec<_> = replies.map(|octets| Message::from_vec(&octets).unwrap()).collect();
        let said: Vec<_> = replies.iter().map(|reply| (reply.id, reply.response_code)).collect();
        assert_eq!(said, [(2, ResponseCode::ServFail), (3, ResponseCode::ServFail)]);
        assert_eq!((waiting.len(), status.forwards.busy.get()), (1, 2));
    }

    #[test]
    fn nobody_and_ourselves_get_no_reply() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        for nobody in ["10.0.0.1:0", "0.0.0.0:99", "255.255.255.255:99", "224.0.0.1:99", "[::]:9"] {
            assert!(is_nobody(address(nobody)), "{nobody}");
        }
        assert!(!is_nobody(address("10.0.0.1:53")));
        let own = address("0.0.0.0:53");
        let asked = Some(IpAddr::from([10, 0, 0, 1]));
        assert!(is_ourselves(address("10.0.0.1:53"), own, asked));
        assert!(!is_ourselves(address("10.0.0.1:54"), own, asked));
        assert!(!is_ourselves(address("10.0.0.2:53"), own, asked));
        assert!(is_ourselves(address("10.0.0.1:53"), address("10.0.0.1:53"), None));
    }
}
