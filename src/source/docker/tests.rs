//! The watcher in virtual time, beside an engine of a few lines that can be made to fall silent.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, advance, sleep, timeout};

use super::Agenda;
use super::backoff::CAP;
use super::follow_by;
use super::transport::Transport;
use super::watcher::{LAGGARDS, Watcher};
use crate::directory::{self, Reader};
use crate::model::Policy;
use crate::status::{EngineStatus, State, Status};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// By this time a connection that is half open must have been noticed.
const NOTICED: Duration = Duration::from_secs(15);
/// From the end of a fault to the right map.
const RECOVERY: Duration = Duration::from_secs(10);
/// The engine's clock stands still, far from ours.
const ENGINES_CLOCK: &str = "Sun, 09 Sep 2001 01:46:40 GMT";

/// Which paths are not answered.
type Silent = fn(&str) -> bool;

/// An engine with one running container, that is one address, or with three.
struct Stub {
    list: watch::Sender<&'static str>,
    silent: watch::Sender<Silent>,
    failing: watch::Sender<Silent>,
    /// The pause after each octet of a list.
    pace: watch::Sender<Duration>,
    cut: broadcast::Sender<()>,
    requests: Mutex<Vec<(Instant, String)>>,
}

impl Stub {
    fn start() -> (Arc<Self>, mpsc::Sender<DuplexStream>) {
        let stub = Arc::new(Self {
            list: watch::Sender::new(r#"[{"Id": "c1"}]"#),
            silent: watch::Sender::new(|_| false),
            failing: watch::Sender::new(|_| false),
            pace: watch::Sender::new(Duration::ZERO),
            cut: broadcast::Sender::new(1),
            requests: Mutex::default(),
        });
        let (door, mut connections) = mpsc::channel(64);
        let served = stub.clone();
        tokio::spawn(async move {
            while let Some(connection) = connections.recv().await {
                tokio::spawn(served.clone().serve(connection));
            }
        });
        (stub, door)
    }

    async fn serve(self: Arc<Self>, mut connection: DuplexStream) {
        let (mut request, mut cut) = (Vec::new(), self.cut.subscribe());
        while !request.ends_with(b"\r\n\r\n") {
            let Ok(octet) = connection.read_u8().await else { return };
            request.push(octet);
        }
        let request = String::from_utf8(request).unwrap();
        let path = request.split(' ').nth(1).unwrap().to_owned();
        self.requests.lock().unwrap().push((Instant::now(), path.clone()));
        let path = path.split('?').next().unwrap();
        let mut silent = self.silent.subscribe();
        if silent.wait_for(|silent| !silent(path)).await.is_err() {
            return;
        }
        let status = if self.failing.borrow()(path) { "500 Oh" } else { "200 OK" };
        let head = format!("HTTP/1.1 {status}\r\nDate: {ENGINES_CLOCK}\r\n");
        let body = match path {
            "/_ping" => "OK",
            "/version" => r#"{"ApiVersion": "1.41"}"#,
            "/networks" => "[]",
            "/containers/json" => *self.list.borrow(),
            "/containers/c1/json" | "/containers/c2/json" | "/containers/c3/json" => {
                r#"{"Name": "/web", "State": {"Running": true}, "HostConfig": {"NetworkMode":
                    "host"}, "Config": {"Env": ["PASSWORD=secret"]}}"#
            }
            "/events" => {
                let head = head + "Transfer-Encoding: chunked\r\n\r\n";
                let _ = connection.write_all(head.as_bytes()).await;
                // Nothing ever happens here; the stream is open until it is cut.
                let _ = cut.recv().await;
                return;
            }
            other => panic!("nobody may ask for {other}"),
        };
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        let pace = *self.pace.borrow();
        if path == "/containers/json" && !pace.is_zero() {
            let _ = connection.write_all(head.as_bytes()).await;
            for octet in body.bytes() {
                let _ = connection.write_u8(octet).await;
                sleep(pace).await;
            }
            return;
        }
        let _ = connection.write_all((head + body).as_bytes()).await;
    }

    fn asked(&self, path: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let asked = requests.iter().map(|(_, asked)| asked.clone());
        asked.filter(|asked| asked.starts_with(path)).collect()
    }
}

fn watcher() -> (Watcher, Arc<EngineStatus>, Reader) {
    let status = Status::new(&["unix:///stub".parse().unwrap()]).engines[0].clone();
    let (publisher, reader) = directory::new(1, Policy::default());
    let watcher = Watcher::new(status.clone(), publisher, Agenda::default());
    (watcher, status, reader)
}

/// A watcher at work beside a stub.
fn follow_stub() -> (Arc<Stub>, Arc<EngineStatus>, Reader) {
    let (stub, door) = Stub::start();
    let (watcher, status, reader) = watcher();
    tokio::spawn(follow_by(move || Ok(Transport::pipe(door.clone())), watcher));
    (stub, status, reader)
}

