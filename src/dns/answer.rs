//! From a question to records: view, look-up, decision, and the chain of aliases.

use std::sync::Arc;

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name as WireName, RData, Record, RecordType as WireType};

use super::Service;
use super::encode::RECORD;
use super::extended::{ExtendedCode, ExtendedError};
use super::forward::{Admitted, Asked, Forwarded, Wish};
use crate::model::{
    self, Asker, Decision, Draw, Found, Outcome, Policy, Question, Reason, RecordType, Zone, decide,
};
use crate::status::{Answers, Counter};

/// TTL and MINIMUM of the SOA in negative answers, in seconds (RFC 2308 section 5). Zero, since a
/// test cluster asks for a name until it appears, and must then see it at once.
const NEGATIVE_TTL: u32 = 0;
/// Aliases of aliases that are followed; longer chains are taken for loops.
const MAX_CHAIN: usize = 8;

/// What a reply holds beside the question.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) authoritative: bool,
    pub(super) answers: Vec<Record>,
    /// The SOA of a negative answer.
    pub(super) soa: Option<Record>,
    /// Why there is no data.
    pub(super) error: Option<ExtendedError>,
    /// What is to be asked of other servers, to complete it.
    pub(super) forward: Option<Admitted>,
    pub(super) again: Again,
}

/// How the same question can be answered again, as long as what the answer depends on stays.
#[derive(Default)]
pub(super) enum Again {
    /// By a look-up.
    #[default]
    LookUp,
    /// By a draw, with what the asker has been found to be.
    Draw(Draw, Asker),
    /// By the same octets.
    Repeat,
    /// By the same octets, until anything changes.
    RepeatWhileNothingChanges,
}

