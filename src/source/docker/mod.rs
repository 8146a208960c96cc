//! The Docker source: follows one engine for ever.
//!
//! Events are hints: an event marks a container or a network, the watcher inspects what is marked
//! and says what it finds. It subscribes first and lists then, so that nothing falls between, and
//! a list only marks too: what exists already stays in the directory while it is looked at again.
//!
//! `watcher` runs one session, `look` inspects, `reader` reads events and only marks, `agenda`
//! keeps what is marked of each `target`, `pulse` says what is due and what is too late, `drift`
//! what lists showed and no event told, `signals` who was told to stop, `herald` tells the state,
//! `backoff` paces retries. `engine` asks, by `transport`, `plain` and `tls`; `list`, `inspect` and
//! `translate` read.

mod agenda;
mod backoff;
mod drift;
mod engine;
mod herald;
mod inspect;
mod list;
mod look;
mod plain;
mod pulse;
mod reader;
mod signals;
mod target;
mod tls;
pub mod translate;
mod transport;
mod watcher;

pub use agenda::{Agenda, MAX_IN_FLIGHT};
pub use engine::EngineError;
pub use inspect::{Inspected, InspectedNetwork};
pub use list::{Elements, Listing};
pub use signals::Sent;
pub use target::Target;
pub use tls::TlsFiles;

use std::convert::Infallible;
use std::sync::Arc;

use tokio::time::{Instant, sleep};

use crate::directory::Publisher;
use crate::status::EngineStatus;
use backoff::Backoff;
use transport::Transport;
use watcher::Watcher;

/// Follows the engine until the task is dropped. Never gives up. `tls` is for engines on TCP.
pub async fn follow(
    status: Arc<EngineStatus>,
    publisher: Publisher,
    tls: Option<TlsFiles>,
) -> Infallible {
    follow_with(status, publisher, tls, MAX_IN_FLIGHT).await
}

/// The same with another number of inspects under way at once, so that the number can be measured.
pub async fn follow_with(
    status: Arc<EngineStatus>,
    publisher: Publisher,
    tls: Option<TlsFiles>,
    room: usize,
) -> Infallible {
    let url = status.url.clone();
    let open = move || Transport::new(&url, tls.as_ref());
    follow_by(open, Watcher::new(status, publisher, Agenda::with_room(room))).await
}

async fn follow_by(
    open: impl Fn() -> std::io::Result<Transport>,
    mut watcher: Watcher,
) -> Infallible {
    let mut backoff = Backoff::default();
    loop {
        let started = Instant::now();
        watcher.attempt(open()).await;
        backoff.session_lasted(started.elapsed());
        sleep(backoff.next(fastrand::f64())).await;
    }
}

#[cfg(test)]
mod tests;
