//! The engine's API, as far as it is asked: version, events, lists and inspects; all by GET.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::errors::Error as ApiError;
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, InspectNetworkOptions, ListContainersOptions,
    ListNetworksOptions,
};
use futures_util::{Stream, StreamExt};

use super::Target;
use super::signals::Sent;
use super::translate::{self, Seen, Translated};
use crate::model::{Change, ContainerId, EngineUrl, NetworkId};

/// How long one answer of the engine may take. Events have no such limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Events are asked for from this long ago, since the engine says "open" before it subscribes,
/// and its clock may be a little behind ours.
const SINCE_OVERLAP: Duration = Duration::from_secs(10);

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

/// A connection that has answered once.
pub(super) struct Engine(Docker);

impl Engine {
    pub(super) async fn connect(url: &EngineUrl) -> Result<Self, EngineError> {
        let error = |source| EngineError::Connect { url: url.clone(), source };
        let docker = Docker::connect_with_host(url.as_str()).map_err(error)?;
        let docker = docker.with_timeout(REQUEST_TIMEOUT).negotiate_version().await;
        Ok(Self(docker.map_err(error)?))
    }

    pub(super) fn api_version(&self) -> impl fmt::Display {
        self.0.client_version()
    }

    /// Hints from now on, and from a little before now.
    pub(super) fn events(&self) -> impl Stream<Item = Result<Seen, EngineError>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = now.saturating_sub(SINCE_OVERLAP).as_secs().to_string();
        let filters = HashMap::from([("type", vec!["container", "network"])]);
        let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        let events = self.0.events(Some(options));
        events.map(|event| event.map(translate::event).map_err(EngineError::Stream))
    }

    /// Every running container and every network, each with a number that is another one when what
    /// the list says of it is different.
    pub(super) async fn list(&self) -> Result<Vec<(Target, u64)>, EngineError> {
        let networks = self.0.list_networks(None::<ListNetworksOptions>).await;
        let containers = self.0.list_containers(None::<ListContainersOptions>).await;
        let networks = networks.map_err(EngineError::List)?.into_iter();
        let containers = containers.map_err(EngineError::List)?.into_iter();
        // A network never changes.
        let network = |id: String| (Target::Network(NetworkId(id.into())), 0);
        let networks = networks.filter_map(|listed| listed.id.map(network));
        let containers = containers.filter_map(|listed| {
            let print = translate::fingerprint(&listed);
            Some((Target::Container(ContainerId(listed.id?.into())), print))
        });
        Ok(networks.chain(containers).collect())
    }

    pub(super) async fn inspect_container(
        &self,
        id: &ContainerId,
        sent: &Sent,
    ) -> Result<Translated, EngineError> {
        let inspect = self.0.inspect_container(&id.0, None::<InspectContainerOptions>).await;
        match inspect {
            Ok(inspect) => Ok(translate::container(id, inspect, sent)),
            Err(source) if is_not_found(&source) => {
                Ok(Translated { change: Change::ContainerGone(id.clone()), invalid: Vec::new() })
            }
            Err(source) => {
                Err(EngineError::Inspect { target: Target::Container(id.clone()), source })
            }
        }
    }

    pub(super) async fn inspect_network(&self, id: &NetworkId) -> Result<Change, EngineError> {
        match self.0.inspect_network(&id.0, None::<InspectNetworkOptions>).await {
            Ok(inspect) => Ok(translate::network(id, inspect)),
            Err(source) if is_not_found(&source) => Ok(Change::NetworkGone(id.clone())),
            Err(source) => {
                Err(EngineError::Inspect { target: Target::Network(id.clone()), source })
            }
        }
    }
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
