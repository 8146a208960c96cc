//! The client programs: how each is asked to ask, and what it tells.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::questions::{LEAST, Question, Right, Way};
use crate::world::{STUB, resolved_program};

/// A client program.
#[derive(Clone)]
pub(crate) struct Client {
    /// What it is called, here and in README.
    pub(crate) label: &'static str,
    /// Whether it must be there where all must be.
    pub(crate) needed: bool,
    program: Program,
    /// It asks over TCP what was cut.
    asks_again: bool,
    /// It tells a name without data from no name.
    tells_no_data: bool,
}

/// How it is run.
#[derive(Clone, Copy)]
enum Program {
    /// A tool that prints the message: its name, the server in its words (none: that of
    /// resolv.conf), and its flags for each [`Way`].
    Tool { name: &'static str, server: Option<&'static str>, ways: [&'static str; 3] },
    /// `ask.c`, by this compiler.
    Library { compiler: &'static str, flags: &'static [&'static str] },
    /// A script, by an interpreter that must be able to load something.
    Script { interpreter: &'static str, probe: &'static str, file: &'static str },
    /// dig, to systemd-resolved.
    Resolved,
}

pub(crate) fn clients() -> Vec<Client> {
    use Program::{Library, Resolved, Script, Tool};
    let python = "/usr/bin/python3";
    let dig = |server| Tool { name: "dig", server, ways: ["", "+tcp", "+ignore"] };
    let kdig = Tool { name: "kdig", server: None, ways: ["", "+tcp", "+ignore"] };
    let drill = Tool { name: "drill", server: None, ways: ["-a", "-t", ""] };
    let dnspython = Script { interpreter: python, probe: "import dns", file: "ask_dnspython.py" };
    let cares = Script { interpreter: python, probe: "import pycares", file: "ask_cares.py" };
    let node = Script { interpreter: "node", probe: "require('dns')", file: "ask.js" };
    let client = |label, program| Client {
        label,
        needed: true,
        program,
        asks_again: true,
        tells_no_data: true,
    };
    vec![
        client("dig", dig(None)),
        client("kdig", kdig),
        client("drill", drill),
        client("dnspython", dnspython),
        client("glibc", Library { compiler: "cc", flags: &[] }),
        // Before 1.2.4 it never asks over TCP and has one error for both; it takes 48 addresses.
        Client {
            asks_again: false,
            tells_no_data: false,
            ..client("musl", Library { compiler: "musl-gcc", flags: &["-static"] })
        },
        client("c-ares", cares),
        // Its c-ares is one of its own; the package is too large to ask for.
        Client { needed: false, ..client("node", node) },
        // It must be of the machine's own version of systemd, which a mirror may have no more.
        Client { needed: false, ..client("systemd-resolved", Resolved) },
    ]
}

impl Client {
    /// Why it cannot be run here, if so.
    pub(crate) fn missing(&self) -> Option<String> {
        let fails = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).output();
            match output {
                Ok(output) if output.status.success() => None,
                Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
                Err(error) => Some(format!("{program}: {error}")),
            }
        };
        match self.program {
            Program::Tool { name, .. } => fails("sh", &["-c", "command -v \"$0\"", name])
                .map(|_| format!("{name} is not installed")),
            Program::Library { compiler, flags } => built(compiler, flags).err(),
            Program::Script { interpreter, probe, .. } => {
                let flag = if interpreter == "node" { "-e" } else { "-c" };
                fails(interpreter, &[flag, probe])
            }
            Program::Resolved => {
                resolved_program().is_none().then(|| "it is not installed".to_owned())
            }
        }
    }

    /// Whether it can be told to ask in that way.
    pub(crate) fn can_ask(&self, question: &Question) -> bool {
        question.way == Way::AsEver || matches!(self.program, Program::Tool { .. })
    }

    /// What is right for this client.
    pub(crate) fn right(&self, question: &Question) -> Right {
        match &question.right {
            Right::All(data) if !self.asks_again && data.len() > LEAST => Right::Part(data.clone()),
            Right::NoData if !self.tells_no_data => Right::Nothing,
            right => right.clone(),
        }
    }

    /// Asks, and gives what it told: its data, and its whole output.
    pub(crate) fn ask(&self, question: &Question) -> (Vec<String>, String) {
        let Question { name, kind, .. } = question;
        let mut command;
        match self.program {
            Program::Tool { name: tool, server, ways } => {
                command = tool_command(tool, server, ways, question);
            }
            Program::Resolved => {
                command = tool_command("dig", Some(STUB), ["", "", ""], question);
            }
            Program::Library { compiler, flags } => {
                let kind = match *kind {
                    "A" => "4",
                    "AAAA" => "6",
                    _ => "ptr",
                };
                command = Command::new(built(compiler, flags).expect("it was built"));
                command.args([name, kind]);
            }
            Program::Script { interpreter, file, .. } => {
                command = Command::new(interpreter);
                command.arg(source(file)).args([name, kind]);
            }
        }
        let output = command.output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = match self.program {
            Program::Tool { .. } | Program::Resolved => of_message(&text, kind),
            _ => text.lines().map(datum).collect(),
        };
        (told, text + &String::from_utf8_lossy(&output.stderr))
    }
}

fn tool_command(tool: &str, server: Option<&str>, ways: [&str; 3], question: &Question) -> Command {
    let mut command = Command::new(tool);
    let way = match question.way {
        Way::AsEver => ways[0],
        Way::Tcp => ways[1],
        Way::Cut => ways[2],
    };
    command.args(server.map(|server| format!("@{server}")));
    command.args(way.split_whitespace());
    match question.kind {
        "PTR" => command.args(["-x", question.name]),
        kind => command.args([question.name, kind]),
    };
    command
}

/// What is said in a message as dig, kdig and drill print it: lines with a semicolon in front for
/// the header, records for the rest.
fn of_message(text: &str, kind: &str) -> Vec<String> {
    let (header, records): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with(';'));
    let after = |marks: &[&str]| {
        let rest = header.iter().find_map(|line| {
            marks.iter().find_map(|mark| Some(line.split_once(mark)?.1.trim_start()))
        });
        rest.unwrap_or_default()
    };
    let code = after(&["status:", "rcode:"]);
    let code = code.split([',', ';']).next().unwrap_or_default();
    if code != "NOERROR" {
        return vec![code.to_owned()];
    }
    let flags = after(&["flags: qr", "Flags: qr"]).split(';').next().unwrap_or_default();
    let mut told = Vec::new();
    if flags.split_whitespace().any(|flag| flag == "tc") {
        told.push("TRUNCATED".to_owned());
    }
    for record in records {
        let fields: Vec<&str> = record.split_whitespace().collect();
        if let [_, _, "IN", of, data] = fields[..]
            && of == kind
        {
            told.push(datum(data));
        }
    }
    if told.is_empty() { vec!["NODATA".to_owned()] } else { told }
}

/// Some print the root's dot, others do not.
fn datum(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}

fn source(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix").join(file)
}

/// Builds `ask.c` once, and says where the program is.
fn built(compiler: &'static str, flags: &[&str]) -> Result<String, String> {
    static GLIBC: OnceLock<Result<String, String>> = OnceLock::new();
    static MUSL: OnceLock<Result<String, String>> = OnceLock::new();
    let once = if compiler == "cc" { &GLIBC } else { &MUSL };
    let build = || {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ask-{compiler}"));
        let mut command = Command::new(compiler);
        command.args(flags).arg("-o").arg(&program).arg(source("ask.c"));
        match command.output() {
            Ok(output) if output.status.success() => Ok(program.display().to_string()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(format!("{compiler}: {error}")),
        }
    };
    once.get_or_init(build).clone()
}
