//! What the clients ask: netalias on port 53, a server of others behind it, and systemd-resolved
//! before it.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use netalias_testkit::{Act, FakeUpstream, Folder, Process, Seen, a_record, until, with_address};

/// Makes the namespaces ready and becomes the program named. Sockets below /run that a client
/// might ask in our stead (nscd, D-Bus) are out of sight. systemd-resolved asks nobody before it
/// sees a network beside loopback.
pub(crate) const NAMESPACES: &str = "set -e
ip link set lo up
ip link add matrix0 type veth peer name matrix1
ip address add 198.51.100.1/24 dev matrix0
ip link set matrix0 up
ip link set matrix1 up
mount -t tmpfs -o mode=755 none /run
target=$(readlink -m /etc/resolv.conf)
mkdir -p \"${target%/*}\"
printf 'nameserver 127.0.53.1\\n' > /run/matrix-resolv.conf
test -e \"$target\" || : > \"$target\"
mount --bind /run/matrix-resolv.conf \"$target\"
exec \"$@\"";
/// Becomes systemd-resolved: its user need not be there, and its configuration is ours.
const RESOLVED: &str = "set -e
add() {
    grep -q ^systemd-resolve: /etc/$1 && return
    { cat /etc/$1; echo \"$2\"; } > /run/$1
    mount --bind /run/$1 /etc/$1
}
add passwd systemd-resolve:x:990:990::/:/usr/sbin/nologin
add group systemd-resolve:x:990:
mkdir -p /run/systemd/netif /run/matrix-resolved
printf '[Resolve]\\nDNS=127.0.53.1\\nCache=no\\nLLMNR=no\\nMulticastDNS=no\\n' \\
    > /run/matrix-resolved/resolved.conf
mount --bind /run/matrix-resolved /etc/systemd
exec \"$1\"";
const SERVER: &str = "127.0.53.1:53";
/// Where systemd-resolved answers.
pub(crate) const STUB: &str = "127.0.0.53";
/// A name of others with more addresses than a datagram holds.
pub(crate) const LARGE: &str = "large.example.com";

/// The third octets of the addresses that an alias has.
pub(crate) struct Set {
    pub(crate) web: u8,
    pub(crate) many: u8,
    pub(crate) every: u8,
}

/// `many` is answered as by default, `every` with all.
pub(crate) const SET: Set = Set { web: 8, many: 9, every: 10 };

/// What runs for as long as there are questions.
pub(crate) struct World {
    _netalias: Process,
    _upstream: FakeUpstream,
    _folder: Folder,
    resolved: Option<Child>,
}

impl World {
    pub(crate) fn start() -> Self {
        let upstream = FakeUpstream::start(others);
        let folder = Folder::new();
        let scenario = folder.path().join("scenario");
        std::fs::write(&scenario, containers()).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_netalias"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NETALIAS_")) {
            command.env_remove(name);
        }
        command.arg("demo").args(["--listen", SERVER, "--http", "127.0.0.1:0"]);
        command.args(["--forward", &upstream.address.to_string()]).arg(scenario);
        let netalias = Process::start(&mut command);
        netalias.says("the whole scenario");
        let resolved = resolved_program().map(|program| {
            let mut command = Command::new("sh");
            command.args(["-c", RESOLVED, "sh"]).arg(program);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            let child = quiet.spawn().expect("a shell");
            until("systemd-resolved listens", || TcpStream::connect((STUB, 53)).ok());
            child
        });
        Self { _netalias: netalias, _upstream: upstream, _folder: folder, resolved }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(resolved) = &mut self.resolved {
            let _ = resolved.kill();
            let _ = resolved.wait();
        }
    }
}

/// Where systemd-resolved is: installed, or unpacked into `target/resolved`, since it makes itself
/// the machine's resolver where it is installed.
pub(crate) fn resolved_program() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder");
    let unpacked = target.join("resolved");
    let places = [Path::new("/"), &unpacked].map(|root| root.join("lib/systemd/systemd-resolved"));
    places.into_iter().find(|place| place.exists())
}

fn containers() -> String {
    let mut lines =
        vec!["docker network create --subnet 172.31.8.0/22 --gateway 172.31.8.1 netlb".to_owned()];
    let mut run = |name: &str, third: u8, last: u8, more: &str| {
        let ip = address(third, last);
        let on = format!("--net netlb --ip {ip} --net-alias {name}");
        lines.push(format!("docker run -d --name {name}{last} {on} {more} busybox"));
    };
    for last in 2..5 {
        run("web", SET.web, last, "");
    }
    for last in 1..=200 {
        run("many", SET.many, last, "");
        run("every", SET.every, last, "--label netalias.answers=all");
    }
    lines.join("\n")
}

pub(crate) fn address(third: u8, last: u8) -> String {
    format!("172.31.{third}.{last}")
}

/// The 200 addresses of a large alias.
pub(crate) fn addresses(third: u8) -> BTreeSet<String> {
    (1..=200).map(|last| address(third, last)).collect()
}

/// The 100 addresses of [`LARGE`].
pub(crate) fn large() -> BTreeSet<String> {
    (1..=100).map(|last| format!("203.0.113.{last}")).collect()
}

/// The world beyond: as many addresses as fit in 512 octets over UDP, with TC set.
fn others(seen: &Seen) -> Vec<Act> {
    let name = seen.name().to_string();
    if !name.trim_end_matches('.').eq_ignore_ascii_case(LARGE) {
        return vec![Act::send(&with_address(seen, [192, 0, 2, 7], 60))];
    }
    let mut reply = seen.reply();
    reply.metadata.truncation = !seen.tcp;
    for last in 1..=if seen.tcp { 100 } else { 25 } {
        reply.add_answer(a_record(&name, [203, 0, 113, last], 60));
    }
    vec![Act::send(&reply)]
}
