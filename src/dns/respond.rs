//! From a question to a reply: the message rules, then the decision.

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::{Name as WireName, Record, RecordType};

use super::Service;
use super::answer::{Again, answer, count};
use super::encode::KEEPALIVE;
use super::extended::ExtendedError;
use super::forward::{Admitted, Forwarded, MARK_OPTION, Wish};
use super::request::{Edns, HEADER, Request, flag};
use crate::model::Asker;

/// The largest UDP payload that we send and say we take (DNS flag day 2020: no fragments).
pub(super) const MAX_UDP_PAYLOAD: u16 = 1232;
/// Without EDNS (RFC 1035 section 4.2.1), and for smaller sizes in EDNS (RFC 6891 section 6.2.3).
const MIN_UDP_PAYLOAD: u16 = 512;
/// Octets of an OPT record without options.
pub(super) const OPT_RECORD: usize = 11;

/// What carries a message, as far as it matters to the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// One datagram.
    Udp,
    /// A connection.
    Tcp,
}

/// A reply, to be put on the wire behind the question.
pub(super) struct Reply {
    pub(super) code: ResponseCode,
    pub(super) authoritative: bool,
    pub(super) recursion_available: bool,
    pub(super) answers: Vec<Record>,
    pub(super) authority: Option<Record>,
    pub(super) edns: Option<OwnEdns>,
    /// Whether the same question can be answered again without a look-up.
    pub(super) again: Again,
    /// What other servers are to be asked before it is whole.
    pub(super) forward: Option<Admitted>,
}

/// What our OPT record says.
#[derive(Default)]
pub(super) struct OwnEdns {
    /// Copied (RFC 3225 section 3).
    pub(super) dnssec_ok: bool,
    pub(super) error: Option<ExtendedError>,
    /// Whether the client wants to know for how long its connection may stand idle.
    pub(super) keepalive: bool,
}

/// How long a reply to such a client may be, in octets.
pub(super) fn limit(edns: Option<Edns>, carrier: Carrier) -> usize {
    match (carrier, edns) {
        (Carrier::Tcp, _) => usize::from(u16::MAX),
        (Carrier::Udp, None) => usize::from(MIN_UDP_PAYLOAD),
        (Carrier::Udp, Some(edns)) => {
            usize::from(edns.payload.clamp(MIN_UDP_PAYLOAD, MAX_UDP_PAYLOAD))
        }
    }
}

/// How many octets of records such a reply has room for.
pub(super) fn room(limit: usize, request: &Request) -> usize {
    let opt = if request.edns.is_some() { OPT_RECORD } else { 0 };
    limit.saturating_sub(HEADER + request.question.len() + opt)
}

/// The reply to a request.
pub(super) fn respond(
    request: &Request,
    query: &Query,
    asker: Asker,
    carrier: Carrier,
    service: &Service,
) -> Reply {
    let mut reply = Reply {
        code: ResponseCode::NoError,
        authoritative: false,
        // It stands in resolv.conf in the place of a recursive server, and some stubs give up a
        // server that clears RA.
        recursion_available: true,
        answers: Vec::new(),
        authority: None,
        edns: request.edns.map(|theirs| OwnEdns {
            dnssec_ok: theirs.dnssec_ok,
            error: None,
            // RFC 7828 section 3.2.1: there is nothing to keep alive in a datagram.
            keepalive: carrier == Carrier::Tcp && request.option(KEEPALIVE).is_some(),
        }),
        again: Again::LookUp,
        forward: None,
    };
    // RFC 6891 section 6.1.3: a version that we do not speak.
    if request.edns.is_some_and(|edns| edns.version > 0) {
        service.status.answers.malformed.increment();
        reply.code = ResponseCode::BADVERS;
        reply.recursion_available = false;
        return reply;
    }
    let wish = Wish {
        recursion_desired: request.flags & flag::RD != 0,
        checking_disabled: request.flags & flag::CD != 0,
        mark: request.option(MARK_OPTION),
    };
    let answer = answer(query, asker, wish, service);
    reply.code = answer.code;
    reply.authoritative = answer.authoritative;
    reply.answers = answer.answers;
    reply.authority = answer.soa;
    reply.again = answer.again;
    reply.forward = answer.forward;
    if let Some(edns) = &mut reply.edns {
        edns.error = answer.error;
    }
    // Nobody has to be waited for.
    if let Some(asked) = &reply.forward
        && let Some(kept) = service.forwarder.kept(asked)
    {
        reply.forward = None;
        reply.put(kept, service);
    }
    reply
}

impl Reply {
    /// Completes it with what other servers have answered.
    pub(super) fn put(&mut self, forwarded: Forwarded, service: &Service) {
        let Forwarded { code, answers, soa, extended, .. } = forwarded;
        self.code = code;
        self.answers.extend(answers);
        self.authority = soa;
        if let Some(edns) = &mut self.edns {
            edns.error = extended;
        }
        count(&service.status.answers, code, self.answers.is_empty());
    }
}

/// The question as hickory has it.
pub(super) fn query(request: &Request) -> Option<Query> {
    let name = WireName::from_labels(request.labels()).ok()?;
    let mut query = Query::query(name, RecordType::from(request.qtype));
    query.set_query_class(request.qclass.into());
    Some(query)
}
