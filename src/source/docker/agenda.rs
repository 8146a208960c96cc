//! What is marked to be looked at, what is being looked at, and what a list still waits for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::model::{Change, ContainerId, NetworkId};

/// Inspects under way at once: enough to hide the engine's latency, few enough not to crowd out
/// its other clients.
pub const MAX_IN_FLIGHT: usize = 16;

/// So many looks at one target may follow each other without a pause.
const AT_ONCE: u32 = 3;
/// The pause before the next one; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Something of the engine that can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A container.
    Container(ContainerId),
    /// A network.
    Network(NetworkId),
}

/// The watcher's memory. Each target is in it once, however many events name it, so its size is
/// bounded by what the engine has. At most one look at a target is under way, so that what an
/// older look saw never overwrites what a newer one did; a target that is marked meanwhile is
/// looked at again afterwards.
#[derive(Debug, Default)]
pub struct Agenda {
    queue: VecDeque<Target>,
    marked: HashSet<Target>,
    /// What is being looked at, and how often in a row it was marked again meanwhile.
    in_flight: HashMap<Target, u32>,
    streaks: HashMap<Target, u32>,
    /// What the directory has from this engine.
    known: HashSet<Target>,
    /// What the last list still waits for.
    awaited: HashSet<Target>,
    /// Looks that began before the last list: what they saw may be older than it.
    older: HashSet<Target>,
    /// What the last list said of each target, in a number.
    fingerprints: HashMap<Target, u64>,
    /// Invalid names that were complained about, so that each is logged once.
    complaints: HashMap<Target, HashSet<String>>,
}

impl Agenda {
    /// Something may have happened to this target.
    pub fn mark(&mut self, target: Target) {
        if self.marked.insert(target.clone()) {
            self.queue.push_back(target);
        }
    }

