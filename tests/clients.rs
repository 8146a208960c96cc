//! What real programs connect to: the spread of their first choice, and a rolling replacement.
//!
//! Programs run in a container's network namespace with a resolv.conf of their own, so that they
//! ask netalias, or Docker's resolver, from the container's address. Where no engine answers the
//! tests are ignored, and say so; with `NETALIAS_REQUIRE_DOCKER=1` they fail instead.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use netalias_testkit::{Docker, Process, Unavailable, until};

const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// How often a program resolves; enough to see a spread, and a multiple of both set sizes.
const PICKS: usize = 300;
/// Whole programs are started for each pick, so fewer of them.
const STARTS: usize = 30;
/// Connections a second while backends are replaced.
const RATE: &str = "50";
/// The answers that netalias is told to give, and Docker's own.
const POLICIES: [&str; 5] = ["docker", "all", "1", "sortproof", "auto"];

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let listing = arguments.list;
    let docker = if listing { Err(Unavailable("only listed".to_owned())) } else { Docker::ready() };
    let required = std::env::var("NETALIAS_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
    let docker: Option<&'static Docker> = match docker {
        Ok(docker) => Some(Box::leak(Box::new(docker))),
        Err(Unavailable(why)) if required => {
            eprintln!("NETALIAS_REQUIRE_DOCKER=1, but the engine cannot be used: {why}");
            std::process::exit(1);
        }
        Err(Unavailable(why)) => {
            eprintln!("SKIPPED, what real clients pick: {why}");
            None
        }
    };
    let networks: [(&str, bool, u8); 4] = [
        ("v4_only_3_backends", false, 3),
        ("v4_only_5_backends", false, 5),
        ("dual_stack_3_backends", true, 3),
        ("dual_stack_5_backends", true, 5),
    ];
    let mut trials: Vec<Trial> = networks
        .into_iter()
        .map(|(name, dual, count)| {
            Trial::test(format!("spread::{name}"), move || {
                let docker = docker.ok_or("no engine")?;
                docker.clean();
                spread(docker, name, dual, count).map_err(Failed::from)
            })
        })
        .collect();
    trials.push(Trial::test("no_connection_fails_while_backends_are_replaced", move || {
        let docker = docker.ok_or("no engine")?;
        docker.clean();
        no_connection_fails_while_backends_are_replaced(docker);
        Ok(())
    }));
    let ignored = |trial: Trial| trial.with_ignored_flag(docker.is_none() && !listing);
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().map(ignored).collect());
    if let Some(docker) = docker {
        docker.clean();
    }
    conclusion.exit();
}

/// A program that resolves: its name in the table, and its command line.
struct Client {
    name: &'static str,
    /// `{name}` and `{count}` stand for the name to resolve and how often.
    command: String,
    picks: usize,
}

/// The clients of a network. A program that is not installed is left out, and said so: CI installs
/// them all but Node, which is used where it is there.
fn clients(dual: bool) -> Vec<Client> {
    let (glibc, musl) = (compiled("gcc", &[]), compiled("musl-gcc", &["-static"]));
    let mut clients = Vec::new();
    let mut add = |name, program: &Path, rest: &str, picks| {
        if found(program) {
            let command = format!("{} {rest}", program.display());
            clients.push(Client { name, command, picks });
        } else {
            println!("{name}: not installed, left out");
        }
    };
    add("glibc", &glibc, "{name} {count} 0", PICKS);
    add("glibc, IPv4", &glibc, "{name} {count} 4", PICKS);
    add("musl", &musl, "{name} {count} 0", PICKS);
    add("musl, IPv4", &musl, "{name} {count} 4", PICKS);
    if dual {
        add("glibc, IPv6", &glibc, "{name} {count} 6", PICKS);
        add("musl, IPv6", &musl, "{name} {count} 6", PICKS);
    }
    let python = format!("{TOOLS}/pick.py {{name}} {{count}}");
    add("Python", Path::new("python3"), &python, PICKS);
    let again = |once: &str| format!("-c 'for i in $(seq {{count}}); do {once}; done'");
    let ping = again("ping -n -c 1 -W 1 {name} | sed -n \"1s/.*(\\([0-9a-f.:]*\\)).*/\\1/p\"");
    if found(Path::new("ping")) {
        add("ping", Path::new("sh"), &ping, STARTS);
    }
    let curl = again("curl -s -o /dev/null -w \"%{remote_ip}\\n\" http://{name}/");
    if found(Path::new("curl")) {
        add("curl", Path::new("sh"), &curl, STARTS);
    }
    let node = "-e 'const dns=require(\"dns\").promises;(async()=>{for(let i=0;i<{count};i++)\
                console.log((await dns.lookup(\"{name}\")).address)})()'";
    add("Node", Path::new("node"), node, PICKS);
    clients
}

