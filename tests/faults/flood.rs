//! A flood of events: none is missed, and the engine does not become slower by being followed.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use netalias_testkit::{OwnEngine, ask, until};

use super::Test;
use super::following::{Following, SOON, changes, count, three_backends};

pub(crate) const TESTS: &[(&str, Test)] = &[("flood::events_and_questions", events_and_questions)];

/// More than an engine keeps for somebody who does not read.
const EVENTS: usize = 1_500;
/// What an event costs the engine when somebody does not read.
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
    let alone = flood(engine, events);
    println!("{events} events, nobody follows: {alone}");
    let following = Following::start(engine);
    let before = count(&following.process, "engine_events");
    let (server, stop) = (following.process.dns, AtomicBool::new(false));
    let asked = AtomicUsize::new(0);
    let followed = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                ask(server, "web1", "A").expect("an answer");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        let followed = flood(engine, events);
        stop.store(true, Ordering::Relaxed);
        followed
    });
    let asked = asked.into_inner();
    println!("{events} events, followed, under {asked} questions: {followed}");
    until("every event has been read", || {
        let read = count(&following.process, "engine_events") - before;
        (read >= events as u64).then_some(())
    });
    changes(docker);
    following.is_right_within(docker, SOON);
    assert_eq!(count(&following.process, "engine_drift"), 0);
    assert_eq!(count(&following.process, "engine_attempts"), 1);
    // Questions take the processor, too; what must not be is that the engine waits for us.
    assert!(followed.median < alone.median * 3, "{followed} instead of {alone}");
    assert!(followed.slow <= alone.slow + events / 100, "{followed} instead of {alone}");
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
