//! What holds for every history, checked on random ones. Each test prints its seed; set
//! `NETALIAS_SEED` to it to see the same run again.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use netalias::directory::{self, Publisher, Reader};
use netalias::model::{Change, Health, Policy, Registry, Ring};
use netalias::source::docker::{Agenda, Target};
use netalias::source::scenario::{Command, Dig, Engine, Expected, parse_line};
use netalias_testkit::{Core, Subject as _, seed};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// One step of a random history: the engine's, its events', or the watcher's.
#[derive(Clone, Debug)]
enum Step {
    /// A docker command, by number; its events are sent this often (0: lost).
    Command(u8, usize),
    /// One of the events on their way arrives, not necessarily the oldest.
    Deliver(usize),
    /// The next look begins: what the engine has at this moment will be its result.
    Begin,
    /// One of the looks under way comes to its end.
    End(usize),
    /// A complete list is asked for and answered.
    List,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<u8>(), 0..3_usize).prop_map(|(n, times)| Step::Command(n, times)),
        4 => any::<usize>().prop_map(Step::Deliver),
        3 => Just(Step::Begin),
        3 => any::<usize>().prop_map(Step::End),
        1 => Just(Step::List),
    ];
    prop::collection::vec(step, 0..120)
}

/// Commands over few names, so that they meet: the same container is run, renamed, connected and
/// removed again and again. Many are refused by the engine, as they would be by a real one.
fn command(n: u8) -> String {
    let (container, network) = (n % 3, n / 3 % 2);
    match n / 6 % 12 {
        0 => format!("docker network create n{network}"),
        1 => format!("docker network rm n{network}"),
        2 | 3 => format!("docker run --name c{container} --net n{network} --net-alias app busybox"),
        4 => format!("docker network connect --alias a.b n{network} c{container}"),
        5 => format!("docker network disconnect n{network} c{container}"),
        6 => format!("docker stop c{container}"),
        7 => format!("docker start c{container}"),
        8 => format!("docker restart c{container}"),
        9 => format!("docker pause c{container}"),
        10 => format!("docker rename c{container} c{}", (container + 1) % 3),
        _ => format!("docker rm -f c{container}"),
    }
}

/// The watcher without its sockets: the same agenda, fed by hand.
struct Watcher {
    agenda: Agenda,
    publisher: Publisher,
    under_way: Vec<(Target, Change)>,
}

impl Watcher {
    fn begin(&mut self, engine: &Engine) -> bool {
        let Some(target) = self.agenda.next() else { return false };
        let seen = match &target {
            Target::Container(id) => engine.change(id),
            Target::Network(id) => engine.network_change(id),
        };
        self.under_way.push((target, seen));
        true
    }

    fn end(&mut self, index: usize) {
        if self.under_way.is_empty() {
            return;
        }
        let (target, seen) = self.under_way.remove(index % self.under_way.len());
        self.agenda.learn(&seen);
        self.publisher.apply(seen);
        self.agenda.settle(&target);
    }

    fn list(&mut self, engine: &Engine) {
        let listed = engine.everything();
        let listed = listed.iter().filter_map(running).map(|target| (target, 0));
        self.agenda.list(&listed.collect());
    }

    /// Looks until nothing is marked. The newest look ends first: were two looks at one target
    /// under way, the older one's result would be the last.
    fn drain(&mut self, engine: &Engine) {
        loop {
            while self.begin(engine) {}
            match self.under_way.len().checked_sub(1) {
                Some(newest) => self.end(newest),
                None => break,
            }
        }
    }
}

fn target(change: &Change) -> Target {
    match change {
        Change::Container(container) => Target::Container(container.id.clone()),
        Change::ContainerGone(id) => Target::Container(id.clone()),
        Change::Network(network) => Target::Network(network.id.clone()),
        Change::NetworkGone(id) => Target::Network(id.clone()),
    }
}

/// What a list has: networks and running containers.
fn running(change: &Change) -> Option<Target> {
    (!matches!(change, Change::ContainerGone(_))).then(|| target(change))
}

