//! `netalias ls` with more names than a screen has lines: for people on a terminal, in full for
//! programs. No engine is needed.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use netalias_testkit::{Process, kernel_port};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
/// Containers of the scenario that have a name of their own and nothing else.
const PLAIN: usize = 480;
/// Backends that share an alias on a network with both families.
const SHARING: usize = 12;
/// All names that `ls` shows: theirs, that alias, and  `db` twice, and `cart` with its neighbours.
const NAMES: usize = PLAIN + SHARING + 6;

/// What is told about them.
const WARNINGS: [&str; 2] = [
    "cart: the name of cart and an alias of other-cart on metrics",
    "db: other-db on metrics answers, and hides db on shop-frontend",
];
const FEW: &str = "
docker network create --subnet 172.18.0.0/16 n1
docker run -d --name web-1 --net n1 --net-alias app busybox
docker run -d --name web-2 --net n1 --net-alias app busybox
";

/// Three networks; long names that differ at the end; one set of many addresses, of which some are
/// not answered; a name that two networks have, and an alias that is another container's name.
fn scenario() -> String {
    let mut text = "\
docker network create --subnet 172.18.0.0/16 shop-frontend
docker network create --ipv6 --subnet 172.19.0.0/16 --subnet fd00:19::/64 shop-backend-eu-central-1
docker network create --subnet 172.20.0.0/16 metrics
docker run -d --name db --net shop-frontend busybox
docker run -d --name other-db --net metrics --net-alias db busybox
docker run -d --name cart --net metrics busybox
docker run -d --name other-cart --net metrics --net-alias cart busybox
"
    .to_owned();
    for n in 0..SHARING {
        let on = "--net shop-backend-eu-central-1 --net-alias api";
        writeln!(text, "docker run -d --name api-{n} {on} busybox").expect("a string");
    }
    text.push_str("docker pause api-3\ndocker pause api-7\n");
    for n in 0..PLAIN {
        let name = format!("shop-checkout-service-with-a-long-name-replica-{n:03}");
        writeln!(text, "docker run -d --name {name} --net shop-frontend busybox").expect("text");
    }
    text
}

/// A demo that has played a scenario to its end.
fn demo(name: &str, scenario: &str) -> Process {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ls-{name}"));
    fs::write(&path, scenario).expect("a file");
    let demo = Process::start(Command::new(BINARY).arg("demo").arg(path).args(kernel_port()));
    demo.says("the whole scenario");
    demo
}

fn ls(demo: &Process, args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("ls").args(args).args(["--http", &demo.http.to_string()]);
    for name in ["COLUMNS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "NETALIAS_CONFIG"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm");
    command
}

/// What a command writes to a terminal of this size.
fn on_terminal(mut command: Command, columns: u16, lines: u16) -> String {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&near).expect("a terminal");
    unlockpt(&near).expect("a terminal");
    let size = Winsize { ws_col: columns, ws_row: lines, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&near, size).expect("a size");
    let name = ptsname(&near, Vec::new()).expect("a name");
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let far = OpenOptions::new().read(true).write(true).open(path).expect("its other end");
    let errors = far.try_clone().expect("its other end");
    command.stdin(Stdio::null()).stdout(far).stderr(errors);
    let mut child = command.spawn().expect("the binary starts");
    // With the last other end the output ends, by an error on Linux.
    drop(command);
    let mut written = Vec::new();
    let _ = fs::File::from(near).read_to_end(&mut written);
    assert!(child.wait().expect("a child").success());
    String::from_utf8(written).expect("UTF-8").replace("\r\n", "\n")
}

fn without_style(text: &str) -> String {
    text.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "")
}

#[test]
fn five_hundred_names_are_a_line_each_and_no_line_is_wider_than_the_terminal() {
    let demo = demo("wide", &scenario());
    for columns in [60, 80, 100, 132] {
        let text = on_terminal(ls(&demo, &[]), columns, 50);
        assert!(text.starts_with("\u{1b}[1mNAME"), "a bold header");
        let text = without_style(&text);
        let (table, after) = text.split_once("netalias ls NAME").expect("how to see more");
        let table: Vec<&str> = table.lines().collect();
        assert_eq!(table.len(), 1 + NAMES + 1);
        assert_eq!(table[1 + NAMES], format!("{NAMES} names; "));
        for line in &table {
            assert!(line.chars().count() <= columns.into(), "more than {columns}: {line}");
        }
        let distinct: BTreeSet<&&str> = table.iter().collect();
        assert_eq!(distinct.len(), table.len(), "what tells long names apart stays");
        for warning in WARNINGS {
            assert!(after.contains(&format!("warning: {warning}\n")), "{after}");
        }
    }
}

