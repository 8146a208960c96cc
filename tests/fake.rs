//! The real binary beside a fake engine: every scenario by several API versions, every fault of
//! an engine, and many containers.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use netalias::directory::{self, Reader};
use netalias::model::Policy;
use netalias_testkit::{
    Absence, Api, FakeEngine, Faults, Folder, OnEngine, OnEvents, Owners, Process, Questions,
    SECRET, Witness, ask, check, is_needed, kernel_port, on_loopback, said, seed, until, within,
};

const BINARY: &str = env!("CARGO_BIN_EXE_netalias");
/// From the end of a fault to the right map.
const RECOVERY: Duration = Duration::from_secs(10);
/// The same after a cut stream, when the engine was never away.
const AFTER_A_CUT: Duration = Duration::from_secs(1);
/// After this time an answer must not lead to a container that does not have the name.
const CONVERGENCE: Duration = Duration::from_secs(1);
/// Steps of the random history.
const STEPS: u64 = 10_000;
const OTHER: &str = "docker network create --subnet 10.2.0.0/24 other";
/// Questions that are answered while a fault lasts, before it may end.
const QUESTIONS: usize = 100;
/// The pause between two of them.
const PACE: Duration = Duration::from_millis(2);
fn main() {
    let arguments = Arguments::from_args();
    let mut trials = scenarios();
    let own: [(&str, fn()); 23] = [
        ("an_engine_with_only_a_newer_api", an_engine_with_only_a_newer_api),
        ("faults::a_stream_that_was_good_and_is_cut_is_no_news", a_good_stream_is_cut),
        ("faults::a_cut_stream", a_cut_stream),
        ("faults::a_stall", a_stall),
        ("faults::slow_bytes", slow_bytes),
        ("faults::garbage_among_the_events", garbage_among_the_events),
        ("faults::events_fail", events_fail),
        ("faults::lists_fail", lists_fail),
        ("faults::inspects_fail_for_a_moment", inspects_fail_for_a_moment),
        ("faults::no_socket", no_socket),
        ("faults::connection_refused", connection_refused),
        ("faults::repeated_events", repeated_events),
        ("faults::reordered_events", reordered_events),
        ("faults::late_events", late_events),
        ("faults::a_stall_while_it_connects", a_stall_while_it_connects),
        ("faults::one_slow_inspect", one_slow_inspect),
        ("faults::a_slow_inspect_of_what_dies", a_slow_inspect_of_what_dies),
        ("faults::lost_events", lost_events),
        ("faults::a_silent_stream", a_silent_stream),
        ("faults::a_stall_with_a_flood", a_stall_with_a_flood),
        ("faults::inspects_fail_for_long", inspects_fail_for_long),
        (
            "faults::what_cannot_be_inspected_is_one_line_in_the_log",
            what_cannot_be_inspected_is_one_line_in_the_log,
        ),
        ("ten_thousand_random_steps", ten_thousand_random_steps),
    ];
    trials.extend(own.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    }));
    trials.push(Trial::test("scale::ten_thousand_containers", || {
        ten_thousand_containers();
        Ok(())
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

/// Every scenario file, by the API versions that tell names differently.
fn scenarios() -> Vec<Trial> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut trials = Vec::new();
    for entry in std::fs::read_dir(folder).expect("tests/scenarios") {
        let path = entry.expect("tests/scenarios").path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a scenario");
        let text = on_loopback(&text);
        for (name, api) in
            [("1.41", Api::DOCKER_20), ("1.44", Api::DOCKER_25), ("1.52", Api::DOCKER_29)]
        {
            let (file, text) = (file.clone(), text.clone());
            trials.push(Trial::test(format!("api {name}::{file}"), move || {
                let folder = Folder::new();
                let engine = FakeEngine::start_as(&folder.socket(), api);
                let mut subject = OnEngine::start(BINARY, &text, &engine);
                check(&file, &text, &mut subject).map_err(Failed::from)?;
                only_allowed_requests(&engine);
                Ok(())
            }));
        }
    }
    assert!(!trials.is_empty(), "there are scenarios");
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    trials
}

fn a_cut_stream() {
    let bench = Bench::start();
    bench.changes_are_seen_after(AFTER_A_CUT, FakeEngine::cut_streams, |_| {});
    // Not only the first time.
    bench.engine.cut_streams();
    bench.engine.play("docker rm -f late");
    bench.is_right_within(AFTER_A_CUT);
    bench.finish();
}

/// Newer than any that the client library knows; it refuses all versions but its own.
fn an_engine_with_only_a_newer_api() {
    let folder = Folder::new();
    let engine = FakeEngine::start_as(&folder.socket(), Api { newest: (1, 99), oldest: (1, 99) });
    engine.play("docker network create --subnet 10.1.0.0/24 net");
    engine.play("docker run -d --name web1 --net net busybox");
    let process = Process::start(&mut serve(&engine));
    until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
    assert_eq!(ask(process.dns, "web1", "A").expect("an answer").addresses.len(), 1);
}

/// As behind a socket proxy, every ten minutes.
fn a_good_stream_is_cut() {
    let bench = Bench::start();
    let lists = || bench.engine.requests().iter().filter(|a| a.path == "/containers/json").count();
    // The first one, and then one every five seconds.
    until("the stream was open for ten seconds", || (lists() >= 4).then_some(()));
    let before = bench.process.lines().len();
    bench.engine.cut_streams();
    bench.engine.play("docker kill web2");
    bench.is_right_within(AFTER_A_CUT);
    until("it is told in detail", || {
        let told = bench.process.lines();
        told[before..].iter().any(|line| line.contains("live again")).then_some(())
    });
    let told = bench.process.lines();
    let news = told[before..].iter().find(|line| line.contains("INFO") || line.contains("WARN"));
    assert_eq!(news, None);
    assert_eq!(bench.process.get("/readyz").0, 200);
    bench.finish();
}

fn a_stall() {
    under(&Faults { stall: true, ..Faults::default() });
}

fn a_stall_while_it_connects() {
    while_it_connects(&Faults { stall: true, ..Faults::default() });
}

fn slow_bytes() {
    under(&Faults { trickle: Some(Duration::from_millis(1)), ..Faults::default() });
}

fn garbage_among_the_events() {
    under(&Faults { garbage: true, ..Faults::default() });
}

fn events_fail() {
    while_it_connects(&Faults { fail_events: true, ..Faults::default() });
}

fn lists_fail() {
    while_it_connects(&Faults { fail_list: true, ..Faults::default() });
}

fn inspects_fail_for_a_moment() {
    under(&Faults { fail_inspect: true, ..Faults::default() });
}

fn no_socket() {
    absent(Absence::NoSocket);
}

fn connection_refused() {
    absent(Absence::Refusing);
}

fn absent(how: Absence) {
    let bench = Bench::start();
    bench.changes_are_seen_after(RECOVERY, |e| e.go_away(how), FakeEngine::come_back);
    bench.finish();
}

fn repeated_events() {
    under(&Faults { on_events: OnEvents::Repeat, ..Faults::default() });
}

fn reordered_events() {
    under(&Faults { on_events: OnEvents::Reorder, ..Faults::default() });
}

fn late_events() {
    under(&Faults { on_events: OnEvents::Delay(Duration::from_secs(1)), ..Faults::default() });
}

/// The others do not wait for it.
fn one_slow_inspect() {
    let bench = Bench::start();
    let slow = Some(("web1".to_owned(), Duration::from_secs(3)));
    bench.engine.fail(Faults { slow_inspect: slow, ..Faults::default() });
    bench.engine.play("docker kill -s HUP web1");
    bench.engine.play("docker run -d --name quick --net net busybox");
    let expected = bench.engine.look("quick", |record| record.attachments[0].v4);
    let ((), time) = until("the quick one is known", || {
        let found = ask(bench.process.dns, "quick", "A").expect("an answer").addresses;
        (found.first().copied() == expected.map(IpAddr::V4)).then_some(())
    });
    assert!(time < Duration::from_secs(1), "it took {time:?}");
    bench.is_right_within(RECOVERY);
    bench.finish();
}

/// A container that ends has its lock for 100 ms, and an inspect waits for that.
fn a_slow_inspect_of_what_dies() {
    let bench = Bench::start();
    let slow = Some(("web1".to_owned(), Duration::from_secs(3)));
    bench.engine.fail(Faults { slow_inspect: slow, ..Faults::default() });
    bench.engine.play("docker kill web1");
    let ((), time) = until("it has no address any more", || {
        let found = ask(bench.process.dns, "web1", "A").expect("an answer").addresses;
        found.is_empty().then_some(())
    });
    assert!(time < Duration::from_secs(1), "it took {time:?}");
    bench.engine.play("docker start web1");
    bench.is_right_within(RECOVERY);
    bench.finish();
}

/// The stream is open, and nothing comes.
fn lost_events() {
    under(&Faults { on_events: OnEvents::Drop, ..Faults::default() });
}

/// Half open: the engine has gone, and the connection does not know. Lists still come.
fn a_silent_stream() {
    let bench = Bench::start();
    bench.changes_are_seen_after(RECOVERY, FakeEngine::silence_streams, |_| {});
    until("the stream is given up", || {
        let told = bench.process.lines();
        told.iter().any(|line| line.contains("event stream is silent")).then_some(())
    });
    until("the old one is closed", || (bench.engine.streams() == 1).then_some(()));
    bench.engine.play("docker rm -f late");
    bench.is_right_within(AFTER_A_CUT);
    bench.finish();
}

/// The engine's queue for us overflows while nothing is read: events are lost without a word.
fn a_stall_with_a_flood() {
    let bench = Bench::start();
    let begin = |engine: &FakeEngine| {
        engine.fail(Faults { stall: true, ..Faults::default() });
        engine.play_all((0..4_000).map(|_| "docker kill -s CONT web1")).expect("it runs");
    };
    bench.changes_are_seen_after(RECOVERY, begin, FakeEngine::mend);
    bench.finish();
}

/// Longer than a look is repeated.
fn inspects_fail_for_long() {
    let bench = Bench::start();
    bench.engine.fail(Faults { fail_inspect: true, ..Faults::default() });
    bench.engine.play("docker rename web2 web-two");
    until("it gives up", || {
        let told = bench.process.lines();
        told.iter().any(|line| line.contains("suspect: cannot inspect")).then_some(())
    });
    bench.engine.mend();
    bench.is_right_within(RECOVERY);
    bench.finish();
}

/// Each had a line of its own, again and again.
fn what_cannot_be_inspected_is_one_line_in_the_log() {
    let bench = Bench::start();
    bench.engine.fail(Faults { fail_inspect: true, ..Faults::default() });
    bench.engine.play("docker rename web1 web-one");
    bench.engine.play("docker rename web2 web-two");
    let is_told = |what| bench.process.get("/readyz").1.contains(what);
    until("both are given up", || is_told("(one of 2 that cannot be looked at)").then_some(()));
    let looks = || {
        let asked = bench.engine.requests();
        let looks = asked.iter().filter(|asked| asked.path.starts_with("/containers/"));
        looks.filter(|asked| asked.path != "/containers/json").count()
    };
    let before = looks();
    // After two lists, each of them three times.
    until("they are tried again", || (looks() >= before + 12).then_some(()));
    let told = bench.process.lines();
    let is_warning = |line: &&String| line.contains(" WARN ") && line.contains("cannot inspect");
    let told: Vec<&String> = told.iter().filter(is_warning).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    bench.engine.mend();
    bench.is_right_within(RECOVERY);
    bench.finish();
}

/// Containers of few names are made, renamed, attached, swapped and removed at random, while
/// events come twice or in another order; at each quiet point the map is the engine's state, and
/// no answer leads to somebody else.
fn ten_thousand_random_steps() {
    let seed = seed();
    let steps = said("NETALIAS_STEPS").unwrap_or(STEPS);
    println!("NETALIAS_SEED={seed} NETALIAS_STEPS={steps}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let bench = Bench::start();
    let mut names: Vec<String> = (0..4).map(|n| format!("x{n}")).collect();
    names.extend(["app", "app.net", "app.other", "far.away"].map(str::to_owned));
    let mut witness = Witness::start(bench.process.dns, names);
    let (mut played, mut quiet) = (0, 0);
    while played < steps {
        let orders = [OnEvents::None, OnEvents::Repeat, OnEvents::Reorder];
        let on_events = orders[chance.usize(..orders.len())];
        bench.engine.fail(Faults { on_events, ..Faults::default() });
        for _ in 0..chance.usize(1..40) {
            for line in random_step(&mut chance) {
                // Many are refused, as they would be by a real engine.
                if bench.engine.try_play(&line).is_ok() {
                    played += 1;
                    witness.engine_has(owners(&bench.engine));
                }
            }
        }
        bench.engine.mend();
        bench.is_right_within(RECOVERY);
        quiet += 1;
    }
    let (answers, addresses) = witness.verdict(CONVERGENCE).expect("no answer leads astray");
    println!(
        "{played} steps, right at {quiet} quiet points; {answers} answers, {addresses} addresses"
    );
    bench.finish();
}

fn random_step(chance: &mut fastrand::Rng) -> Vec<String> {
    let one = format!("x{}", chance.u8(..4));
    let other = format!("x{}", chance.u8(..4));
    let network = ["net", "other"][chance.usize(..2)];
    let line = match chance.u8(..15) {
        0..3 => format!("docker run -d --name {one} --net {network} --net-alias app busybox"),
        3 => format!("docker run -d --name {one} --net container:web1 busybox"),
        4 => format!("docker network connect --alias far.away {network} {one}"),
        5 => format!("docker network disconnect {network} {one}"),
        6 => format!("docker kill {one}"),
        7 => format!("docker start {one}"),
        8 => format!("docker restart {one}"),
        9 => format!("docker pause {one}"),
        10 => format!("docker unpause {one}"),
        11 => format!("docker rename {one} {other}"),
        12 => format!("docker rm -f {one}"),
        13 => {
            // The network goes, with whom it has, and comes back empty.
            let containers = (0..4).map(|n| format!("docker rm -f x{n}"));
            let network = ["docker network rm other", OTHER].map(str::to_owned);
            return containers.chain(network).collect();
        }
        // Whoever starts first gets the lower address.
        _ => {
            let verbs = [("kill", &one), ("kill", &other), ("start", &other), ("start", &one)];
            return verbs.map(|(verb, container)| format!("docker {verb} {container}")).into();
        }
    };
    vec![line]
}

/// Who has each address, and which names lead there.
fn owners(engine: &FakeEngine) -> Owners {
    let mut owners = Owners::new();
    for set in perfect(engine).sets(None) {
        for address in set.members.iter().filter_map(|member| member.v4) {
            let names = owners.entry(IpAddr::V4(address)).or_default();
            names.extend([set.owner.to_string(), format!("{}.{}", set.owner, set.place.name)]);
        }
    }
    owners
}

fn ten_thousand_containers() {
    let folder = Folder::new();
    let engine = FakeEngine::start(&folder.socket());
    engine.play("docker network create --subnet 10.64.0.0/16 net");
    let run = |n| format!("docker run -d --name c{n} --net net --net-alias app{} busybox", n % 100);
    engine.play_all((0..10_000).map(run)).expect("they fit");
    let started = Instant::now();
    let process = Process::start(&mut serve(&engine));
    within(Duration::from_secs(120), "the first complete list", || {
        (process.get("/readyz").0 == 200).then_some(())
    });
    let (time, requests) = (started.elapsed(), engine.requests().len());
    println!("10,000 containers: complete after {time:?}, {requests} requests");
    for n in (0..10_000).step_by(100) {
        let name = format!("c{n}");
        let address = engine.look(&name, |record| record.attachments[0].v4).expect("it runs");
        let answer = ask(process.dns, &name, "A").expect("an answer");
        assert_eq!(answer.addresses, [IpAddr::V4(address)], "{name}");
    }
    only_allowed_requests(&engine);
}

/// Changes happen under faults, and are seen after them.
fn under(faults: &Faults) {
    let bench = Bench::start();
    let begin = |engine: &FakeEngine| engine.fail(faults.clone());
    bench.changes_are_seen_after(RECOVERY, begin, FakeEngine::mend);
    bench.finish();
}

/// The same, but the stream is lost at their beginning.
fn while_it_connects(faults: &Faults) {
    let bench = Bench::start();
    let begin = |engine: &FakeEngine| {
        engine.fail(faults.clone());
        engine.cut_streams();
    };
    bench.changes_are_seen_after(RECOVERY, begin, FakeEngine::mend);
    bench.finish();
}

/// An engine with three backends, and the binary that follows it.
struct Bench {
    engine: FakeEngine,
    process: Process,
    _folder: Folder,
}

impl Bench {
    fn start() -> Self {
        let folder = Folder::new();
        let engine = FakeEngine::start(&folder.socket());
        engine.play("docker network create --subnet 10.1.0.0/24 net");
        engine.play(OTHER);
        for name in ["web1", "web2", "web3"] {
            engine.play(&format!("docker run -d --name {name} --net net --net-alias app busybox"));
        }
        let process = Process::start(&mut serve(&engine));
        until("the first complete list", || (process.get("/readyz").0 == 200).then_some(()));
        let bench = Self { engine, process, _folder: folder };
        bench.is_right_within(RECOVERY);
        bench
    }

    /// Begins a fault, changes the engine, and ends the fault. What has not changed is answered
    /// all the time; what has, is right in time after the end.
    fn changes_are_seen_after(
        &self,
        time: Duration,
        begin: impl Fn(&FakeEngine),
        end: impl Fn(&FakeEngine),
    ) {
        let address = self.engine.look("web1", |record| record.attachments[0].v4);
        let questions = Questions::ask(self.process.dns, "web1", address.expect("it runs").into());
        begin(&self.engine);
        for line in [
            // The two swap their addresses.
            "docker kill web2",
            "docker kill web3",
            "docker start web3",
            "docker start web2",
            "docker rename web2 web-two",
            "docker run -d --name late --net net --net-alias app busybox",
            "docker network connect --alias far other late",
            "docker run -d --name gone --net net --net-alias app busybox",
            "docker rm -f gone",
            "docker pause web3",
        ] {
            self.engine.play(line);
        }
        questions.wait_for(QUESTIONS);
        end(&self.engine);
        self.is_right_within(time);
        questions.all_were_answered();
    }

    fn is_right_within(&self, time: Duration) {
        let truth = truth(&self.engine);
        let mut seen = BTreeMap::new();
        let started = Instant::now();
        while started.elapsed() < time {
            seen = known(&self.process);
            if seen == truth {
                println!("right after {:?}", started.elapsed());
                return;
            }
            std::thread::park_timeout(PACE);
        }
        panic!("not right after {time:?}:\n{seen:#?}\nbut the engine has\n{truth:#?}");
    }

    /// What holds after every fault.
    fn finish(self) {
        only_allowed_requests(&self.engine);
        let mut told = self.process.lines();
        for page in ["/healthz", "/readyz", "/metrics", "/v1/names"] {
            told.push(self.process.get(page).1);
        }
        for qtype in ["A", "TXT", "SRV"] {
            let answer = ask(self.process.dns, "web1", qtype).expect("an answer");
            told.push(format!("{:?}", answer.message));
        }
        assert!(told.len() > 7, "it logs something");
        let leak = told.iter().find(|text| text.contains(SECRET));
        assert_eq!(leak, None, "what stands in an environment is nobody's business");
    }
}

/// The names and addresses that follow from what the engine has.
fn truth(engine: &FakeEngine) -> BTreeMap<String, Vec<String>> {
    let sets = perfect(engine).sets(None).into_iter().map(|set| {
        let member = |member: &netalias::model::Member| {
            let container = &member.container;
            format!("{:?} {} {}", member.v4, container.name, container.condition.as_str())
        };
        let mut members: Vec<String> = set.members.iter().map(member).collect();
        members.sort();
        (format!("{}.{}", set.owner, set.place.name), members)
    });
    sets.collect()
}

/// What a perfect watcher would have.
fn perfect(engine: &FakeEngine) -> Reader {
    let (publisher, reader) = directory::new(1, Policy::default());
    for change in engine.everything() {
        publisher.apply(change);
    }
    reader
}

/// The same as the binary has it.
fn known(process: &Process) -> BTreeMap<String, Vec<String>> {
    let (code, body) = process.get("/v1/names");
    assert_eq!(code, 200, "{body}");
    let listing: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let entries = listing["names"].as_array().expect("names");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let sets = entries.iter().map(|entry| {
        let member = |endpoint: &serde_json::Value| {
            let v4: Option<std::net::Ipv4Addr> = text(&endpoint["v4"]).parse().ok();
            format!("{v4:?} {} {}", text(&endpoint["container"]), text(&endpoint["state"]))
        };
        let endpoints = entry["endpoints"].as_array().into_iter().flatten();
        let mut members: Vec<String> = endpoints.map(member).collect();
        members.sort();
        (format!("{}.{}", text(&entry["name"]), text(&entry["network"])), members)
    });
    sets.collect()
}

fn only_allowed_requests(engine: &FakeEngine) {
    let requests = engine.requests();
    assert!(!requests.is_empty(), "it has asked something");
    let wrong = requests.iter().find(|asked| !is_needed(asked));
    assert_eq!(wrong, None, "only what the documentation asks a socket proxy to let through");
}

fn serve(engine: &FakeEngine) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["serve", "--log", "debug", "--docker", &engine.url()]).args(kernel_port());
    command
}
