//! What is due when, and whether the engine's silence is too long; it has no clock of its own.

use std::time::Duration;

use tokio::time::Instant;

/// How often the watcher looks at the clock.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// Everything is looked at again this often, in case an event never came.
const RECONCILE: Duration = Duration::from_secs(60);
/// Lists are compared this often; what they say otherwise is looked at.
const COMPARE: Duration = Duration::from_secs(5);
/// After a list, and after a look at everything, there is none for so many times as long as it
/// took: a large engine is not kept busy with what is there for safety alone.
const REST: u32 = 10;
/// A list is slow when nothing of it comes for so many times as long as the last one took.
const SLOWER: u32 = 2;
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
    /// It answers, but nothing of its lists comes.
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
    /// How long the last list took.
    list_took: Duration,
    /// How many pieces of lists have come, and when the last one did.
    pieces: (u64, Instant),
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
            list_took: Duration::ZERO,
            pieces: (0, now),
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

    /// So many pieces of lists have come so far.
    pub(super) fn pieces(&mut self, pieces: u64, now: Instant) {
        if self.pieces.0 != pieces {
            self.pieces = (pieces, now);
            self.answered = now;
        }
    }

    /// The list has come: what it was for, and when it was asked for.
    pub(super) fn listed(&mut self, now: Instant) -> Option<(Purpose, Instant)> {
        self.answered = now;
        let (purpose, asked) = self.listing.take()?;
        self.list_took = now.duration_since(asked);
        self.next_compare = self.next_compare.max(now + self.list_took * REST);
        Some((purpose, asked))
    }

    /// From one list to the next one, when all is well.
    pub(super) fn between_lists(&self) -> Duration {
        COMPARE.max(self.list_took * (REST + 1))
    }

    /// Everything has been looked at that is on the list which was asked for then.
    pub(super) fn all_seen(&mut self, asked: Instant, now: Instant) {
        let took = now.duration_since(asked);
        self.next_resync = self.next_resync.max(now + took * REST);
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
        // An engine that is busy with a list may be late with the rest.
        if alive || now.duration_since(self.pieces.1) < PING_LIMIT {
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
        let (purpose, asked) = self.listing?;
        let silence = now.duration_since(asked.max(self.pieces.1));
        if silence <= COMPARE.max(self.list_took * SLOWER) {
            return None;
        }
        // Once it has come, looking at everything ends the doubt; otherwise that is under way.
        self.resync_wanted |= purpose == Purpose::Compare;
        Some(Doubt::SlowList)
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
        let came = start + Duration::from_millis(400);
        assert_eq!(pulse.listed(came), Some((Purpose::Resync, start)));
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

    /// 100,000 containers are 79 MB.
    #[test]
    fn a_list_that_is_still_coming_is_a_sign_of_life() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.list_due(start, true, false);
        for n in 1..60 {
            let now = start + seconds(n);
            pulse.pieces(n / 2, now);
            assert_eq!(pulse.beat(now), None, "{n}");
            if pulse.ping_due(now) {
                assert_eq!(pulse.pinged(now, false), None, "{n}");
            }
            assert_eq!(pulse.too_silent(now), None, "{n}");
        }
        let end = start + seconds(60);
        assert_eq!(pulse.listed(end), Some((Purpose::Resync, start)));
        assert_eq!(pulse.beat(end + seconds(3)), None);
        assert_eq!(pulse.pinged(end + seconds(3), false), Some(Doubt::NoAnswer), "it has ended");
    }

    #[test]
    fn a_slow_list_is_doubted_and_everything_looked_at_when_it_has_come() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let asked = start + seconds(5);
        pulse.list_due(start, true, false);
        pulse.listed(start);
        pulse.list_due(asked, true, true);
        (5..=10).for_each(|n| assert_eq!(pulse.beat(start + seconds(n)), None, "{n}"));
        assert_eq!(pulse.beat(start + seconds(11)), Some(Doubt::SlowList));
        let came = start + seconds(12);
        assert_eq!(pulse.listed(came), Some((Purpose::Compare, asked)));
        assert_eq!(pulse.list_due(came, true, false), Some(Purpose::Resync));
        // It is known now that they take 7 s.
        (12..=26).for_each(|n| assert_eq!(pulse.beat(start + seconds(n)), None, "{n}"));
        assert_eq!(pulse.beat(start + seconds(27)), Some(Doubt::SlowList));
        let came = start + seconds(28);
        assert_eq!(pulse.listed(came), Some((Purpose::Resync, start + seconds(12))));
        assert_eq!(pulse.list_due(came, true, true), None, "that was enough");
    }

    #[test]
    fn lists_and_looks_at_everything_take_a_part_of_the_time_only() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.list_due(start, true, false);
        let came = start + seconds(2);
        pulse.listed(came);
        assert_eq!(pulse.between_lists(), seconds(22));
        let seen = start + seconds(30);
        pulse.all_seen(start, seen);
        assert_eq!(pulse.list_due(start + seconds(21), true, true), None);
        let mut lists = Vec::new();
        for n in 22..400 {
            let now = start + seconds(n);
            if let Some(purpose) = pulse.list_due(now, true, true) {
                pulse.listed(now + seconds(2));
                lists.push((n, purpose));
            }
        }
        let compares = lists.iter().take_while(|(_, purpose)| *purpose == Purpose::Compare);
        let compares: Vec<u64> = compares.map(|(n, _)| *n).collect();
        assert!(compares.windows(2).all(|pair| pair[1] - pair[0] == 22), "{lists:?}");
        assert_eq!(lists[compares.len()], (330, Purpose::Resync), "{lists:?}");
        // While in doubt, and when events may be missing, nobody rests.
        pulse.want_resync();
        assert_eq!(pulse.list_due(start + seconds(403), true, true), Some(Purpose::Resync));
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
