//! What is marked to be looked at, what is being looked at, and what a list still waits for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Target;
use super::list::Listing;
use crate::model::{Change, ContainerId, NetworkId};

/// Inspects under way at once, by `bench inspects` on two processors. Docker 20.10 with 100
/// containers gave a complete list after 53, 38, 39, 32, 29 and 29 ms with 1, 4, 8, 16, 32 and 64
/// of them, and another client waited 0.8, 1.6, 3.3, 3.5, 2.3 and 5.3 ms for 99 of 100 inspects,
/// for the median one always 0.2. A fake engine with 10,000 took 1381, 737, 615, 554, 517 and
/// 512 ms. Four would do where each is answered at once; the rest is for those that wait: for the
/// lock of a container that ends, which takes 100 ms, and for an engine that is far away.
pub const MAX_IN_FLIGHT: usize = 16;

/// So many looks at one target may follow each other without a pause.
const AT_ONCE: u8 = 3;
/// The pause before the next one; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Room for so many stays where it is when a queue is empty; what a list needed goes back.
pub(super) const ROOM_KEPT: usize = 1024;

/// The watcher's memory. Each target is in it once, however many events name it, so its size is
/// bounded by what the engine has. At most one look at a target is under way, so that what an
/// older look saw never overwrites what a newer one did; a target that is marked meanwhile is
/// looked at again afterwards.
#[derive(Debug)]
pub struct Agenda {
    containers: Shelf,
    networks: Shelf,
    queue: VecDeque<Target>,
    /// What is being looked at.
    in_flight: HashMap<Target, Flight>,
    /// So many at most.
    room: usize,
    /// How many targets the last list still waits for.
    awaited: usize,
    /// The number of the last list.
    list: u32,
    /// Invalid names that were complained about, so that each is logged once.
    complaints: HashMap<Target, HashSet<String>>,
}

/// All targets of one kind. The ids here are the ones that everybody else has, too.
#[derive(Debug)]
struct Shelf {
    targets: HashMap<Arc<str>, Entry>,
    named: fn(Arc<str>) -> Target,
}

/// What is known of one target.
#[derive(Debug, Default)]
struct Entry {
    /// What the list said of it that named it last, in a number.
    fingerprint: u64,
    /// That list's number; 0 for none, which no list has.
    list: u32,
    /// How often in a row it was marked again while it was looked at.
    streak: u8,
    /// It is in the queue.
    marked: bool,
    /// The directory has it from this engine.
    known: bool,
    /// When the life of it began that the directory has; 0 where the engine does not say.
    started: i64,
    /// The last list waits for it.
    awaited: bool,
}

/// A look.
#[derive(Debug, Default)]
struct Flight {
    streak: u8,
    /// It began before the last list: what it saw may be older.
    is_older: bool,
    /// The container died meanwhile: what it saw may be a life that has ended.
    died: Option<i64>,
}

impl Default for Agenda {
    fn default() -> Self {
        Self::with_room(MAX_IN_FLIGHT)
    }
}

