//! A Docker engine of a test's own, which the test may stop, kill and start again: with its own
//! data, its own network namespace, and no rule or bridge of the machine's in reach.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::docker::{Docker, Unavailable, is_required};
use crate::folder::Folder;
use crate::process::signal;
use crate::wait::until;

/// A running engine; dropping it removes all that it had.
pub struct OwnEngine {
    folder: Folder,
    namespace: String,
    /// Docker's own flags beside those that keep it apart.
    flags: Vec<String>,
    daemon: Option<Child>,
    docker: Option<Docker>,
}

impl OwnEngine {
    /// The engine for a whole suite, or None, said plainly, where none can be made; with
    /// `NETALIAS_REQUIRE_DOCKER=1` the suite fails then.
    pub fn for_suite(what: &str, only_listed: bool) -> Option<Self> {
        if only_listed {
            return None;
        }
        match Self::start() {
            Ok(engine) => Some(engine),
            Err(Unavailable(why)) if is_required() => {
                eprintln!("NETALIAS_REQUIRE_DOCKER=1, but no engine can be made: {why}");
                std::process::exit(1);
            }
            Err(Unavailable(why)) => {
                eprintln!("SKIPPED, {what}: {why}");
                None
            }
        }
    }

    /// Starts one, with the test image in it.
    ///
    /// # Errors
    /// Where there is no dockerd, or not the rights to start it.
    pub fn start() -> Result<Self, Unavailable> {
        let folder = Folder::new();
        let name = folder.path().file_name().unwrap_or_default().to_string_lossy();
        let namespace = name.replace("netalias-test", "nt");
        run("ip", &["netns", "add", &namespace])?;
        let flags = Vec::new();
        let mut engine = Self { folder, namespace, flags, daemon: None, docker: None };
        run("ip", &["-n", &engine.namespace, "link", "set", "lo", "up"])?;
        for part in ["data", "exec", "run"] {
            std::fs::create_dir_all(engine.path(part)).map_err(|e| Unavailable(e.to_string()))?;
        }
        std::fs::write(engine.path("daemon.json"), "{}").map_err(|e| Unavailable(e.to_string()))?;
        engine.spawn().map_err(Unavailable)?;
        engine.docker = Some(Docker::at(&engine.url())?);
        Ok(engine)
    }

    /// Makes the engine reachable by TCP: a link between its network namespace and this one.
    ///
    /// # Errors
    /// Where the link cannot be made.
    pub fn link(&self, here: &str, there: &str) -> Result<(), Unavailable> {
        let name = format!("nt{}", std::process::id());
        let (ours, theirs) = (format!("{name}h"), format!("{name}e"));
        let pair = ["link", "add", &ours, "type", "veth", "peer", "name", &theirs];
        run("ip", &[&pair[..], &["netns", &self.namespace]].concat())?;
        run("ip", &["addr", "add", &format!("{here}/30"), "dev", &ours])?;
        run("ip", &["link", "set", &ours, "up"])?;
        let there = format!("{there}/30");
        run("ip", &["-n", &self.namespace, "addr", "add", &there, "dev", &theirs])?;
        run("ip", &["-n", &self.namespace, "link", "set", &theirs, "up"])
    }

    /// Flags for the next start.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|&flag| flag.to_owned()).collect();
    }

    /// Where its socket is.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.socket()
    }

    /// What `DOCKER_HOST` has to be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The docker command, for it.
    ///
    /// # Panics
    /// Never: it is there from the start on.
    #[must_use]
    pub fn docker(&self) -> &Docker {
        self.docker.as_ref().expect("it has been made ready")
    }

    /// Whether its daemon runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.daemon.is_some()
    }

    /// Stops the daemon as a service manager does; its containers go on.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            signal("TERM", daemon.id());
            let _ = daemon.wait();
        }
    }

    /// Kills the daemon; its containers go on.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    /// Starts the daemon again, and returns when it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start_again(&mut self) {
        let containerd = self.path("exec/containerd");
        let stale = std::fs::read_dir(&containerd).into_iter().flatten().flatten();
        let stale = stale.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == "containerd.pid" || name.contains(".sock")
        });
        // What a killed daemon leaves makes the next one wait for a containerd that is dead.
        for path in stale.chain([self.path("pid")]) {
            let _ = std::fs::remove_file(path);
        }
        self.spawn().unwrap_or_else(|why| panic!("{why}"));
    }

    /// The process 1 of a container, as the host knows it.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn process_of(&self, container: &str) -> u32 {
        let pid = self.docker().run(&["inspect", "--format", "{{.State.Pid}}", container]);
        pid.parse().expect("a process id")
    }

    fn spawn(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.path("log"));
        let log = log.map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let at = |name: &str| self.path(name).display().to_string();
        // Its plugins' sockets are in a folder that has no flag. `ip netns exec` would hide the
        // control groups.
        let script = format!(
            "mkdir -p /var/run/docker && mount --bind {} /var/run/docker && exec \"$@\"",
            at("run")
        );
        let mut command = Command::new("unshare");
        command
            .args(["-m", "nsenter", &format!("--net=/var/run/netns/{}", self.namespace)])
            .args(["sh", "-c", &script, "sh", "dockerd", "--config-file", &at("daemon.json")])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "-H", &self.url()])
            .args(["--pidfile", &at("pid"), "--iptables=false", "--ip6tables=false"])
            .args(["--bridge=none", "--live-restore"])
            .args(&self.flags);
        let output = command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let mut daemon = output.spawn().map_err(|error| format!("unshare: {error}"))?;
        let url = self.url();
        let (ended, _) = until("the engine answers", || {
            let mut docker = Command::new("docker");
            let answers = docker.args(["version"]).env("DOCKER_HOST", &url).output();
            let ended = daemon.try_wait().ok().flatten();
            let answers = answers.is_ok_and(|output| output.status.success());
            (answers || ended.is_some()).then_some(ended)
        });
        if ended.is_some() {
            let told = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            let told = told.lines().last().unwrap_or_default().to_owned();
            return Err(format!("dockerd does not start: {told}"));
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder: &Path = self.folder.path();
        folder.join(name)
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        if self.docker.is_some() && !self.is_running() {
            // Its containers outlive it; only it can remove them.
            self.start_again();
        }
        drop(self.docker.take());
        self.stop();
        let _ = run("ip", &["netns", "del", &self.namespace]);
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), Unavailable> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| Unavailable(format!("{program}: {error}")))?;
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    output.status.success().then_some(()).ok_or(Unavailable(format!("{program}: {told}")))
}