#[test]
fn a_line_has_network_addresses_sources_health_and_collision() {
    let demo = demo("line", &scenario());
    let lines = |columns| {
        let text = without_style(&on_terminal(ls(&demo, &[]), columns, 50));
        let of_interest = ["NAME", "api ", "api-3", "cart", "db", "shop-"];
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| of_interest.iter().any(|begin| line.starts_with(begin)))
            .map(str::to_owned)
            .collect();
        lines.truncate(7);
        lines
    };
    assert_eq!(
        lines(80),
        [
            "NAME            NETWORK         ADDRESS         FROM        STATE",
            "api             shop-ba…tral-1  172.19.0.2 +23  alias       10 running, 2 paused",
            "api-3           shop-ba…tral-1  172.19.0.5 +1   name        paused",
            "cart            metrics         172.20.0.3 +1   name,alias  collision, 2 running",
            "db              metrics         172.20.0.2      alias       collision, running",
            "db              shop-frontend   172.18.0.2      name        collision, running",
            "shop-ch…ca-000  shop-frontend   172.18.0.3      name        running",
        ]
    );
    let wider = lines(100);
    assert_eq!(
        wider[3..],
        [
            "cart                      metrics                   172.20.0.3 +1   name,alias  \
             collision, 2 running",
            "db                        metrics                   172.20.0.2      alias       \
             collision, running",
            "db                        shop-frontend             172.18.0.2      name        \
             collision, running",
            "shop-checkou…replica-000  shop-frontend             172.18.0.3      name        \
             running",
        ]
    );
}

/// Whoever has few names sees each address, and whose it is.
#[test]
fn what_fits_the_screen_is_shown_in_full() {
    let demo = demo("few", FEW);
    let expected = "\
NAME   NETWORK  ADDRESS     CONTAINER  FROM   STATE
app    n1       172.18.0.2  web-1      alias  running
                172.18.0.3  web-2      alias  running
web-1  n1       172.18.0.2  web-1      name   running
web-2  n1       172.18.0.3  web-2      name   running
";
    assert_eq!(without_style(&on_terminal(ls(&demo, &[]), 80, 24)), expected);
    let folded = "\
NAME   NETWORK  ADDRESS        FROM   STATE
app    n1       172.18.0.2 +1  alias  2 running
web-1  n1       172.18.0.2     name   running
web-2  n1       172.18.0.3     name   running
3 names; netalias ls NAME shows one in full
";
    assert_eq!(without_style(&on_terminal(ls(&demo, &[]), 80, 5)), folded, "a very low screen");
    let one = on_terminal(ls(&demo, &["app"]), 80, 3);
    assert_eq!(without_style(&one).lines().count(), 3, "one name is shown in full: {one}");
    let mut told = ls(&demo, &[]);
    told.env("COLUMNS", "48");
    let text = without_style(&on_terminal(told, 80, 24));
    assert!(text.lines().all(|line| line.chars().count() <= 48), "as COLUMNS says: {text}");
}

#[test]
fn programs_get_every_address_in_full_and_no_colour() {
    let demo = demo("programs", &scenario());
    let output = ls(&demo, &[]).env("COLUMNS", "40").output().expect("the binary starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!text.contains('\u{1b}') && !text.contains('…'), "neither colour nor ellipsis");
    // The alias and its backends have a line for each address, `cart` has two owners.
    let lines = 1 + NAMES - 1 - SHARING + 4 * SHARING + 1;
    assert_eq!(text.lines().count(), lines);
    let long = "shop-checkout-service-with-a-long-name-replica-123";
    assert!(text.lines().any(|line| line.starts_with(long) && line.contains("shop-frontend")));
    let warnings = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(warnings.lines().collect::<Vec<_>>(), WARNINGS.map(|w| format!("warning: {w}")));
    let output = ls(&demo, &["--json"]).output().expect("the binary starts");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let names = json["names"].as_array().expect("a list");
    let api = names.iter().find(|entry| entry["name"] == "api").expect("the alias");
    let endpoints = api["endpoints"].as_array().expect("a list");
    assert_eq!(endpoints.len(), SHARING);
    for endpoint in endpoints {
        assert!(endpoint["v4"].is_string() && endpoint["v6"].is_string(), "{endpoint}");
        assert_eq!(endpoint["answered"], endpoint["state"] == "running", "{endpoint}");
    }
    let claimed = names.iter().filter(|entry| entry["collision"] == true);
    let claimed: Vec<&str> = claimed.filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(claimed, ["cart", "db", "db"]);
    assert_eq!(json["warnings"], serde_json::json!(WARNINGS));
}
