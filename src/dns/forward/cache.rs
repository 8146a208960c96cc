//! Answers of others, kept for as long as they say, within a limit of memory.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache as QuickCache;

use super::Key;
use super::extended::{ExtendedCode, ExtendedError};
use super::outcome::Outcome;

/// Memory that the cache may take, roughly, in octets.
const MAX_OCTETS: u64 = 8 << 20;
/// What an entry takes at least: key, map, shared outcome. So at most 16,384 are kept.
const ENTRY_OCTETS: u64 = 512;
/// What a record takes, roughly: names and data are kept parsed.
const RECORD_OCTETS: u64 = 320;
/// No single answer takes more than this share of the cache.
const MAX_SHARE: u64 = 16;

/// The answers.
pub(super) struct Cache(QuickCache<Key, Arc<Outcome>, Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Outcome>> for Weight {
    fn weight(&self, _: &Key, outcome: &Arc<Outcome>) -> u64 {
        let records = outcome.answers.len() + usize::from(outcome.soa.is_some());
        ENTRY_OCTETS + RECORD_OCTETS * records as u64
    }
}

impl Cache {
    pub(super) fn new() -> Self {
        // Grows with what is in it.
        Self(QuickCache::with_weighter(1024, MAX_OCTETS, Weight))
    }

    /// What was answered before, if it is still true.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Outcome>> {
        let outcome = self.0.get(key)?;
        if outcome.is_fresh() {
            return Some(outcome);
        }
        self.0.remove_if(key, |kept| !kept.is_fresh());
        None
    }

    /// Keeps an outcome for as long as it says. A failure that is kept says that it was (RFC
    /// 8914 section 4.14).
    pub(super) fn keep(&self, key: Key, outcome: &Arc<Outcome>) {
        if outcome.ttl.is_zero() || Weight.weight(&key, outcome) > MAX_OCTETS / MAX_SHARE {
            return;
        }
        let kept = match &outcome.extended {
            Some(error) => {
                let told = ExtendedError::new(ExtendedCode::CachedError, error.text.clone());
                Arc::new(Outcome { extended: Some(told), ..Outcome::clone(outcome) })
            }
            None => outcome.clone(),
        };
        self.0.insert(key, kept);
    }
}
