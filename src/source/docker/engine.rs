//! The engine's API, as far as it is asked: version, events, lists and inspects; all by GET.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::errors::Error as ApiError;
use bollard::query_parameters::EventsOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::{Stream, StreamExt, TryFutureExt};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::timeout;

use super::Target;
use super::inspect::{Inspected, InspectedNetwork};
use super::list::{Elements, ListedContainer, ListedNetwork, Listing};
use super::pulse::PING_LIMIT;
use super::signals::Sent;
use super::translate::{self, Seen, Translated};
use super::transport::Transport;
use crate::model::{Change, ContainerId, EngineUrl, NetworkId};

/// How long one answer of the engine may take. Events have no such limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a list, which may be long; `NEXT_PIECE` says when it has stopped on the way.
const LIST_TIMEOUT: Duration = Duration::from_secs(120);
/// Events are asked for from this long ago by the engine's clock: it says "open" before it
/// subscribes, and tells its time in whole seconds.
const OVERLAP: u64 = 2;
/// The same by our clock, where the engine does not tell its own.
const OUR_OVERLAP: u64 = 10;

/// Why the engine cannot be followed now. All of them are retried.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It cannot be reached, or does not answer as an engine does.
    #[error("cannot reach the engine at {url}: {}", advice(source))]
    Connect {
        /// Where.
        url: EngineUrl,
        /// Why.
        source: ApiError,
    },
    /// The event stream broke.
    #[error("the event stream broke: {}", deepest(.0))]
    Stream(#[source] ApiError),
    /// The engine closed the event stream.
    #[error("the engine closed the event stream")]
    StreamEnded,
    /// Nothing that was asked has been answered.
    #[error("the engine has not answered for {} s", .0.as_secs())]
    NoAnswer(Duration),
    /// The lists show changes, and the stream has not told a single event: it may be half open.
    #[error("the event stream is silent while containers change")]
    StreamSilent,
    /// The lists cannot be had.
    #[error("cannot list containers and networks: {}", deepest(.0))]
    List(#[source] ApiError),
    /// One container or network cannot be inspected.
    #[error("cannot inspect {target}: {}", deepest(.source))]
    Inspect {
        /// Which.
        target: Target,
        /// Why.
        source: ApiError,
    },
}

impl EngineError {
    /// Whether a new stream will most likely do: proxies close idle ones, and daemons restart.
    pub(super) fn heals(&self) -> bool {
        match self {
            Self::StreamEnded => true,
            Self::Stream(error) => {
                !matches!(error, ApiError::JsonDataError { .. } | ApiError::JsonSerdeError { .. })
            }
            _ => false,
        }
    }

    /// Whether the stream told everything up to its end.
    pub(super) fn was_right_until_now(&self) -> bool {
        matches!(self, Self::StreamEnded | Self::Stream(_))
    }
}

/// An engine that has answered once.
pub(super) struct Engine {
    docker: Docker,
    transport: Transport,
    /// From when on events are asked for.
    since: u64,
}

impl Engine {
    pub(super) async fn connect(
        url: &EngineUrl,
        transport: Transport,
    ) -> Result<Self, EngineError> {
        let error = |source| EngineError::Connect { url: url.clone(), source };
        let since = ping(&transport).await.map_err(error)?;
        let carry = transport.clone();
        let docker = Docker::connect_with_custom_transport(
            move |request| carry.carry(request),
            Some("http://docker"),
            REQUEST_TIMEOUT.as_secs(),
            API_DEFAULT_VERSION,
        );
        let negotiation = docker.map_err(error)?.negotiate_version();
        let docker = timeout(REQUEST_TIMEOUT, negotiation).await;
        let docker = docker.map_err(|_| error(ApiError::RequestTimeoutError))?.map_err(error)?;
        Ok(Self { docker, transport, since })
    }

    pub(super) fn api_version(&self) -> impl fmt::Display + use<> {
        self.docker.client_version()
    }

    /// Whether the engine answers.
    pub(super) async fn is_alive(&self) -> bool {
        ping(&self.transport).await.is_ok()
    }

    /// Hints from now on, and from a little before now.
    pub(super) fn events(&self) -> impl Stream<Item = Result<Seen, EngineError>> + Send + use<> {
        let since = self.since.to_string();
        let filters = HashMap::from([("type", vec!["container", "network"])]);
        let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        let docker = self.docker.clone().with_timeout(REQUEST_TIMEOUT);
        let events = async move { Ok(docker.events(Some(options))) };
        let events = events.try_flatten_stream();
        events.map(|event| event.map(translate::event).map_err(EngineError::Stream))
    }

    /// Returns when the engine has opened the event stream.
    pub(super) async fn is_open(&self) {
        self.transport.stream_opened().await;
    }

    /// Every running container and every network.
    pub(super) async fn list(&self) -> Result<Listing, EngineError> {
        let mut listing = Listing::default();
        let Listing { networks, containers } = &mut listing;
        let network = |listed: ListedNetwork| {
            if let Some(id) = listed.id {
                // A network never changes.
                networks.push(&id, 0);
            }
        };
        let container = |listed: ListedContainer| {
            if let Some(id) = &listed.id {
                containers.push(id, listed.fingerprint());
            }
        };
        self.each("/networks", network).await.map_err(EngineError::List)?;
        self.each("/containers/json", container).await.map_err(EngineError::List)?;
        Ok(listing)
    }

    /// Reads a list, element by element.
    async fn each<T: DeserializeOwned>(
        &self,
        path: &str,
        mut take: impl FnMut(T) + Send,
    ) -> Result<(), ApiError> {
        let mut elements = Elements::default();
        let mut read = |element: &[u8]| {
            take(serde_json::from_slice(element)?);
            Ok(())
        };
        let take = |piece: &[u8]| elements.push(piece, &mut read);
        let status_code = self.transport.get_in_pieces(path, LIST_TIMEOUT, take).await?;
        if status_code != 200 {
            let message = format!("to GET {path}");
            return Err(ApiError::DockerResponseServerError { status_code, message });
        }
        Ok(elements.end()?)
    }

    /// How much of lists has come so far.
    pub(super) fn pieces(&self) -> u64 {
        self.transport.pieces()
    }

    pub(super) async fn inspect_container(
        &self,
        id: &ContainerId,
        sent: &Sent,
    ) -> Result<Translated, EngineError> {
        match self.inspected(id).await {
            Ok(inspect) => Ok(translate::container(id, inspect, sent)),
            Err(source) if is_not_found(&source) => {
                Ok(Translated { change: Change::ContainerGone(id.clone()), invalid: Vec::new() })
            }
            Err(source) => {
                Err(EngineError::Inspect { target: Target::Container(id.clone()), source })
            }
        }
    }

    /// Not by the client library: its type has the container's environment, and it logs the
    /// whole answer.
    async fn inspected(&self, id: &ContainerId) -> Result<Inspected, ApiError> {
        let path = format!("/containers/{}/json", id.0);
        let answer = self.transport.get(&path, REQUEST_TIMEOUT).await?;
        if answer.status != 200 {
            // What it says about it may quote the container.
            let message = "no inspect".to_owned();
            let status_code = answer.status;
            return Err(ApiError::DockerResponseServerError { status_code, message });
        }
        Ok(serde_json::from_slice(answer.body())?)
    }

    /// By a list that has only this one in it: asked for by its path, a network tells all its
    /// containers, too.
    pub(super) async fn inspect_network(&self, id: &NetworkId) -> Result<Change, EngineError> {
        let mut found = None;
        let take = |network: InspectedNetwork| {
            // The engine looks for what begins so.
            if network.id.as_deref() == Some(&*id.0) {
                found = Some(network);
            }
        };
        match self.each(&path_of_network(&id.0), take).await {
            Ok(()) => Ok(match found {
                Some(network) => translate::network(id, network),
                None => Change::NetworkGone(id.clone()),
            }),
            Err(source) => {
                Err(EngineError::Inspect { target: Target::Network(id.clone()), source })
            }
        }
    }
}

/// `/networks?filters={"id":["ID"]}`
fn path_of_network(id: &str) -> String {
    let filters = serde_json::json!({ "id": [id] }).to_string();
    let encoded = filters.bytes().map(|octet| match octet {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    });
    format!("/networks?filters={}", encoded.collect::<String>())
}

/// Asks for a sign of life, and says from when on to ask for events: by the engine's clock, since
/// that is the one its events have.
async fn ping(transport: &Transport) -> Result<u64, ApiError> {
    let pong = transport.get("/_ping", PING_LIMIT).await?;
    if pong.status != 200 {
        let message = "to GET /_ping".to_owned();
        return Err(ApiError::DockerResponseServerError { status_code: pong.status, message });
    }
    let engines = pong.date.as_deref().and_then(http_date).map(|now| now.saturating_sub(OVERLAP));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(engines.unwrap_or(now.saturating_sub(OUR_OVERLAP)))
}

/// `Tue, 24 Nov 2026 11:51:05 GMT` in seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    u64::try_from(date.unix_timestamp()).ok()
}