fn found(program: &Path) -> bool {
    let out = Command::new("sh").args(["-c", "command -v \"$0\""]).arg(program).output();
    out.is_ok_and(|out| out.status.success())
}

/// The C program, made by a compiler; a path that is not there if the compiler is not.
fn compiled(compiler: &str, flags: &[&str]) -> PathBuf {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("pick-{compiler}"));
    let mut command = Command::new(compiler);
    command.args(flags).args([&format!("{TOOLS}/pick.c"), "-o"]).arg(&program);
    match command.status() {
        Ok(status) => assert!(status.success(), "{compiler} compiles pick.c"),
        Err(_) => println!("{compiler}: not installed"),
    }
    program
}

/// Backends of one alias on a network, and a container to ask from.
struct Stage<'a> {
    docker: &'a Docker,
    gateway: String,
    client_pid: String,
    /// Each address with the backend that has it.
    backends: BTreeMap<String, u8>,
}

impl<'a> Stage<'a> {
    fn set(docker: &'a Docker, dual: bool, count: u8) -> Self {
        let ranges = ["--subnet", "10.213.40.0/24", "--gateway", "10.213.40.1"];
        let v6 = ["--ipv6", "--subnet", "fd00:213:40::/64"];
        let v6 = if dual { &v6[..] } else { &[] };
        docker.network(&[&ranges[..], v6, &["nt-clients"]].concat());
        let mut backends = BTreeMap::new();
        for n in 1..=count {
            let name = format!("nt-backend{n}");
            run_backend(docker, &name, &[]);
            for address in addresses(docker, &name) {
                backends.insert(address, n);
            }
        }
        docker.sleeper(&["--name", "nt-client", "--network", "nt-clients"]);
        let client_pid = docker.run(&["inspect", "--format", "{{.State.Pid}}", "nt-client"]);
        Self { docker, gateway: "10.213.40.1".to_owned(), client_pid, backends }
    }

    /// netalias on the host, at the network's gateway, so that source addresses stay as they are.
    fn serve(&self, answers: &str) -> Process {
        let listen = format!("{}:53", self.gateway);
        let mut command = Command::new(BINARY);
        let args = ["serve", "--listen", &listen, "--http", "127.0.0.1:0", "--answers", answers];
        let process = Process::start(command.args(args));
        until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
        process
    }

    /// A command in the client's network namespace, with this name server.
    fn inside(&self, server: &str, command: &str) -> Command {
        let resolv_conf = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("clients.resolv.conf");
        std::fs::write(&resolv_conf, format!("nameserver {server}\n")).expect("a file");
        let mount = format!("mount --bind {} /etc/resolv.conf", resolv_conf.display());
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["-t", &self.client_pid, "-n", "unshare", "-m", "sh", "-c"]);
        nsenter.arg(format!("{mount} && exec {command}"));
        nsenter
    }

    /// How often a client picked each backend.
    fn picks(&self, server: &str, name: &str, client: &Client) -> Result<Vec<usize>, String> {
        let command = client.command.replace("{name}", name);
        let command = command.replace("{count}", &client.picks.to_string());
        let output = self.inside(server, &command).output().expect("nsenter");
        let mut counts = vec![0; usize::from(*self.backends.values().max().unwrap_or(&0))];
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let backend = self.backends.get(line.trim());
            let backend = backend.ok_or_else(|| format!("{}: picked {line:?}", client.name))?;
            counts[usize::from(*backend) - 1] += 1;
        }
        if counts.iter().sum::<usize>() == client.picks {
            return Ok(counts);
        }
        Err(format!("{}: {counts:?} {}", client.name, String::from_utf8_lossy(&output.stderr)))
    }
}

