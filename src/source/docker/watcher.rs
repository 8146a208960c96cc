//! One session with an engine after the other: from its event stream's beginning to its end.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::drift::Drift;
use super::engine::Engine;
use super::herald::Herald;
use super::look::{Looked, look_at};
use super::pulse::{BEAT, Doubt, Pulse, Purpose};
use super::reader::{Inbox, Reader};
use super::signals::{Sent, Signals};
use super::transport::Transport;
use super::{Agenda, EngineError, Listing, Target};
use crate::directory::Publisher;
use crate::model::{Change, ContainerId};
use crate::status::EngineStatus;

/// An engine that has not opened the stream within this time may do so with the first event only,
/// as some proxies do; listing goes on, and later lists find what was missed between.
const OPENING: Duration = Duration::from_secs(2);

/// An inspect has so long to say what became of a container that died; most engines keep it waiting
/// for the container's lock for 70 ms and more. A restart that is quicker leaves no gap.
const DYING: Duration = Duration::from_millis(2);

/// So many deaths wait for that at once; of more an inspect has to say it.
const MAX_DYING: usize = 65_536;

/// What cannot be looked at holds the first complete list up for so long, if most can be: a single
/// container whose lock the engine does not give must not leave all unknown names unanswered.
pub(super) const LAGGARDS: Duration = Duration::from_secs(30);

/// What outlives a session.
pub(super) struct Watcher {
    publisher: Publisher,
    status: Arc<EngineStatus>,
    herald: Herald,
    agenda: Agenda,
    signals: Signals,
    drift: Drift,
    pulse: Pulse,
    /// What died: until when an inspect may say so, and when it was.
    dying: VecDeque<(Instant, ContainerId, i128)>,
    last_event: Instant,
    /// When the session began.
    began: Instant,
    /// When the list was asked for that what is awaited comes from.
    listed: Instant,
    /// When what is known was last seen to be what the engine has.
    right: Instant,
    /// Everything must be looked at before this is known to be right.
    unsure: bool,
    /// What could not be looked at; it is tried again with each list.
    unseen: HashSet<Target>,
    /// How many containers the last list had.
    containers: usize,
    /// Whether the first complete list has been reported.
    complete: bool,
}

impl Watcher {
    pub(super) fn new(status: Arc<EngineStatus>, publisher: Publisher, agenda: Agenda) -> Self {
        let now = Instant::now();
        Self {
            publisher,
            herald: Herald::new(status.clone()),
            status,
            agenda,
            signals: Signals::default(),
            drift: Drift::default(),
            pulse: Pulse::new(now),
            dying: VecDeque::new(),
            last_event: now,
            began: now,
            listed: now,
            right: now,
            unsure: true,
            unseen: HashSet::new(),
            containers: 0,
            complete: false,
        }
    }

    /// Follows the engine for as long as that goes.
    pub(super) async fn attempt(&mut self, transport: io::Result<Transport>) {
        self.status.attempts.increment();
        self.herald.subscribing();
        let Err(error) = self.session(transport).await;
        self.status.lost_streams.increment();
        let right = if error.was_right_until_now() { Instant::now() } else { self.right };
        self.herald.disconnected(&error, right);
    }