fn is_not_found(error: &ApiError) -> bool {
    matches!(error, ApiError::DockerResponseServerError { status_code: 404, .. })
}

/// What went wrong while connecting, and what to do about it.
fn advice(error: &ApiError) -> String {
    let kind = io_kind(error);
    let what = deepest(error);
    match (error, kind) {
        (ApiError::SocketNotFoundError(_), _) | (_, Some(io::ErrorKind::NotFound)) => {
            "no socket there; is the engine running, and its socket mounted?".to_owned()
        }
        (_, Some(io::ErrorKind::PermissionDenied)) => format!(
            "{what}; run as root or as a member of the socket's group (docker run --group-add)"
        ),
        (_, Some(io::ErrorKind::ConnectionRefused)) => {
            format!("{what}; nothing listens there; is the engine running?")
        }
        _ => what,
    }
}

/// The message of the innermost error: bollard's and hyper's own ones say only that one failed.
fn deepest(error: &ApiError) -> String {
    let mut current: &dyn std::error::Error = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

fn io_kind(error: &ApiError) -> Option<io::ErrorKind> {
    let mut next = error.source();
    if let ApiError::IOError { err } = error {
        return Some(err.kind());
    }
    while let Some(current) = next {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = current.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_no_part_of_a_path() {
        let path = path_of_network("5f\"&/");
        assert_eq!(path, "/networks?filters=%7B%22id%22%3A%5B%225f%5C%22%26%2F%22%5D%7D");
    }

    #[test]
    fn reads_the_time_of_an_engine() {
        assert_eq!(http_date("Tue, 24 Nov 2026 11:51:05 GMT"), Some(1_795_521_065));
        assert_eq!(http_date("yesterday"), None);
    }
}
