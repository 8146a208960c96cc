//! The client programs: each prints, for each look-up, the address that it would use.

use std::path::Path;
use std::process::Command;

/// Look-ups of a program that makes many in one process.
const MANY: usize = 300;
/// Look-ups of a program that makes one: a process each.
const FEW: usize = 30;

/// A client program, ready to run.
pub(crate) struct Program {
    /// What the table calls it.
    pub(crate) label: &'static str,
    /// How often it looks the name up.
    pub(crate) count: usize,
    /// Whether it can ask for IPv6 addresses alone.
    pub(crate) only_v6: bool,
    /// A shell script; `NAME` stands for the name. Every line that it prints has an address.
    script: String,
}

impl Program {
    /// The script for one name.
    pub(crate) fn script(&self, name: &str) -> String {
        self.script.replace("NAME", name)
    }
}

/// The programs that this machine has, and what is left out, and why.
pub(crate) fn all() -> (Vec<Program>, Vec<String>) {
    let mut programs = Vec::new();
    let mut left_out = Vec::new();
    let libcs = [
        ("cc", &[][..], ["glibc, v4", "glibc, v6", "glibc, either"]),
        ("musl-gcc", &["-static"], ["musl, v4", "musl, v6", "musl, either"]),
    ];
    for (compiler, flags, labels) in libcs {
        match build(compiler, flags) {
            Ok(pick) => {
                for (label, family) in labels.into_iter().zip(["4", "6", "0"]) {
                    let script = format!("'{pick}' NAME {family} {MANY}");
                    programs.push(Program { label, count: MANY, only_v6: family == "6", script });
                }
            }
            Err(why) => left_out.push(format!("{compiler}: {why}")),
        }
    }
    let python = format!(
        "exec python3 -c 'import socket\nfor _ in range({MANY}):\n    \
         print(socket.getaddrinfo(\"NAME\", 80, type=socket.SOCK_STREAM)[0][4][0])'"
    );
    let node = format!(
        "exec node -e 'const {{ lookup }} = require(\"dns\").promises; (async () => {{ \
         for (let n = 0; n < {MANY}; n++) console.log((await lookup(\"NAME\")).address) }})()'"
    );
    let curl = "curl --silent --noproxy \\* --max-time 5 --output /dev/null \
                --write-out '%{remote_ip}\\n' http://NAME/";
    let others = [
        ("Python getaddrinfo", "python3", python, MANY),
        ("Node dns.lookup", "node", node, MANY),
        ("curl", "curl", each(curl), FEW),
        ("ping", "ping", each("ping -n -c 1 -W 2 NAME | head -n 1"), FEW),
        ("busybox ping", "busybox", each("busybox ping -c 1 -W 2 NAME | head -n 1"), FEW),
    ];
    for (label, program, script, count) in others {
        let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).output();
        if found.is_ok_and(|output| output.status.success()) {
            programs.push(Program { label, count, only_v6: false, script });
        } else {
            left_out.push(format!("{label}: {program} is not installed"));
        }
    }
    (programs, left_out)
}

/// One process after the other.
fn each(command: &str) -> String {
    format!("n=0; while [ $n -lt {FEW} ]; do {command} || echo nothing; n=$((n + 1)); done")
}

/// Builds pick.c and returns where the program is.
fn build(compiler: &str, flags: &[&str]) -> Result<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/pick.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pick-{compiler}"));
    let output = Command::new(compiler).args(flags).arg("-o").arg(&program).arg(source).output();
    match output {
        Ok(output) if output.status.success() => Ok(program.display().to_string()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}
