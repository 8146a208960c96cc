//! The Docker source: follows one engine for ever.
//!
//! Events are hints: an event marks a container or a network, the watcher inspects what is marked
//! and says what it finds. It subscribes first and lists then, so that nothing falls between, and
//! a list only marks too: what exists already stays in the directory while it is looked at again.
//!
//! `agenda` keeps what is marked, `drift` what lists showed and no event told, `signals` who was
//! told to stop; `translate` reads the engine's answers, `backoff` paces retries.

mod agenda;
mod backoff;
mod drift;
mod engine;
mod signals;
pub mod translate;

pub use agenda::{Agenda, MAX_IN_FLIGHT, Target};
pub use engine::EngineError;
pub use signals::Sent;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::directory::Publisher;
use crate::model::{Change, EngineUrl, Reach};
use crate::status::EngineStatus;
use backoff::Backoff;
use drift::Drift;
use engine::Engine;
use signals::Signals;
use translate::{Seen, Translated};

/// Everything is looked at again this often, in case an event never came.
const RECONCILE: Duration = Duration::from_secs(60);
/// Lists are compared this often; what they say otherwise is looked at. It also tells an engine
/// that does not answer any more from one where nothing happens.
const COMPARE: Duration = Duration::from_secs(5);
/// A container that cannot be inspected is tried again after this time.
const INSPECT_RETRY: Duration = Duration::from_millis(500);
/// So often a failing inspect is repeated before the next event or comparison is waited for.
const INSPECT_TRIES: u32 = 3;

/// Follows the engine until the task is dropped. Never gives up.
pub async fn follow(status: Arc<EngineStatus>, publisher: Publisher) -> Infallible {
    let url = status.url.clone();
    let mut watcher = Watcher {
        publisher,
        status,
        agenda: Agenda::default(),
        signals: Signals::default(),
        drift: Drift::default(),
        last_event: Instant::now(),
        live: false,
        complete: false,
    };
    let mut backoff = Backoff::default();
    let mut last_reason = String::new();
    loop {
        let started = Instant::now();
        watcher.live = false;
        let Err(error) = watcher.session(&url).await;
        let reason = error.to_string();
        if watcher.live {
            // Proxies close idle streams, and daemons restart: the next attempt will tell.
            tracing::info!(engine = %url, "{reason}; reconnecting");
            watcher.status.cut();
            last_reason.clear();
        } else {
            if reason == last_reason {
                tracing::debug!(engine = %url, %reason, "engine still out of reach");
            } else {
                let meanwhile = if watcher.complete { "; the last known names stay" } else { "" };
                tracing::warn!(engine = %url, "{reason}; retrying{meanwhile}");
            }
            watcher.status.lost(reason.clone());
            last_reason = reason;
        }
        backoff.session_lasted(started.elapsed());
        sleep(backoff.next(fastrand::f64())).await;
    }
}

struct Watcher {
    publisher: Publisher,
    status: Arc<EngineStatus>,
    agenda: Agenda,
    signals: Signals,
    drift: Drift,
    last_event: Instant,
    /// Whether this session has had a complete list.
    live: bool,
    /// Whether the first complete list has been reported.
    complete: bool,
}

impl Watcher {
    /// One event stream, from subscription to its end.
    async fn session(&mut self, url: &EngineUrl) -> Result<Infallible, EngineError> {
        let publisher = self.publisher.clone();
        let engine = Engine::connect(url).await?;
        tracing::info!(engine = %url, api = %engine.api_version(), "connected");
        self.agenda.forget_flights();
        let mut events = std::pin::pin!(engine.events());
        let mut inspects = FuturesUnordered::new();
        let mut listing = std::pin::pin!(OptionFuture::from(None));
        let mut comparison = std::pin::pin!(OptionFuture::from(None));
        let mut reconcile = interval_at(Instant::now(), RECONCILE);
        let mut compare = interval_at(Instant::now() + COMPARE, COMPARE);
        reconcile.set_missed_tick_behavior(MissedTickBehavior::Delay);
        compare.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.drift = Drift::default();
        self.last_event = Instant::now();
        loop {
            while let Some(target) = self.agenda.next() {
                let sent = match &target {
                    Target::Container(id) => self.signals.of(id),
                    Target::Network(_) => Sent::new(),
                };
                inspects.push(look_at(&engine, target, sent, &publisher));
            }
            tokio::select! {
                // Events first: the first poll opens the stream, before the list is asked for.
                biased;
                event = events.next() => {
                    if self.hear(event.ok_or(EngineError::StreamEnded)??) {
                        reconcile.reset_immediately();
                    }
                }
                Some((target, looked)) = inspects.next() => self.settle(&target, looked),
                Some(listed) = &mut listing => {
                    listing.set(None.into());
                    self.agenda.list(listed?);
                    if self.live {
                        self.drift.listed(self.agenda.awaited().cloned());
                    }
                    self.report_completion(url);
                }
                Some(listed) = &mut comparison => {
                    comparison.set(None.into());
                    let marked = self.agenda.compare(listed?);
                    self.drift.listed(marked);
                }
                _ = reconcile.tick() => listing.set(Some(engine.list()).into()),
                _ = compare.tick() => {
                    self.check_drift()?;
                    if self.live {
                        comparison.set(Some(engine.list()).into());
                    }
                }
            }
        }
    }