    async fn session(
        &mut self,
        transport: io::Result<Transport>,
    ) -> Result<Infallible, EngineError> {
        let url = self.status.url.clone();
        let unusable = |error: io::Error| EngineError::Connect { url, source: error.into() };
        let engine = Engine::connect(&self.status.url, transport.map_err(unusable)?).await?;
        let reader = Reader::start(engine.events());
        self.subscribed(&engine, &reader).await?;
        let publisher = self.publisher.clone();
        let mut inspects = FuturesUnordered::new();
        let mut listing = std::pin::pin!(OptionFuture::from(None));
        let mut ping = std::pin::pin!(OptionFuture::from(None));
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            self.pulse.pieces(engine.pieces(), now);
            if self.pulse.list_due(now, self.agenda.is_settled(), !self.unsure).is_some() {
                listing.set(Some(engine.list()).into());
            }
            if self.pulse.ping_due(now) {
                ping.set(Some(engine.is_alive()).into());
            }
            while let Some(target) = self.agenda.next() {
                let sent = match &target {
                    Target::Container(id) => self.signals.of(id),
                    Target::Network(_) => Sent::new(),
                };
                let pause = self.agenda.pause_before(&target);
                inspects.push(look_at(&engine, target, sent, pause, &publisher));
            }
            let dies = self.dying.front().map_or(now, |(due, ..)| *due);
            tokio::select! {
                // Time and events first: a flood of looks must not hide that the engine is silent.
                biased;
                _ = beat.tick() => self.beat()?,
                inbox = reader.take() => self.hear(inbox)?,
                () = sleep_until(dies), if !self.dying.is_empty() => self.bury(),
                Some(alive) = &mut ping => {
                    ping.set(None.into());
                    if !self.is_answered(alive) {
                        // It may wait for a connection that is dead.
                        listing.set(None.into());
                    }
                }
                Some(list) = &mut listing => {
                    listing.set(None.into());
                    self.compare_or_resync(&list?);
                }
                Some((target, looked)) = inspects.next() => self.settle(&target, looked),
            }
        }
    }

    /// The engine has been asked for its events: waits until it says that they will come.
    async fn subscribed(&mut self, engine: &Engine, reader: &Reader) -> Result<(), EngineError> {
        self.agenda.forget_flights();
        self.drift = Drift::default();
        self.dying.clear();
        self.unseen.clear();
        self.unsure = true;
        tokio::select! {
            biased;
            () = engine.is_open() => {}
            inbox = reader.take() => self.hear(inbox)?,
            () = tokio::time::sleep(OPENING) => {}
        }
        self.herald.listing(engine.api_version());
        let now = Instant::now();
        (self.last_event, self.began, self.pulse) = (now, now, Pulse::new(now));
        Ok(())
    }

    /// Takes in what the reader has read.
    fn hear(&mut self, inbox: Inbox) -> Result<(), EngineError> {
        self.status.events.add(inbox.events);
        self.last_event = inbox.newest.unwrap_or(self.last_event);
        for ((id, signal), at) in inbox.signals {
            self.signals.note(&id, signal, at);
        }
        for (id, at) in inbox.deaths {
            self.agenda.died(&id, at);
            if self.dying.len() < MAX_DYING {
                self.dying.push_back((Instant::now() + DYING, id, at));
            }
        }
        for target in inbox.targets {
            self.drift.hinted(&target);
            self.agenda.mark(&target);
        }
        if inbox.everything {
            self.pulse.want_resync();
        }
        inbox.end.map_or(Ok(()), Err)
    }

    /// A second has passed: says so if the engine is too silent, or its event stream.
    fn beat(&mut self) -> Result<(), EngineError> {
        let now = Instant::now();
        self.go_on_without_laggards(now);
        match self.pulse.beat(now) {
            Some(Doubt::Gap(stood)) => {
                self.doubt(&format!("this process stood still for {} s", stood.as_secs()));
            }
            Some(Doubt::SlowList) => self.doubt("lists do not come"),
            Some(Doubt::NoAnswer) | None => {}
        }
        if let Some(silence) = self.pulse.too_silent(now) {
            return Err(EngineError::NoAnswer(silence));
        }
        let late = self.drift.late(now);
        if late == 0 {
            return Ok(());
        }
        self.status.drift.add(u64::try_from(late).unwrap_or(u64::MAX));
        if now.duration_since(self.last_event) > self.pulse.between_lists() {
            return Err(EngineError::StreamSilent);
        }
        self.doubt("changes were not told by events");
        self.pulse.want_resync();
        Ok(())
    }

    /// Something speaks against what is known: only looking at everything can settle it.
    fn doubt(&mut self, why: &str) {
        self.unsure = true;
        self.herald.doubt(why, self.right);
    }

    fn is_answered(&mut self, alive: bool) -> bool {
        let doubt = self.pulse.pinged(Instant::now(), alive);
        if doubt.is_some() {
            self.doubt("the engine does not answer");
        }
        doubt.is_none()
    }

    fn compare_or_resync(&mut self, list: &Listing) {
        let Some((purpose, asked)) = self.pulse.listed(Instant::now()) else { return };
        self.unseen.iter().for_each(|target| self.agenda.mark(target));
        if purpose == Purpose::Compare {
            let marked = self.agenda.compare(list);
            if marked.is_empty() && self.unseen.is_empty() {
                self.right = asked;
            }
            self.drift.listed(marked);
            return;
        }
        self.status.resyncs.increment();
        (self.listed, self.containers) = (asked, list.containers.iter().count());
        self.agenda.list(list);
        if self.herald.is_live() {
            self.drift.listed(self.agenda.awaited());
        }
        if self.agenda.is_settled() {
            self.everything_is_seen();
        }
    }

    fn settle(&mut self, target: &Target, looked: Result<Looked, EngineError>) {
        self.status.inspects.increment();
        match looked {
            Ok(looked) => {
                self.unseen.remove(target);
                self.publish(target, looked);
            }
            Err(error) => {
                tracing::debug!(%target, %error, "left as it was for a while");
                self.unseen.insert(target.clone());
                let error = error.to_string();
                match self.unseen.len() {
                    1 => self.herald.doubt(&error, self.right),
                    all => self
                        .herald
                        .still(&format!("{error} (one of {all} that cannot be looked at)")),
                }
            }
        }
        if self.agenda.settle(target) {
            self.everything_is_seen();
        } else {
            self.live_if_sure();
        }
    }

    fn publish(&mut self, target: &Target, Looked { networks, change, invalid }: Looked) {
        for name in invalid {
            if self.agenda.complain_about(target, &name) {
                tracing::warn!(container = %target, name, "not a valid name or label, left out");
                self.status.invalid_names.increment();
            }
        }
        // What died meanwhile is looked at again.
        let change = Some(change).filter(|change| !self.agenda.is_over(change));
        for change in networks.into_iter().chain(change) {
            let changed = self.apply(change);
            self.drift.looked_at(target, changed, Instant::now());
        }
    }

    /// The lives that have ended and that no inspect has said so of yet.
    fn bury(&mut self) {
        let now = Instant::now();
        while self.dying.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, id, at)) = self.dying.pop_front() else { return };
            if self.agenda.has_life_before(&id, at) {
                self.apply(Change::ContainerGone(id));
            }
        }
    }

    fn apply(&mut self, change: Change) -> bool {
        self.agenda.learn(&change);
        if let Change::ContainerGone(id) = &change {
            self.signals.forget(id);
        }
        self.publisher.apply(change)
    }

    /// Everything on the last list has been looked at.
    fn everything_is_seen(&mut self) {
        self.unsure = false;
        self.right = self.listed;
        self.pulse.all_seen(self.listed, Instant::now());
        self.live_if_sure();
    }

    fn live_if_sure(&mut self) {
        if self.unsure || !self.unseen.is_empty() {
            return;
        }
        self.herald.live();
        self.complete();
    }

    /// Ends the wait for the first complete list if it has been long, and only a few containers are
    /// not seen: where most are not, it is a fault of all, such as a proxy that refuses inspects.
    fn go_on_without_laggards(&mut self, now: Instant) {
        if self.complete || self.unsure || now.duration_since(self.began) < LAGGARDS {
            return;
        }
        let unseen = self.unseen.iter().filter(|t| matches!(t, Target::Container(_))).count();
        if unseen * 2 < self.containers {
            self.herald.going_on_without(unseen);
            self.complete();
        }
    }

    /// From now on a name that is not known does not exist.
    fn complete(&mut self) {
        if !self.complete {
            self.complete = true;
            self.publisher.source_is_complete();
        }
    }
}
