//! A flood of events: none is missed, and the engine does not become slower by being followed.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use netalias_testkit::{OwnEngine, Process, ask, kernel_port, until};

use super::Test;
use super::following::{BINARY, Following, SOON, changes, count, three_backends};

pub(crate) const TESTS: &[(&str, Test)] = &[("flood::events_and_questions", events_and_questions)];

/// More than an engine keeps for somebody who does not read.
const EVENTS: usize = 1_500;
/// So many an engine keeps for somebody who does not read.
const KEPT: usize = 1_024;
/// What each one more costs the engine then.
const PENALTY: Duration = Duration::from_millis(100);

/// One connection on which an engine is asked to signal a container, which makes an event.
pub(crate) struct Caller(BufReader<UnixStream>);

impl Caller {
    pub(crate) fn connect(socket: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).expect("an engine")))
    }

    /// Sends a signal that changes nothing, and says how long the engine took.
    pub(crate) fn kill_by_cont(&mut self, container: &str) -> Duration {
        let started = Instant::now();
        let request = format!(
            "POST /containers/{container}/kill?signal=CONT HTTP/1.1\r\nHost: docker\r\n\
             Content-Length: 0\r\n\r\n"
        );
        self.0.get_mut().write_all(request.as_bytes()).expect("an engine");
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an answer");
        assert!(line.starts_with("HTTP/1.1 204"), "{line}");
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).expect("the rest of the head");
        }
        started.elapsed()
    }
}

fn events_and_questions(engine: &mut OwnEngine) {
    let events = std::env::var("NETALIAS_EVENTS").ok().and_then(|text| text.parse().ok());
    let events: usize = events.unwrap_or(EVENTS);
    let docker = engine.docker();
    three_backends(docker);
    // Questions take the processor, too, so the other server is asked as much.
    let demo = Process::start(Command::new(BINARY).arg("demo").args(kernel_port()));
    let (alone, asked) = flood_under_questions(engine, events, demo.dns, "nettest1");
    println!("{events} events, nobody follows, under {asked} questions: {alone}");
    drop(demo);
    let following = Following::start(engine);
    let (server, before) = (following.process.dns, count(&following.process, "engine_events"));
    let (followed, asked) = flood_under_questions(engine, events, server, "web1");
    println!("{events} events, followed, under {asked} questions: {followed}");
    until("every event has been read", || {
        let read = count(&following.process, "engine_events") - before;
        (read >= events as u64).then_some(())
    });
    changes(docker);
    following.is_right_within(docker, SOON);
    assert_eq!(count(&following.process, "engine_drift"), 0);
    assert_eq!(count(&following.process, "engine_attempts"), 1);
    assert!(followed.median < alone.median * 3, "{followed} instead of {alone}");
    let unread = events.saturating_sub(KEPT);
    assert!(followed.slow < unread / 2 + alone.slow, "{followed}: as if nobody read");
}

/// The flood while one client asks as fast as it is answered; and how much it asked.
fn flood_under_questions(
    engine: &OwnEngine,
    events: usize,
    server: SocketAddr,
    name: &str,
) -> (Times, usize) {
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let times = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                ask(server, name, "A").expect("an answer");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        let times = flood(engine, events);
        stop.store(true, Ordering::Relaxed);
        times
    });
    (times, asked.into_inner())
}

/// How long the events of a flood took the engine.
struct Times {
    median: Duration,
    p99: Duration,
    longest: Duration,
    /// How many took as long as they do when somebody does not read.
    slow: usize,
}

fn flood(engine: &OwnEngine, count: usize) -> Times {
    let mut caller = Caller::connect(&engine.socket());
    let mut times: Vec<_> = (0..count).map(|_| caller.kill_by_cont("web1")).collect();
    times.sort_unstable();
    Times {
        median: times[count / 2],
        p99: times[count * 99 / 100],
        longest: times[count - 1],
        slow: times.iter().filter(|time| **time >= PENALTY).count(),
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, p99, longest, slow } = self;
        write!(f, "median {median:?}, p99 {p99:?}, longest {longest:?}, {slow} over {PENALTY:?}")
    }
}