/// A small web server with a graceful stop: a moment after it was told to, it takes no new
/// connections; it ends after two seconds.
fn run_backend(docker: &Docker, name: &str, more: &[&str]) {
    let serve = "echo well > /tmp/index.html; httpd -f -p 80 -h /tmp & server=$!; \
                 trap 'sleep 0.2; kill $server; sleep 1.8; exit 0' TERM; wait";
    let run = ["run", "-d", "--label", netalias_testkit::label(), "--name", name];
    let on = ["--network", "nt-clients", "--network-alias", "nt-app"];
    let image = [netalias_testkit::IMAGE, "sh", "-c", serve];
    docker.run(&[&run[..], &on, more, &image].concat());
}

fn addresses(docker: &Docker, container: &str) -> Vec<String> {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}";
    let text = docker.run(&["inspect", "--format", format, container]);
    text.split_whitespace().map(str::to_owned).collect()
}

fn spread(docker: &Docker, title: &str, dual: bool, count: u8) -> Result<(), String> {
    let stage = Stage::set(docker, dual, count);
    let clients = clients(dual);
    let mut rows = vec![vec![title.replace('_', " ")]];
    rows.extend(clients.iter().map(|client| vec![client.name.to_owned()]));
    let mut wrong = Vec::new();
    for policy in POLICIES {
        let process = (policy != "docker").then(|| stage.serve(policy));
        let server = if process.is_some() { &stage.gateway } else { "127.0.0.11" };
        rows[0].push(policy.to_owned());
        for (client, row) in clients.iter().zip(&mut rows[1..]) {
            let counts = stage.picks(server, "nt-app", client)?;
            let texts: Vec<String> = counts.iter().map(ToString::to_string).collect();
            row.push(texts.join("/"));
            let uneven = counts.iter().max() > counts.iter().min().map(|least| least + 1).as_ref();
            // With all records a client that sorts takes the same one each time.
            let exact = policy != "docker" && !(dual && policy == "all");
            if exact && uneven {
                wrong.push(format!("{}, answers = {policy}: {counts:?}", client.name));
            }
        }
    }
    print(&rows, title);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// The table for people, and as a file that README's is made of.
fn print(rows: &[Vec<String>], title: &str) {
    let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
    let rule = format!("|{}\n", "---|".repeat(rows[0].len()));
    let body: String = rows[1..].iter().map(line).collect();
    let text = format!("{}{rule}{body}", line(&rows[0]));
    println!("\n{text}");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("clients-{title}.md"));
    std::fs::write(path, text).expect("a file");
}

/// Three backends are replaced, one after the other, under a client that connects all the time.
fn no_connection_fails_while_backends_are_replaced(docker: &Docker) {
    let stage = Stage::set(docker, false, 0);
    let well = ["--health-cmd", "busybox wget -q -O /dev/null http://127.0.0.1/"];
    let often = ["--health-interval", "200ms", "--health-retries", "1"];
    let more = [&well[..], &often].concat();
    let healthy = |name: &str| {
        until("it is healthy", || {
            let health = docker.run(&["inspect", "--format", "{{.State.Health.Status}}", name]);
            (health == "healthy").then_some(())
        });
    };
    let start = |name: &str| {
        run_backend(docker, name, &more);
        healthy(name);
    };
    (1..=3).for_each(|n| start(&format!("nt-docker0-{n}")));
    let mut failed = BTreeMap::new();
    for (generation, who) in ["docker", "netalias"].into_iter().enumerate() {
        let process = (who == "netalias").then(|| stage.serve("auto"));
        let server = if process.is_some() { &stage.gateway } else { "127.0.0.11" };
        let script = format!("python3 {TOOLS}/connect.py nt-app {RATE}");
        let mut client = stage.inside(server, &script);
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().expect("python3");
        let mut lines = BufReader::new(client.stdout.take().expect("piped")).lines();
        assert_eq!(lines.next().expect("a line").expect("a line"), "connected");
        for n in 1..=3 {
            start(&format!("nt-docker{}-{n}", generation + 1));
            stage.docker.run(&["stop", "-t", "10", &format!("nt-docker{generation}-{n}")]);
        }
        drop(client.stdin.take());
        let counts = lines.next().expect("counts").expect("counts");
        let mut errors = String::new();
        client.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
        client.wait().expect("python3");
        let (good, bad) = counts.split_once(' ').expect("two counts");
        println!("{who}: {good} connections, {bad} failed");
        failed.insert(who, (bad.parse::<usize>().expect("a count"), errors));
    }
    let (bad, errors) = &failed["netalias"];
    assert_eq!(*bad, 0, "{errors}");
}