/// Everything a reader can see, comparable.
fn contents(reader: &Reader) -> BTreeMap<String, Vec<String>> {
    let mut contents = BTreeMap::new();
    for set in reader.sets(None) {
        let members = set.members.iter().map(|member| format!("{member:?}")).collect();
        contents.insert(format!("{} on {}", set.owner, set.place.network), members);
        for member in &*set.members {
            for address in member.v4.map(IpAddr::V4).into_iter().chain(member.v6.map(IpAddr::V6)) {
                contents
                    .insert(address.to_string(), vec![format!("{:?}", reader.view_of(address))]);
            }
        }
    }
    contents
}

/// The directory after one list of this engine by a watcher that has seen nothing before.
fn after_one_resync(engine: &Engine) -> BTreeMap<String, Vec<String>> {
    let (publisher, reader) = directory::new(1, Policy::default());
    let mut watcher = Watcher { agenda: Agenda::default(), publisher, under_way: Vec::new() };
    watcher.list(engine);
    watcher.drain(engine);
    contents(&reader)
}

#[test]
fn any_history_of_events_before_a_resync_ends_in_the_map_of_one_resync() {
    check(&steps(), |steps| {
        let mut engine = Engine::default();
        let (publisher, reader) = directory::new(1, Policy::default());
        let mut watcher = Watcher { agenda: Agenda::default(), publisher, under_way: Vec::new() };
        let mut events: Vec<Target> = Vec::new();
        for step in steps {
            match step {
                Step::Command(n, times) => {
                    let mut changes = Vec::new();
                    // The engine may refuse; then there may still be changes.
                    let _ = engine.carry_out(&parsed(&command(n)), &mut changes);
                    let hints = changes.iter().map(target);
                    events.extend(hints.flat_map(|hint| std::iter::repeat_n(hint, times)));
                }
                Step::Deliver(index) if !events.is_empty() => {
                    let event = events.remove(index % events.len());
                    watcher.agenda.mark(&event);
                }
                Step::Deliver(_) => {}
                Step::Begin => {
                    watcher.begin(&engine);
                }
                Step::End(index) => watcher.end(index),
                Step::List => watcher.list(&engine),
            }
        }
        watcher.list(&engine);
        watcher.drain(&engine);
        prop_assert_eq!(contents(&reader), after_one_resync(&engine));
        Ok(())
    });
}

#[test]
fn events_in_any_order_and_number_need_no_resync_if_none_is_lost() {
    let histories = prop::collection::vec((any::<u8>(), 1..4_usize, any::<usize>()), 0..60);
    check(&histories, |history| {
        let mut engine = Engine::default();
        let (publisher, reader) = directory::new(1, Policy::default());
        let mut watcher = Watcher { agenda: Agenda::default(), publisher, under_way: Vec::new() };
        watcher.list(&engine);
        let mut events = Vec::new();
        for (n, times, place) in history {
            let mut changes = Vec::new();
            let _ = engine.carry_out(&parsed(&command(n)), &mut changes);
            for hint in changes.iter().map(target) {
                for _ in 0..times {
                    events.insert(place % (events.len() + 1), hint.clone());
                }
            }
        }
        for event in events {
            watcher.agenda.mark(&event);
            watcher.begin(&engine);
        }
        watcher.drain(&engine);
        prop_assert_eq!(contents(&reader), after_one_resync(&engine));
        Ok(())
    });
}

#[test]
fn a_change_that_says_nothing_new_makes_no_difference() {
    check(&prop::collection::vec(any::<u8>(), 0..60), |commands| {
        let mut engine = Engine::default();
        let mut registry = Registry::default();
        for n in commands {
            let mut changes = Vec::new();
            let _ = engine.carry_out(&parsed(&command(n)), &mut changes);
            for change in changes {
                registry.apply(change.clone());
                prop_assert_eq!(registry.apply(change), vec![]);
            }
        }
        for change in engine.everything() {
            let networks_first = matches!(change, Change::Network(_));
            let difference = registry.apply(change);
            prop_assert!(networks_first || difference.is_empty(), "{:?}", difference);
        }
        Ok(())
    });
}