/// How long it takes until that is the state.
async fn until(status: &EngineStatus, state: State, limit: Duration) -> Duration {
    let started = Instant::now();
    while status.link().state != state {
        let time = started.elapsed();
        assert!(time <= limit, "not {state:?} after {time:?}, but {:?}", status.link());
        sleep(Duration::from_millis(10)).await;
    }
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_day_without_an_engine_is_a_day_of_retries() {
    let (watcher, status, reader) = watcher();
    let attempts = Mutex::new(Vec::new());
    let open = || {
        attempts.lock().unwrap().push(Instant::now());
        Err(io::ErrorKind::NotFound.into())
    };
    timeout(DAY, follow_by(open, watcher)).await.unwrap_err();
    let attempts = attempts.into_inner().unwrap();
    let gaps: Vec<Duration> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    println!("{} attempts in a day", attempts.len());
    assert!(gaps.iter().all(|gap| *gap <= CAP * 5 / 4), "they never end, nor get rarer");
    assert!(gaps[6..].iter().all(|gap| *gap >= CAP), "never more than one every {CAP:?}");
    assert_eq!(status.attempts.get(), attempts.len() as u64);
    assert_eq!(status.link().state, State::Disconnected);
    assert!(!reader.is_complete(), "nothing is denied that was never looked for");
}

#[tokio::test(start_paused = true)]
async fn a_silent_engine_is_noticed_and_found_again() {
    let (stub, status, reader) = follow_stub();
    until(&status, State::Live, RECOVERY).await;
    assert!(reader.is_complete());
    for minutes in [1, 7, 60] {
        sleep(Duration::from_secs(minutes * 60)).await;
        assert_eq!(status.link().staleness(Instant::now().into_std()), Duration::ZERO);
        stub.silent.send_replace(|_| true);
        let doubted = until(&status, State::Suspect, NOTICED).await;
        let since = status.link().staleness(Instant::now().into_std());
        assert!(since >= doubted, "it counts from the silence on, not from its notice");
        let given_up = until(&status, State::Disconnected, NOTICED).await;
        println!("suspect after {doubted:?}, disconnected {given_up:?} later");
        assert!(doubted + given_up <= NOTICED);
        assert!(!status.link().is_ready(Instant::now().into_std()));
        sleep(Duration::from_secs(minutes)).await;
        stub.silent.send_replace(|_| false);
        until(&status, State::Live, RECOVERY).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lists_that_never_come_are_noticed_though_the_engine_answers() {
    let (stub, status, _) = follow_stub();
    until(&status, State::Live, RECOVERY).await;
    stub.silent.send_replace(|path| path == "/containers/json");
    until(&status, State::Suspect, NOTICED).await;
    assert_eq!(status.link().why, "lists do not come");
    sleep(DAY / 24).await;
    assert!(!status.link().is_ready(Instant::now().into_std()));
    stub.silent.send_replace(|_| false);
    // What is under way has to time out first, if the list was given up on a dead connection.
    until(&status, State::Live, RECOVERY).await;
}

/// So is one of 100,000 containers.
#[tokio::test(start_paused = true)]
async fn a_list_that_comes_slowly_is_waited_for() {
    let (stub, status, _) = follow_stub();
    until(&status, State::Live, RECOVERY).await;
    // 14 octets, from the next list on: it takes half a minute, and pings are not answered.
    stub.pace.send_replace(Duration::from_secs(2));
    let lists = stub.asked("/containers/json").len();
    while stub.asked("/containers/json").len() == lists {
        sleep(Duration::from_millis(10)).await;
    }
    stub.silent.send_replace(|path| path == "/_ping");
    for _ in 0..25 {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(status.link().state, State::Live, "{}", status.link().why);
    }
    stub.silent.send_replace(|_| false);
    sleep(DAY / 24).await;
    assert_eq!((status.link().state, status.attempts.get()), (State::Live, 1));
    // Each rests ten times as long as it takes, and so does each look at everything.
    let lists = stub.asked("/containers/json").len() - lists;
    assert!((10..=13).contains(&lists), "{lists} in an hour");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_stops_on_the_way_is_given_up() {
    let (stub, status, _) = follow_stub();
    until(&status, State::Live, RECOVERY).await;
    stub.pace.send_replace(Duration::from_secs(60));
    until(&status, State::Suspect, NOTICED).await;
    until(&status, State::Disconnected, NOTICED).await;
    let why = status.link().why;
    assert_eq!(why, "cannot list containers and networks: nothing came for 15 s");
    stub.pace.send_replace(Duration::ZERO);
    until(&status, State::Live, RECOVERY).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_be_looked_at_leaves_the_engine_suspect() {
    let (stub, status, reader) = follow_stub();
    stub.failing.send_replace(|path| path == "/containers/c1/json");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(status.link().state, State::Listing);
    assert!(status.link().why.starts_with("cannot inspect c1"), "{}", status.link().why);
    assert!(!reader.is_complete(), "its name must not be denied");
    stub.failing.send_replace(|_| false);
    until(&status, State::Live, RECOVERY).await;
    assert!(reader.is_complete());
    // With the next look at everything.
    stub.failing.send_replace(|path| path == "/containers/c1/json");
    until(&status, State::Suspect, Duration::from_secs(70)).await;
    stub.failing.send_replace(|_| false);
    until(&status, State::Live, RECOVERY).await;
}

const THREE: &str = r#"[{"Id": "c1"}, {"Id": "c2"}, {"Id": "c3"}]"#;

#[tokio::test(start_paused = true)]
async fn one_container_of_many_that_cannot_be_looked_at_holds_up_nobody_for_long() {
    let faults: [fn(&Stub, Silent); 2] = [
        |stub, which| {
            stub.failing.send_replace(which);
        },
        |stub, which| {
            stub.silent.send_replace(which);
        },
    ];
    for fault in faults {
        let (stub, status, reader) = follow_stub();
        stub.list.send_replace(THREE);
        fault(&stub, |path| path == "/containers/c2/json");
        sleep(LAGGARDS * 9 / 10).await;
        assert!(!reader.is_complete(), "its name must not be denied at once");
        sleep(LAGGARDS / 5).await;
        assert!(reader.is_complete(), "{:?}", status.link());
        assert!(!status.link().is_ready(Instant::now().into_std()));
        fault(&stub, |_| false);
        until(&status, State::Live, RECOVERY).await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_most_cannot_be_looked_at_nothing_is_denied() {
    let (stub, status, reader) = follow_stub();
    stub.list.send_replace(THREE);
    stub.failing.send_replace(|path| matches!(path, "/containers/c1/json" | "/containers/c2/json"));
    sleep(DAY / 24).await;
    assert!(!reader.is_complete());
    let why = status.link().why;
    assert!(why.ends_with("(one of 2 that cannot be looked at)"), "{why}");
}

/// It was live for a second of each minute, when a list had come and the look had not failed yet.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_at_is_not_forgotten_with_the_next_list() {
    let (stub, status, _) = follow_stub();
    stub.list.send_replace(THREE);
    until(&status, State::Live, RECOVERY).await;
    stub.failing.send_replace(|path| path == "/containers/c2/json");
    until(&status, State::Suspect, Duration::from_secs(70)).await;
    for _ in 0..10 * 600 {
        sleep(Duration::from_millis(100)).await;
        assert_eq!(status.link().state, State::Suspect);
    }
}

/// As behind a socket proxy, all day long.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_every_ten_minutes_heals_at_once() {
    let (stub, status, _) = follow_stub();
    until(&status, State::Live, RECOVERY).await;
    for _ in 0..144 {
        sleep(DAY / 144).await;
        stub.cut.send(()).unwrap();
        until(&status, State::Disconnected, Duration::from_secs(1)).await;
        assert!(status.link().is_ready(Instant::now().into_std()));
        until(&status, State::Live, Duration::from_secs(1)).await;
    }
    assert_eq!(status.attempts.get(), 145);
    let resyncs = status.resyncs.get();
    assert!((24 * 60..=24 * 60 + 290).contains(&resyncs), "every minute, and then: {resyncs}");
}

#[tokio::test(start_paused = true)]
async fn events_are_asked_for_by_the_clock_of_the_engine() {
    let (stub, status, _) = follow_stub();
    until(&status, State::Live, RECOVERY).await;
    stub.cut.send(()).unwrap();
    until(&status, State::Disconnected, RECOVERY).await;
    until(&status, State::Live, RECOVERY).await;
    let asked = stub.asked("/events");
    assert_eq!(asked.len(), 2, "{asked:?}");
    // A billion seconds after 1970, less what it may be late.
    assert!(asked.iter().all(|asked| asked.contains("since=999999998")), "{asked:?}");
}

/// Stopped by a signal, or frozen: the engine may have thrown events away meanwhile.
#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_looks_at_everything() {
    let (stub, status, _) = follow_stub();
    until(&status, State::Live, RECOVERY).await;
    sleep(Duration::from_millis(1500)).await;
    let (before, inspects) = (status.resyncs.get(), stub.asked("/containers/c1/json").len());
    advance(Duration::from_secs(30)).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(status.resyncs.get(), before + 1);
    assert_eq!(stub.asked("/containers/c1/json").len(), inspects + 1);
    assert_eq!((status.link().state, status.attempts.get()), (State::Live, 1));
}
