//! The binary between clients of a test and servers of a test.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RecordType};
use netalias_testkit::{FakeUpstream, Folder, Process};

/// Clients on loopback: one on a network with a way out, one on an internal network, one on both.
pub(crate) const SCENARIO: &str = "
docker network create --subnet 127.213.1.0/24 --gateway 127.213.1.1 netlb
docker network create --internal --subnet 127.213.2.0/24 --gateway 127.213.2.1 cage
docker run -d --name web --net netlb --ip 127.213.1.2 --net-alias here busybox
docker run -d --name caged --net cage --ip 127.213.2.2 busybox
docker run -d --name both --net cage --ip 127.213.2.3 busybox
docker network connect --ip 127.213.1.3 netlb both
";
pub(crate) const HOST: [u8; 4] = [127, 0, 0, 1];
pub(crate) const CONTAINER: [u8; 4] = [127, 213, 1, 2];
pub(crate) const CAGED: [u8; 4] = [127, 213, 2, 2];
/// The promise: an answer within this time.
pub(crate) const TOTAL: Duration = Duration::from_secs(4);

pub(crate) struct Setup {
    pub(crate) demo: Process,
    pub(crate) folder: Folder,
}

/// A demo whose `[forward]` table has these lines.
pub(crate) fn setup(forward: &str) -> Setup {
    setup_in(|_| forward.to_owned(), &[], "127.0.0.1:0")
}

/// The same with files beside it, listening at another address.
pub(crate) fn setup_in(
    forward: impl Fn(&Path) -> String,
    files: &[(&str, &str)],
    listen: &str,
) -> Setup {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    for (name, text) in files {
        fs::write(path(name), text).expect("a file");
    }
    let config = format!("[forward]\n{}\n", forward(folder.path()));
    fs::write(path("scenario"), SCENARIO).expect("a file");
    fs::write(path("config.toml"), config).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_netalias"));
    command.arg("demo").arg(path("scenario")).arg("--config").arg(path("config.toml"));
    let demo = Process::start(command.args(["--listen", listen, "--http", "127.0.0.1:0"]));
    demo.says("the whole scenario");
    Setup { demo, folder }
}

pub(crate) fn to(upstreams: &[&FakeUpstream]) -> Setup {
    let servers: Vec<String> = upstreams.iter().map(|u| format!("'{}'", u.address)).collect();
    setup(&format!("servers = [{}]", servers.join(", ")))
}

/// A question with RD and EDNS, as most stubs ask it.
pub(crate) fn question(name: &str, qtype: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), qtype));
    message.set_edns(Edns::new());
    message
}

/// A client's socket.
pub(crate) fn client(source: [u8; 4], server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((IpAddr::from(source), 0)).expect("a port");
    socket.set_read_timeout(Some(TOTAL + Duration::from_secs(2))).expect("a time-out");
    socket.connect(server).expect("UDP");
    socket
}

/// A client's socket, with a question of its sent already.
pub(crate) fn sent(source: [u8; 4], server: SocketAddr, message: &Message) -> UdpSocket {
    let socket = client(source, server);
    socket.send(&message.to_vec().expect("a message")).expect("UDP");
    socket
}

pub(crate) fn received(socket: &UdpSocket) -> Message {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("an answer");
    Message::from_vec(&buffer[..length]).expect("a message")
}

pub(crate) fn ask_as(source: [u8; 4], server: SocketAddr, message: &Message) -> Message {
    received(&sent(source, server, message))
}

impl Setup {
    pub(crate) fn ask(&self, name: &str, qtype: RecordType) -> Message {
        ask_as(HOST, self.demo.dns, &question(name, qtype))
    }

    /// Code and data of the answer section.
    pub(crate) fn a(&self, name: &str) -> (ResponseCode, Vec<String>) {
        facts(&self.ask(name, RecordType::A))
    }

    pub(crate) fn metric(&self, line: &str) -> u64 {
        let (_, text) = self.demo.get("/metrics");
        let found = text.lines().find_map(|l| l.strip_prefix(line));
        found.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{line} {text}"))
    }
}

pub(crate) fn facts(message: &Message) -> (ResponseCode, Vec<String>) {
    let data = message.answers.iter().map(|record| record.data.to_string()).collect();
    (message.metadata.response_code, data)
}

pub(crate) fn good(address: &str) -> (ResponseCode, Vec<String>) {
    (ResponseCode::NoError, vec![address.to_owned()])
}

/// The code of the extended error, and its text.
pub(crate) fn extended(message: &Message) -> (u16, String) {
    let edns = message.edns.as_ref().expect("an OPT");
    match edns.option(EdnsCode::Unknown(15)) {
        Some(EdnsOption::Unknown(15, data)) => {
            let code = u16::from_be_bytes([data[0], data[1]]);
            (code, String::from_utf8_lossy(&data[2..]).into_owned())
        }
        other => panic!("no extended error, but {other:?}"),
    }
}
