//! What is due when, and whether the engine's silence is too long; it has no clock of its own.

use std::time::Duration;

use tokio::time::Instant;

/// How often the watcher looks at the clock.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// Everything is looked at again this often, in case an event never came.
const RECONCILE: Duration = Duration::from_secs(60);
/// Lists are compared this often; what they say otherwise is looked at.
pub(super) const COMPARE: Duration = Duration::from_secs(5);
/// The engine is asked for a sign of life this often.
const PING: Duration = Duration::from_secs(3);
/// And has so long to give it.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(3);
/// Without any answer for so long the connection is given up, and a new one tried.
const SILENCE: Duration = Duration::from_secs(9);
/// Between two beats so long, this process was stopped, and the engine may have thrown away what
/// it could not deliver.
const GAP: Duration = Duration::from_secs(5);

/// What a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Everything on it is looked at.
    Resync,
    /// What it says otherwise than the last one is looked at.
    Compare,
}

/// Why what is answered may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The engine does not answer.
    NoAnswer,
    /// It answers, but its lists do not come.
    SlowList,
    /// This process stood still.
    Gap(Duration),
}

/// The times that matter in one session.
#[derive(Debug)]
pub(super) struct Pulse {
    last_beat: Instant,
    answered: Instant,
    next_ping: Option<Instant>,
    listing: Option<(Purpose, Instant)>,
    resync_wanted: bool,
    next_resync: Instant,
    next_compare: Instant,
}

impl Pulse {
    /// A session begins, with a list.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_beat: now,
            answered: now,
            next_ping: Some(now + PING),
            listing: None,
            resync_wanted: true,
            next_resync: now + RECONCILE,
            next_compare: now + COMPARE,
        }
    }

    /// Everything must be looked at, now.
    pub(super) fn want_resync(&mut self) {
        self.resync_wanted = true;
    }

    /// The list that is due, if any. `settled`: all that the last one named has been looked
    /// at; before that another one would only begin it all again. `sure`: nothing is in doubt.
    pub(super) fn list_due(&mut self, now: Instant, settled: bool, sure: bool) -> Option<Purpose> {
        if self.listing.is_some() {
            return None;
        }
        let resync = now >= self.next_resync || (now >= self.next_compare && !sure);
        let purpose = if self.resync_wanted || (settled && resync) {
            Purpose::Resync
        } else if sure && now >= self.next_compare {
            Purpose::Compare
        } else {
            return None;
        };
        if purpose == Purpose::Resync {
            self.resync_wanted = false;
            self.next_resync = now + RECONCILE;
        }
        self.next_compare = now + COMPARE;
        self.listing = Some((purpose, now));
        Some(purpose)
    }

    /// The list has come: what it was for, and when it was asked for.
    pub(super) fn listed(&mut self, now: Instant) -> Option<(Purpose, Instant)> {
        self.answered = now;
        self.listing.take()
    }

    /// Whether to ask for a sign of life now.
    pub(super) fn ping_due(&mut self, now: Instant) -> bool {
        let due = self.next_ping.is_some_and(|next| now >= next);
        if due {
            self.next_ping = None;
        }
        due
    }

    /// The sign of life has come, or has not.
    pub(super) fn pinged(&mut self, now: Instant, alive: bool) -> Option<Doubt> {
        if alive {
            self.answered = now;
            self.next_ping = Some(now + PING);
            return None;
        }
        self.next_ping = Some(now);
        // A list under way may wait for a connection that is dead: it is asked for anew.
        self.listing = None;
        self.resync_wanted = true;
        Some(Doubt::NoAnswer)
    }

    /// A second has passed, or more.
    pub(super) fn beat(&mut self, now: Instant) -> Option<Doubt> {
        let stood = now.duration_since(self.last_beat);
        self.last_beat = now;
        if stood > GAP {
            // The engine had no chance to answer meanwhile.
            self.answered = now;
            self.resync_wanted = true;
            return Some(Doubt::Gap(stood));
        }
        let (_, asked) = self.listing?;
        (now.duration_since(asked) > COMPARE).then_some(Doubt::SlowList)
    }

    /// For how long the engine has not answered, if that is too long.
    pub(super) fn too_silent(&self, now: Instant) -> Option<Duration> {
        let silence = now.duration_since(self.answered);
        (silence >= SILENCE).then_some(silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_session_begins_with_a_list_and_then_compares_every_five_seconds() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.list_due(start, true, false), Some(Purpose::Resync));
        assert_eq!(pulse.list_due(start, true, false), None, "one at a time");
        assert_eq!(pulse.listed(start + seconds(1)), Some((Purpose::Resync, start)));
        assert_eq!(pulse.list_due(start + seconds(4), true, true), None);
        assert_eq!(pulse.list_due(start + seconds(5), true, true), Some(Purpose::Compare));
    }

    #[test]
    fn everything_is_looked_at_every_minute_but_never_before_the_last_time_is_done() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.list_due(start, true, false);
        pulse.listed(start);
        assert_eq!(pulse.list_due(start + seconds(61), false, false), None);
        assert_eq!(pulse.list_due(start + seconds(62), true, true), Some(Purpose::Resync));
    }

    #[test]
    fn while_in_doubt_everything_is_looked_at_every_five_seconds() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.list_due(start, true, false);
        pulse.listed(start);
        assert_eq!(pulse.list_due(start + seconds(5), true, false), Some(Purpose::Resync));
    }

    #[test]
    fn an_engine_that_does_not_answer_is_doubted_in_six_seconds_and_given_up_in_nine() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert!(!pulse.ping_due(start + seconds(2)));
        assert!(pulse.ping_due(start + seconds(3)));
        assert!(!pulse.ping_due(start + seconds(4)), "one at a time");
        assert_eq!(pulse.pinged(start + seconds(6), false), Some(Doubt::NoAnswer));
        assert_eq!(pulse.too_silent(start + seconds(6)), None);
        assert!(pulse.ping_due(start + seconds(6)), "asked again at once");
        assert_eq!(pulse.too_silent(start + seconds(9)), Some(seconds(9)));
    }

    #[test]
    fn a_list_that_does_not_come_is_doubted_while_pings_are_answered() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.list_due(start, true, false);
        for n in 1..=5 {
            assert_eq!(pulse.beat(start + seconds(n)), None);
        }
        assert_eq!(pulse.beat(start + seconds(6)), Some(Doubt::SlowList));
    }

    #[test]
    fn a_process_that_stood_still_lists_again() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.list_due(start, true, false);
        pulse.listed(start);
        assert_eq!(pulse.beat(start + seconds(60)), Some(Doubt::Gap(seconds(60))));
        assert_eq!(pulse.too_silent(start + seconds(60)), None, "it could not answer");
        assert_eq!(pulse.list_due(start + seconds(60), true, false), Some(Purpose::Resync));
    }
}