#[test]
fn an_emptied_engine_leaves_an_empty_directory() {
    check(&prop::collection::vec(any::<u8>(), 0..80), |commands| {
        let mut engine = Engine::default();
        let (publisher, reader) = directory::new(1, Policy::default());
        for n in commands {
            let mut changes = Vec::new();
            let _ = engine.carry_out(&parsed(&command(n)), &mut changes);
            for change in changes {
                publisher.apply(change);
            }
        }
        for change in engine.everything() {
            publisher.apply(match target(&change) {
                Target::Container(id) => Change::ContainerGone(id),
                Target::Network(id) => Change::NetworkGone(id),
            });
        }
        prop_assert_eq!(contents(&reader), BTreeMap::new());
        prop_assert!(reader.is_empty(), "no entry is left behind");
        Ok(())
    });
}

#[test]
fn n_questions_to_k_addresses_differ_by_one_at_most_from_any_threads() {
    check(&(1..9_u32, 1..200_usize, 1..5_usize), |(k, n, threads)| {
        let ring = Ring::new((0..k).collect());
        let count = |_| {
            let ring = &ring;
            move || (0..n).filter_map(|_| ring.rotate(Health::Ignore).next()).collect::<Vec<u32>>()
        };
        let firsts: Vec<u32> = std::thread::scope(|scope| {
            let spawned: Vec<_> = (0..threads).map(count).map(|f| scope.spawn(f)).collect();
            spawned.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
        });
        let times = (0..k).map(|address| firsts.iter().filter(|first| **first == address).count());
        let times: Vec<usize> = times.collect();
        let (least, most) = (times.iter().min(), times.iter().max());
        prop_assert!(most.copied() <= least.map(|least| least + 1), "{:?}", times);
        Ok(())
    });
}

/// Glibc and musl ask for both types at once; with one turn for both, two backends would each be
/// first in one type only.
#[test]
fn who_asks_a_and_aaaa_in_pairs_walks_both_families_one_by_one() {
    // Which client goes on, and how many pairs each asks in all.
    check(&(0..4_usize, prop::collection::vec(any::<bool>(), 0..160)), |(size, turns)| {
        let size = [2, 3, 4, 6][size];
        let core = dual_stack(size);
        let mut firsts = [Vec::new(), Vec::new()];
        // A client asks for A, then for AAAA; another one may come between.
        let mut asked = [0; 2];
        for client in turns.iter().map(|second| usize::from(*second)) {
            let family = asked[client] % 2;
            asked[client] += 1;
            firsts[family].extend(first(&core, "app", ["A", "AAAA"][family]));
        }
        for family in &firsts {
            for (n, address) in family.iter().enumerate() {
                prop_assert_eq!(*address, family[n % size], "each in turn");
            }
            let walked: BTreeSet<_> = family.iter().collect();
            prop_assert_eq!(walked.len(), family.len().min(size), "each of them");
        }
        Ok(())
    });
}

/// What happens to the members of a set between two stretches of questions.
#[derive(Clone, Copy, Debug)]
enum Member {
    Joins(u8),
    Leaves(u8),
    Pauses(u8),
    GoesOn(u8),
}

/// Fairness in every stretch, and the turn handed over at every change: the model is a set and the
/// last address that came first; next comes the one after it.
#[test]
fn stretches_are_fair_and_a_change_of_members_repeats_none_and_skips_none() {
    let member = (0..4_u8, 0..7_u8).prop_map(|(kind, n)| match kind {
        0 => Member::Joins(n),
        1 => Member::Leaves(n),
        2 => Member::Pauses(n),
        _ => Member::GoesOn(n),
    });
    let stretches = prop::collection::vec((member, 0..4_usize, 1..12_usize), 0..24);
    check(&stretches, |stretches| {
        let mut core = Core::default();
        play(&mut core, "docker network create --subnet 10.1.0.0/24 net");
        let mut members = BTreeMap::new();
        let mut last = None;
        for (member, threads, each) in stretches {
            happen(&mut core, &mut members, member);
            let fit = fit(&members);
            if members.is_empty() {
                last = None;
            }
            let came_first = concurrently(&core, threads, each);
            let mut expected = BTreeMap::new();
            for _ in 0..threads * each {
                last = next(&fit, last);
                if let Some(last) = last {
                    *expected.entry(last).or_insert(0) += 1;
                }
            }
            prop_assert_eq!(&came_first, &expected, "after {:?} of {:?}", member, fit);
            let counts = || fit.iter().map(|a| came_first.get(a).copied().unwrap_or_default());
            prop_assert!(counts().max() <= counts().min().map(|least| least + 1));
        }
        Ok(())
    });
}

