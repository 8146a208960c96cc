//! What netalias asks of an engine, what it keeps, and what it repeats.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use netalias_testkit::{Asked, Folder, OwnEngine, Process, Proxy, ask, is_needed, until, within};

use super::Test;
use super::following::{Following, RECOVERY, changes, is_right_within, serve, three_backends};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("privilege::only_what_is_needed_passes_and_that_is_enough", only_what_is_needed_passes),
    ("privilege::a_refusing_proxy_is_told", a_refusing_proxy_is_told),
    ("privilege::secrets_stay_where_they_are", secrets_stay_where_they_are),
];

fn only_what_is_needed_passes(engine: &mut OwnEngine) {
    let docker = engine.docker();
    three_backends(docker);
    let following = Following::through(engine, is_needed);
    changes(docker);
    following.is_right_within(docker, RECOVERY);
    following.proxy.cut();
    docker.run(&["system", "prune", "-f"]);
    docker.run(&["kill", "web1"]);
    following.is_right_within(docker, RECOVERY);
    let requests = following.proxy.requests();
    let refused: Vec<&Asked> = requests.iter().filter(|asked| !is_needed(asked)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    println!("{} requests, all needed", requests.len());
}

/// What is missing is said, not guessed at.
fn a_refusing_proxy_is_told(engine: &mut OwnEngine) {
    three_backends(engine.docker());
    let folder = Folder::new();
    let socket = folder.path().join("proxy.sock");
    let lists = |asked: &Asked| is_needed(asked) && asked.path != "/containers/json";
    let proxy = Proxy::start(&socket, &engine.socket(), lists);
    let process = Process::start(&mut serve(&proxy.url()));
    until("it says what it may not", || {
        let why = "cannot list containers and networks: Docker responded with status code 403";
        process.get("/readyz").1.contains(why).then_some(())
    });
    let answer = ask(process.dns, "unheard-of", "A").expect("an answer").as_expected();
    assert_eq!(answer.to_string(), "SERVFAIL", "no name may be denied that was not listed");
}

/// An environment has passwords in it, and each inspect has the environment.
fn secrets_stay_where_they_are(engine: &mut OwnEngine) {
    let docker = engine.docker();
    three_backends(docker);
    let secret = format!("nt-secret-{:x}", fastrand::u128(..));
    let environment = format!("PASSWORD={secret}");
    let on = ["--name", "vault", "--network", "net", "-e", &environment];
    docker.sleeper(&on);
    // At the most talkative level there is.
    let process = Process::start(&mut serve(&engine.url()));
    is_right_within(&process, docker, RECOVERY);
    docker.run(&["restart", "-t", "0", "vault"]);
    is_right_within(&process, docker, RECOVERY);
    assert!(docker.run(&["inspect", "vault"]).contains(&secret), "the engine does tell it");
    let mut told = process.lines();
    assert!(!told.is_empty());
    for page in ["/healthz", "/readyz", "/metrics", "/v1/names"] {
        told.push(process.get(page).1);
    }
    for qtype in ["A", "TXT", "ANY"] {
        told.push(format!("{:?}", ask(process.dns, "vault", qtype).expect("an answer").message));
    }
    let leak = told.iter().find(|text| text.contains(&secret));
    assert_eq!(leak, None, "what stands in an environment is nobody's business");
    let found = |text: &str| occurrences(process.id(), text.as_bytes());
    let (size, names) = found("vault");
    assert!(names > 0, "the search finds what is there");
    let ((_, left), _) = within(RECOVERY, "no answer is being read", || {
        let found = found(&secret);
        (found.1 == 0).then_some(found)
    });
    println!("{size} octets of memory, {names} times the name, {left} times the secret");
}

/// How much memory of its own a process has, and how often a text is in it.
fn occurrences(process: u32, text: &[u8]) -> (usize, usize) {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("a child of ours");
    let mut memory = File::open(format!("/proc/{process}/mem")).expect("a child of ours");
    let (mut size, mut count) = (0, 0);
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (begin, end) = range.expect("a range");
        let number = |text| u64::from_str_radix(text, 16).expect("an address");
        let (begin, end) = (number(begin), number(end));
        let mut bytes = Vec::new();
        let read = memory
            .seek(SeekFrom::Start(begin))
            .and_then(|_| (&mut memory).take(end - begin).read_to_end(&mut bytes));
        // Parts of it may be gone since, or be no memory at all.
        if read.is_ok() || !bytes.is_empty() {
            size += bytes.len();
            count += bytes.windows(text.len()).filter(|window| *window == text).count();
        }
    }
    (size, count)
}
