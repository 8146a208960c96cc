//! The pauses between attempts to reach an engine.

use std::time::Duration;

/// The first pause: a daemon that only closed the stream is back at once.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause, but for what chance adds: an engine that comes back is noticed within 5 s.
pub(super) const CAP: Duration = Duration::from_secs(4);
/// A session that lasted so long was a good one; the next failure starts from the first pause.
const GOOD_SESSION: Duration = Duration::from_secs(10);

/// Doubles from [`FIRST`] to [`CAP`], never ends, and is spread so that many clients of one
/// engine do not come back in step.
#[derive(Debug)]
pub(super) struct Backoff {
    base: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: FIRST }
    }
}

impl Backoff {
    /// The next pause; `chance` is drawn evenly from 0 to 1.
    pub(super) fn next(&mut self, chance: f64) -> Duration {
        let pause = self.base.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 4.0);
        self.base = (self.base * 2).min(CAP);
        pause
    }

    /// The session before the pause lasted this long.
    pub(super) fn session_lasted(&mut self, time: Duration) {
        if time >= GOOD_SESSION {
            self.base = FIRST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_stays_there() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..9).map(|_| backoff.next(0.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 4000, 4000, 4000]);
    }

    #[test]
    fn chance_adds_a_quarter_at_most() {
        let mut backoff = Backoff { base: CAP };
        assert_eq!(backoff.next(0.0), CAP);
        assert_eq!(backoff.next(1.0), Duration::from_secs(5));
    }

    #[test]
    fn a_good_session_starts_over_and_a_short_one_does_not() {
        let mut backoff = Backoff { base: CAP };
        backoff.session_lasted(Duration::from_secs(1));
        assert_eq!(backoff.next(0.0), CAP);
        backoff.session_lasted(GOOD_SESSION);
        assert_eq!(backoff.next(0.0), FIRST);
    }
}
