//! What the running process can say of itself: the engines' states and counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::EngineUrl;

/// Shared by everything that has something to count and by everything that tells it.
#[derive(Debug, Default)]
pub struct Status {
    /// One for each engine that is followed.
    pub engines: Vec<Arc<EngineStatus>>,
    /// Answers sent, by outcome.
    pub answers: Answers,
    /// What became of questions for names of others.
    pub forwards: Forwards,
}

/// What is known of one engine.
#[derive(Debug)]
pub struct EngineStatus {
    /// Where it is.
    pub url: EngineUrl,
    link: Mutex<Link>,
    /// Attempts to reach it.
    pub attempts: Counter,
    /// Events read.
    pub events: Counter,
    /// Containers and networks inspected.
    pub inspects: Counter,
    /// Times that everything was looked at.
    pub resyncs: Counter,
    /// Event streams that ended or could not be opened.
    pub lost_streams: Counter,
    /// Changes that a list showed and no event told.
    pub drift: Counter,
    /// Names that it gave and no DNS message can carry.
    pub invalid_names: Counter,
}

/// How an engine stands to us. Whatever the state, names known before are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Out of reach; the next attempt comes after a pause.
    Disconnected,
    /// Being connected to, and asked for its events.
    Subscribing,
    /// Its events are followed; what it has is being looked at.
    Listing,
    /// Everything has been looked at, and its events are followed.
    Live,
    /// Something speaks against what is known, and everything is being looked at again.
    Suspect,
}

impl State {
    /// All of them, in the order in which an engine passes them.
    pub const ALL: [Self; 5] =
        [Self::Disconnected, Self::Subscribing, Self::Listing, Self::Live, Self::Suspect];

    /// The word for it on pages and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Subscribing => "subscribing",
            Self::Listing => "listing",
            Self::Live => "live",
            Self::Suspect => "suspect",
        }
    }
}

/// The state of an engine, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The state.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why it is not live; the last reason stays until it is.
    pub why: String,
    /// When what is answered was last known to be what the engine has; at first, the start.
    right: Instant,
}

/// Readiness does not flicker while a stream that was cut is opened again: a socket proxy may do
/// that every ten minutes, and it takes a fraction of a second.
const HEALS: Duration = Duration::from_secs(2);

impl Link {
    /// For how long what is answered may have been out of date; zero while live.
    #[must_use]
    pub fn staleness(&self, now: Instant) -> Duration {
        match self.state {
            State::Live => Duration::ZERO,
            _ => now.saturating_duration_since(self.right),
        }
    }

    /// Whether what is answered is what the engine has, or had a moment ago.
    #[must_use]
    pub fn is_ready(&self, now: Instant) -> bool {
        self.staleness(now) <= HEALS
    }
}

/// Answers sent, by outcome.
#[derive(Debug, Default)]
pub struct Answers {
    /// NOERROR with data.
    pub data: Counter,
    /// NOERROR without data.
    pub nodata: Counter,
    /// NXDOMAIN.
    pub nxdomain: Counter,
    /// SERVFAIL.
    pub servfail: Counter,
    /// REFUSED.
    pub refused: Counter,
    /// FORMERR, NOTIMP and BADVERS.
    pub malformed: Counter,
    /// None: requests of clients that may not ask.
    pub not_admitted: Counter,
    /// Those among all of them that took no look-up.
    pub from_memory: Counter,
}

/// What became of questions for names that are not ours.
#[derive(Debug, Default)]
pub struct Forwards {
    /// Answered by other servers.
    pub answered: Counter,
    /// Answered from what was kept.
    pub cached: Counter,
    /// No server gave an answer.
    pub failed: Counter,
    /// Waiting now.
    pub in_flight: Gauge,
    /// For special use, or a single label: answered here.
    pub local: Counter,
    /// Refused: forwarding is off.
    pub disabled: Counter,
    /// Refused: recursion was not desired.
    pub not_recursive: Counter,
    /// Refused: the client is on internal networks only.
    pub no_way_out: Counter,
    /// Refused: the type is no data.
    pub no_data: Counter,
    /// Refused: our own question came back.
    pub looped: Counter,
    /// Refused: too many were under way.
    pub busy: Counter,
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Status {
    /// A status that counts from zero, for these engines.
    #[must_use]
    pub fn new(engines: &[EngineUrl]) -> Self {
        let now = Instant::now();
        let engine = |url: &EngineUrl| {
            Arc::new(EngineStatus {
                url: url.clone(),
                link: Mutex::new(Link {
                    state: State::Disconnected,
                    since: now,
                    why: "not tried yet".to_owned(),
                    right: now,
                }),
                attempts: Counter::default(),
                events: Counter::default(),
                inspects: Counter::default(),
                resyncs: Counter::default(),
                lost_streams: Counter::default(),
                drift: Counter::default(),
                invalid_names: Counter::default(),
            })
        };
        Self { engines: engines.iter().map(engine).collect(), ..Self::default() }
    }
}

impl EngineStatus {
    /// How the engine stands to us now.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The engine's state is another one now; until `right` it was live, if it was.
    pub fn enter(&self, state: State, why: &str, now: Instant, right: Instant) {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if link.state == State::Live {
            link.right = right;
        }
        if link.state != state {
            (link.state, link.since) = (state, now);
        }
        if state == State::Live {
            link.why.clear();
        } else if !why.is_empty() {
            why.clone_into(&mut link.why);
        }
    }
}

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds so many.
    pub fn add(&self, number: u64) {
        if number > 0 {
            self.0.fetch_add(number, Ordering::Relaxed);
        }
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Puts it to a number.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staleness_counts_from_when_it_was_last_right() {
        let status = Status::new(&["unix:///s".parse().unwrap()]);
        let (engine, start) = (&status.engines[0], Instant::now());
        let at = |n| start + Duration::from_secs(n);
        engine.enter(State::Live, "", at(1), at(1));
        assert_eq!(engine.link().staleness(at(60)), Duration::ZERO);
        // It was noticed at 60 that since 50 nothing had been heard.
        engine.enter(State::Suspect, "silence", at(60), at(50));
        assert_eq!(engine.link().staleness(at(60)), Duration::from_secs(10));
        engine.enter(State::Disconnected, "gone", at(62), at(61));
        assert_eq!(engine.link().staleness(at(62)), Duration::from_secs(12), "not right meanwhile");
        assert_eq!((engine.link().why.as_str(), engine.link().since), ("gone", at(62)));
    }

    #[test]
    fn a_stream_that_is_opened_again_at_once_does_not_take_readiness_away() {
        let status = Status::new(&["unix:///s".parse().unwrap()]);
        let (engine, start) = (&status.engines[0], Instant::now());
        let at = |n| start + Duration::from_secs(n);
        engine.enter(State::Live, "", at(1), at(1));
        engine.enter(State::Disconnected, "cut", at(9), at(9));
        engine.enter(State::Subscribing, "", at(10), at(10));
        assert!(engine.link().is_ready(at(10)));
        assert!(!engine.link().is_ready(at(12)));
        engine.enter(State::Live, "", at(13), at(13));
        assert!(engine.link().is_ready(at(99)));
    }
}
