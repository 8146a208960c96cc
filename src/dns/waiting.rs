//! A reply that waits for other servers.

use std::time::Duration;

use hickory_proto::op::Query;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Service;
use super::encode::encode;
use super::forward::{Admitted, Forwarded, Limit};
use super::request::Request;
use super::respond::{Carrier, Reply, limit};

/// Everything that is known of a reply but the answer of other servers.
pub struct Waiting {
    pub(super) admitted: Admitted,
    pub(super) unfinished: Unfinished,
}

/// A reply, and what its octets depend on.
pub(super) struct Unfinished {
    pub(super) request: Vec<u8>,
    pub(super) query: Query,
    pub(super) reply: Reply,
    pub(super) carrier: Carrier,
}

/// A reply that is ready, and the way that it goes.
pub(super) type Send = Box<dyn FnOnce(&[u8]) + std::marker::Send>;

/// A reply that waits, and the way that it will go.
pub(super) struct Job {
    pub(super) waiting: Box<Waiting>,
    pub(super) send: Send,
}

/// How long replies may still wait when the server stops.
pub(super) const LAST_REPLIES: Duration = Duration::from_secs(2);

/// Finishes replies side by side, until no more can come.
pub(super) async fn finish(mut jobs: mpsc::Receiver<Job>, service: Service) {
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            job = jobs.recv() => {
                let Some(Job { waiting: reply, send }) = job else { break };
                let service = service.clone();
                waiting.spawn(async move { send(&reply.finish(&service).await) });
            }
            Some(_) = waiting.join_next() => {}
        }
    }
    let rest = async { while waiting.join_next().await.is_some() {} };
    // What comes later would find nobody to send it.
    let _ = timeout(LAST_REPLIES, rest).await;
}

impl Waiting {
    /// Asks the other servers; the whole reply, at the latest after the time that forwarding may
    /// take.
    pub async fn finish(self, service: &Service) -> Vec<u8> {
        let mut out = Vec::new();
        let forwarded = service.forwarder.forward(self.admitted).await;
        self.unfinished.finish(forwarded, service, &mut out);
        out
    }

    /// Puts the reply that there is if nobody is asked, because too many wait, into `out`.
    pub(super) fn turn_away(self, service: &Service, out: &mut Vec<u8>) {
        let forwarded = service.forwarder.turn_away(Limit::All, &self.unfinished.query);
        self.unfinished.finish(forwarded, service, out);
    }
}

impl Unfinished {
    fn finish(mut self, forwarded: Forwarded, service: &Service, out: &mut Vec<u8>) {
        self.reply.put(forwarded, service);
        // It was read before, so it can be read.
        let Ok(request) = Request::read(&self.request) else { return };
        let limit = limit(request.edns, self.carrier);
        if let Err(error) = encode(&self.reply, &request, &self.query, limit, out) {
            tracing::debug!(%error, query = %self.query, "the reply cannot be encoded");
        }
    }
}
