//! `Turns`: the counters of rings, side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counters of one page. A page lives as long as one of its rings, so a change that leaves one of
/// them costs as much as all.
const PAGE: usize = 32;

/// Where rings get their counters. Each answer counts, so of thousands of names each answer waits
/// for its counter; here they are close together, where the processor's cache and its memory of
/// addresses reach them all, and not each beside what else is known of its name.
#[derive(Debug)]
pub struct Turns {
    page: Arc<Page>,
    /// Counters of the page that are given away. None is given twice: whoever still has the ring
    /// that was there before would count for another one.
    given: usize,
}

#[derive(Debug, Default)]
struct Page([AtomicUsize; PAGE]);

/// The counter of one ring.
#[derive(Clone, Debug)]
pub struct Turn {
    page: Arc<Page>,
    at: u8,
}

impl Turns {
    /// Where there are no counters yet.
    #[must_use]
    pub fn new() -> Self {
        Self { page: Arc::default(), given: 0 }
    }

    /// A counter of the caller's own, at zero.
    pub fn give(&mut self) -> Turn {
        if self.given == PAGE {
            *self = Self::new();
        }
        // A page is not that long.
        let at = u8::try_from(self.given).unwrap_or_default();
        self.given += 1;
        Turn { page: self.page.clone(), at }
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

impl Turn {
    /// Counts one; gives how many there were before.
    ///
    /// One atomic add is the whole agreement between threads.
    #[must_use]
    pub fn take(&self) -> usize {
        self.counter().fetch_add(1, Ordering::Relaxed)
    }

    /// How many there are.
    #[must_use]
    pub fn get(&self) -> usize {
        self.counter().load(Ordering::Relaxed)
    }

    /// Goes on from there.
    pub(super) fn set(&self, count: usize) {
        self.counter().store(count, Ordering::Relaxed);
    }

    fn counter(&self) -> &AtomicUsize {
        &self.page.0[usize::from(self.at) % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_counts_alone() {
        let mut turns = Turns::new();
        let all: Vec<Turn> = (0..3 * PAGE).map(|_| turns.give()).collect();
        for (times, turn) in all.iter().enumerate() {
            (0..times).for_each(|_| {
                let _ = turn.take();
            });
        }
        for (times, turn) in all.iter().enumerate() {
            assert_eq!(turn.get(), times);
        }
    }

    #[test]
    fn a_page_goes_with_the_last_of_its_rings() {
        let mut turns = Turns::new();
        let first = turns.give();
        let page = Arc::downgrade(&first.page);
        let others: Vec<Turn> = (0..PAGE).map(|_| turns.give()).collect();
        drop(others);
        assert!(page.upgrade().is_some());
        drop(first);
        assert!(page.upgrade().is_none());
    }
}
