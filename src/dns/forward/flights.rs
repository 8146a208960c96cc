//! Questions on their way to other servers; who asks the same meanwhile waits for the same answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::Key;
use super::outcome::Outcome;

/// Different questions on their way. Each has up to three sockets, so that together they stay
/// below the 1,024 descriptors that a process has by default.
pub(super) const MAX_FLIGHTS: usize = 256;

/// One question asked once, however many wait for it: no client can make us send a thousand
/// equal questions, each of which an attacker could answer by guessing (CVE-2020-25684 ff.). And
/// a question of ours that comes back through some server waits for itself, and sends nothing.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Landing>>);

/// Where the outcome arrives; all who wait have a clone.
pub(super) type Landing = watch::Receiver<Option<Arc<Outcome>>>;

/// How a question joins.
pub(super) enum Joined {
    /// It is on its way already.
    Follows(Landing),
    /// It sets out.
    Leads(Takeoff, Landing),
    /// Too many are on their way.
    Full,
}

/// The one who must land; when it is dropped, the question is no longer on its way.
pub(super) struct Takeoff {
    flights: Arc<Flights>,
    pub(super) key: Key,
    landing: watch::Sender<Option<Arc<Outcome>>>,
}

impl Flights {
    pub(super) fn join(self: &Arc<Self>, key: Key) -> Joined {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = flights.len() >= MAX_FLIGHTS;
        match flights.entry(key.clone()) {
            Entry::Occupied(landing) => Joined::Follows(landing.get().clone()),
            Entry::Vacant(_) if full => Joined::Full,
            Entry::Vacant(vacant) => {
                let (sender, landing) = watch::channel(None);
                vacant.insert(landing.clone());
                let flights = self.clone();
                Joined::Leads(Takeoff { flights, key, landing: sender }, landing)
            }
        }
    }
}

impl Takeoff {
    /// Gives the outcome to all who wait.
    pub(super) fn land(self, outcome: Arc<Outcome>) {
        self.landing.send_replace(Some(outcome));
    }
}

impl Drop for Takeoff {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.remove(&self.key);
    }
}
