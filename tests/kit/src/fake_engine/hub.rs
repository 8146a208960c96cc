//! Where the fake engine's events go: a short memory, and a bounded queue for each that listens.

use std::collections::VecDeque;
use std::io;

use hyper::body::Bytes;
use netalias::source::scenario::Event;
use tokio::sync::mpsc;

use super::answers::event_line;
use super::filters::Filters;
use super::{Faults, OnEvents};

/// Events that can be asked for again by `since`, as many as the daemon keeps.
const MEMORY: usize = 256;
/// Events that wait for one listener; the daemon loses what comes beyond.
pub(super) const QUEUE: usize = 1024;
/// So many events are held back, to be told in reverse.
const REVERSED: usize = 4;

/// What a listener gets: a chunk, or the end of its connection.
pub(super) type Chunk = Result<Bytes, io::Error>;

#[derive(Default)]
pub(super) struct Hub {
    memory: VecDeque<(Event, u64)>,
    listeners: Vec<Listener>,
    held: Vec<(Event, u64)>,
    /// The time of the newest event; each has its own.
    newest: u64,
    /// Events that did not find room in a queue.
    pub(super) lost: u64,
}

struct Listener {
    wanted: Filters,
    queue: mpsc::Sender<Chunk>,
    /// Its connection is half open: nothing gets through any more.
    silent: bool,
}

impl Hub {
    /// Begins to listen, with what the memory has from `since` on.
    pub(super) fn listen(
        &mut self,
        wanted: Filters,
        since: Option<u64>,
        garbage: bool,
    ) -> mpsc::Receiver<Chunk> {
        let (queue, events) = mpsc::channel(QUEUE);
        let remembered = self.memory.iter().filter(|(event, time)| {
            since.is_some_and(|since| *time >= since) && wanted.allows(event)
        });
        for (event, time) in remembered {
            // The queue holds more than the memory.
            let _ = queue.try_send(Ok(line(event, *time, garbage)));
        }
        self.listeners.push(Listener { wanted, queue, silent: false });
        events
    }

    /// A time for an event that happens now.
    pub(super) fn time(&mut self, now: u64) -> u64 {
        self.newest = now.max(self.newest + 1);
        self.newest
    }

    /// Tells an event, as the faults let it. A delayed one is given back, to be told later.
    #[must_use]
    pub(super) fn tell(
        &mut self,
        event: Event,
        time: u64,
        faults: &Faults,
    ) -> Option<(Event, u64)> {
        match faults.on_events {
            OnEvents::None => self.deliver(event, time, faults.garbage),
            OnEvents::Drop => {}
            OnEvents::Repeat => {
                self.deliver(event.clone(), time, faults.garbage);
                self.deliver(event, time, faults.garbage);
            }
            OnEvents::Reorder => {
                self.held.push((event, time));
                if self.held.len() >= REVERSED {
                    self.release();
                }
            }
            OnEvents::Delay(_) => return Some((event, time)),
        }
        None
    }

    /// Tells what was held back, the last one first.
    pub(super) fn release(&mut self) {
        for (event, time) in std::mem::take(&mut self.held).into_iter().rev() {
            self.deliver(event, time, false);
        }
    }

    pub(super) fn deliver(&mut self, event: Event, time: u64, garbage: bool) {
        let mut text = None;
        let mut lost = 0;
        self.listeners.retain(|listener| {
            if listener.silent || !listener.wanted.allows(&event) {
                return !listener.queue.is_closed();
            }
            let text = text.get_or_insert_with(|| line(&event, time, garbage)).clone();
            match listener.queue.try_send(Ok(text)) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    lost += 1;
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            }
        });
        self.lost += lost;
        if self.memory.len() == MEMORY {
            self.memory.pop_front();
        }
        self.memory.push_back((event, time));
    }

    /// Breaks every stream off, in the middle of its chunks.
    pub(super) fn cut(&mut self) {
        for listener in self.listeners.drain(..) {
            // A listener whose queue is full is ended, too, but gets what is in it first.
            let _ = listener.queue.try_send(Err(io::ErrorKind::ConnectionReset.into()));
        }
    }

    /// From now on those that listen hear nothing, and are not told so.
    pub(super) fn silence(&mut self) {
        for listener in &mut self.listeners {
            listener.silent = true;
        }
    }

    pub(super) fn listeners(&self) -> usize {
        self.listeners.iter().filter(|listener| !listener.queue.is_closed()).count()
    }
}

fn line(event: &Event, time: u64, garbage: bool) -> Bytes {
    let text = event_line(event, time);
    let text = if garbage { format!("{{\"Type\":\"cont{text}") } else { text };
    Bytes::from(text + "\n")
}