impl Agenda {
    /// One that has so many looks under way at most.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        let container = |id| Target::Container(ContainerId(id));
        let network = |id| Target::Network(NetworkId(id));
        Self {
            containers: Shelf { targets: HashMap::new(), named: container },
            networks: Shelf { targets: HashMap::new(), named: network },
            queue: VecDeque::new(),
            in_flight: HashMap::new(),
            room,
            awaited: 0,
            list: 1,
            complaints: HashMap::new(),
        }
    }

    /// Something may have happened to this target.
    pub fn mark(&mut self, target: &Target) {
        let Self { containers, networks, queue, .. } = self;
        let kind = match target {
            Target::Container(_) => containers,
            Target::Network(_) => networks,
        };
        kind.mark(target.id(), queue);
    }

    /// These exist. They are marked, and so is everything known or being looked at that is not
    /// among them; a list never removes by itself, since what it lacks may have been created
    /// after it was made.
    pub fn list(&mut self, listed: &Listing) {
        self.number_list();
        for flight in self.in_flight.values_mut() {
            flight.is_older = true;
        }
        self.awaited = 0;
        let Self { containers, networks, queue, in_flight, awaited, list, .. } = self;
        let list = *list;
        // Networks first: containers then find theirs known.
        for (shelf, rows) in [(networks, &listed.networks), (containers, &listed.containers)] {
            for (id, print) in rows.iter() {
                let (_, entry) = shelf.entry(id);
                (entry.fingerprint, entry.list) = (print, list);
            }
            let Shelf { targets, named } = shelf;
            targets.retain(|id, entry| {
                entry.awaited =
                    entry.list == list || entry.known || in_flight.contains_key(&named(id.clone()));
                if entry.awaited {
                    *awaited += 1;
                    entry.mark(|| named(id.clone()), queue);
                }
                entry.awaited || entry.marked
            });
            give_back(targets);
        }
    }

    /// The same list again, later: only what it says otherwise is marked, and returned.
    pub fn compare(&mut self, listed: &Listing) -> Vec<Target> {
        let before = self.list;
        self.number_list();
        let mut marked = Vec::new();
        let Self { containers, networks, queue, in_flight, list, .. } = self;
        for (shelf, rows) in [(networks, &listed.networks), (containers, &listed.containers)] {
            let named = shelf.named;
            for (id, print) in rows.iter() {
                let (id, entry) = shelf.entry(id);
                if entry.list != before || entry.fingerprint != print {
                    marked.push(named(id.clone()));
                    entry.mark(|| named(id), queue);
                }
                (entry.fingerprint, entry.list) = (print, *list);
            }
            shelf.targets.retain(|id, entry| {
                if entry.list == *list {
                    return true;
                }
                if entry.known {
                    marked.push(named(id.clone()));
                    entry.mark(|| named(id.clone()), queue);
                }
                entry.marked || entry.awaited || in_flight.contains_key(&named(id.clone()))
            });
            give_back(&mut shelf.targets);
        }
        marked
    }

    /// A new list has a number of its own, which is never 0.
    fn number_list(&mut self) {
        self.list = self.list.checked_add(1).unwrap_or(1);
    }

    /// Everything that the last list waits for.
    pub fn awaited(&self) -> impl Iterator<Item = Target> {
        [&self.networks, &self.containers].into_iter().flat_map(|shelf| {
            let awaited = shelf.targets.iter().filter(|(_, entry)| entry.awaited);
            awaited.map(|(id, _)| (shelf.named)(id.clone()))
        })
    }

    /// The next target to look at now, if there is one and room for it.
    #[allow(clippy::should_implement_trait)] // It depends on what is settled in between.
    pub fn next(&mut self) -> Option<Target> {
        if self.in_flight.len() >= self.room {
            return None;
        }
        let ready = self.queue.iter().position(|target| !self.in_flight.contains_key(target))?;
        let target = self.queue.remove(ready)?;
        if self.queue.is_empty() {
            self.queue.shrink_to(ROOM_KEPT);
        }
        let entry = self.shelf(&target).targets.get_mut(target.id())?;
        entry.marked = false;
        let streak = std::mem::take(&mut entry.streak);
        self.in_flight.insert(target.clone(), Flight { streak, ..Flight::default() });
        Some(target)
    }

    /// How long the look at a target that is next has to wait: a container that has one event
    /// after the other, and whose every inspect waits for its lock in the engine, is left in
    /// peace a little. A start has three events in a row, and never waits.
    #[must_use]
    pub fn pause_before(&self, target: &Target) -> Duration {
        match self.in_flight.get(target).map(|flight| flight.streak) {
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
                let (_, entry) = self.containers.entry(&container.id.0);
                (entry.known, entry.started) = (true, container.started);
            }
            Change::Network(network) => self.networks.entry(&network.id.0).1.known = true,
            Change::ContainerGone(id) => self.forget(&Target::Container(id.clone())),
            Change::NetworkGone(id) => self.forget(&Target::Network(id.clone())),
        }
    }

    /// The engine says that a container died then.
    pub fn died(&mut self, id: &ContainerId, at: i128) {
        if let Some(flight) = self.in_flight.get_mut(&Target::Container(id.clone())) {
            flight.died = flight.died.max(nanoseconds(at));
        }
    }

    /// Whether the directory has a life of this container that ended with a death at that time.
    #[must_use]
    pub fn has_life_before(&self, id: &ContainerId, death: i128) -> bool {
        let entry = self.containers.targets.get(&id.0);
        entry.is_some_and(|entry| entry.known && is_over(entry.started, nanoseconds(death)))
    }

    /// Whether a look saw a life that ended while it was under way; another look follows.
    #[must_use]
    pub fn is_over(&self, seen: &Change) -> bool {
        let Change::Container(container) = seen else { return false };
        let flight = self.in_flight.get(&Target::Container(container.id.clone()));
        is_over(container.started, flight.and_then(|flight| flight.died))
    }

    fn forget(&mut self, target: &Target) {
        if let Some(entry) = self.shelf(target).targets.get_mut(target.id()) {
            entry.known = false;
        }
        self.complaints.remove(target);
        self.drop_if_idle(target);
    }

    /// A look has ended. True when it was the last one that the list waited for.
    pub fn settle(&mut self, target: &Target) -> bool {
        let flight = self.in_flight.remove(target).unwrap_or_default();
        let mut is_seen = false;
        if let Some(entry) = self.shelf(target).targets.get_mut(target.id()) {
            if entry.marked {
                entry.streak = flight.streak.saturating_add(1);
            }
            is_seen = entry.awaited && !flight.is_older;
            entry.awaited &= !is_seen;
        }
        self.awaited -= usize::from(is_seen);
        self.drop_if_idle(target);
        is_seen && self.awaited == 0
    }

    /// Whether the last list waits for nothing.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.awaited == 0
    }

    /// The session has ended, and with it every look under way.
    pub fn forget_flights(&mut self) {
        for shelf in [&mut self.networks, &mut self.containers] {
            shelf.targets.values_mut().for_each(|entry| entry.streak = 0);
        }
        for target in std::mem::take(&mut self.in_flight).into_keys() {
            self.mark(&target);
        }
    }

    /// Whether this invalid name of the target is new.
    pub fn complain_about(&mut self, target: &Target, name: &str) -> bool {
        self.complaints.entry(target.clone()).or_default().insert(name.to_owned())
    }

    fn shelf(&mut self, target: &Target) -> &mut Shelf {
        match target {
            Target::Container(_) => &mut self.containers,
            Target::Network(_) => &mut self.networks,
        }
    }

    /// What nobody has or asks about any more leaves no trace.
    fn drop_if_idle(&mut self, target: &Target) {
        let (list, is_in_flight) = (self.list, self.in_flight.contains_key(target));
        let targets = &mut self.shelf(target).targets;
        let is_idle = |entry: &Entry| {
            !(entry.known || entry.marked || entry.awaited || is_in_flight || entry.list == list)
        };
        if targets.get(target.id()).is_some_and(is_idle) {
            targets.remove(target.id());
        }
    }
}

