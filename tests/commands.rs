//! The command line as users meet it: outputs, messages and exit codes. No engine is needed.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use netalias_testkit::{Process, kernel_port, until};

const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
const SCENARIO: &str = "
docker network create --subnet 172.200.1.0/24 netlb
docker run -dit --name nettest1 --net netlb --net-alias inner-dns-net busybox
docker run -dit --name nettest2 --net netlb --net-alias inner-dns-net busybox
docker run -dit --name nettest3 --net netlb --net-alias inner-dns-net busybox
";

/// What a command that has ended left.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(args: &[&str]) -> Ended {
    let output = command().args(args).output().expect("the binary starts");
    Ended {
        code: output.status.code().expect("no signal"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The binary, whatever the tester's environment says.
fn command() -> Command {
    let mut command = Command::new(BINARY);
    command.env_remove("DOCKER_HOST");
    let ours = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("NETALIAS_"));
    for name in ours {
        command.env_remove(name);
    }
    command
}

/// A demo that plays [`SCENARIO`] to its end.
fn demo(name: &str) -> Process {
    let file = scratch(name, SCENARIO);
    let path = file.to_str().expect("UTF-8");
    let demo = Process::start(command().args(["demo", path]).args(kernel_port()));
    demo.says("the whole scenario");
    demo
}

fn scratch(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a file");
    path
}

#[test]
fn the_demo_needs_no_engine_and_the_fourth_container_joins_by_itself() {
    let file = scratch("joins", &SCENARIO.replace("nettest3 ", "nettest9 "));
    let text = fs::read_to_string(&file).expect("a file");
    let late = "sleep 0.2\ndocker run -d --name n4 --net netlb --net-alias inner-dns-net busybox\n";
    fs::write(&file, text + late).expect("a file");
    let path = file.to_str().expect("UTF-8");
    let demo = Process::start(command().args(["demo", path]).args(kernel_port()));
    let count = || netalias_testkit::ask(demo.dns, "inner-dns-net", "A").map(|a| a.addresses.len());
    until("three", || (count().ok()? == 3).then_some(()));
    until("four", || (count().ok()? == 4).then_some(()));
    let built_in = run(&["demo", "--help"]);
    assert!(built_in.stdout.contains("a fourth one joins"), "{}", built_in.stdout);
    assert_eq!(netalias::source::scenario::DEMO.matches("--net-alias inner-dns-net").count(), 4);
}

#[test]
fn query_shows_the_answer_and_the_spread() {
    let demo = demo("query");
    let server = demo.dns.to_string();
    let once = run(&["query", "inner-dns-net", "--server", &server]);
    assert_eq!(once.code, 0, "{}", once.stderr);
    let lines: Vec<&str> = once.stdout.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "NAME            TTL  TYPE  DATA",
            "inner-dns-net.  0    A     172.200.1.2",
            "inner-dns-net.  0    A     172.200.1.3",
            "inner-dns-net.  0    A     172.200.1.4",
        ]
    );
    assert!(lines[4].starts_with(&format!("NOERROR, 3 records from {server} by UDP, last in ")));
    let spread = run(&["query", "inner-dns-net", "a", "-n", "12", "--server", &server]);
    assert_eq!(
        spread.stdout.lines().take(4).collect::<Vec<_>>(),
        ["CAME FIRST   TIMES", "172.200.1.2  4", "172.200.1.3  4", "172.200.1.4  4"]
    );
    let json = run(&["query", "nettest2.netlb", "--json", "--server", &server]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["rcode"], "NOERROR");
    assert_eq!(json["answers"][0]["data"], "172.200.1.3");
    assert_eq!(json["first"]["172.200.1.3"], 1);
}

#[test]
fn query_says_no_with_exit_code_1_and_failure_with_2() {
    let demo = demo("no");
    let server = demo.dns.to_string();
    for (name, qtype, code) in [
        ("nosuch.rr.internal", "A", "NXDOMAIN"),
        ("inner-dns-net", "AAAA", "NODATA"),
        ("example.org", "A", "REFUSED"),
    ] {
        let ended = run(&["query", name, qtype, "--server", &server]);
        assert_eq!(ended.code, 1);
        assert!(ended.stdout.starts_with(&format!("{code}, 0 records from")), "{}", ended.stdout);
    }
    let unused = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a port");
    let nobody = run(&["query", "web", "--server", &unused.to_string()]);
    assert_eq!(nobody.code, 2);
    assert!(nobody.stderr.contains(&format!("cannot ask {unused}")), "{}", nobody.stderr);
    for (args, message) in [
        (&["query", "web", "NONSENSE"][..], "\"NONSENSE\" is no record type"),
        (&["query", "a..b"][..], "\"a..b\" is no name to ask for"),
        (&["query", "web", "-n", "0"][..], "-n 0 asks nothing"),
    ] {
        let ended = run(args);
        assert_eq!(ended.code, 2, "{args:?}");
        assert!(ended.stderr.contains(message), "{}", ended.stderr);
    }
}

