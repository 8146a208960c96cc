//! Answers of others, kept for as long as they say, within a limit of memory.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache as QuickCache;

use super::super::extended::{ExtendedCode, ExtendedError};
use super::Key;
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use hickory_proto::op::{Query, ResponseCode};
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name as WireName, RData, Record, RecordType};
    use tokio::time::Instant;

    use super::*;

    fn key(name: &str) -> Key {
        let name = name.parse().unwrap();
        Key { name, qtype: 1, checking_disabled: false, generation: 0 }
    }

    /// An answer of so many records with this TTL, as if it had come `age` seconds ago.
    fn outcome(records: usize, ttl: u32, age: u64) -> Arc<Outcome> {
        let name = WireName::from_ascii("a.example.").unwrap();
        let record = Record::from_rdata(name, ttl, RData::A(A(Ipv4Addr::LOCALHOST)));
        Arc::new(Outcome {
            code: ResponseCode::NoError,
            answers: vec![record; records],
            soa: None,
            extended: None,
            ttl: Duration::from_secs(ttl.into()),
            born: Instant::now().checked_sub(Duration::from_secs(age)).unwrap(),
        })
    }

    #[test]
    fn an_answer_is_kept_for_its_ttl_and_its_records_grow_old() {
        let cache = Cache::new();
        cache.keep(key("a.example"), &outcome(1, 60, 59));
        let kept = cache.get(&key("a.example")).unwrap();
        let query = Query::query(WireName::from_ascii("A.example.").unwrap(), RecordType::A);
        let answer = kept.answer(&query);
        assert_eq!(answer.answers[0].ttl, 1);
        assert!(answer.answers[0].name.eq_case(query.name()), "in the client's spelling");
        cache.keep(key("a.example"), &outcome(1, 60, 60));
        assert!(cache.get(&key("a.example")).is_none());
        assert!(cache.0.is_empty(), "what is too old makes room");
    }

    #[test]
    fn an_answer_for_this_moment_alone_is_not_kept() {
        let cache = Cache::new();
        cache.keep(key("a.example"), &outcome(1, 0, 0));
        assert!(cache.0.is_empty());
    }

    #[test]
    fn other_servers_flags_and_types_are_other_answers() {
        let cache = Cache::new();
        cache.keep(key("a.example"), &outcome(1, 60, 0));
        let others = [
            Key { generation: 1, ..key("a.example") },
            Key { checking_disabled: true, ..key("a.example") },
            Key { qtype: 28, ..key("a.example") },
            key("b.example"),
        ];
        assert!(others.iter().all(|other| cache.get(other).is_none()));
    }

    #[test]
    fn it_is_bounded_whatever_comes() {
        let cache = Cache::new();
        let too_much = usize::try_from(MAX_OCTETS / MAX_SHARE / RECORD_OCTETS).unwrap() + 1;
        cache.keep(key("huge.example"), &outcome(too_much, 60, 0));
        assert!(cache.0.is_empty(), "one answer does not throw out all others");
        for number in 0..100_000 {
            cache.keep(key(&format!("n{number}.example")), &outcome(number % 8, 60, 0));
        }
        assert!(cache.0.weight() <= MAX_OCTETS);
        assert!(cache.0.len() as u64 <= MAX_OCTETS / ENTRY_OCTETS);
    }
}
