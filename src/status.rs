//! What the running process can say of itself: the engines' states and counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

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
    /// Events read.
    pub events: Counter,
    /// Containers and networks inspected.
    pub inspects: Counter,
    /// Event streams that ended or could not be opened.
    pub lost_streams: Counter,
    /// Changes that a list showed and no event told.
    pub drift: Counter,
    /// Names that it gave and no DNS message can carry.
    pub invalid_names: Counter,
}

/// How an engine stands to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not listed completely yet.
    Connecting,
    /// Listed, and its events are followed.
    Live,
    /// Out of reach.
    Lost {
        /// When it was lost.
        since: Instant,
        /// What went wrong last.
        why: String,
    },
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
        let engine = |url: &EngineUrl| {
            Arc::new(EngineStatus {
                url: url.clone(),
                link: Mutex::new(Link::Connecting),
                events: Counter::default(),
                inspects: Counter::default(),
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

    /// Everything is listed, and its events are followed.
    pub fn live(&self) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Link::Live;
    }

    /// Its event stream has ended, and is opened again.
    pub fn cut(&self) {
        self.lost_streams.increment();
    }

    /// It is out of reach; the first loss keeps its time until the engine is live again.
    pub fn lost(&self, why: String) {
        self.lost_streams.increment();
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match *link {
            Link::Lost { since, .. } => since,
            Link::Connecting | Link::Live => Instant::now(),
        };
        *link = Link::Lost { since, why };
    }
}

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
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
