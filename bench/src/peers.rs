//! The servers that are compared: how each is told the names of a workload, and started.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use netalias_testkit::Folder;

use crate::docker::{self, Resolver};
use crate::load::{Tally, Target, paced, window};
use crate::server::{Server, Usage, usage_of};
use crate::workload::{CLIENT, Question, SUFFIX, Shape, Workload};
use crate::zones;

/// How long a server may take until it answers everything right.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Netalias,
    /// The netalias of `--before`
    #[value(skip)]
    Before,
    Limit,
    Nsd,
    Knot,
    Unbound,
    Dnsmasq,
    Aardvark,
    /// The engine's own resolver
    Docker,
}

/// A server that answers a workload's questions.
pub(crate) struct Running {
    pub(crate) place: Place,
    pub(crate) target: Target,
    pub(crate) questions: Vec<Question>,
}

/// Where a server runs.
pub(crate) enum Place {
    /// As a process of ours, with its configuration in a folder.
    Ours {
        server: Server,
        _folder: Folder,
    },
    Engine(Resolver),
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Netalias => "netalias",
            Self::Before => "netalias before",
            Self::Limit => "limit",
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::Unbound => "Unbound",
            Self::Dnsmasq => "dnsmasq",
            Self::Aardvark => "aardvark-dns",
            Self::Docker => "Docker's own",
        }
    }

    /// Whether a workload is for it: peers do not know of networks that change nor of clients
    /// that sort, and a thousand names would take the engine four thousand containers.
    pub(crate) fn plays(self, workload: Workload) -> bool {
        match self {
            Self::Netalias | Self::Before | Self::Limit => true,
            Self::Docker => workload == Workload::W2,
            _ => workload.is_for_peers(),
        }
    }

    /// Whether it is a netalias.
    pub(crate) fn is_netalias(self) -> bool {
        matches!(self, Self::Netalias | Self::Before)
    }

    /// Where its program is, if it is installed; ours are where the caller says.
    pub(crate) fn program(self) -> Option<PathBuf> {
        let program = match self {
            Self::Netalias | Self::Before => return None,
            Self::Limit => return std::env::current_exe().ok(),
            Self::Nsd => "nsd",
            Self::Knot => "knotd",
            Self::Unbound => "unbound",
            Self::Dnsmasq => "dnsmasq",
            Self::Aardvark => "aardvark-dns",
            Self::Docker => "docker",
        };
        let folders =
            ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/lib/podman", "/usr/libexec/podman"];
        folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists())
    }

    /// Starts it with a workload's names, and waits until it answers all of them.
    pub(crate) fn start(self, program: &Path, workload: Workload) -> anyhow::Result<Running> {
        let shape = workload.shape();
        if self == Self::Docker {
            let resolver = Resolver::start(&shape)?;
            let questions = resolver.questions(&shape);
            let place = Place::Engine(resolver);
            return Running { place, target: docker::TARGET, questions }.when_right();
        }
        let folder = Folder::new();
        let port = free_port()?;
        let mut command = Command::new(program);
        self.configure(&mut command, folder.path(), port, &shape)?;
        if self == Self::Limit {
            let name = workload.to_possible_value().context("a workload")?;
            command.args(["--workload", name.get_name()]);
        }
        let mut server = Server::start(&mut command)?;
        let mut dns = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if self.is_netalias() || self == Self::Limit {
            (dns, _) = server.addresses()?;
        }
        if self == Self::Aardvark {
            server.follow(&folder.path().join("networks/aardvark.pid"))?;
        }
        if self.is_netalias() {
            server.type_lines(shape.scenario())?;
        }
        let suffix = if self == Self::Aardvark { "dns.podman" } else { SUFFIX };
        let target = Target { server: dns, client: CLIENT };
        let questions = shape.questions(suffix);
        Running { place: Place::Ours { server, _folder: folder }, target, questions }.when_right()
    }

    fn configure(
        self,
        command: &mut Command,
        folder: &Path,
        port: u16,
        shape: &Shape,
    ) -> anyhow::Result<()> {
        let ours = ["--listen", "127.0.0.1:0"];
        match self {
            Self::Netalias | Self::Before => {
                command.args(["demo", "-", "--http", "127.0.0.1:0"]).args(ours);
                if shape.dual {
                    command.args(["--answers", "sortproof"]);
                }
            }
            Self::Limit => {
                command.arg("limit").args(ours);
            }
            Self::Nsd => drop(command.arg("-d").arg("-c").arg(zones::nsd(folder, port, shape)?)),
            Self::Knot => drop(command.arg("-c").arg(zones::knot(folder, port, shape)?)),
            Self::Unbound => {
                command.arg("-d").arg("-c").arg(zones::unbound(folder, port, shape)?);
            }
            Self::Dnsmasq => {
                command.args(["-k", "-C", "/dev/null", "-R", "-h", "-u", "root", "-z"]);
                command.args(["--pid-file=", "--listen-address=127.0.0.1"]);
                command.arg("-p").arg(port.to_string()).arg(format!("--local=/{SUFFIX}/"));
                command.arg("-H").arg(zones::hosts(folder, shape)?);
            }
            Self::Docker => {}
            Self::Aardvark => {
                command.arg("-c").arg(zones::aardvark(folder, shape)?);
                command.arg("-p").arg(port.to_string()).arg("run");
            }
        }
        Ok(())
    }
}

impl Running {
    /// Waits until all its answers are right.
    fn when_right(self) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut last = String::new();
        while started.elapsed() < PATIENCE {
            if let Place::Ours { server, .. } = &self.place {
                ensure!(!server.has_ended(), "it ended at once");
            }
            // A server that does not listen yet refuses.
            match self.window(8, Duration::from_millis(200)) {
                Ok(tally) if tally.wrong == 0 && tally.right > 0 => return Ok(self),
                Ok(tally) => last = format!("{:?}", tally.first_wrong),
                Err(error) => last = format!("{error:#}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("it does not answer right: {last}")
    }

    pub(crate) fn window(&self, size: usize, time: Duration) -> anyhow::Result<Tally> {
        let (target, questions) = (self.target, &self.questions);
        self.inside(|| window(target, questions, size, time))
    }

    pub(crate) fn paced(
        &self,
        rate: u32,
        time: Duration,
    ) -> anyhow::Result<(Tally, Vec<Duration>)> {
        let (target, questions) = (self.target, &self.questions);
        self.inside(|| paced(target, questions, rate, time))
    }

    fn inside<T: Send>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        match &self.place {
            Place::Ours { .. } => work(),
            Place::Engine(resolver) => resolver.inside(work),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        match &self.place {
            Place::Ours { server, .. } => server.usage(),
            Place::Engine(resolver) => usage_of(|id, _| id == resolver.engine),
        }
    }
}

/// A port that is free now; those who take it later do so at once.
fn free_port() -> anyhow::Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
