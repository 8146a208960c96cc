//! From a request to a reply: the message rules, then the decision.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::Record;
use hickory_server::zone_handler::MessageRequest;

use super::Service;
use super::answer::{answer, count};
use super::forward::{Admitted, Forwarded};

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
    /// What other servers are to be asked before it is whole.
    pub(super) forward: Option<Admitted>,
}

/// The reply to a request from `client`.
pub(super) fn respond(request: &MessageRequest, client: IpAddr, service: &Service) -> Reply {
    let mut reply = Reply {
        metadata: Metadata::response_from_request(&request.metadata),
        answers: Vec::new(),
        soa: None,
        edns: request.edns.as_ref().map(own_edns),
        forward: None,
    };
    match question(request) {
        Ok(query) => {
            let answer = answer(query, request, client, service);
            // It stands in resolv.conf in the place of a recursive server, and some stubs give
            // up a server that clears RA.
            reply.metadata.recursion_available = true;
            reply.metadata.response_code = answer.code;
            reply.metadata.authoritative = answer.authoritative;
            reply.answers = answer.answers;
            reply.soa = answer.soa;
            reply.forward = answer.forward;
            if let (Some(edns), Some(error)) = (&mut reply.edns, answer.extended) {
                edns.options_mut().insert(error.option());
            }
        }
        Err(code) => {
            reply.metadata.response_code = code;
            service.status.answers.malformed.increment();
        }
    }
    reply
}

impl Reply {
    /// Completes it with what other servers have answered.
    pub(super) fn put(&mut self, forwarded: Forwarded, service: &Service) {
        let Forwarded { code, answers, soa, extended, .. } = forwarded;
        self.metadata.response_code = code;
        self.answers.extend(answers);
        self.soa = soa;
        if let (Some(edns), Some(error)) = (&mut self.edns, extended) {
            edns.options_mut().insert(error.option());
        }
        count(&service.status.answers, code, self.answers.is_empty());
    }
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

/// Our OPT: the size clamped both ways, DO copied (RFC 3225 section 3), no option echoed.
fn own_edns(theirs: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(theirs.max_payload().clamp(MIN_UDP_PAYLOAD, MAX_UDP_PAYLOAD));
    edns.flags_mut().dnssec_ok = theirs.flags().dnssec_ok;
    edns
}