    /// Takes an event in; true when it means that everything must be listed again.
    fn hear(&mut self, seen: Seen) -> bool {
        self.status.events.increment();
        self.last_event = Instant::now();
        let target = match seen {
            Seen::Target(target) => target,
            Seen::Signal(id, signal, at) => {
                self.signals.note(&id, signal, at);
                Target::Container(id)
            }
            Seen::Everything => return true,
            Seen::Nothing => return false,
        };
        self.drift.hinted(&target);
        self.agenda.mark(target);
        false
    }

    /// Counts what no event has told; if none at all has come meanwhile, the stream is given up.
    fn check_drift(&mut self) -> Result<(), EngineError> {
        let late = self.drift.late(Instant::now());
        (0..late).for_each(|_| self.status.drift.increment());
        if late > 0 && self.last_event.elapsed() > COMPARE {
            return Err(EngineError::StreamSilent);
        }
        Ok(())
    }

    fn settle(&mut self, target: &Target, looked: Option<Looked>) {
        self.status.inspects.increment();
        if let Some(looked) = looked {
            self.publish(target, looked);
        } else {
            tracing::warn!(%target, "cannot be inspected; left as it was for a while");
            self.agenda.give_up(target);
        }
        if self.agenda.settle(target) {
            self.listing_is_done();
        }
    }

    fn publish(&mut self, target: &Target, Looked { networks, change, invalid }: Looked) {
        for name in invalid {
            if self.agenda.complain_about(target, &name) {
                tracing::warn!(container = %target, name, "not a valid name or label, left out");
                self.status.invalid_names.increment();
            }
        }
        for change in networks.into_iter().chain([change]) {
            self.agenda.learn(&change);
            if let Change::ContainerGone(id) = &change {
                self.signals.forget(id);
            }
            let changed = self.publisher.apply(change);
            self.drift.looked_at(target, changed, Instant::now());
        }
    }

    fn report_completion(&mut self, url: &EngineUrl) {
        tracing::debug!(engine = %url, "listed");
        if self.agenda.is_settled() {
            self.listing_is_done();
        }
    }

    /// Everything that was listed has been looked at.
    fn listing_is_done(&mut self) {
        self.status.live();
        self.live = true;
        if !self.complete {
            self.complete = true;
            self.publisher.source_is_complete();
            tracing::info!("the first complete list is in; answering");
        }
    }
}

/// What an inspect found.
struct Looked {
    /// Networks that the container is on and that were not known yet; they come first.
    networks: Vec<Change>,
    change: Change,
    /// Names that no DNS message can carry.
    invalid: Vec<String>,
}

/// Inspects a target, again after a pause if it fails. None: it keeps failing.
async fn look_at(
    engine: &Engine,
    target: Target,
    sent: Sent,
    publisher: &Publisher,
) -> (Target, Option<Looked>) {
    for attempt in 1..=INSPECT_TRIES {
        match look_once(engine, &target, &sent, publisher).await {
            Ok(looked) => return (target, Some(looked)),
            Err(error) => tracing::debug!(%target, attempt, %error, "inspect failed"),
        }
        sleep(INSPECT_RETRY).await;
    }
    (target, None)
}

async fn look_once(
    engine: &Engine,
    target: &Target,
    sent: &Sent,
    publisher: &Publisher,
) -> Result<Looked, EngineError> {
    let id = match target {
        Target::Network(id) => {
            let change = engine.inspect_network(id).await?;
            return Ok(Looked { networks: Vec::new(), change, invalid: Vec::new() });
        }
        Target::Container(id) => id,
    };
    let Translated { change, invalid } = engine.inspect_container(id, sent).await?;
    let mut networks = Vec::new();
    if let Change::Container(container) = &change
        && let Reach::Endpoints(endpoints) = &container.reach
    {
        for endpoint in endpoints {
            if !publisher.knows(&endpoint.network) {
                networks.push(engine.inspect_network(&endpoint.network).await?);
            }
        }
    }
    Ok(Looked { networks, change, invalid })
}
