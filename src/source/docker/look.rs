//! Looks at one container or network, and again if that fails.

use std::time::Duration;

use tokio::time::sleep;

use super::engine::Engine;
use super::signals::Sent;
use super::translate::Translated;
use super::{EngineError, Target};
use crate::directory::Publisher;
use crate::model::{Change, Reach};

/// A container that cannot be inspected is tried again after this time.
const RETRY: Duration = Duration::from_millis(500);
/// So often a failing inspect is repeated before the next event or list is waited for.
const TRIES: u32 = 3;

/// What an inspect found.
pub(super) struct Looked {
    /// Networks that the container is on and that were not known yet; they come first.
    pub(super) networks: Vec<Change>,
    pub(super) change: Change,
    /// Names that no DNS message can carry.
    pub(super) invalid: Vec<String>,
}

/// Inspects a target, after this pause, and again after another one if it fails.
pub(super) async fn look_at(
    engine: &Engine,
    target: Target,
    sent: Sent,
    pause: Duration,
    publisher: &Publisher,
) -> (Target, Result<Looked, EngineError>) {
    if !pause.is_zero() {
        sleep(pause).await;
    }
    let mut attempt = 1;
    loop {
        match look_once(engine, &target, &sent, publisher).await {
            Err(error) if attempt < TRIES => {
                tracing::debug!(%target, attempt, %error, "inspect failed");
            }
            result => return (target, result),
        }
        attempt += 1;
        sleep(RETRY).await;
    }
}

async fn look_once(
    engine: &Engine,
    target: &Target,
    sent: &Sent,
    publisher: &Publisher,
) -> Result<Looked, EngineError> {
    let id = match target {
        Target::Network(id) => {
            let change = engine.inspect_network(id).await?;
            return Ok(Looked { networks: Vec::new(), change, invalid: Vec::new() });
        }
        Target::Container(id) => id,
    };
    let Translated { change, invalid } = engine.inspect_container(id, sent).await?;
    let mut networks = Vec::new();
    if let Change::Container(container) = &change
        && let Reach::Endpoints(endpoints) = &container.reach
    {
        for endpoint in endpoints.iter() {
            if !publisher.knows(&endpoint.network) {
                networks.push(engine.inspect_network(&endpoint.network).await?);
            }
        }
    }
    Ok(Looked { networks, change, invalid })
}
