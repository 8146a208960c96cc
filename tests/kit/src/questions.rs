//! One question again and again, while something goes wrong elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ask::ask;
use crate::wait::until;

/// The pause between two of them.
const PACE: Duration = Duration::from_millis(2);

/// Asks in a thread of its own.
pub struct Questions {
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), String>>,
}

impl Questions {
    /// Begins to ask for an A record that must stay as it is.
    #[must_use]
    pub fn ask(server: SocketAddr, name: &'static str, expected: IpAddr) -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, stopped) = (answered.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let answer = ask(server, name, "A").map_err(|error| error.to_string())?;
                if answer.addresses != [expected] {
                    return Err(format!("{name} was {}", answer.as_expected()));
                }
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::park_timeout(PACE);
            }
            Ok(())
        });
        Self { answered, stop, thread }
    }

    /// Waits until so many more have been answered; a wrong answer ends the wait, too.
    pub fn wait_for(&self, more: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        until("questions are answered", || {
            let enough = self.answered.load(Ordering::Relaxed) >= before + more;
            (enough || self.thread.is_finished()).then_some(())
        });
    }

    /// Ends the questions, and says how many there were.
    ///
    /// # Panics
    /// When an answer was wrong, or did not come.
    pub fn all_were_answered(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let result = self.thread.join().expect("it does not panic");
        result.expect("the last known names stay, whatever the engine does");
        self.answered.load(Ordering::Relaxed)
    }
}
