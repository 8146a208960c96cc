//! `ErrorLimit`: how many requests that are in error are told so.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Error replies (FORMERR, NOTIMP, REFUSED) to one client in a second, by each thread. Whoever
/// sends more is not reading them, or is not who sent the requests.
const ERRORS: u16 = 200;
/// Clients are told apart by so many counters.
const COUNTERS: usize = 1024;
/// After so long counting begins anew.
const SECOND: Duration = Duration::from_secs(1);

pub(super) struct ErrorLimit {
    since: Instant,
    sent: Box<[u16]>,
    hasher: RandomState,
}

impl ErrorLimit {
    pub(super) fn new() -> Self {
        let sent = vec![0; COUNTERS].into();
        Self { since: Instant::now(), sent, hasher: RandomState::new() }
    }

    /// Whether one more error may be told to a client.
    pub(super) fn admits(&mut self, client: IpAddr) -> bool {
        if self.since.elapsed() >= SECOND {
            self.since = Instant::now();
            self.sent.fill(0);
        }
        // The remainder is less than the number of counters.
        let counter = usize::try_from(self.hasher.hash_one(client) % COUNTERS as u64);
        let Some(sent) = counter.ok().and_then(|counter| self.sent.get_mut(counter)) else {
            return false;
        };
        *sent += u16::from(*sent < ERRORS + 1);
        *sent <= ERRORS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_so_many_errors_and_others_still_are() {
        let mut limit = ErrorLimit::new();
        let client = |last| IpAddr::from([10, 0, 0, last]);
        let told = (0..ERRORS * 3).filter(|_| limit.admits(client(1))).count();
        assert!(told >= usize::from(ERRORS), "{told}");
        // The loop takes far less than two seconds, so counting began anew once at most.
        assert!(told <= 2 * usize::from(ERRORS), "{told}");
        let others = (2..=5).filter(|last| limit.admits(client(*last))).count();
        assert!(others >= 3, "one may share the counter by chance: {others}");
    }
}