#[test]
fn ls_shows_names_for_people_and_json_for_programs() {
    let demo = demo("ls");
    let http = demo.http.to_string();
    let all = run(&["ls", "--http", &http]);
    assert_eq!(all.code, 0, "{}", all.stderr);
    let expected = "\
NAME           NETWORK  ADDRESS      CONTAINER  FROM   STATE
inner-dns-net  netlb    172.200.1.2  nettest1   alias  running
                        172.200.1.3  nettest2   alias  running
                        172.200.1.4  nettest3   alias  running
nettest1       netlb    172.200.1.2  nettest1   name   running
nettest2       netlb    172.200.1.3  nettest2   name   running
nettest3       netlb    172.200.1.4  nettest3   name   running
";
    assert_eq!(all.stdout, expected, "aligned, no short ids, no colour into a pipe");
    let one = run(&["ls", "NETTEST2.netlb.rr.internal", "--http", &http]);
    assert_eq!(one.stdout.lines().count(), 2, "{}", one.stdout);
    let none = run(&["ls", "nosuch", "--http", &http]);
    assert_eq!((none.code, none.stdout.as_str()), (1, ""));
    assert_eq!(none.stderr, "netalias: nothing has the name nosuch\n");
    let json: serde_json::Value =
        serde_json::from_str(&run(&["ls", "inner-dns-net", "--json", "--http", &http]).stdout)
            .expect("JSON");
    assert_eq!(json["names"][0]["endpoints"][2]["container"], "nettest3");
    assert_eq!(json["names"][0]["endpoints"][2]["v4"], "172.200.1.4");
    assert_eq!(json["names"][0]["network"], "netlb");
}

