//! What a real engine's event stream would tell of a command, in Docker's terms and order.

use std::collections::BTreeMap;

use super::books::Book;
use super::record::Record;
use crate::model::ContainerId;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// What happened: `start`, `die`, `connect`, …
    pub action: String,
    /// The id of what it happened to; a prune names nobody.
    pub id: String,
    /// What else is told.
    pub attributes: BTreeMap<String, String>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A container.
    Container,
    /// A network.
    Network,
}

impl Event {
    /// Something happened to a container. Its labels overwrite what the event itself tells, but
    /// not its image and its name: so does Docker.
    #[must_use]
    pub fn container(record: &Record, action: &str, told: &[(&str, &str)]) -> Self {
        let told = told.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut attributes: BTreeMap<String, String> = told.collect();
        attributes.extend(record.run.labels.clone());
        attributes.insert("image".to_owned(), record.run.image.clone());
        attributes.insert("name".to_owned(), record.name.clone());
        let id = record.id.0.to_string();
        Self { kind: EventKind::Container, action: action.to_owned(), id, attributes }
    }

    /// Something happened to a network, or to a container on it.
    pub(super) fn network(book: &Book, action: &str, container: Option<&ContainerId>) -> Self {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), book.network.name.to_string()),
            ("type".to_owned(), book.driver.to_owned()),
        ]);
        attributes.extend(container.map(|id| ("container".to_owned(), id.0.to_string())));
        let id = book.network.id.0.to_string();
        Self { kind: EventKind::Network, action: action.to_owned(), id, attributes }
    }

    pub(super) fn prune(kind: EventKind) -> Self {
        let attributes = BTreeMap::from([("reclaimed".to_owned(), "0".to_owned())]);
        Self { kind, action: "prune".to_owned(), id: String::new(), attributes }
    }
}

impl EventKind {
    /// The engine's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Network => "network",
        }
    }
}
