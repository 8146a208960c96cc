//! The same answers for a hickory server of somebody else's, with whatever transports it has.

use std::iter;

use async_trait::async_trait;
use hickory_proto::op::{Edns, Header, HeaderCounts, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageRequest, MessageResponseBuilder};

use super::Service;
use super::answer::{answer, count};
use super::forward::{MARK_OPTION, Wish};
use super::respond::MAX_UDP_PAYLOAD;
use crate::model::Asker;

/// hickory's `RequestHandler` over a directory. A `hickory_server::Server` that is given it serves
/// it by any transport that hickory has. It does not ask who may ask, and the rules that hickory
/// has for messages hold.
pub struct Handler(Service);

impl Handler {
    /// Answers from this service.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self(service)
    }
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let (mut answers, mut soa): (Vec<Record>, Option<Record>) = (Vec::new(), None);
        match question(request) {
            Ok(query) => {
                let (address, chance) = (request.src().ip(), fastrand::u64(..));
                let asker = Asker { address, v4: None, v6: None, chance, room: usize::MAX };
                let mark = request.edns.as_ref().and_then(mark);
                let wish = Wish {
                    recursion_desired: request.metadata.recursion_desired,
                    checking_disabled: request.metadata.checking_disabled,
                    mark,
                };
                let answer = answer(query, asker, wish, &self.0);
                metadata.recursion_available = true;
                metadata.response_code = answer.code;
                metadata.authoritative = answer.authoritative;
                (answers, soa) = (answer.answers, answer.soa);
                if let Some(admitted) = answer.forward {
                    let forwarded = self.0.forwarder.forward(admitted).await;
                    metadata.response_code = forwarded.code;
                    answers.extend(forwarded.answers);
                    soa = forwarded.soa;
                    count(&self.0.status.answers, forwarded.code, answers.is_empty());
                }
            }
            Err(code) => {
                metadata.response_code = code;
                self.0.status.answers.malformed.increment();
            }
        }
        let edns = request.edns.as_ref().map(own_edns);
        let builder = MessageResponseBuilder::new(&request.queries, edns.as_ref());
        let (answers, soa) = (answers.iter(), soa.iter());
        let response = builder.build(metadata, answers, iter::empty(), soa, iter::empty());
        match response_handle.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(client = %request.src(), %error, "answer not sent");
                Header { metadata, counts: HeaderCounts::default() }.into()
            }
        }
    }
}

/// The one question that can be answered, or why there is none.
fn question(request: &MessageRequest) -> Result<&Query, ResponseCode> {
    if request.metadata.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Err(ResponseCode::BADVERS);
    }
    match request.queries.queries() {
        [query] => Ok(query.original()),
        _ => Err(ResponseCode::FormErr),
    }
}

/// The data of the option that marks questions of ours.
fn mark(edns: &Edns) -> Option<&[u8]> {
    match edns.option(EdnsCode::Unknown(MARK_OPTION)) {
        Some(EdnsOption::Unknown(_, data)) => Some(data),
        _ => None,
    }
}

/// hickory sends as much as our OPT says that we take, so it says no more than the client does.
fn own_edns(theirs: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(theirs.max_payload().min(MAX_UDP_PAYLOAD));
    edns.flags_mut().dnssec_ok = theirs.flags().dnssec_ok;
    edns
}
