//! The pauses between attempts to reach an engine.

use std::time::Duration;

/// The first pause: a daemon that only closed the stream is back at once.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause: an engine that comes back is noticed within it.
const CAP: Duration = Duration::from_secs(5);
/// A session that lasted so long was a good one; the next failure starts from the first pause.
const GOOD_SESSION: Duration = Duration::from_secs(10);

/// Doubles from [`FIRST`] to [`CAP`], never ends, and is spread so that many clients of one
/// engine do not come back in step.
#[derive(Debug)]
pub(super) struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: FIRST }
    }
}

impl Backoff {
    /// The next pause; `chance` is drawn evenly from 0 to 1.
    pub(super) fn next(&mut self, chance: f64) -> Duration {
        let pause = self.ceiling.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        self.ceiling = (self.ceiling * 2).min(CAP);
        pause
    }

    /// The session before the pause lasted this long.
    pub(super) fn session_lasted(&mut self, time: Duration) {
        if time >= GOOD_SESSION {
            self.ceiling = FIRST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_stays_there() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    }

    #[test]
    fn chance_takes_off_half_at_most() {
        let mut backoff = Backoff { ceiling: CAP };
        assert_eq!(backoff.next(0.0), CAP / 2);
        assert_eq!(backoff.next(1.0), CAP);
    }

    #[test]
    fn a_good_session_starts_over_and_a_short_one_does_not() {
        let mut backoff = Backoff { ceiling: CAP };
        backoff.session_lasted(Duration::from_secs(1));
        assert_eq!(backoff.next(1.0), CAP);
        backoff.session_lasted(GOOD_SESSION);
        assert_eq!(backoff.next(1.0), FIRST);
    }
}
