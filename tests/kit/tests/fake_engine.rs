//! The fake engine says what a real one says: the captures of tests/data, played and compared.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use netalias_testkit::{Absence, Api, FakeEngine, Faults, Folder, OnEvents};
use serde_json::{Value, json};

/// What differs between any two machines, engines or moments: only its type is compared.
const ANY_VALUE: [&str; 19] = [
    "Created",
    "StartedAt",
    "FinishedAt",
    "Start",
    "End",
    "Pid",
    "Status",
    "SandboxID",
    "SandboxKey",
    "EndpointID",
    "ImageID",
    "Image",
    "HostPort",
    "HostIp",
    "PublicPort",
    "IP",
    "IPAddress",
    "IPv4Address",
    "MacAddress",
];
/// What the fake engine has otherwise on purpose: a secret, and nothing of what neither names nor
/// addresses depend on: files of layers and logs, the pace of checks, terminals, drivers.
const OTHERWISE: [&str; 7] =
    ["Env", "Data", "LogConfig", "Interval", "AttachStdout", "AttachStderr", "Options"];

#[test]
fn answers_are_those_of_docker_20_10() {
    let (_folder, snapshot, _) = played();
    let mut wrong = Vec::new();
    let real = read("answers.jsonl");
    let real_ids = ids_in_answers(&real);
    let fake: Vec<Value> =
        real.iter().map(|answer| ask(&snapshot, text(&answer["path"]))).collect();
    let fake_ids = ids_in_answers(&fake);
    for (real, fake) in real.iter().zip(&fake) {
        let (real, fake) = (named(real, &real_ids), named(fake, &fake_ids));
        let path = text(&real["path"]);
        for key in ["status", "body"] {
            compare(&format!("{path} {key}"), key, &real[key], &fake[key], &mut wrong);
        }
        for header in ["content-type", "api-version"] {
            let of = |answer: &Value| answer["headers"][header].clone();
            if path != "/nowhere" && of(&real) != of(&fake) {
                wrong.push(format!("{path} {header}: {} but {}", of(&real), of(&fake)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn events_are_those_of_docker_20_10() {
    let (_folder, engine, rest) = played();
    rest.iter().for_each(|line| engine.play(line));
    let real = story(&read("events.jsonl"));
    let mut stream = connect(&engine, "GET", "/events?since=0");
    let fake = story(&events(&mut stream, real.len()));
    for (index, (real, fake)) in real.iter().zip(&fake).enumerate() {
        assert_eq!(real, fake, "event {index}");
    }
    assert_eq!(real.len(), fake.len());
}

#[test]
fn newer_apis_tell_names_otherwise() {
    let folder = Folder::new();
    let path = folder.socket();
    let engine = FakeEngine::start_as(&path, Api { newest: (1, 48), oldest: (1, 24) });
    engine.play("docker network create --subnet 10.9.0.0/24 net");
    engine.play("docker run --name web -h www --net net --net-alias app busybox");
    let id = engine.look("web", |record| record.id.short().to_owned());
    let at = |api: &str| {
        let inspect = ask(&engine, &format!("{api}/containers/web/json"));
        inspect["body"]["NetworkSettings"]["Networks"]["net"].clone()
    };
    let old = at("/v1.43");
    assert_eq!(old["Aliases"], json!(["app", id, "www"]));
    assert_eq!((old.get("DNSNames"), old.get("GwPriority")), (None, None));
    let middle = at("/v1.44");
    assert_eq!(middle["Aliases"], json!(["app", id, "www"]));
    assert_eq!(middle["DNSNames"], json!(["web", "app", id, "www"]));
    let new = at("");
    assert_eq!(new["Aliases"], json!(["app"]));
    assert_eq!(new["DNSNames"], json!(["web", "app", id, "www"]));
    assert_eq!(new["GwPriority"], json!(0));
    let refused = ask(&engine, "/v1.49/version");
    assert_eq!(refused["status"], 400);
    let refused = ask(&engine, "/v1.23/version");
    assert_eq!(
        refused["body"]["message"],
        "client version 1.23 is too old. Minimum supported \
        API version is 1.24, please upgrade your client to a newer version"
    );
}

#[test]
fn streams_are_filtered_cut_and_bounded() {
    let folder = Folder::new();
    let path = folder.socket();
    let engine = FakeEngine::start(&path);
    let filters = "%7B%22type%22%3A%5B%22network%22%5D%7D";
    let mut networks = connect(&engine, "GET", &format!("/events?filters={filters}"));
    engine.play("docker run --name web busybox");
    engine.play("docker network create net");
    let actions: Vec<Value> =
        events(&mut networks, 2).iter().map(|e| e["Action"].clone()).collect();
    assert_eq!(actions, ["connect", "create"]);
    engine.cut_streams();
    let mut rest = String::new();
    let end = networks.read_to_string(&mut rest).map(|_| rest.ends_with("0\r\n\r\n"));
    assert!(!matches!(end, Ok(true)), "the last chunk was not announced");
    assert_eq!(engine.streams(), 0);
    // Nobody reads: the kernel and the queue fill up, and then events are lost.
    let silent = connect(&engine, "GET", "/events");
    for _ in 0..2500 {
        engine.play("docker kill -s CONT web");
    }
    assert!(engine.lost_events() > 0);
    drop(silent);
}

#[test]
fn events_can_be_lost_repeated_reversed_and_late() {
    let folder = Folder::new();
    let path = folder.socket();
    let engine = FakeEngine::start(&path);
    engine.play("docker run --name web busybox");
    let mut stream = connect(&engine, "GET", "/events");
    let mut after = |on_events: OnEvents, count: usize| -> Vec<String> {
        engine.fail(Faults { on_events, ..Faults::default() });
        engine.play("docker pause web");
        engine.play("docker unpause web");
        engine.mend();
        let told = events(&mut stream, count);
        told.iter().map(|event| text(&event["Action"]).to_owned()).collect()
    };
    assert_eq!(after(OnEvents::Repeat, 4), ["pause", "pause", "unpause", "unpause"]);
    assert_eq!(after(OnEvents::Drop, 0), [""; 0]);
    assert_eq!(after(OnEvents::Reorder, 2), ["unpause", "pause"]);
    let delay = Duration::from_millis(30);
    let started = Instant::now();
    assert_eq!(after(OnEvents::Delay(delay), 2), ["pause", "unpause"]);
    assert!(started.elapsed() >= delay);
    engine.begin_stop("web");
    let told = events(&mut stream, 1);
    assert_eq!(told[0]["Action"], "kill");
    assert_eq!(told[0]["Actor"]["Attributes"]["signal"], "15");
}

#[test]
fn an_absent_engine_refuses_and_comes_back() {
    let folder = Folder::new();
    let path = folder.socket();
    let engine = FakeEngine::start(&path);
    let mut open = connect(&engine, "GET", "/events");
    engine.go_away(Absence::Refusing);
    assert!(path.exists());
    assert!(UnixStream::connect(&path).is_err());
    let mut rest = Vec::new();
    // Cut off: an end or an error, but not silence.
    let _ = open.read_to_end(&mut rest);
    engine.come_back();
    assert_eq!(ask(&engine, "/_ping")["body"], "OK");
    engine.go_away(Absence::NoSocket);
    assert!(!path.exists());
    engine.come_back();
    assert_eq!(ask(&engine, "/_ping")["body"], "OK");
    let asked: Vec<String> = engine.requests().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked, ["/events", "/_ping", "/_ping"]);
}

#[test]
fn a_hundred_thousand_containers_can_be_made_and_listed() {
    let folder = Folder::new();
    let path = folder.socket();
    let engine = FakeEngine::start(&path);
    engine.play("docker network create --subnet 10.64.0.0/14 net");
    let started = Instant::now();
    let lines = (0..100_000).map(|n| format!("docker run --name c{n} --net net --net-alias app i"));
    engine.play_all(lines).unwrap();
    println!("100,000 containers played in {:?}", started.elapsed());
    let started = Instant::now();
    let mut list = String::new();
    connect(&engine, "GET", "/containers/json").read_to_string(&mut list).unwrap();
    println!("listed in {:?}: {} MB", started.elapsed(), list.len() / 1_000_000);
    assert_eq!(list.matches("\"State\":\"running\"").count(), 100_000);
    let last = ask(&engine, "/containers/c99999/json");
    assert_eq!(last["body"]["NetworkSettings"]["Networks"]["net"]["IPAddress"], "10.65.134.161");
}

/// An engine after the captures' lines up to the snapshot, and the lines that are left.
fn played() -> (Folder, FakeEngine, Vec<String>) {
    let folder = Folder::new();
    let path = folder.socket();
    let engine = FakeEngine::start(&path);
    let lines = std::fs::read_to_string(data("capture.txt")).unwrap();
    let (before, after) = lines.split_once("# snapshot").unwrap();
    before.lines().for_each(|line| engine.play(line));
    (folder, engine, after.lines().map(str::to_owned).collect())
}

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(file)
}

fn read(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(data("docker-20.10").join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn connect(engine: &FakeEngine, method: &str, path: &str) -> UnixStream {
    let mut stream = UnixStream::connect(engine.url().trim_start_matches("unix://")).unwrap();
    let streams = engine.streams();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").unwrap();
    if path.starts_with("/events") {
        netalias_testkit::until("it listens", || (engine.streams() > streams).then_some(()));
    }
    stream
}

/// One answer, as the captures have it.
fn ask(engine: &FakeEngine, path: &str) -> Value {
    let mut answer = String::new();
    connect(engine, "GET", path).read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut head = head.lines();
    let status: u16 = head.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<&str, &str> = head.filter_map(|line| line.split_once(": ")).collect();
    let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
    json!({ "path": path, "status": status, "headers": headers, "body": body })
}

/// The next events of a stream.
fn events(stream: &mut UnixStream, count: usize) -> Vec<Value> {
    // Byte by byte, so that nothing beyond is read.
    let mut lines = BufReader::with_capacity(1, stream).lines();
    let mut found = Vec::new();
    while found.len() < count {
        let line = lines.next().unwrap().unwrap();
        // Between them stand the lengths of the chunks.
        if line.starts_with("{\"") {
            found.push(serde_json::from_str(&line).unwrap());
        }
    }
    found
}

/// Events with names instead of ids, without what a health check's processes make, and with those
/// in a fixed order that Docker tells in any.
fn story(events: &[Value]) -> Vec<Value> {
    let mut ids = BTreeMap::new();
    for event in events.iter().filter(|event| event["Actor"]["ID"] != "") {
        let name = event["Actor"]["Attributes"]["name"].clone();
        ids.entry(text(&event["Actor"]["ID"]).to_owned()).or_insert(text(&name).to_owned());
    }
    let mut story: Vec<Value> = Vec::new();
    let mut run = 0;
    for event in events.iter().filter(|event| !text(&event["Action"]).starts_with("exec_")) {
        let mut event = named(event, &ids);
        for time in ["time", "timeNano"] {
            event[time] = json!(event[time].is_u64());
        }
        let alike = story.last().is_some_and(|last| {
            last["Action"] == event["Action"]
                && (last["Type"] == "network" || event["Action"] == "destroy")
        });
        run = if alike { run } else { story.len() };
        story.push(event);
        story[run..].sort_by_key(ToString::to_string);
    }
    story
}

fn ids_in_answers(answers: &[Value]) -> BTreeMap<String, String> {
    let bodies = answers.iter().map(|answer| &answer["body"]);
    let named = bodies.filter_map(|body| {
        Some((body["Id"].as_str()?.to_owned(), text(&body["Name"]).trim_matches('/').to_owned()))
    });
    named.collect()
}

/// The same with names in the place of ids, long and short.
fn named(value: &Value, ids: &BTreeMap<String, String>) -> Value {
    let mut text = value.to_string();
    for (id, name) in ids {
        text = text.replace(id, &format!("<{name}>"));
        text = text.replace(&id[..12], &format!("<{name} in short>"));
    }
    serde_json::from_str(&text).unwrap()
}

fn compare(place: &str, key: &str, real: &Value, fake: &Value, wrong: &mut Vec<String>) {
    match (real, fake) {
        (Value::Object(real), Value::Object(fake)) => {
            let keys = real.keys().chain(fake.keys().filter(|key| !real.contains_key(*key)));
            for key in keys.filter(|key| !OTHERWISE.contains(&key.as_str())) {
                let place = format!("{place}/{key}");
                match (real.get(key), fake.get(key)) {
                    (Some(real), Some(fake)) => compare(&place, key, real, fake, wrong),
                    (Some(_), None) => wrong.push(format!("{place} is missing")),
                    (_, _) => wrong.push(format!("{place} is not Docker's")),
                }
            }
        }
        (Value::Array(real), Value::Array(fake)) if real.len() == fake.len() => {
            let (mut real, mut fake) = (real.clone(), fake.clone());
            if key == "Ports" {
                // Docker has them in a map without order.
                real.sort_by_key(ToString::to_string);
                fake.sort_by_key(ToString::to_string);
            }
            for (index, (real, fake)) in real.iter().zip(&fake).enumerate() {
                compare(&format!("{place}/{index}"), key, real, fake, wrong);
            }
        }
        (real, fake) if real == fake => {}
        (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_))
            if ANY_VALUE.contains(&key) => {}
        _ => wrong.push(format!("{place}: {real} but {fake}")),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
