//! `Outcome`: what a question of others came to, scrubbed to the question.

use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name as WireName, RData, Record, RecordType};
use tokio::time::Instant;

use super::super::extended::ExtendedError;
use super::Forwarded;

/// What a question came to: shared by all who asked it at the same time, and kept for a while.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) soa: Option<Record>,
    pub(super) extended: Option<ExtendedError>,
    /// How long it may be kept.
    pub(super) ttl: Duration,
    /// When it came.
    pub(super) born: Instant,
}

/// Why a message is of no use, though it answers the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Useless {
    /// It says that this server cannot answer.
    Code(ResponseCode),
    /// It names other servers, which we do not ask.
    Referral,
}

/// No record is kept longer, whatever its TTL: what is wrong is gone within the hour.
const MAX_TTL: u32 = 3600;
/// The same for negative answers; a test cluster asks for a name until it appears.
const MAX_NEGATIVE_TTL: u32 = 30;
/// Aliases that are followed within one answer; longer chains are cut.
const MAX_CHAIN: usize = 16;

/// Takes from a message what answers the question: the aliases that lead from its name, the
/// records of its type at their end, and the SOA that denies one. Everything else is dropped,
/// since the server has no say in it (the lesson of Kaminsky's attack and of CVE-2021-25220). An
/// alias that leads to a name of ours is the last record: nobody else tells what our names are.
pub(super) fn scrub(
    query: &Query,
    message: Message,
    is_ours: impl Fn(&WireName) -> bool,
) -> Result<Outcome, Useless> {
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(Useless::Code(code));
    }
    let of_class = |record: &Record| record.dns_class == DNSClass::IN;
    let sent: Vec<Record> = message.answers.into_iter().filter(of_class).collect();
    let mut answers: Vec<Record> = Vec::new();
    let mut name = query.name().clone();
    let mut found = false;
    while answers.len() < MAX_CHAIN {
        let data = sent.iter().filter(|r| r.name == name && is_asked(query, r.record_type()));
        let data: Vec<Record> = data.cloned().collect();
        if !data.is_empty() {
            answers.extend(one_ttl(data));
            found = true;
            break;
        }
        let alias = sent.iter().find_map(|r| match &r.data {
            RData::CNAME(target) if r.name == name => Some((r, target.0.clone())),
            _ => None,
        });
        let Some((record, target)) = alias else { break };
        answers.push(record.clone());
        let seen = answers.iter().any(|earlier| earlier.name == target);
        if seen || is_ours(&target) {
            found = true;
            break;
        }
        name = target;
    }
    let soa = message.authorities.iter().find(|record| {
        of_class(record) && record.record_type() == RecordType::SOA && record.name.zone_of(&name)
    });
    let soa = soa.filter(|_| !found).cloned();
    let refers = message.authorities.iter().any(|record| record.record_type() == RecordType::NS);
    let empty = code == ResponseCode::NoError && answers.is_empty() && soa.is_none();
    if empty && (refers || !message.metadata.recursion_available) {
        return Err(Useless::Referral);
    }
    Ok(Outcome::of_records(code, answers, soa, found))
}

fn is_asked(query: &Query, have: RecordType) -> bool {
    have == query.query_type() || query.query_type() == RecordType::ANY
}

/// The records of a set have one TTL (RFC 2181 section 5.2): the least.
fn one_ttl(mut records: Vec<Record>) -> Vec<Record> {
    let least = records.iter().map(lifetime).min().unwrap_or_default();
    for record in &mut records {
        record.ttl = least;
    }
    records
}

/// A TTL with its highest bit set means zero (RFC 2181 section 8).
fn lifetime(record: &Record) -> u32 {
    if record.ttl > i32::MAX.unsigned_abs() { 0 } else { record.ttl }
}

impl Outcome {
    fn of_records(
        code: ResponseCode,
        mut answers: Vec<Record>,
        mut soa: Option<Record>,
        found: bool,
    ) -> Self {
        for record in &mut answers {
            record.ttl = lifetime(record).min(MAX_TTL);
        }
        // RFC 2308 section 5: the lesser of the SOA's own TTL and its MINIMUM.
        if let Some(soa) = &mut soa {
            let minimum = if let RData::SOA(data) = &soa.data { data.minimum } else { 0 };
            soa.ttl = lifetime(soa).min(minimum).min(MAX_NEGATIVE_TTL);
        }
        let least = answers.iter().chain(&soa).map(|record| record.ttl).min();
        // Without data and without a SOA nobody said for how long that is so.
        let ttl = if found || soa.is_some() { least.unwrap_or_default() } else { 0 };
        let ttl = Duration::from_secs(ttl.into());
        Self { code, answers, soa, extended: None, ttl, born: Instant::now() }
    }

    /// SERVFAIL with its reason, kept for `ttl`.
    pub(super) fn failure(extended: ExtendedError, ttl: Duration) -> Self {
        Self {
            code: ResponseCode::ServFail,
            answers: Vec::new(),
            soa: None,
            extended: Some(extended),
            ttl,
            born: Instant::now(),
        }
    }

    /// Whether it may still be answered.
    pub(super) fn is_fresh(&self) -> bool {
        self.born.elapsed() < self.ttl
    }

    /// The answer to a client's own question: its spelling of the name (0x20), and what is left
    /// of the TTLs.
    pub(super) fn answer(&self, query: &Query) -> Forwarded {
        let age = u32::try_from(self.born.elapsed().as_secs()).unwrap_or(u32::MAX);
        let told = |record: &Record| {
            let mut record = record.clone();
            record.ttl = record.ttl.saturating_sub(age);
            if record.name == *query.name() {
                record.name = query.name().clone();
            }
            record
        };
        Forwarded {
            code: self.code,
            authoritative: false,
            answers: self.answers.iter().map(told).collect(),
            soa: self.soa.as_ref().map(told),
            extended: self.extended.clone(),
        }
    }
}