/// A change, as the model and as the core see it.
fn happen(core: &mut Core, members: &mut BTreeMap<Ipv4Addr, bool>, member: Member) {
    let (Member::Joins(n) | Member::Leaves(n) | Member::Pauses(n) | Member::GoesOn(n)) = member;
    let address = Ipv4Addr::new(10, 1, 0, 10 + n);
    match (member, members.get(&address).copied()) {
        (Member::Joins(_), None) => {
            let run = format!("docker run -d --name c{n} --ip {address}");
            play(core, &format!("{run} --net net --net-alias app busybox"));
            members.insert(address, true);
        }
        (Member::Leaves(_), Some(_)) => {
            play(core, &format!("docker rm -f c{n}"));
            members.remove(&address);
        }
        (Member::Pauses(_), Some(true)) => {
            play(core, &format!("docker pause c{n}"));
            members.insert(address, false);
        }
        (Member::GoesOn(_), Some(false)) => {
            play(core, &format!("docker unpause c{n}"));
            members.insert(address, true);
        }
        _ => {}
    }
}

/// Those that run; if none does, all.
fn fit(members: &BTreeMap<Ipv4Addr, bool>) -> BTreeSet<Ipv4Addr> {
    let some = members.values().any(|runs| *runs);
    let fit = members.iter().filter(|(_, runs)| **runs || !some);
    fit.map(|(address, _)| *address).collect()
}

/// The one after the last one, or else the first one.
fn next(fit: &BTreeSet<Ipv4Addr>, last: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    let after = last.and_then(|last| fit.iter().find(|address| **address > last));
    after.or_else(|| fit.first()).copied()
}

/// How often each address of `app` comes first, when so many threads ask so often each.
fn concurrently(core: &Core, threads: usize, each: usize) -> BTreeMap<Ipv4Addr, usize> {
    let ask = || (0..each).filter_map(|_| first(core, "app", "A")).collect::<Vec<_>>();
    let firsts: Vec<IpAddr> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
        spawned.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    });
    let mut counts = BTreeMap::new();
    for first in firsts {
        let IpAddr::V4(first) = first else { panic!("{first} for A") };
        *counts.entry(first).or_insert(0) += 1;
    }
    counts
}

/// `app` with so many containers on a network with both families.
fn dual_stack(size: usize) -> Core {
    let mut core = Core::default();
    play(&mut core, "docker network create --ipv6 --subnet 10.1.0.0/24 --subnet fd00:1::/64 net");
    for n in 0..size {
        play(&mut core, &format!("docker run -d --name c{n} --net net --net-alias app busybox"));
    }
    core
}

fn play(core: &mut Core, line: &str) {
    core.play(&parse_line("history", 1, line).expect("a line").expect("a line")).expect(line);
}

/// The address that an answer begins with, if it is one.
fn first(core: &Core, name: &str, qtype: &str) -> Option<IpAddr> {
    let expected = Expected::Addresses(Vec::new());
    let dig = Dig { client: None, name: name.to_owned(), qtype: qtype.to_owned(), expected };
    match core.answer(&dig) {
        Expected::Addresses(addresses) => addresses.first().copied(),
        Expected::Code(_) => None,
    }
}

fn parsed(line: &str) -> Command {
    parse_line("history", 1, line).expect("a command").expect("a command").command
}

/// Runs a property over random values, and says with which seed.
fn check<S: Strategy>(values: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seed = seed();
    eprintln!("NETALIAS_SEED={seed}");
    let config = Config {
        cases: 512,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    };
    if let Err(error) = TestRunner::new(config).run(values, property) {
        panic!("NETALIAS_SEED={seed}: {error}");
    }
}
