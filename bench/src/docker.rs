//! Docker's own resolver, asked where it answers: in the namespace of a container.

use std::fs::File;
use std::net::Ipv4Addr;

use anyhow::Context as _;
use netalias_testkit::IMAGE;
use nix::sched::{CloneFlags, setns};

use crate::load::Target;
use crate::workload::{A, Question, Shape, query};

/// A network of the real engine with some containers that share a name, and one that asks.
pub(crate) struct Resolver {
    /// What this run's network is called, and how its containers begin.
    name: String,
    containers: u32,
    /// The asking container's network.
    namespace: File,
    /// The engine.
    pub(crate) engine: u32,
}

/// Where the resolver is for every container; it answers by the container's own addresses.
pub(crate) const TARGET: Target = Target {
    server: std::net::SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)), 53),
    client: Ipv4Addr::UNSPECIFIED,
};
/// The subnet of the containers, and the address of the first one that shares the name.
const SUBNET: &str = "172.31.253.0/24";
const FIRST: Ipv4Addr = Ipv4Addr::new(172, 31, 253, 16);

impl Resolver {
    /// Makes the containers.
    pub(crate) fn start(shape: &Shape) -> anyhow::Result<Self> {
        docker(&["image", "inspect", "-f", "{{.Id}}", IMAGE])
            .with_context(|| format!("`cargo test --test engine` makes the image {IMAGE}"))?;
        let name = format!("netalias-bench-{}", std::process::id());
        let engine = std::fs::read_to_string("/var/run/docker.pid").context("the engine's id")?;
        let engine = engine.trim().parse().context("the engine's id")?;
        docker(&["network", "create", "--subnet", SUBNET, &name])?;
        let mut containers = 0;
        let namespace = (0..=shape.addresses).map(|which| {
            containers += 1;
            let alias = if which < shape.addresses { &name } else { "asking" };
            start_container(&name, which, alias)
        });
        let namespace = namespace.collect::<anyhow::Result<Vec<_>>>().map(|mut all| all.pop());
        // Whatever fails, what was made is removed.
        let made = |namespace| Self { name: name.clone(), containers, namespace, engine };
        match namespace {
            Ok(Some(namespace)) => Ok(made(namespace)),
            Ok(None) => anyhow::bail!("no container"),
            Err(error) => {
                drop(made(File::open("/proc/self/ns/net")?));
                Err(error)
            }
        }
    }

    pub(crate) fn questions(&self, shape: &Shape) -> Vec<Question> {
        let question = shape.question(0, A, "");
        vec![Question {
            query: query(&self.name, "", A, false),
            first: FIRST.to_bits(),
            ..question
        }]
    }

    /// Works in the asking container's network.
    pub(crate) fn inside<T: Send>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.namespace, CloneFlags::CLONE_NEWNET).context("no way inside")?;
                work()
            });
            thread.join().map_err(|_| anyhow::anyhow!("the load panicked"))?
        })
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        for which in 0..self.containers {
            let _ = docker(&["rm", "-f", &format!("{}-{which}", self.name)]);
        }
        let _ = docker(&["network", "rm", &self.name]);
    }
}

/// One more container; gives its network's namespace.
fn start_container(network: &str, which: u32, alias: &str) -> anyhow::Result<File> {
    let name = format!("{network}-{which}");
    let address = Ipv4Addr::from_bits(FIRST.to_bits() + which).to_string();
    docker(&[
        "run",
        "-d",
        "--name",
        &name,
        "--label",
        "netalias-bench",
        "--network",
        network,
        "--network-alias",
        alias,
        "--ip",
        &address,
        IMAGE,
        "sleep",
        "3600",
    ])?;
    let id = docker(&["inspect", "-f", "{{.State.Pid}}", &name])?;
    File::open(format!("/proc/{}/ns/net", id.trim())).context("the container's namespace")
}

fn docker(args: &[&str]) -> anyhow::Result<String> {
    let output = std::process::Command::new("docker").args(args).output();
    let output = output.context("cannot run docker")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "docker {}: {}", args.join(" "), errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
