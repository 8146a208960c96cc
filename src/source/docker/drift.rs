//! Changes that a list showed and no event told: a stream that is silent, or loses events.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use super::agenda::ROOM_KEPT;

/// An event may be on its way when a list shows its change already; after this time it is late.
const GRACE: Duration = Duration::from_secs(1);

/// What was looked at for a list's sake, and what was found there.
#[derive(Debug, Default)]
pub(super) struct Drift {
    unhinted: HashSet<Target>,
    suspects: HashMap<Target, Instant>,
}

impl Drift {
    /// A list, and no event, is the reason that these will be looked at.
    pub(super) fn listed(&mut self, targets: impl IntoIterator<Item = Target>) {
        self.unhinted.extend(targets);
    }

    /// An event told of this target.
    pub(super) fn hinted(&mut self, target: &Target) {
        self.unhinted.remove(target);
        self.suspects.remove(target);
    }

    /// A look has ended, and found the target changed or as it was known.
    pub(super) fn looked_at(&mut self, target: &Target, changed: bool, now: Instant) {
        if self.unhinted.remove(target) {
            if self.unhinted.is_empty() {
                self.unhinted.shrink_to(ROOM_KEPT);
            }
            if changed {
                self.suspects.insert(target.clone(), now);
            }
        }
    }

    /// How many changes no event has told in time; each is counted once.
    pub(super) fn late(&mut self, now: Instant) -> usize {
        let before = self.suspects.len();
        self.suspects.retain(|_, found| now.duration_since(*found) < GRACE);
        before - self.suspects.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContainerId;

    fn target() -> Target {
        Target::Container(ContainerId("c".into()))
    }

    #[test]
    fn a_change_that_no_event_tells_in_time_is_drift() {
        let (mut drift, now) = (Drift::default(), Instant::now());
        drift.listed([target()]);
        drift.looked_at(&target(), true, now);
        assert_eq!(drift.late(now + GRACE / 2), 0);
        assert_eq!(drift.late(now + GRACE), 1);
        assert_eq!(drift.late(now + GRACE), 0, "once");
    }

    #[test]
    fn an_event_before_or_soon_after_the_look_excuses_it() {
        let (mut drift, now) = (Drift::default(), Instant::now());
        drift.listed([target()]);
        drift.hinted(&target());
        drift.looked_at(&target(), true, now);
        drift.listed([target()]);
        drift.looked_at(&target(), true, now);
        drift.hinted(&target());
        assert_eq!(drift.late(now + GRACE), 0);
    }

    #[test]
    fn what_is_as_it_was_is_no_drift() {
        let (mut drift, now) = (Drift::default(), Instant::now());
        drift.listed([target()]);
        drift.looked_at(&target(), false, now);
        assert_eq!(drift.late(now + GRACE), 0);
    }
}
