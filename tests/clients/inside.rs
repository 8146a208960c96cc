//! A program of this machine in a container's place: its network, and a resolv.conf of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use netalias_testkit::{Docker, until};

/// A running container, as a place to be in.
pub(crate) struct Place {
    pid: String,
}

/// Whether this machine lets us be in a container's place at all.
pub(crate) fn possible() -> Result<(), String> {
    let own = std::process::id().to_string();
    let probe = ["-t", &own, "-n", "unshare", "-m", "true"];
    let output = Command::new("nsenter").args(probe).output();
    match output.map_err(|error| format!("nsenter: {error}"))? {
        output if output.status.success() => Ok(()),
        output => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(format!("namespaces cannot be entered, which takes root: {why}"))
        }
    }
}

impl Place {
    /// The place of a container, once its addresses can be used.
    pub(crate) fn of(docker: &Docker, container: &str) -> Self {
        let pid = docker.run(&["inspect", "--format", "{{.State.Pid}}", container]);
        // While the kernel looks for duplicates (flag 0x40), an IPv6 address is no source address.
        until("no address is tentative", || {
            let text = fs::read_to_string(format!("/proc/{pid}/net/if_inet6")).unwrap_or_default();
            let flags = |line: &str| {
                let field = line.split_whitespace().nth(4)?.to_owned();
                u32::from_str_radix(&field, 16).ok()
            };
            text.lines().filter_map(flags).all(|flags| flags & 0x40 == 0).then_some(())
        });
        Self { pid }
    }

    /// A command that runs a shell script there; `nameserver` is the only one it has to ask, and
    /// there is no hosts file to answer in its stead.
    pub(crate) fn command(&self, nameserver: &str, script: &str) -> Command {
        // Both libcs and Docker then ask for the name as it stands first.
        let text = format!("nameserver {nameserver}\noptions ndots:0\n");
        let resolv_conf = file(&format!("resolv.conf-{nameserver}"), &text);
        let hosts = file("hosts", "");
        let mount = "set -e; mount --bind \"$1\" /etc/resolv.conf; mount --bind \"$2\" /etc/hosts; \
                     exec sh -c \"$3\"";
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid, "-n", "unshare", "-m", "sh", "-c", mount, "sh"]);
        command.arg(resolv_conf).arg(hosts).arg(script);
        command
    }
}

/// A file of the test's own.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    fs::write(&path, text).expect("a file");
    path
}
