//! The servers that are compared: how each is told the names of a workload, and started.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use netalias_testkit::Folder;

use crate::load::{Target, window};
use crate::server::Server;
use crate::workload::{CLIENT, SUFFIX, Shape, Workload};

/// How long a server may take until it answers everything right.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Netalias,
    Limit,
    Nsd,
    Knot,
    Unbound,
    Dnsmasq,
    Aardvark,
}

/// A server that answers a workload's questions.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) target: Target,
    /// What names end in.
    pub(crate) suffix: &'static str,
    /// Its configuration.
    _folder: Folder,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Netalias => "netalias",
            Self::Limit => "limit",
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::Unbound => "Unbound",
            Self::Dnsmasq => "dnsmasq",
            Self::Aardvark => "aardvark-dns",
        }
    }

    /// Whether it can be told of networks that change, and of clients that sort.
    pub(crate) fn plays(self, workload: Workload) -> bool {
        workload.is_for_peers() || matches!(self, Self::Netalias | Self::Limit)
    }

    /// Where its program is, if it is installed; ours always are.
    pub(crate) fn program(self, netalias: &Path) -> Option<PathBuf> {
        let program = match self {
            Self::Netalias => return Some(netalias.to_owned()),
            Self::Limit => return std::env::current_exe().ok(),
            Self::Nsd => "nsd",
            Self::Knot => "knotd",
            Self::Unbound => "unbound",
            Self::Dnsmasq => "dnsmasq",
            Self::Aardvark => "aardvark-dns",
        };
        let folders = ["/usr/sbin", "/usr/bin", "/usr/lib/podman", "/usr/libexec/podman"];
        folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists())
    }

    /// Starts it with a workload's names, and waits until it answers all of them.
    pub(crate) fn start(self, program: &Path, workload: Workload) -> anyhow::Result<Running> {
        let folder = Folder::new();
        let port = free_port()?;
        let shape = workload.shape();
        let mut command = Command::new(program);
        self.configure(&mut command, folder.path(), port, &shape)?;
        if self == Self::Limit {
            let name = workload.to_possible_value().context("a workload")?;
            command.args(["--workload", name.get_name()]);
        }
        let mut server = Server::start(&mut command)?;
        let mut dns = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if matches!(self, Self::Netalias | Self::Limit) {
            (dns, _) = server.addresses()?;
        }
        if self == Self::Aardvark {
            server.follow(&folder.path().join("networks/aardvark.pid"))?;
        }
        if self == Self::Netalias {
            server.type_lines(shape.scenario())?;
        }
        let suffix = if self == Self::Aardvark { "dns.podman" } else { SUFFIX };
        let target = Target { server: dns, client: CLIENT };
        let mut running = Running { server, target, suffix, _folder: folder };
        running.wait_until_right(&shape)?;
        Ok(running)
    }

    fn configure(
        self,
        command: &mut Command,
        folder: &Path,
        port: u16,
        shape: &Shape,
    ) -> anyhow::Result<()> {
        let at = folder.display();
        let port_text = port.to_string();
        let file = folder.join("configuration");
        let zone = folder.join("zone");
        match self {
            Self::Netalias => {
                command.args(["demo", "-", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
                if shape.dual {
                    command.args(["--answers", "sortproof"]);
                }
            }
            Self::Limit => {
                command.args(["limit", "--listen", "127.0.0.1:0"]);
            }
            Self::Nsd => {
                fs::write(&zone, zone_file(shape))?;
                fs::write(
                    &file,
                    format!(
                        "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: \"\"\n \
                     zonesdir: \"{at}\"\n database: \"\"\n pidfile: \"\"\n xfrdfile: \"{at}/xfrd\"\n \
                     zonelistfile: \"{at}/list\"\n xfrdir: \"{at}\"\n rrl-ratelimit: 0\n \
                     round-robin: yes\nremote-control:\n control-enable: no\n\
                     zone:\n name: \"{SUFFIX}\"\n zonefile: \"zone\"\n"
                    ),
                )?;
                command.arg("-d").arg("-c").arg(file);
            }
            Self::Knot => {
                fs::write(&zone, zone_file(shape))?;
                fs::write(
                    &file,
                    format!(
                        "server:\n  rundir: {at}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  \
                     tcp-workers: 1\n  background-workers: 1\n  answer-rotation: on\n\
                     database:\n  storage: {at}\nzone:\n  - domain: {SUFFIX}\n    \
                     storage: {at}\n    file: zone\n"
                    ),
                )?;
                command.arg("-c").arg(file);
            }
            Self::Unbound => {
                let mut text = format!(
                    "server:\n directory: \"{at}\"\n chroot: \"\"\n username: \"\"\n \
                     pidfile: \"\"\n interface: 127.0.0.1\n port: {port}\n num-threads: 1\n \
                     do-daemonize: no\n use-syslog: no\n rrset-roundrobin: yes\n \
                     module-config: \"iterator\"\n local-zone: \"{SUFFIX}.\" static\n"
                );
                for (name, address) in records(shape) {
                    writeln!(text, " local-data: \"{name}.{SUFFIX}. 0 A {address}\"")?;
                }
                fs::write(&file, text)?;
                command.arg("-d").arg("-c").arg(file);
            }
            Self::Dnsmasq => {
                let lines = records(shape).map(|(name, ip)| format!("{ip} {name}.{SUFFIX}\n"));
                fs::write(&zone, lines.collect::<String>())?;
                command.args(["-k", "-C", "/dev/null", "-R", "-h", "-u", "root", "-z"]);
                command.args(["--pid-file=", "--listen-address=127.0.0.1", "-p", &port_text]);
                command.arg(format!("--local=/{SUFFIX}/")).arg("-H").arg(zone);
            }
            Self::Aardvark => {
                // It answers none but containers that it knows.
                let mut text = format!("127.0.0.1\n{} {CLIENT}  client\n", "c".repeat(64));
                for (number, (name, address)) in records(shape).enumerate() {
                    writeln!(text, "{number:064x} {address}  {name}")?;
                }
                let networks = folder.join("networks");
                fs::create_dir(&networks)?;
                fs::write(networks.join("net"), text)?;
                command.arg("-c").arg(networks).args(["-p", &port_text, "run"]);
            }
        }
        Ok(())
    }
}

impl Running {
    fn wait_until_right(&mut self, shape: &Shape) -> anyhow::Result<()> {
        let questions = shape.questions(self.suffix);
        let started = Instant::now();
        let mut last = String::new();
        while started.elapsed() < PATIENCE {
            ensure!(!self.server.has_ended(), "it ended at once");
            // A server that does not listen yet refuses.
            match window(self.target, &questions, 8, Duration::from_millis(50)) {
                Ok(tally) if tally.wrong == 0 && tally.right > 0 => {
                    // All of them, since the last ones come last.
                    let all = window(self.target, &questions, 8, Duration::from_millis(200))?;
                    if all.wrong == 0 {
                        return Ok(());
                    }
                }
                Ok(tally) => last = format!("{:?}", tally.first_wrong),
                Err(error) => last = format!("{error:#}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("it does not answer right: {last}")
    }
}

/// Every name with each of its addresses.
fn records(shape: &Shape) -> impl Iterator<Item = (String, Ipv4Addr)> {
    let shape = *shape;
    let all = (0..shape.names).flat_map(move |name| (0..shape.addresses).map(move |k| (name, k)));
    all.map(move |(name, which)| (Shape::name(name), shape.address(name, which)))
}

fn zone_file(shape: &Shape) -> String {
    let mut text = format!(
        "$ORIGIN {SUFFIX}.\n$TTL 0\n@ SOA ns.{SUFFIX}. host.{SUFFIX}. 1 2 3 4 5\n@ NS ns.{SUFFIX}.\n\
         ns A 127.0.0.1\n"
    );
    text.extend(records(shape).map(|(name, address)| format!("{name} A {address}\n")));
    text
}

/// A port that is free now; those who take it later do so at once.
fn free_port() -> anyhow::Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