/// The answer to a question.
pub(super) fn answer(query: &Query, mut asker: Asker, wish: Wish, service: &Service) -> Answer {
    let counters = &service.status.answers;
    // The directory holds class IN alone.
    if query.query_class() != DNSClass::IN {
        return refused(not_supported("only class IN is served"), service);
    }
    if matches!(query.query_type(), WireType::AXFR | WireType::IXFR) {
        return refused(not_supported("zones are not transferred"), service);
    }
    // Labels that no name of ours can have.
    let Ok(mut name) = model::Name::from_labels(query.name().iter()) else {
        return refused(ExtendedError::because(&Reason::NotOurs), service);
    };
    let policy = service.directory.policy();
    let qtype = record_type(query.query_type());
    let mut answer = Answer { authoritative: true, ..Answer::default() };
    let mut owner = query.name().clone();
    for _ in 0..=MAX_CHAIN {
        // Completeness is read before the look-up: what is published in between can then only
        // turn a SERVFAIL into the truth, never a name that exists into NXDOMAIN.
        let complete = service.directory.is_complete();
        let lookup = service.directory.lookup(&mut asker, &name, qtype, &policy);
        let question = Question { zone: &lookup.zone, found: &lookup.found, qtype, asker: &asker };
        let Decision { outcome, ttl, reason } = decide(&question, &policy, complete);
        let client = asker.address;
        tracing::debug!(%client, %name, r#type = %query.query_type(), %reason, "answered");
        match outcome {
            // Nobody of ours has the name, and it is in no zone of ours, or a single label.
            Outcome::Refused | Outcome::NxDomain
                if matches!(lookup.zone, Zone::Foreign | Zone::Root) =>
            {
                let query = Query::query(owner, query.query_type());
                let foreign = Asked { query: &query, name: &name, client, wish };
                return elsewhere(answer, &foreign, &policy, service);
            }
            Outcome::Cname(target) => {
                let canonical = wire(&target);
                // The owner is a pointer at best, the target stands whole at worst.
                asker.room = asker.room.saturating_sub(RECORD + canonical.len() + 1);
                let data = RData::CNAME(CNAME(canonical.clone()));
                answer.answers.push(Record::from_rdata(owner, ttl, data));
                if qtype == RecordType::Cname {
                    return counted(answer, &counters.data);
                }
                (owner, name) = (canonical, target);
            }
            outcome => {
                if answer.answers.is_empty() {
                    answer.again = again(&question, &outcome, &policy);
                }
                if matches!(outcome, Outcome::NoData | Outcome::NxDomain | Outcome::ServFail) {
                    answer.error = Some(ExtendedError::because(&reason));
                }
                return finish(answer, &owner, ttl, outcome, &lookup.zone, service);
            }
        }
    }
    answer.code = ResponseCode::ServFail;
    answer.authoritative = false;
    counted(answer, &counters.servfail)
}

fn refused(error: ExtendedError, service: &Service) -> Answer {
    let code = ResponseCode::Refused;
    let answer = Answer { code, error: Some(error), ..Answer::default() };
    counted(answer, &service.status.answers.refused)
}

fn not_supported(what: &str) -> ExtendedError {
    ExtendedError::new(ExtendedCode::NotSupported, what)
}

/// The answer for a name that is not ours: by other servers, or why by none.
fn elsewhere(
    mut answer: Answer,
    asked: &Asked<'_>,
    policy: &Arc<Policy>,
    service: &Service,
) -> Answer {
    answer.authoritative &= !answer.answers.is_empty();
    match service.forwarder.admits(asked, policy) {
        Ok(admitted) => answer.forward = Some(admitted),
        // The chain leads to a name that is not ours: what is known of it is the answer.
        Err(_) if !answer.answers.is_empty() => service.status.answers.data.increment(),
        Err(refusal) => {
            let Forwarded { code, authoritative, answers, soa, extended: error } =
                refusal.answer(asked.query);
            count(&service.status.answers, code, answers.is_empty());
            answer = Answer { code, authoritative, answers, soa, error, ..Answer::default() };
        }
    }
    answer
}

/// Counts an answer by its outcome.
pub(super) fn count(answers: &Answers, code: ResponseCode, empty: bool) {
    let counter = match code {
        ResponseCode::NoError if empty => &answers.nodata,
        ResponseCode::NoError => &answers.data,
        ResponseCode::NXDomain => &answers.nxdomain,
        ResponseCode::Refused => &answers.refused,
        _ => &answers.servfail,
    };
    counter.increment();
}

/// How the same question can be answered again.
fn again(question: &Question, outcome: &Outcome, policy: &Policy) -> Again {
    match (question.found, outcome) {
        (Found::Set(_), Outcome::A(_) | Outcome::Aaaa(_)) => Draw::of(question, policy)
            .map_or(Again::LookUp, |draw| Again::Draw(draw, *question.asker)),
        (Found::Set(_), Outcome::NoData) => Again::Repeat,
        (Found::Pointer(_), Outcome::Ptr(_)) => Again::RepeatWhileNothingChanges,
        _ => Again::LookUp,
    }
}

/// Completes an answer with what the last name of the chain has.
fn finish(
    mut answer: Answer,
    owner: &WireName,
    ttl: u32,
    outcome: Outcome,
    zone: &Zone,
    service: &Service,
) -> Answer {
    let counters = &service.status.answers;
    let counter = match outcome {
        Outcome::NoData => {
            answer.soa = Some(soa(zone, NEGATIVE_TTL));
            &counters.nodata
        }
        Outcome::NxDomain => {
            answer.code = ResponseCode::NXDomain;
            answer.soa = Some(soa(zone, NEGATIVE_TTL));
            &counters.nxdomain
        }
        Outcome::ServFail => {
            answer.code = ResponseCode::ServFail;
            answer.authoritative = false;
            &counters.servfail
        }
        Outcome::Soa => {
            answer.answers.push(soa(zone, ttl));
            &counters.data
        }
        data => {
            let record = |data| Record::from_rdata(owner.clone(), ttl, data);
            answer.answers.extend(rdata(data, zone).into_iter().map(record));
            &counters.data
        }
    };
    counted(answer, counter)
}

/// The RDATA of an RRset.
fn rdata(outcome: Outcome, zone: &Zone) -> Vec<RData> {
    match outcome {
        Outcome::A(addresses) => addresses.into_iter().map(|a| RData::A(A(a))).collect(),
        Outcome::Aaaa(addresses) => addresses.into_iter().map(|a| RData::AAAA(AAAA(a))).collect(),
        Outcome::Ptr(host) => vec![RData::PTR(PTR(wire(&host)))],
        Outcome::Srv(targets) => {
            // All endpoints are equal to the client: priority 0, weight 1.
            let srv = |(port, target): (u16, model::Name)| SRV::new(0, 1, port, wire(&target));
            targets.into_iter().map(|target| RData::SRV(srv(target))).collect()
        }
        Outcome::Txt(texts) => texts.into_iter().map(|t| RData::TXT(TXT::new(t))).collect(),
        Outcome::Ns => {
            let server = wire(&zone.apex()).prepend_label("ns");
            server.into_iter().map(|server| RData::NS(NS(server))).collect()
        }
        Outcome::Cname(_)
        | Outcome::Soa
        | Outcome::NoData
        | Outcome::NxDomain
        | Outcome::ServFail
        | Outcome::Refused => Vec::new(),
    }
}

fn counted(answer: Answer, counter: &Counter) -> Answer {
    counter.increment();
    answer
}

/// There is no zone transfer, so the serial and the timers say nothing.
fn soa(zone: &Zone, ttl: u32) -> Record {
    let apex = wire(&zone.apex());
    let server = apex.prepend_label("ns").unwrap_or_else(|_| apex.clone());
    let hostmaster = apex.prepend_label("hostmaster").unwrap_or_else(|_| apex.clone());
    let data = SOA::new(server, hostmaster, 1, 3600, 600, 86_400, NEGATIVE_TTL);
    Record::from_rdata(apex, ttl, RData::SOA(data))
}

/// A name of the directory as hickory has it.
pub(super) fn wire(name: &model::Name) -> WireName {
    // A model name keeps the limits of RFC 1035.
    WireName::from_labels(name.labels()).unwrap_or_else(|_| WireName::root())
}

fn record_type(wire: WireType) -> RecordType {
    match wire {
        WireType::A => RecordType::A,
        WireType::AAAA => RecordType::Aaaa,
        WireType::PTR => RecordType::Ptr,
        WireType::SRV => RecordType::Srv,
        WireType::TXT => RecordType::Txt,
        WireType::CNAME => RecordType::Cname,
        WireType::SOA => RecordType::Soa,
        WireType::NS => RecordType::Ns,
        WireType::ANY => RecordType::Any,
        _ => RecordType::Other,
    }
}
