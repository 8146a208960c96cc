//! hickory's `RequestHandler`: hands the request over, sends the reply.

use std::iter;

use async_trait::async_trait;
use hickory_proto::op::{Header, HeaderCounts};
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;

use super::Service;
use super::respond::respond;

/// The handler that every transport shares.
pub(super) struct Handler(pub(super) Service);

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let mut reply = respond(request, request.src().ip(), &self.0);
        if let Some(question) = reply.forward.take() {
            reply.put(self.0.forwarder.forward(question).await, &self.0);
        }
        let builder = MessageResponseBuilder::new(&request.queries, reply.edns.as_ref());
        let (answers, soa) = (reply.answers.iter(), reply.soa.iter());
        let response = builder.build(reply.metadata, answers, iter::empty(), soa, iter::empty());
        match response_handle.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(client = %request.src(), %error, "answer not sent");
                Header { metadata: reply.metadata, counts: HeaderCounts::default() }.into()
            }
        }
    }
}
