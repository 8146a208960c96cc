//! `netalias query --as-client` beside a resolver that has nobody but the demo to ask: both run in
//! namespaces of their own, with a `resolv.conf` and a `hosts` of their own. That takes root or
//! user namespaces; without either the tests are ignored, and say so.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Trial};
use netalias_testkit::Process;

const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
/// Of its own are users, mounts and the network, loopback and port 53 with it.
const UNSHARE: [&str; 5] = ["--user", "--map-root-user", "--mount", "--net", "--"];
const LOOPBACK_UP: &str = "ip link set lo up || busybox ip link set lo up";
const V4_ONLY: &str = "
docker network create --subnet 172.200.1.0/24 netlb
docker run -dit --name nettest1 --net netlb --net-alias inner-dns-net busybox
docker run -dit --name nettest2 --net netlb --net-alias inner-dns-net busybox
docker run -dit --name nettest3 --net netlb --net-alias inner-dns-net busybox
";

fn main() {
    let arguments = Arguments::from_args();
    let probe = Command::new("unshare").args(UNSHARE).args(["sh", "-c", LOOPBACK_UP]).output();
    let ready = probe.as_ref().is_ok_and(|output| output.status.success());
    if !ready {
        let why = match probe {
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("SKIPPED, tests in namespaces of their own: unshare: {why}");
    }
    let all: [(&str, fn()); 3] = [
        ("what_is_picked_stands_beside_what_dns_gave", what_is_picked_stands_beside_what_dns_gave),
        ("json_has_both_sides_300_times", json_has_both_sides_300_times),
        ("no_address_is_1_and_no_server_is_2", no_address_is_1_and_no_server_is_2),
    ];
    let trial = |(name, test): (&str, fn())| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!ready)
    };
    libtest_mimic::run(&arguments, all.into_iter().map(trial).collect()).exit();
}

fn what_is_picked_stands_beside_what_dns_gave() {
    let demo = demo("table", V4_ONLY);
    let args = ["query", "inner-dns-net", "--as-client", "-n", "12", "--server", "127.0.0.1:53"];
    let ended = beside(&demo, &args);
    let expected = "\
ADDRESS      FIRST IN DNS  PICKED
172.200.1.2  4             4
172.200.1.3  4             4
172.200.1.4  4             4
127.0.0.1:53 asked 12 times for A and for AAAA, the system's resolver 12 times
";
    assert_eq!(String::from_utf8_lossy(&ended.stdout), expected);
    assert_eq!(ended.status.code(), Some(0));
}

fn json_has_both_sides_300_times() {
    let demo = demo("json", V4_ONLY);
    let args = ["query", "inner-dns-net", "--as-client", "--json", "--server", "127.0.0.1:53"];
    let ended = beside(&demo, &args);
    let json: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(json["count"], 300);
    for side in ["dns", "client"] {
        for address in ["172.200.1.2", "172.200.1.3", "172.200.1.4"] {
            assert_eq!(json[side][address], 100, "{side}");
        }
    }
    assert_eq!(json["failures"], serde_json::json!({}));
}

fn no_address_is_1_and_no_server_is_2() {
    let demo = demo("no", V4_ONLY);
    let args = ["nosuch.rr.internal", "--as-client", "-n", "2", "--server", "127.0.0.1:53"];
    let ended = beside(&demo, &[&["query"][..], &args].concat());
    let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(stdout.starts_with("the system's resolver found nothing, 2 times: "), "{stdout}");
    assert_eq!(ended.status.code(), Some(1));
    let nobody = beside(&demo, &["query", "web", "--as-client", "--server", "127.0.0.1:54"]);
    assert_eq!(nobody.status.code(), Some(2));
    let typed = beside(&demo, &["query", "web", "A", "--as-client"]);
    assert_eq!(typed.status.code(), Some(2), "the resolver chooses the types itself");
}

/// A demo that has played `scenario`, alone in its namespaces, and the only one to ask there.
fn demo(name: &str, scenario: &str) -> Process {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("as-client-{name}"));
    fs::create_dir_all(&folder).expect("a folder");
    // `ndots:0`: asked as it stands first, whatever domain the host's name ends in.
    let resolv_conf = "nameserver 127.0.0.1\noptions ndots:0\n";
    for (file, text) in [("scenario", scenario), ("resolv.conf", resolv_conf), ("hosts", "")] {
        fs::write(folder.join(file), text).expect("a file");
    }
    let script = format!(
        "set -e; cd \"$1\"; {{ {LOOPBACK_UP}; }}; mount --bind resolv.conf /etc/resolv.conf; \
         mount --bind hosts /etc/hosts; \
         exec \"$2\" demo scenario --listen 127.0.0.1:53 --http 127.0.0.1:0"
    );
    let mut command = Command::new("unshare");
    command.args(UNSHARE).args(["sh", "-c", &script, "sh"]).arg(&folder).arg(BINARY);
    let demo = Process::start(without_settings(&mut command));
    demo.says("the whole scenario");
    demo
}

/// The binary in the demo's namespaces.
fn beside(demo: &Process, args: &[&str]) -> Output {
    let target = demo.id().to_string();
    let mut command = Command::new("nsenter");
    let flags = ["--target", &target, "--user", "--mount", "--net", "--preserve-credentials"];
    command.args(flags).arg(BINARY).args(args);
    without_settings(&mut command).output().expect("nsenter")
}

/// Whatever the tester's environment says does not count.
fn without_settings(command: &mut Command) -> &mut Command {
    let ours = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("NETALIAS_"));
    for name in ours {
        command.env_remove(name);
    }
    command.env_remove("DOCKER_HOST")
}
