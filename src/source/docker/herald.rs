//! Tells how an engine stands to us: to the pages by `EngineStatus`, and to the log, with one line
//! for a change that a person should know of.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::EngineError;
use crate::status::{EngineStatus, State};

/// A session that was live for so long and whose stream is cut was a good one: that the next one
/// begins is no news.
const GOOD_SESSION: Duration = Duration::from_secs(10);

/// The state of one engine, and what of it has been told.
pub(super) struct Herald {
    status: Arc<EngineStatus>,
    state: State,
    /// When it became live last.
    live_since: Instant,
    /// When it was live last, while it is not.
    lost_at: Instant,
    /// Whether a loss has been told, and not yet its end.
    told: bool,
    /// Whether it has ever been live.
    before: bool,
    last_reason: String,
}

impl Herald {
    pub(super) fn new(status: Arc<EngineStatus>) -> Self {
        let now = Instant::now();
        let reason = String::new();
        Self {
            status,
            state: State::Disconnected,
            live_since: now,
            lost_at: now,
            told: false,
            before: false,
            last_reason: reason,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.state == State::Live
    }

    pub(super) fn subscribing(&mut self) {
        tracing::debug!(engine = %self.status.url, "connecting");
        self.enter(State::Subscribing, "", Instant::now());
    }

    pub(super) fn listing(&mut self, api: impl std::fmt::Display) {
        if self.told || !self.before {
            tracing::info!(engine = %self.status.url, %api, "connected; listing");
        } else {
            tracing::debug!(engine = %self.status.url, %api, "connected again; listing");
        }
        self.enter(State::Listing, "", Instant::now());
    }

    /// Everything has been looked at.
    pub(super) fn live(&mut self) {
        if self.is_live() {
            return;
        }
        let url = &self.status.url;
        if !self.before {
            tracing::info!(engine = %url, "live: the first complete list is in");
        } else if self.told {
            let time = self.lost_at.elapsed().as_secs_f32();
            tracing::info!(engine = %url, "live again, after {time:.1} s");
        } else {
            tracing::debug!(engine = %url, "live again");
        }
        self.live_since = Instant::now();
        (self.before, self.told) = (true, false);
        self.last_reason.clear();
        self.enter(State::Live, "", self.live_since);
    }

    /// Something speaks against what is known, which was right until `right`. What is not live is
    /// not known to be right anyhow.
    pub(super) fn doubt(&mut self, why: &str, right: Instant) {
        if self.is_live() {
            let url = &self.status.url;
            tracing::warn!(engine = %url, "suspect: {why}; looking at everything again");
            self.told = true;
            why.clone_into(&mut self.last_reason);
            self.enter(State::Suspect, why, right);
        } else {
            if self.last_reason != why {
                tracing::warn!(engine = %self.status.url, "not live: {why}");
                self.told = true;
                why.clone_into(&mut self.last_reason);
            }
            self.enter(self.state, why, right);
        }
    }

    /// What is in doubt still is, now for this reason; one line in the log was enough.
    pub(super) fn still(&mut self, why: &str) {
        self.enter(self.state, why, Instant::now());
    }

    /// Nobody waits any longer for what cannot be looked at.
    pub(super) fn going_on_without(&self, containers: usize) {
        let url = &self.status.url;
        tracing::warn!(engine = %url, containers, "answering without what cannot be inspected");
    }

    /// The session has ended.
    pub(super) fn disconnected(&mut self, error: &EngineError, right: Instant) {
        let (reason, url) = (error.to_string(), &self.status.url);
        let no_news = self.is_live() && error.heals() && self.live_since.elapsed() >= GOOD_SESSION;
        if no_news {
            tracing::debug!(engine = %url, "disconnected: {reason}");
        } else if self.told && reason == self.last_reason {
            tracing::debug!(engine = %url, "still disconnected: {reason}");
        } else {
            let meanwhile = if self.before { "; the last known names stay" } else { "" };
            tracing::warn!(engine = %url, "disconnected: {reason}; retrying{meanwhile}");
            self.told = true;
        }
        self.enter(State::Disconnected, &reason, right);
        self.last_reason = reason;
    }

    fn enter(&mut self, state: State, why: &str, right: Instant) {
        if self.is_live() {
            self.lost_at = right;
        }
        self.state = state;
        self.status.enter(state, why, Instant::now().into_std(), right.into_std());
    }
}
