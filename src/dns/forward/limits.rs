//! How many questions may be under way, of one client and of all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::refusal::Limit;
use crate::status::Status;

/// Questions of one client that wait for other servers. A slow server and a client that asks and
/// asks must not pile up answers that burst out together (CVE-2024-33655).
pub(super) const MAX_OF_CLIENT: usize = 64;
/// Questions of all clients that wait.
pub(super) const MAX_OF_ALL: usize = 1024;

/// Who waits.
pub(super) struct Limits {
    waiting: Mutex<Waiting>,
    status: Arc<Status>,
}

#[derive(Default)]
struct Waiting {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// A question's place among those that wait; dropping it gives the place back.
pub(super) struct Place<'a> {
    limits: &'a Limits,
    client: IpAddr,
}

impl Limits {
    pub(super) fn new(status: Arc<Status>) -> Self {
        Self { waiting: Mutex::default(), status }
    }

    /// A place for a question of this client, or which limit is reached.
    pub(super) fn enter(&self, client: IpAddr) -> Result<Place<'_>, Limit> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.all >= MAX_OF_ALL {
            return Err(Limit::All);
        }
        let of_client = waiting.by_client.entry(client).or_default();
        if *of_client >= MAX_OF_CLIENT {
            return Err(Limit::Client);
        }
        *of_client += 1;
        waiting.all += 1;
        self.status.forwards.in_flight.set(waiting.all as u64);
        Ok(Place { limits: self, client })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.limits.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.all -= 1;
        self.limits.status.forwards.in_flight.set(waiting.all as u64);
        if let Some(of_client) = waiting.by_client.get_mut(&self.client) {
            *of_client -= 1;
            if *of_client == 0 {
                waiting.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_stopped_before_others_are_and_places_come_back() {
        let status = Arc::new(Status::default());
        let limits = Limits::new(status.clone());
        let client = |number: usize| IpAddr::from([10, 0, 0, u8::try_from(number).unwrap()]);
        let mut places: Vec<_> =
            (0..MAX_OF_CLIENT).map(|_| limits.enter(client(0)).ok().unwrap()).collect();
        assert_eq!(limits.enter(client(0)).err(), Some(Limit::Client));
        for number in 1..MAX_OF_ALL / MAX_OF_CLIENT {
            places.extend((0..MAX_OF_CLIENT).map(|_| limits.enter(client(number)).ok().unwrap()));
        }
        assert_eq!(limits.enter(client(99)).err(), Some(Limit::All));
        assert_eq!(status.forwards.in_flight.get(), MAX_OF_ALL as u64);
        drop(places);
        assert_eq!(status.forwards.in_flight.get(), 0);
        assert!(limits.waiting.lock().unwrap().by_client.is_empty());
        assert!(limits.enter(client(0)).is_ok());
    }
}