    /// These exist. They are marked, and so is everything known or being looked at that is not
    /// among them; a list never removes by itself, since what it lacks may have been created
    /// after it was made.
    pub fn list(&mut self, listed: impl IntoIterator<Item = (Target, u64)>) {
        self.fingerprints = listed.into_iter().collect();
        let ours = self.known.iter().chain(self.in_flight.keys());
        let all: HashSet<Target> = self.fingerprints.keys().chain(ours).cloned().collect();
        // Networks first: containers then find theirs known.
        let (networks, containers): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|target| matches!(target, Target::Network(_)));
        for target in networks.into_iter().chain(containers) {
            self.mark(target);
        }
        self.awaited = all;
        self.older = self.in_flight.keys().cloned().collect();
    }

    /// The same list again, later: only what it says otherwise is marked, and returned.
    pub fn compare(&mut self, listed: impl IntoIterator<Item = (Target, u64)>) -> Vec<Target> {
        let old = std::mem::replace(&mut self.fingerprints, listed.into_iter().collect());
        let new = self.fingerprints.iter();
        let differs = new.filter(|(target, print)| old.get(*target) != Some(*print));
        let differs = differs.map(|(target, _)| target);
        let vanished = self.known.iter().filter(|known| !self.fingerprints.contains_key(*known));
        let marked: Vec<Target> = differs.chain(vanished).cloned().collect();
        for target in &marked {
            self.mark(target.clone());
        }
        marked
    }

    /// Everything that the last list waits for.
    pub fn awaited(&self) -> impl Iterator<Item = &Target> {
        self.awaited.iter()
    }

    /// The next target to look at now, if there is one and room for it.
    #[allow(clippy::should_implement_trait)] // It depends on what is settled in between.
    pub fn next(&mut self) -> Option<Target> {
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return None;
        }
        let ready = self.queue.iter().position(|target| !self.in_flight.contains_key(target))?;
        let target = self.queue.remove(ready)?;
        self.marked.remove(&target);
        let streak = self.streaks.remove(&target).unwrap_or_default();
        self.in_flight.insert(target.clone(), streak);
        Some(target)
    }

    /// How long the look at a target that is next has to wait: a container that has one event
    /// after the other, and whose every inspect waits for its lock in the engine, is left in
    /// peace a little. A start has three events in a row, and never waits.
    #[must_use]
    pub fn pause_before(&self, target: &Target) -> Duration {
        match self.in_flight.get(target) {
            Some(streak @ AT_ONCE..) => {
                (FIRST_PAUSE * (1 << (streak - AT_ONCE).min(8))).min(LONGEST_PAUSE)
            }
            _ => Duration::ZERO,
        }
    }

    /// The directory has this now.
    pub fn learn(&mut self, change: &Change) {
        match change {
            Change::Container(container) => {
                self.known.insert(Target::Container(container.id.clone()));
            }
            Change::Network(network) => {
                self.known.insert(Target::Network(network.id.clone()));
            }
            Change::ContainerGone(id) => self.forget(&Target::Container(id.clone())),
            Change::NetworkGone(id) => self.forget(&Target::Network(id.clone())),
        }
    }

    fn forget(&mut self, target: &Target) {
        self.known.remove(target);
        self.complaints.remove(target);
    }

    /// A look has ended. True when it was the last one that the list waited for.
    pub fn settle(&mut self, target: &Target) -> bool {
        let streak = self.in_flight.remove(target).unwrap_or_default();
        if self.marked.contains(target) {
            self.streaks.insert(target.clone(), streak.saturating_add(1));
        }
        !self.older.remove(target) && self.awaited.remove(target) && self.awaited.is_empty()
    }

    /// Whether the last list waits for nothing.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.awaited.is_empty()
    }

    /// The session has ended, and with it every look under way.
    pub fn forget_flights(&mut self) {
        self.older.clear();
        self.streaks.clear();
        for target in std::mem::take(&mut self.in_flight).into_keys() {
            self.mark(target);
        }
    }

    /// Whether this invalid name of the target is new.
    pub fn complain_about(&mut self, target: &Target, name: &str) -> bool {
        self.complaints.entry(target.clone()).or_default().insert(name.to_owned())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(id) => id.fmt(f),
            Self::Network(id) => write!(f, "network {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(n: usize) -> Target {
        Target::Container(ContainerId(format!("{n:064}").into()))
    }

    #[test]
    fn many_events_are_one_look() {
        let mut agenda = Agenda::default();
        for _ in 0..100 {
            agenda.mark(target(1));
        }
        assert_eq!(agenda.next(), Some(target(1)));
        assert_eq!(agenda.next(), None);
    }

    #[test]
    fn an_event_during_a_look_means_another_one_after_it() {
        let mut agenda = Agenda::default();
        agenda.mark(target(1));
        assert_eq!(agenda.next(), Some(target(1)));
        agenda.mark(target(1));
        assert_eq!(agenda.next(), None, "one look at a time");
        agenda.settle(&target(1));
        assert_eq!(agenda.next(), Some(target(1)));
    }

    #[test]
    fn looks_at_a_container_with_a_flood_of_events_become_rare_and_then_quick_again() {
        let mut agenda = Agenda::default();
        agenda.mark(target(1));
        let mut look = |again: bool| {
            let next = agenda.next().unwrap();
            let pause = agenda.pause_before(&next);
            if again {
                agenda.mark(next.clone());
            }
            agenda.settle(&next);
            pause.as_millis()
        };
        let pauses: Vec<u128> = (0..9).map(|n| look(n < 8)).collect();
        assert_eq!(pauses, [0, 0, 0, 10, 20, 40, 80, 100, 100]);
        agenda.mark(target(1));
        let next = agenda.next().unwrap();
        assert_eq!(agenda.pause_before(&next), Duration::ZERO);
    }

    #[test]
    fn looks_under_way_are_bounded() {
        let mut agenda = Agenda::default();
        (0..2 * MAX_IN_FLIGHT).for_each(|n| agenda.mark(target(n)));
        let started: Vec<Target> = std::iter::from_fn(|| agenda.next()).collect();
        assert_eq!(started.len(), MAX_IN_FLIGHT);
        agenda.settle(&started[0]);
        assert!(agenda.next().is_some());
        assert_eq!(agenda.next(), None);
    }

    #[test]
    fn a_list_waits_for_what_it_named_and_for_what_was_known() {
        let mut agenda = Agenda::default();
        agenda.learn(&Change::Network(crate::model::Network {
            id: NetworkId("n".into()),
            name: "n".into(),
            internal: false,
            subnets: Vec::new(),
            gateways: Vec::new(),
        }));
        agenda.list([(target(1), 0)]);
        let network = Target::Network(NetworkId("n".into()));
        assert_eq!(agenda.next(), Some(network.clone()), "networks first");
        assert_eq!(agenda.next(), Some(target(1)));
        assert!(!agenda.settle(&network));
        assert!(agenda.settle(&target(1)));
    }

    #[test]
    fn a_later_list_marks_only_what_it_says_otherwise() {
        let mut agenda = Agenda::default();
        agenda.list([(target(1), 1), (target(2), 1), (target(3), 1)]);
        while let Some(target) = agenda.next() {
            agenda.settle(&target);
            let Target::Container(id) = target else { panic!("a container") };
            agenda.learn(&Change::Container(crate::model::Container {
                id: id.clone(),
                name: "c".into(),
                names: Box::default(),
                started: 0,
                condition: crate::model::Condition::Running,
                labels: crate::model::Labels::default(),
                reach: crate::model::Reach::Host,
                ports: [].into(),
            }));
        }
        let mut marked = agenda.compare([(target(1), 1), (target(2), 2), (target(4), 1)]);
        marked.sort_by_key(|target| format!("{target:?}"));
        assert_eq!(marked, [target(2), target(3), target(4)]);
    }

    /// Found by a random history: the container had gone when the list was made, its event was
    /// lost, and a look from before it still saw the container running.
    #[test]
    fn a_look_older_than_the_list_is_repeated_and_does_not_count() {
        let mut agenda = Agenda::default();
        agenda.mark(target(1));
        assert_eq!(agenda.next(), Some(target(1)));
        agenda.list([]);
        assert!(!agenda.settle(&target(1)), "it began before the list");
        assert!(!agenda.is_settled());
        assert_eq!(agenda.next(), Some(target(1)), "looked at again");
        assert!(agenda.settle(&target(1)));
    }
}
