//! The configuration changes while running, and no question goes unanswered.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{fs, thread};

use netalias_testkit::{Folder, Process, ask, kernel_port, signal, until};

const SCENARIO: &str = "
docker network create --subnet 172.200.1.0/24 netlb
docker run -d --name web1 --net netlb --net-alias web busybox
docker run -d --name web2 --net netlb --net-alias web busybox
docker pause web2
";

/// Opening a pipe fails while nobody reads it (`fcntl.h` of Linux, but for MIPS and SPARC).
const O_NONBLOCK: i32 = 0o4000;

struct Setup {
    demo: Process,
    config: PathBuf,
}

fn setup(name: &str, config: &str) -> Setup {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let scenario = folder.join(format!("reload-{name}.scenario"));
    fs::write(&scenario, SCENARIO).expect("a file");
    let path = folder.join(format!("reload-{name}.toml"));
    fs::write(&path, config).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_netalias"));
    command.arg("demo").arg(&scenario).arg("--config").arg(&path).args(kernel_port());
    let demo = Process::start(&mut command);
    demo.says("the whole scenario");
    Setup { demo, config: path }
}

impl Setup {
    fn hang_up(&self) {
        let id = self.demo.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().expect("kill").success());
    }

    /// How many addresses, and their TTL.
    fn web(&self) -> (usize, u32) {
        let answer = ask(self.demo.dns, "web", "A").expect("an answer");
        let ttl = answer.message.answers.first().map_or(0, |record| record.ttl);
        (answer.addresses.len(), ttl)
    }
}

#[test]
fn sighup_puts_a_changed_file_in_force_at_once() {
    let setup = setup("hup", "ttl = 1\n");
    assert_eq!(setup.web(), (1, 1), "the paused one is not answered");
    fs::write(&setup.config, "ttl = 2\nhealth = 'ignore'\n").expect("a file");
    setup.hang_up();
    until("the new policy answers", || (setup.web() == (2, 2)).then_some(()));
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let setup = setup("poll", "");
    assert_eq!(ask(setup.demo.dns, "new.test", "A").expect("an answer").addresses.len(), 0);
    let record = "[[record]]\nname = 'new.test'\ntype = 'A'\nvalue = '10.0.0.1'\n";
    fs::write(&setup.config, format!("domain = ['lb.test']\n{record}")).expect("a file");
    until("the new record is answered", || {
        let answer = ask(setup.demo.dns, "new.test", "A").expect("an answer");
        (answer.addresses.len() == 1).then_some(())
    });
    assert_eq!(ask(setup.demo.dns, "web.lb.test", "A").expect("an answer").addresses.len(), 1);
    assert_eq!(ask(setup.demo.dns, "web.rr.internal", "A").expect("an answer").addresses.len(), 0);
}

#[test]
fn a_bad_file_is_refused_with_its_reason_and_the_old_one_stays() {
    let setup = setup("bad", "ttl = 7\n");
    let path = setup.config.display().to_string();
    for (text, reason) in [
        ("ttl = 8\ntll = 9\n", format!("{path}:2: unknown key \"tll\"; did you mean \"ttl\"?")),
        ("ttl = [\n", format!("{path}:")),
        ("hosts = '/no/such/file'\n", "cannot read /no/such/file".to_owned()),
        (
            "docker = ['tcp://other:2375']\nttl = 7\n",
            "this key changes only with a restart".to_owned(),
        ),
    ] {
        fs::write(&setup.config, text).expect("a file");
        setup.hang_up();
        setup.demo.says(&reason);
        assert_eq!(setup.web().1, 7, "{text}");
    }
    setup.demo.says("the old configuration stays in force");
}

/// Both were missed: the new file was taken for the one that had been read, and the signal found
/// nobody who waited for it, which kills.
#[test]
fn a_change_and_a_signal_while_it_starts_are_not_missed() {
    for hang_up in [false, true] {
        let folder = Folder::new();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("scenario"), SCENARIO).expect("a file");
        let hosts = path("hosts");
        assert!(Command::new("mkfifo").arg(&hosts).status().expect("mkfifo").success());
        fs::write(path("toml"), format!("ttl = 7\nhosts = {hosts:?}\n")).expect("a file");
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]).arg(path("id"));
        command.arg(env!("CARGO_BIN_EXE_netalias")).arg("demo").arg(path("scenario"));
        command.arg("--config").arg(path("toml")).args(kernel_port());
        let starting = thread::spawn(move || Process::start(&mut command));
        // It has read its configuration when there is somebody who reads this pipe.
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).custom_flags(O_NONBLOCK);
        let (pipe, _) = until("the hosts file is read", || options.open(&hosts).ok());
        fs::write(path("toml"), "ttl = 8\n").expect("a file");
        if hang_up {
            let id = fs::read_to_string(path("id")).expect("its process id");
            signal("HUP", id.trim().parse().expect("a number"));
        }
        drop(pipe);
        let setup = Setup { demo: starting.join().expect("it starts"), config: path("toml") };
        until("the new file is in force", || (setup.web().1 == 8).then_some(()));
    }
}

#[test]
fn no_question_is_lost_while_the_policy_changes() {
    let setup = setup("lossless", "ttl = 0\n");
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let answer = ask(setup.demo.dns, "web1", "A").expect("every question is answered");
                assert_eq!(answer.addresses.len(), 1, "and with its address");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        for ttl in 1..20 {
            let health = if ttl % 2 == 0 { "ignore" } else { "prefer" };
            fs::write(&setup.config, format!("ttl = {ttl}\nhealth = '{health}'\n"))
                .expect("a file");
            setup.hang_up();
            until("it is in force", || (setup.web().1 == ttl).then_some(()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) > 20);
}

#[test]
fn collisions_are_told_with_both_owners() {
    let setup = setup("collisions", "[[record]]\nname = 'web1'\ntype = 'TXT'\nvalue = 'x'\n");
    let configured = "web1: the configuration's record answers, and hides web1 on netlb";
    setup.demo.says(configured);
    let (_, metrics) = setup.demo.get("/metrics");
    assert!(metrics.contains("netalias_collisions 1\n"), "{metrics}");
    let http = setup.demo.http.to_string();
    let mut ls = Command::new(env!("CARGO_BIN_EXE_netalias"));
    let output = ls.args(["ls", "--http", &http]).output().expect("ls");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, format!("warning: {configured}\n"));
}
