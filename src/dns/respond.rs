//! From a request to a reply: the message rules, then the decision.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SOA};
use hickory_proto::rr::{DNSClass, Name as WireName, RData, Record, RecordType as WireType};
use hickory_server::zone_handler::MessageRequest;

use super::Service;
use crate::model::{self, Decision, Outcome, RecordType, Zone, decide};

/// TTL and MINIMUM of the SOA in negative answers, in seconds (RFC 2308 section 5). Zero, since a
/// test cluster asks for a name until it appears, and must then see it at once.
const NEGATIVE_TTL: u32 = 0;
/// The largest UDP payload that we send and say we take (DNS flag day 2020: no fragments).
const MAX_UDP_PAYLOAD: u16 = 1232;
/// RFC 6891 section 6.2.3: smaller sizes mean this one.
const MIN_UDP_PAYLOAD: u16 = 512;

/// A reply, ready to be put on the wire beside the question.
pub(super) struct Reply {
    pub(super) metadata: Metadata,
    pub(super) answers: Vec<Record>,
    pub(super) soa: Option<Record>,
    pub(super) edns: Option<Edns>,
}

/// The reply to a request from `client`.
pub(super) fn respond(request: &MessageRequest, client: IpAddr, service: &Service) -> Reply {
    let mut reply = Reply {
        metadata: Metadata::response_from_request(&request.metadata),
        answers: Vec::new(),
        soa: None,
        edns: request.edns.as_ref().map(own_edns),
    };
    match question(request) {
        Ok(query) => answer(&mut reply, query, client, service),
        Err(code) => {
            reply.metadata.response_code = code;
            service.status.answers.malformed.increment();
        }
    }
    reply
}

/// The one question that can be answered, or why there is none.
fn question(request: &MessageRequest) -> Result<&Query, ResponseCode> {
    if request.metadata.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    // RFC 6891 section 6.1.3: a version that we do not speak.
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Err(ResponseCode::BADVERS);
    }
    // RFC 9619: QDCOUNT is one.
    match request.queries.queries() {
        [query] => Ok(query.original()),
        _ => Err(ResponseCode::FormErr),
    }
}

fn answer(reply: &mut Reply, query: &Query, client: IpAddr, service: &Service) {
    // It stands in resolv.conf in the place of a recursive server, and some stubs give up a
    // server that clears RA.
    reply.metadata.recursion_available = true;
    let answers = &service.status.answers;
    let refused = |reply: &mut Reply| {
        reply.metadata.response_code = ResponseCode::Refused;
        answers.refused.increment();
    };
    // The directory holds class IN alone.
    if query.query_class() != DNSClass::IN {
        return refused(reply);
    }
    // A name that cannot be a model name (the root) is nobody's here.
    let Ok(name) = model::Name::from_labels(query.name().iter()) else {
        return refused(reply);
    };
    let view = service.directory.view_of(client);
    // Completeness is read before the look-up: what is published in between can then only turn a
    // SERVFAIL into the truth, never a name that exists into NXDOMAIN.
    let complete = service.directory.is_complete();
    let lookup = service.directory.resolve(&name, &service.domains, &view);
    let qtype = match query.query_type() {
        WireType::A => RecordType::A,
        WireType::AAAA => RecordType::Aaaa,
        _ => RecordType::Other,
    };
    let Decision { outcome, reason } = decide(&lookup.zone, &lookup.found, qtype, complete);
    tracing::debug!(%client, %name, r#type = %query.query_type(), %reason, "answered");
    reply.metadata.authoritative = !matches!(outcome, Outcome::ServFail | Outcome::Refused);
    let owner = query.name();
    let record = |data| Record::from_rdata(owner.clone(), service.ttl, data);
    match outcome {
        Outcome::A(addresses) => {
            reply.answers = addresses.into_iter().map(|a| record(RData::A(A(a)))).collect();
            answers.data.increment();
        }
        Outcome::Aaaa(addresses) => {
            reply.answers = addresses.into_iter().map(|a| record(RData::AAAA(AAAA(a)))).collect();
            answers.data.increment();
        }
        Outcome::NoData => {
            reply.soa = Some(soa(&lookup.zone));
            answers.nodata.increment();
        }
        Outcome::NxDomain => {
            reply.metadata.response_code = ResponseCode::NXDomain;
            reply.soa = Some(soa(&lookup.zone));
            answers.nxdomain.increment();
        }
        Outcome::ServFail => {
            reply.metadata.response_code = ResponseCode::ServFail;
            answers.servfail.increment();
        }
        Outcome::Refused => refused(reply),
    }
}

/// Our OPT: the size clamped both ways, DO copied (RFC 3225 section 3), no option echoed.
fn own_edns(theirs: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(theirs.max_payload().clamp(MIN_UDP_PAYLOAD, MAX_UDP_PAYLOAD));
    edns.flags_mut().dnssec_ok = theirs.flags().dnssec_ok;
    edns
}

/// The SOA of a negative answer. There is no zone transfer, so its serial and timers say nothing.
fn soa(zone: &Zone) -> Record {
    let apex = WireName::from_labels(zone.apex().labels()).unwrap_or_else(|_| WireName::root());
    let hostmaster = apex.prepend_label("hostmaster").unwrap_or_else(|_| apex.clone());
    let data = SOA::new(apex.clone(), hostmaster, 1, 3600, 600, 86_400, NEGATIVE_TTL);
    Record::from_rdata(apex, NEGATIVE_TTL, RData::SOA(data))
}
