//! One question to several servers: the next one is asked when one fails or is slow, and the
//! first good answer counts.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_proto::op::Message;
use hickory_proto::rr::Name as WireName;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::extended::{ExtendedCode, ExtendedError};
use super::Shared;
use super::exchange::{Failure, Outgoing, is_without_edns, plain};
use super::outcome::{Outcome, scrub};
use crate::model::{Transport, Upstream, is_local};

/// A question has come to something within this time. The stub resolvers of glibc and musl ask
/// again after five seconds: an answer must be there before.
pub(super) const TOTAL: Duration = Duration::from_millis(3500);
/// How long one server is waited for before the next one is asked, too.
const SLOW: Duration = Duration::from_millis(700);
/// How long a failure is kept (RFC 9520 section 3.2 asks for one second at least).
const FAILURE_TTL: Duration = Duration::from_secs(2);

/// Asks the servers until there is an answer or no time.
pub(super) async fn resolve(
    outgoing: &Outgoing,
    servers: &[Upstream],
    shared: &Shared,
    is_ours: impl Fn(&WireName) -> bool,
) -> Outcome {
    let mut running = FuturesUnordered::new();
    let mut waiting = servers.iter();
    let mut silent: Vec<&Upstream> = Vec::new();
    let mut failures: Vec<(&Upstream, Failure)> = Vec::new();
    let mut next = pin!(sleep(Duration::ZERO));
    let mut end = pin!(sleep_until(Instant::now() + TOTAL));
    while !running.is_empty() || waiting.len() > 0 {
        tokio::select! {
            biased;
            Some((server, result)) = running.next() => {
                let before = silent.iter().position(|asked| *asked == server).unwrap_or_default();
                let result: Result<_, Failure> = result;
                let scrubbed = result
                    .and_then(|message| Ok(scrub(&outgoing.query, message, &is_ours)?));
                match scrubbed {
                    Ok(outcome) => {
                        // Those asked before it were slow, and are asked last for a while.
                        for slow in &silent[..before] {
                            shared.upstreams.fails(slow);
                        }
                        shared.upstreams.works(server);
                        return outcome;
                    }
                    Err(failure) => {
                        silent.remove(before);
                        shared.upstreams.fails(server);
                        failures.push((server, failure));
                        next.as_mut().reset(Instant::now());
                    }
                }
            }
            () = &mut next, if waiting.len() > 0 => {
                if let Some(server) = waiting.next() {
                    silent.push(server);
                    running.push(async move { (server, exchange(outgoing, server, shared).await) });
                }
                next.as_mut().reset(Instant::now() + SLOW);
            }
            () = &mut end => break,
        }
    }
    for server in &silent {
        shared.upstreams.fails(server);
    }
    failures.extend(silent.into_iter().map(|server| (server, Failure::Silent)));
    Outcome::failure(reason(&failures), FAILURE_TTL)
}

/// One question to one server, without EDNS where that is not understood.
async fn exchange(
    outgoing: &Outgoing,
    server: &Upstream,
    shared: &Shared,
) -> Result<Message, Failure> {
    // Only a server nearby can lead back to us; others learn nothing of the mark.
    let mark = is_local(server.address.ip()).then(|| shared.mark.option());
    let answer = once(&mut outgoing.message(true, mark), server, shared).await?;
    if !is_without_edns(answer.metadata.response_code) {
        return Ok(answer);
    }
    once(&mut outgoing.message(false, None), server, shared).await
}

async fn once(sent: &mut Message, server: &Upstream, shared: &Shared) -> Result<Message, Failure> {
    let secure = || shared.upstreams.secure().ok_or(Failure::Secure("not set up".to_owned()));
    match &server.transport {
        Transport::Plain => plain(server.address, sent).await,
        Transport::Tls { .. } => secure()?.over_tls(server, sent).await,
        Transport::Https { path, .. } => {
            // RFC 8484 section 4.1: caches on the way need equal questions to be equal.
            sent.metadata.id = 0;
            secure()?.over_https(server, path, sent).await
        }
    }
}

fn reason(failures: &[(&Upstream, Failure)]) -> ExtendedError {
    if failures.is_empty() {
        let text = "there is no server to ask: none is configured, nor does the system name one";
        return ExtendedError::new(ExtendedCode::NetworkError, text);
    }
    let network = failures.iter().all(|(_, failure)| matches!(failure, Failure::Socket(_)));
    let code =
        if network { ExtendedCode::NetworkError } else { ExtendedCode::NoReachableAuthority };
    let texts = failures.iter().map(|(server, failure)| format!("{server}: {failure}"));
    ExtendedError::new(code, texts.collect::<Vec<_>>().join("; "))
}
