//! The docker command, and what a test may use of a real engine.

use std::process::{Command, Output};
use std::sync::OnceLock;

/// A busybox, made from the machine's own.
pub const IMAGE: &str = "netalias-test/busybox";

/// The label of everything that a test makes; only what has it is ever removed. Two checkouts
/// that test on one engine at one time keep out of each other's way by `NETALIAS_TEST_LABEL`.
pub fn label() -> &'static str {
    static LABEL: OnceLock<String> = OnceLock::new();
    LABEL.get_or_init(|| {
        std::env::var("NETALIAS_TEST_LABEL").unwrap_or_else(|_| "netalias-test".to_owned())
    })
}

/// Whether tests must not be skipped for want of an engine.
#[must_use]
pub fn is_required() -> bool {
    std::env::var("NETALIAS_REQUIRE_DOCKER").is_ok_and(|value| value == "1")
}

/// Why the tests on a real engine cannot run.
#[derive(Debug)]
pub struct Unavailable(pub String);

/// A real engine, made ready for one suite.
pub struct Docker {
    /// Where it is, if not where the docker command looks for it.
    host: Option<String>,
}

impl Docker {
    /// An engine that answers, with the test image, and without what an aborted run left.
    pub fn ready() -> Result<Self, Unavailable> {
        Self { host: None }.made_ready()
    }

    /// The same for the engine at this URL.
    pub fn at(url: &str) -> Result<Self, Unavailable> {
        Self { host: Some(url.to_owned()) }.made_ready()
    }

    fn made_ready(self) -> Result<Self, Unavailable> {
        let docker = self;
        let version = docker.attempt(&["version", "--format", "{{.Server.Version}}"]);
        version.map_err(|why| Unavailable(format!("no Docker engine answers: {why}")))?;
        docker.clean();
        if docker.attempt(&["image", "inspect", IMAGE]).is_err() {
            docker.make_image().map_err(Unavailable)?;
        }
        let works = docker.attempt(&["run", "--rm", "--label", label(), IMAGE, "true"]);
        works.map_err(|why| Unavailable(format!("{IMAGE} does not run: {why}")))?;
        Ok(docker)
    }

    /// The engine for a whole suite. None, said plainly, where there is none to use; with
    /// `NETALIAS_REQUIRE_DOCKER=1` the suite fails then. A suite that only lists needs none.
    pub fn for_suite(what: &str, only_listed: bool) -> Option<&'static Self> {
        if only_listed {
            return None;
        }
        match Self::ready() {
            Ok(docker) => Some(Box::leak(Box::new(docker))),
            Err(Unavailable(why)) if is_required() => {
                eprintln!("NETALIAS_REQUIRE_DOCKER=1, but the engine cannot be used: {why}");
                std::process::exit(1);
            }
            Err(Unavailable(why)) => {
                eprintln!("SKIPPED, {what}: {why}");
                None
            }
        }
    }

    /// Runs `docker ARGS` and returns what it prints.
    ///
    /// # Panics
    /// When the command fails.
    pub fn run(&self, args: &[&str]) -> String {
        self.attempt(args).unwrap_or_else(|why| panic!("docker {}: {why}", args.join(" ")))
    }

    /// Runs `docker ARGS`, which may fail.
    ///
    /// # Errors
    /// What the command says.
    pub fn attempt(&self, args: &[&str]) -> Result<String, String> {
        self.output("docker", args)
    }

    /// A container with the test's label on a network, sleeping until it is stopped.
    pub fn sleeper(&self, args: &[&str]) -> String {
        let fixed = ["run", "-d", "--label", label(), "--stop-timeout", "0"];
        self.run(&[&fixed[..], args, &[IMAGE, "sleep", "3600"]].concat())
    }

    /// A network with the test's label; the one that an earlier run of the test had to leave, if
    /// there is one.
    ///
    /// # Panics
    /// When the command fails.
    pub fn network(&self, args: &[&str]) -> String {
        let create = [&["network", "create", "--label", label()][..], args].concat();
        let name = args.last().copied().unwrap_or_default();
        self.attempt(&create).unwrap_or_else(|why| {
            assert!(why.contains("already exists") && self.is_left(name), "docker network: {why}");
            name.to_owned()
        })
    }

    /// Whether a network has the test's label and nobody on it.
    fn is_left(&self, network: &str) -> bool {
        let format = "{{json .Labels}} {{len .Containers}}";
        let said = self.attempt(&["network", "inspect", network, "--format", format]);
        let key = label().split('=').next().unwrap_or_default();
        said.is_ok_and(|said| said.contains(&format!("{key:?}:")) && said.trim().ends_with("} 0"))
    }

    /// Removes every container and network with the test's label.
    ///
    /// # Panics
    /// When that fails, but for networks whose endpoints the engine has miscounted.
    pub fn clean(&self) {
        let filter = format!("label={}", label());
        let containers = self.run(&["ps", "-aq", "--filter", &filter]);
        let containers: Vec<&str> = containers.split_whitespace().collect();
        if !containers.is_empty() {
            self.run(&[&["rm", "-f"][..], &containers].concat());
        }
        let networks = self.run(&["network", "ls", "-q", "--filter", &filter]);
        for network in networks.split_whitespace() {
            // Docker 20.10 sometimes counts wrongly when many containers die at once, and keeps a
            // network without any until it is started again.
            if let Err(why) = self.attempt(&["network", "rm", network]) {
                let miscounted = why.contains("has active endpoints") && self.is_left(network);
                assert!(miscounted, "docker network rm: {why}");
                eprintln!("left, since the engine will not remove it: {why}");
            }
        }
    }

    /// Imports the machine's static busybox as an image whose applets are on the path.
    fn make_image(&self) -> Result<(), String> {
        let script = format!(
            "set -e; \
             busybox=$(command -v busybox) || {{ echo 'install busybox-static'; exit 1; }}; \
             root=$(mktemp -d); trap 'rm -rf $root' EXIT; mkdir -p $root/bin $root/tmp $root/etc; \
             cp $busybox $root/bin/busybox; \
             for applet in sh sleep true test httpd nslookup hostname; do \
                 ln -s busybox $root/bin/$applet; \
             done; tar -C $root -c . | docker import - {IMAGE}"
        );
        self.output("sh", &["-c", &script]).map(drop)
    }

    fn output(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program);
        command.args(args).envs(self.host.iter().map(|host| ("DOCKER_HOST", host)));
        let Output { status, stdout, stderr } =
            command.output().map_err(|e| format!("{program}: {e}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if status.success() {
            Ok(text(&stdout))
        } else {
            Err(format!("{} {}", text(&stdout), text(&stderr)).trim().to_owned())
        }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.clean();
    }
}
