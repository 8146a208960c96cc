//! Clients that mean no good, by the classes of faults that other servers have had.

use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use netalias_testkit::{Process, framed, until};
use socket2::{Domain, Protocol, Socket, Type};

use super::octets::{A, OPT, Query, connect, read, tcp, udp};
use super::server;

/// Processor time of a process, in seconds.
fn processor_seconds(server: &Process) -> f64 {
    let stat = proc_file(server, "stat");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    // utime and stime (proc(5)), in hundredths of a second on every Linux.
    (ticks(11) + ticks(12)) / 100.0
}

/// Resident memory, in kB.
pub(crate) fn memory(server: &Process) -> u64 {
    let status = proc_file(server, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn proc_file(server: &Process, file: &str) -> String {
    let path = Path::new("/proc").join(server.id().to_string()).join(file);
    std::fs::read_to_string(path).expect("a process of ours")
}

fn answers(server: SocketAddr) -> bool {
    let query = Query::new("web", A);
    udp(server, &query.octets()).is_some_and(|reply| reply.header().1[1] == 3)
        && tcp(server, &query.octets()).is_some_and(|reply| reply.header().1[1] == 3)
}

/// aardvark-dns, CVE-2024-8418: one silent TCP client blocked all others.
#[test]
fn silent_connections_hold_nobody_up() {
    let server = server("silent", 0, &[]);
    let silent: Vec<TcpStream> = (0..1_000).map(|_| connect(server.dns)).collect();
    let start = Instant::now();
    for _ in 0..20 {
        assert!(answers(server.dns));
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // One client has so many connections and no more: the oldest ones are closed.
    let open = until("the surplus is closed", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("ours").count();
        (open < 100).then_some(open)
    });
    assert!(open.0 > 60, "{}", open.0);
    drop(silent);
}

/// aardvark-dns, CVE-2026-35406: a length without a message made it spin.
#[test]
fn a_length_without_a_message_costs_nothing() {
    let server = server("length", 0, &[]);
    let mut held = Vec::new();
    for n in 0..50 {
        let mut stream = connect(server.dns);
        stream.write_all(&[0, 60]).expect("sent");
        match n % 3 {
            0 => drop(stream),
            1 => reset(stream),
            _ => {
                stream.shutdown(Shutdown::Write).expect("half closed");
                held.push(stream);
            }
        }
    }
    assert!(answers(server.dns));
    let before = processor_seconds(&server);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        assert!(answers(server.dns));
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let used = processor_seconds(&server) - before;
    assert!(used < 0.1, "{used} s of processor time in one second");
}

fn reset(stream: TcpStream) {
    // A close with this option discards, and resets the connection.
    Socket::from(stream).set_linger(Some(Duration::ZERO)).expect("an option");
}

/// aardvark-dns, issue 605: one request a connection broke glibc.
#[test]
fn a_connection_is_used_again_and_again() {
    let server = server("again", 0, &[]);
    let mut stream = connect(server.dns);
    for _ in 0..20 {
        stream.write_all(&framed(&Query::new("web", A).octets())).expect("sent");
        assert_eq!(read(&mut stream).expect("a reply").header().1[1], 3);
    }
}

/// BIND, CVE-2024-0760: queries over TCP whose replies are never read.
#[test]
fn who_never_reads_costs_no_memory_and_is_closed() {
    let server = server("reader", 200, &[]);
    let before = memory(&server);
    let mut deaf = connect(server.dns);
    deaf.set_write_timeout(Some(Duration::from_millis(500))).expect("an option");
    let query = framed(&Query::new("big", A).octets()).repeat(100);
    // It stops reading queries when replies are not taken; what the kernel takes is no memory of
    // its own.
    let much = 20_000;
    let sent = (0..much).take_while(|_| deaf.write_all(&query).is_ok()).count();
    assert!(sent < much, "it took everything in");
    assert!(answers(server.dns));
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 5_000, "{grown} kB more");
    until("it is closed", || deaf.write_all(&[0]).is_err().then_some(()));
}

/// hickory, RUSTSEC-2026-0119, and unbound, CVE-2024-8508: names that point and point. Here the
/// request that would cost most: as many records and pointers as a datagram carries.
#[test]
fn a_request_costs_no_more_than_its_length() {
    let server = server("pointers", 0, &[]);
    let record = b"\xc0\x0c\0\x63\0\x01\0\0\0\0\0\0".repeat(330);
    let mut query = Query::new("web", A);
    query.counts[3] = 330;
    query.rest = record;
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(udp(server.dns, &query.octets()).expect("a reply").header().1[1], 3);
    }
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

/// hickory, RUSTSEC-2023-0041: a reply to a reply, and to itself, for ever. What a neighbour can
/// forge on the same link: the server's own address and port, port 0, broadcast.
#[test]
fn b39_a_forged_source_gets_no_reply() {
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP));
    let raw = raw.expect("this test forges datagrams, and needs CAP_NET_RAW");
    let server = server("forged", 0, &[]);
    raw.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("an address");
    let own = server.dns.port();
    let counted = |server: &Process| -> u64 {
        let metrics = server.get("/metrics").1;
        let lines = metrics.lines().filter(|line| line.starts_with("netalias_dns_answers_total"));
        lines.map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().unwrap()).sum()
    };
    let before = counted(&server);
    for port in [own, 0] {
        let payload = Query::new("web", A).octets();
        let length = u16::try_from(8 + payload.len()).expect("short");
        // Checksum 0 is none (RFC 768).
        let header = [port, own, length, 0].map(u16::to_be_bytes).concat();
        raw.send_to(&[header, payload].concat(), &server.dns.into()).expect("sent");
    }
    // Each thread has answered a question after these, whichever it reads.
    let later: Vec<UdpSocket> = (0..64)
        .map(|_| {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
            socket.send_to(&Query::new("web", A).octets(), server.dns).expect("sent");
            socket
        })
        .collect();
    for socket in &later {
        socket.recv(&mut [0; 512]).expect("a reply");
    }
    let (after, _) = until("the later ones are counted", || {
        let after = counted(&server);
        (after >= before + 64).then_some(after)
    });
    assert_eq!(after, before + 64, "a forged question was answered");
}