#[test]
fn healthcheck_and_the_pages_tell_the_state() {
    let demo = demo("health");
    let http = demo.http.to_string();
    assert_eq!(run(&["healthcheck", "--http", &http]).code, 0);
    assert_eq!(demo.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(demo.get("/readyz"), (200, "ready\n".to_owned()));
    let (code, metrics) = demo.get("/metrics");
    assert_eq!(code, 200);
    assert!(metrics.contains("netalias_names 11\n"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert_eq!(demo.get("/nothing").0, 404);
    assert_eq!(demo.get("/v1/names?name=a..b").0, 400);
    drop(demo);
    let gone = run(&["healthcheck", "--http", &http]);
    assert_eq!(gone.code, 1);
    let question = format!("cannot ask the server at {http}; is it running?");
    assert!(gone.stderr.contains(&question), "{}", gone.stderr);
    assert_eq!(run(&["ls", "--http", &http]).code, 2, "that is no answer");
}

#[test]
fn answers_are_counted_by_outcome() {
    let demo = demo("metrics");
    for (name, qtype) in [("nettest1", "A"), ("nettest1", "AAAA"), ("nosuch", "A"), ("a.b", "A")] {
        netalias_testkit::ask(demo.dns, name, qtype).expect("an answer");
    }
    let (_, metrics) = demo.get("/metrics");
    for outcome in ["data", "nodata", "nxdomain", "refused"] {
        let line = format!("netalias_dns_answers_total{{outcome=\"{outcome}\"}} 1\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[test]
fn check_prints_what_would_be_in_force() {
    let defaults = run(&["check"]);
    assert_eq!(defaults.code, 0);
    let expected = "\
listen = [\"127.0.0.1:1053\"]
http   = \"127.0.0.1:8053\"
docker = [\"unix:///var/run/docker.sock\"]
order  = \"rotate\"
answers = \"auto\"
ttl    = 0
health = \"prefer\"
scope  = \"auto\"
allow  = [\"loopback\", \"private\", \"engine\"]
log    = \"info\"
domain = [\"rr.internal\"]

[forward]
enabled = true
servers = []
resolv_conf = \"/etc/resolv.conf\"
single_labels = false
";
    assert_eq!(defaults.stdout, expected);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/netalias.toml");
    assert_eq!(run(&["check", "--config", example]).stdout, expected, "the example is the default");
    let file = scratch("check.toml", "ttl = 5\nhealth = \"require\"\ndomain = [\"a.test\"]\n");
    let path = file.to_str().expect("UTF-8");
    let output = command()
        .env("NETALIAS_HEALTH", "ignore")
        .env("NETALIAS_TTL", "7")
        .args(["check", "--config", path, "--ttl", "9"])
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("ttl    = 9\n"), "the flag beats the environment: {text}");
    assert!(text.contains("health = \"ignore\"\n"), "the environment beats the file: {text}");
    assert!(text.contains("domain = [\"a.test\"]\n"), "the file beats the default: {text}");
}

#[test]
fn bad_usage_is_one_clear_message_and_exit_code_2() {
    let file = scratch("bad.toml", "ttl = 0\nlisten_on = []\n");
    let path = file.to_str().expect("UTF-8");
    let unknown_key = format!("{path}:2: unknown key \"listen_on\"; did you mean \"listen\"?");
    for (args, message) in [
        (&["serve", "--lisen", "127.0.0.1:53"][..], "a similar argument exists: '--listen'"),
        (&["serve", "--listen", "53"][..], "invalid value '53' for '--listen <ADDR:PORT>'"),
        (&["serve", "--docker", "docker.sock"][..], "write unix:///PATH or tcp://HOST:PORT"),
        (&["serve", "--ttl", "4000000000"][..], "ttl 4000000000 is too large"),
        (&["serve", "--health", "maybe"][..], "is not one of prefer, require, ignore"),
        (&["check", "--config", path][..], &unknown_key),
        (&["check", "--config", "/no/such/file"][..], "cannot read /no/such/file"),
        (&["sevre"][..], "a similar subcommand exists: 'serve'"),
    ] {
        let ended = run(args);
        assert_eq!(ended.code, 2, "{args:?}");
        assert!(ended.stderr.contains(message), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[test]
fn check_rejects_a_policy_that_cannot_be_and_says_why() {
    for (text, message) in [
        ("answers = 0", ":1: \"0\" is not one of auto, all, sortproof, or a number"),
        ("order = 'fair'", ":1: \"fair\" is not one of rotate, shuffle, weighted, sticky"),
        ("health = 'best'", ":1: \"best\" is not one of prefer, require, ignore"),
        ("ttl = -1", ":1: invalid value: integer `-1`, expected u32"),
        ("ttl = 4000000000", "ttl 4000000000 is too large"),
        ("[[domain]]\nname = 'a'\nttl = 4000000000", "ttl 4000000000 is too large"),
        ("[[domain]]\nname = 'a'\nanswers = 0", ":3: \"0\" is not one of auto, all"),
        ("[[name]]\nname = 'a'\nanswers = -2", ":3: \"-2\" is not one of auto, all"),
        ("answers = true", "expected auto, all, sortproof, or a number"),
        ("[[domain]]\nname = 'a'\nweight = 2", ":3: unknown key \"weight\""),
        ("[[domain]]\nname = 'a'\n[[domain]]\nname = 'A'", "domain a is there twice"),
        ("[[name]]\nname = 'a*b*c'", "a pattern is a name with one * at most"),
        ("[[name]]\nname = 'w*'\n[[name]]\nname = 'W*'", "the pattern w* of names is there twice"),
    ] {
        let file = scratch("impossible.toml", text);
        let ended = run(&["check", "--config", file.to_str().expect("UTF-8")]);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{text}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{text}: {}", ended.stderr);
    }
}

#[test]
fn a_busy_port_is_said_with_its_protocol() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = tcp.local_addr().expect("a port").to_string();
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let udp_address = udp.local_addr().expect("a port").to_string();
    for (args, message) in [
        (["--listen", &address, "--http", "127.0.0.1:0"], format!("listen on {address} (tcp)")),
        (["--listen", &udp_address, "--http", "127.0.0.1:0"], format!("{udp_address} (udp)")),
        (["--listen", "127.0.0.1:0", "--http", &address], format!("serve HTTP on {address}")),
    ] {
        let ended = run(&[&["demo"][..], &args].concat());
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.contains(&message), "{}", ended.stderr);
        assert!(ended.stderr.contains("choose another address with --listen or --http"));
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn an_address_of_another_machine_is_said() {
    let ended = run(&["demo", "--listen", "192.0.2.1:1053", "--http", "127.0.0.1:0"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("it must be an address of this machine"), "{}", ended.stderr);
}

#[test]
fn a_malformed_scenario_is_told_by_line_and_column() {
    for (text, message) in [
        ("docker run -d --nam x busybox", ":1:15: \"--nam\" is not expected here, but one of"),
        ("\ndocker swim web", ":2:8: \"swim\" is not expected here, but network create"),
        ("docker network create --subnet 10.0.0.0/99 n", ":1:32: \"10.0.0.0/99\" is not"),
        ("docker network create", ":1:22: the network's name is missing"),
        ("docker rename a", ":1:16: its new name is missing"),
        ("docker run --name 'x busybox", ":1:19: a quote is not closed"),
        ("dig web A", ":1:10: → and what is expected is missing"),
        ("sleep soon", ":1:7: \"soon\" is not expected here, but a number of seconds"),
    ] {
        let file = scratch("malformed", text);
        let path = file.to_str().expect("UTF-8");
        let ended = run(&["demo", path, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        assert_eq!(ended.code, 2, "{text}");
        assert!(ended.stderr.contains(&format!("{path}{message}")), "{}", ended.stderr);
    }
}

#[test]
fn what_the_engine_refuses_is_told_and_changes_nothing() {
    let mut demo = Process::start(command().args(["demo", "-"]).args(kernel_port()));
    demo.type_line("docker stop web");
    demo.type_line("docker run -d --name web busybox");
    until("both are answered", || {
        let lines = demo.lines();
        let refused = lines.iter().any(|line| line == "! -:1:1: no such container: web");
        let played = lines.iter().any(|line| line == "$ docker run -d --name web busybox");
        (refused && played).then_some(())
    });
    let answer = netalias_testkit::ask(demo.dns, "web", "A").expect("an answer");
    assert_eq!(answer.addresses.len(), 1);
}

#[test]
fn an_engine_out_of_reach_is_retried_and_told_once_with_advice() {
    let folder = std::env::temp_dir().join(format!("netalias-test-{}-d", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let closed = folder.join("closed.sock");
    drop(UnixListener::bind(&closed).expect("a socket"));
    let missing = folder.join("missing.sock");
    for (socket, advice) in [
        (&missing, "no socket there; is the engine running, and its socket mounted?"),
        (&closed, "nothing listens there; is the engine running?"),
    ] {
        let url = format!("unix://{}", socket.display());
        let args = ["serve", "--docker", &url, "--log", "debug"];
        let process = Process::start(command().args(args).args(kernel_port()));
        until("it is retried", || {
            let lines = process.lines();
            let again = lines.iter().filter(|line| line.contains("still disconnected"));
            (again.count() >= 3).then_some(())
        });
        let lines = process.lines();
        let told: Vec<&String> = lines.iter().filter(|line| line.contains("WARN")).collect();
        assert_eq!(told.len(), 1, "{lines:#?}");
        assert!(told[0].contains(advice) && told[0].contains(&url), "{told:#?}");
        let (code, text) = process.get("/readyz");
        assert_eq!(code, 503);
        assert!(text.starts_with("starting: "), "{text}");
        assert!(text.contains(advice), "{text}");
    }
    fs::remove_dir_all(&folder).expect("a folder");
}

/// Only root can start a process that lacks the permission.
#[test]
fn a_socket_without_permission_says_what_to_do() {
    const NOBODY: u32 = 65_534;
    let folder = std::env::temp_dir().join(format!("netalias-test-{}-p", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("a folder");
    let socket = folder.join("docker.sock");
    let _listener = UnixListener::bind(&socket).expect("a socket");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).expect("a socket");
    // The target folder may be closed to others, the copy is not.
    let binary = folder.join("netalias");
    // Not by this process: another thread's child could still have the new file open for writing
    // when it is to be run.
    assert!(Command::new("cp").arg(BINARY).arg(&binary).status().expect("cp").success());
    let url = format!("unix://{}", socket.display());
    let mut command = Command::new(&binary);
    command.args(["serve", "--docker", &url]).args(kernel_port());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    } else {
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).expect("a socket");
    }
    let process = Process::start(&mut command);
    process.says("run as root or as a member of the socket's group");
    fs::remove_dir_all(&folder).expect("a folder");
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uid.is_some_and(|ids| ids.split_whitespace().next() == Some("0"))
}

#[test]
fn sigterm_ends_it_with_exit_code_0() {
    let file = scratch("term", SCENARIO);
    let mut child = command()
        .args(["demo", file.to_str().expect("UTF-8")])
        .args(kernel_port())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped")));
    assert!(lines.any(|line| line.expect("a line").contains("the whole scenario")));
    let kill = Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    assert!(kill.success());
    assert_eq!(child.wait().expect("a child").code(), Some(0));
}

/// It said that it was stopping, and waited for the next line.
#[test]
fn a_typed_demo_ends_by_sigterm_though_more_may_be_typed() {
    let mut demo = Process::start(command().args(["demo", "-"]).args(kernel_port()));
    demo.terminate();
    assert!(demo.ended().success());
}
