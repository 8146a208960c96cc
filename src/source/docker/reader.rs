//! Reads one event stream and does nothing else, so that the engine never waits for us: whoever
//! leaves 1,024 events unread makes the engine slow and loses what comes then, without a word.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, StreamExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::translate::Seen;
use super::{EngineError, Target};
use crate::model::ContainerId;

/// So many marks may wait, each for another container or network; beyond them everything is
/// looked at, which needs no marks.
const MAX_MARKS: usize = 65_536;

/// The task that reads; dropping it ends the stream.
pub(super) struct Reader {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    bell: Notify,
}

/// What was read since it was last looked into. Its size does not grow with the events.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Events read.
    pub(super) events: u64,
    /// When the newest came.
    pub(super) newest: Option<Instant>,
    /// What they named, in the order in which each was named first.
    pub(super) targets: Vec<Target>,
    marked: HashSet<Target>,
    /// The signals that containers were sent, and when each was sent last.
    pub(super) signals: HashMap<(ContainerId, u8), i128>,
    /// Containers that have ended, and when each did last.
    pub(super) deaths: HashMap<ContainerId, i128>,
    /// Something happened that names nobody, or there was no room for more marks.
    pub(super) everything: bool,
    /// Why the stream has ended.
    pub(super) end: Option<EngineError>,
}

impl Reader {
    pub(super) fn start<S>(events: S) -> Self
    where
        S: Stream<Item = Result<Seen, EngineError>> + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(read(events, shared.clone()));
        Self { shared, task }
    }

    /// Waits for something, and takes all there is.
    pub(super) async fn take(&self) -> Inbox {
        self.shared.bell.notified().await;
        std::mem::take(&mut *self.shared.inbox())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(events: impl Stream<Item = Result<Seen, EngineError>>, shared: Arc<Shared>) {
    let mut events = std::pin::pin!(events);
    loop {
        let event = events.next().await;
        let ended = shared.inbox().note(event);
        shared.bell.notify_one();
        if ended {
            return;
        }
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// True when nothing more will come.
    fn note(&mut self, event: Option<Result<Seen, EngineError>>) -> bool {
        let seen = match event {
            Some(Ok(seen)) => seen,
            Some(Err(error)) => {
                self.end = Some(error);
                return true;
            }
            None => {
                self.end = Some(EngineError::StreamEnded);
                return true;
            }
        };
        self.events += 1;
        self.newest = Some(Instant::now());
        match seen {
            Seen::Target(target) => self.mark(target),
            Seen::Signal(id, signal, at) => {
                if self.signals.len() < MAX_MARKS {
                    self.signals.insert((id.clone(), signal), at);
                }
                self.mark(Target::Container(id));
            }
            Seen::Died(id, at) => {
                if self.deaths.len() < MAX_MARKS {
                    self.deaths.insert(id.clone(), at);
                }
                self.mark(Target::Container(id));
            }
            Seen::Everything => self.everything = true,
            Seen::Nothing => {}
        }
        false
    }

    fn mark(&mut self, target: Target) {
        if self.targets.len() >= MAX_MARKS {
            self.everything = true;
        } else if self.marked.insert(target.clone()) {
            self.targets.push(target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn target(n: usize) -> Target {
        Target::Container(ContainerId(format!("{n:064}").into()))
    }

    fn inbox(seen: impl IntoIterator<Item = Seen>) -> Inbox {
        let mut inbox = Inbox::default();
        for seen in seen {
            assert!(!inbox.note(Some(Ok(seen))));
        }
        inbox
    }

    #[test]
    fn a_flood_about_one_container_is_one_mark() {
        let inbox = inbox((0..5_000).map(|_| Seen::Target(target(1))));
        assert_eq!((inbox.events, inbox.targets.len()), (5_000, 1));
        assert!(!inbox.everything);
    }

    #[test]
    fn more_than_can_be_marked_means_everything() {
        let inbox = inbox((0..=MAX_MARKS).map(|n| Seen::Target(target(n))));
        assert_eq!(inbox.targets.len(), MAX_MARKS);
        assert!(inbox.everything);
    }

    #[tokio::test]
    async fn it_reads_on_while_nobody_looks_and_tells_the_end() {
        let events = (0..5_000).map(|n| Ok(Seen::Target(target(n % 10))));
        let reader = Reader::start(stream::iter(events.collect::<Vec<_>>()));
        while !reader.task.is_finished() {
            tokio::task::yield_now().await;
        }
        let inbox = reader.take().await;
        assert_eq!((inbox.events, inbox.targets.len()), (5_000, 10));
        assert!(matches!(inbox.end, Some(EngineError::StreamEnded)));
    }
}