/// A server on every address replies from the one that was asked.
#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let server = server("asked", 0, &["--listen", "0.0.0.0:0", "--listen", "[::]:0"]);
    let ports: Vec<u16> = ports(&server);
    for (asked, port) in
        [("127.0.0.1", 1), ("127.9.9.9", 1), ("127.0.0.53", 1), ("::1", 2), ("127.8.8.8", 2)]
    {
        let target: SocketAddr = (asked.parse::<std::net::IpAddr>().unwrap(), ports[port]).into();
        let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("an option");
        socket.send_to(&Query::new("web", A).octets(), target).expect("sent");
        let (_, from) = socket.recv_from(&mut [0; 512]).expect("a reply");
        assert_eq!(from, target);
    }
}

/// The ports that it says it listens on, in order.
fn ports(server: &Process) -> Vec<u16> {
    let lines = server.lines();
    let line = lines.iter().find(|line| line.contains("DNS on ")).expect("it says so");
    let list = line.split("HTTP").next().expect("a line");
    let ports = list.split([',', ' ', ';']).filter_map(|word| word.rsplit_once(':'));
    ports.filter_map(|(_, port)| port.parse().ok()).collect()
}

/// Without descriptors left, accepting fails again and again, and must not cost a processor.
#[test]
fn without_descriptors_it_goes_on_and_does_not_spin() {
    let server = server("descriptors", 0, &[]);
    let pid = server.id();
    let limit = std::process::Command::new("prlimit")
        .args([&format!("--pid={pid}"), "--nofile=24:24"])
        .status();
    assert!(limit.expect("prlimit is there (util-linux)").success());
    let idle: Vec<TcpStream> = (0..60).map(|_| connect(server.dns)).collect();
    let before = processor_seconds(&server);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        let query = Query::new("web", A).with(OPT);
        assert!(udp(server.dns, &query.octets()).is_some());
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let used = processor_seconds(&server) - before;
    assert!(used < 0.2, "{used} s of processor time in one second");
    drop(idle);
    until("connections are taken again", || {
        tcp(server.dns, &Query::new("web", A).octets()).map(drop)
    });
}

/// 1 request in 5 in error: the good ones are answered, the errors so many times a second.
#[test]
fn errors_are_told_so_many_times_a_second() {
    let server = server("errors", 0, &[]);
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    socket.connect(server.dns).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("an option");
    let start = Instant::now();
    let mut told = 0;
    for n in 0..2_000_u16 {
        let mut good = Query::new("web", A).octets();
        good[..2].copy_from_slice(&n.to_be_bytes());
        let bad = &Query::new("web", A).flags(0x7900).octets();
        socket.send(bad).expect("sent");
        socket.send(&good).expect("sent");
        loop {
            let mut buffer = [0; 512];
            let length = socket.recv(&mut buffer).expect("the good one is answered");
            if buffer[..length].starts_with(&good[..2]) && buffer[3] & 15 != 4 {
                break;
            }
            told += 1;
        }
    }
    let seconds = start.elapsed().as_secs() + 2;
    assert!((200..=200 * seconds).contains(&told), "{told} errors in {seconds} s");
}