impl Shelf {
    /// What is known of a target, and the id that is kept.
    fn entry(&mut self, id: &str) -> (Arc<str>, &mut Entry) {
        let kept = match self.targets.get_key_value(id) {
            Some((kept, _)) => kept.clone(),
            None => id.into(),
        };
        let entry = self.targets.entry(kept.clone()).or_default();
        (kept, entry)
    }

    fn mark(&mut self, id: &str, queue: &mut VecDeque<Target>) {
        let named = self.named;
        let (id, entry) = self.entry(id);
        entry.mark(|| named(id), queue);
    }
}

impl Entry {
    fn mark(&mut self, target: impl FnOnce() -> Target, queue: &mut VecDeque<Target>) {
        if !self.marked {
            self.marked = true;
            queue.push_back(target());
        }
    }
}

/// Nanoseconds since 1970, if that is what it can be.
fn nanoseconds(time: i128) -> Option<i64> {
    i64::try_from(time).ok().filter(|time| *time > 0)
}

/// Whether a life that began then had ended by a death at that time, both by the engine's clock.
fn is_over(started: i64, died: Option<i64>) -> bool {
    started > 0 && died.is_some_and(|died| died > started)
}

/// What was large once and is nearly empty becomes small.
fn give_back(targets: &mut HashMap<Arc<str>, Entry>) {
    if targets.capacity() > ROOM_KEPT && targets.capacity() / 4 > targets.len() {
        targets.shrink_to(ROOM_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(n: usize) -> Target {
        Target::Container(ContainerId(format!("{n:064}").into()))
    }

    fn listing(listed: &[(usize, u64)]) -> Listing {
        listed.iter().map(|(n, print)| (target(*n), *print)).collect()
    }

    fn container(id: &Target) -> Change {
        Change::Container(crate::model::Container {
            id: ContainerId(id.id().into()),
            name: "c".into(),
            names: Box::default(),
            started: 0,
            condition: crate::model::Condition::Running,
            labels: crate::model::Labels::default(),
            reach: crate::model::Reach::Host,
            ports: [].into(),
        })
    }

    /// Looks at all that is marked, and finds it running.
    fn look_at_all(agenda: &mut Agenda) -> Vec<Target> {
        let mut seen = Vec::new();
        while let Some(target) = agenda.next() {
            agenda.learn(&container(&target));
            agenda.settle(&target);
            seen.push(target);
        }
        seen
    }

    #[test]
    fn many_events_are_one_look() {
        let mut agenda = Agenda::default();
        for _ in 0..100 {
            agenda.mark(&target(1));
        }
        assert_eq!(agenda.next(), Some(target(1)));
        assert_eq!(agenda.next(), None);
    }

    #[test]
    fn an_event_during_a_look_means_another_one_after_it() {
        let mut agenda = Agenda::default();
        agenda.mark(&target(1));
        assert_eq!(agenda.next(), Some(target(1)));
        agenda.mark(&target(1));
        assert_eq!(agenda.next(), None, "one look at a time");
        agenda.settle(&target(1));
        assert_eq!(agenda.next(), Some(target(1)));
    }

    #[test]
    fn looks_at_a_container_with_a_flood_of_events_become_rare_and_then_quick_again() {
        let mut agenda = Agenda::default();
        agenda.mark(&target(1));
        let mut look = |again: bool| {
            let next = agenda.next().unwrap();
            let pause = agenda.pause_before(&next);
            if again {
                agenda.mark(&next);
            }
            agenda.settle(&next);
            pause.as_millis()
        };
        let pauses: Vec<u128> = (0..9).map(|n| look(n < 8)).collect();
        assert_eq!(pauses, [0, 0, 0, 10, 20, 40, 80, 100, 100]);
        agenda.mark(&target(1));
        let next = agenda.next().unwrap();
        assert_eq!(agenda.pause_before(&next), Duration::ZERO);
    }

    #[test]
    fn looks_under_way_are_bounded() {
        let mut agenda = Agenda::default();
        (0..2 * MAX_IN_FLIGHT).for_each(|n| agenda.mark(&target(n)));
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
        agenda.list(&listing(&[(1, 0)]));
        let network = Target::Network(NetworkId("n".into()));
        assert_eq!(agenda.next(), Some(network.clone()), "networks first");
        assert_eq!(agenda.next(), Some(target(1)));
        assert!(!agenda.settle(&network));
        assert!(agenda.settle(&target(1)));
    }

    #[test]
    fn a_later_list_marks_only_what_it_says_otherwise() {
        let mut agenda = Agenda::default();
        agenda.list(&listing(&[(1, 1), (2, 1), (3, 1)]));
        look_at_all(&mut agenda);
        let mut marked = agenda.compare(&listing(&[(1, 1), (2, 2), (4, 1)]));
        marked.sort_by_key(|target| format!("{target:?}"));
        assert_eq!(marked, [target(2), target(3), target(4)]);
    }

    /// Found by a random history: the container had gone when the list was made, its event was
    /// lost, and a look from before it still saw the container running.
    #[test]
    fn a_look_older_than_the_list_is_repeated_and_does_not_count() {
        let mut agenda = Agenda::default();
        agenda.mark(&target(1));
        assert_eq!(agenda.next(), Some(target(1)));
        agenda.list(&listing(&[]));
        assert!(!agenda.settle(&target(1)), "it began before the list");
        assert!(!agenda.is_settled());
        assert_eq!(agenda.next(), Some(target(1)), "looked at again");
        assert!(agenda.settle(&target(1)));
    }
    /// An id is 80 octets: one for each event, list and look was most of the memory.
    #[test]
    fn everybody_has_the_id_that_was_there_first() {
        let mut agenda = Agenda::default();
        agenda.list(&listing(&[(1, 1)]));
        let first = look_at_all(&mut agenda).remove(0);
        let is_first = |other: &Target| std::ptr::eq(first.id(), other.id());
        agenda.mark(&target(1));
        assert!(is_first(&look_at_all(&mut agenda)[0]), "by an event");
        assert!(is_first(&agenda.compare(&listing(&[(1, 2)]))[0]), "by a list that differs");
        assert!(is_first(&look_at_all(&mut agenda)[0]));
        agenda.list(&listing(&[(1, 2)]));
        assert!(is_first(&agenda.awaited().next().unwrap()), "by a list");
    }

    #[test]
    fn what_is_gone_leaves_no_trace_and_a_long_queue_no_room() {
        let mut agenda = Agenda::default();
        let all: Vec<(usize, u64)> = (0..10_000).map(|n| (n, 1)).collect();
        agenda.list(&listing(&all));
        assert_eq!(look_at_all(&mut agenda).len(), 10_000);
        assert!(agenda.queue.capacity() <= 2 * ROOM_KEPT, "{}", agenda.queue.capacity());
        assert!(agenda.is_settled());
        assert_eq!(agenda.compare(&listing(&[])).len(), 10_000);
        while let Some(target) = agenda.next() {
            agenda.learn(&Change::ContainerGone(ContainerId(target.id().into())));
            agenda.settle(&target);
        }
        assert_eq!(agenda.containers.targets.len(), 0);
        assert_eq!(agenda.compare(&listing(&[])), []);
        assert!(agenda.containers.targets.capacity() <= 2 * ROOM_KEPT);
        // What was there between two lists only.
        agenda.mark(&target(1));
        let next = agenda.next().unwrap();
        agenda.learn(&Change::ContainerGone(ContainerId(next.id().into())));
        agenda.settle(&next);
        assert_eq!(agenda.containers.targets.len(), 0);
    }

    /// One that is to be left out is on every list, and never in the directory.
    #[test]
    fn what_a_list_names_and_nobody_knows_is_looked_at_once() {
        let mut agenda = Agenda::default();
        agenda.list(&listing(&[(1, 1)]));
        let next = agenda.next().unwrap();
        agenda.learn(&Change::ContainerGone(ContainerId(next.id().into())));
        agenda.settle(&next);
        assert_eq!(agenda.compare(&listing(&[(1, 1)])), []);
        assert_eq!(agenda.compare(&listing(&[])), []);
        assert_eq!(agenda.compare(&listing(&[(1, 1)])), [target(1)], "it is new again");
    }

    #[test]
    fn a_death_ends_the_life_before_it_and_no_later_one() {
        let lives = |started: i64| {
            let Change::Container(container) = container(&target(1)) else { panic!("a container") };
            Change::Container(crate::model::Container { started, ..container })
        };
        let id = ContainerId(target(1).id().into());
        let mut agenda = Agenda::default();
        assert!(!agenda.has_life_before(&id, 5), "nobody has it");
        agenda.learn(&lives(7));
        assert!(!agenda.has_life_before(&id, 5), "a late word of the life before");
        assert!(!agenda.has_life_before(&id, 0), "no time");
        assert!(agenda.has_life_before(&id, 9));
        // A look that is under way saw it before, or saw the next life already.
        agenda.mark(&target(1));
        agenda.next();
        assert!(!agenda.is_over(&lives(7)));
        agenda.died(&id, 9);
        agenda.died(&id, 8);
        let over = [7, 10, 0].map(|started| agenda.is_over(&lives(started)));
        assert_eq!(over, [true, false, false], "of 0 the engine does not say when");
        // One that begins later sees what is.
        agenda.settle(&target(1));
        agenda.mark(&target(1));
        agenda.next();
        assert!(!agenda.is_over(&lives(7)));
    }
}
