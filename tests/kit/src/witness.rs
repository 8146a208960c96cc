//! Asks all the time while an engine changes, and says afterwards which answer was wrong.
//!
//! An answer is wrong when it has an address that, for the whole time limit before it, belonged
//! to containers none of which had the name: it leads to somebody else. What the engine has is
//! read before and after each command; while one is carried out both count. An address that nobody
//! has leads nowhere, and is a matter of the quiet points.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::ask::ask;

/// The pause between two questions.
const PACE: Duration = Duration::from_millis(1);
/// Answers that are kept; a storm is shorter.
const MAX_ANSWERS: usize = 2_000_000;

/// The names of the live containers that have an address, for each address, as the engine says.
pub type Owners = HashMap<IpAddr, HashSet<String>>;

/// When a name was asked for and answered, which one it was, and the addresses that came.
type Seen = ([Instant; 2], usize, Vec<IpAddr>);

/// A thread that asks, and what the engine had meanwhile.
pub struct Witness {
    names: Vec<String>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Seen>>,
    /// What the engine had, from each of these times on.
    history: Vec<(Instant, Owners)>,
}

impl Witness {
    /// Begins to ask for these names, one after the other.
    #[must_use]
    pub fn start(server: SocketAddr, names: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, asked) = (stop.clone(), names.clone());
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) && seen.len() < MAX_ANSWERS {
                for (index, name) in asked.iter().enumerate() {
                    let before = Instant::now();
                    let answer = ask(server, name, "A").expect("an answer, whatever happens");
                    seen.push(([before, Instant::now()], index, answer.addresses));
                }
                std::thread::park_timeout(PACE);
            }
            seen
        });
        Self { names, stop, thread, history: Vec::new() }
    }

    /// The engine has this now, and has had it since the last command.
    pub fn engine_has(&mut self, owners: Owners) {
        self.history.push((Instant::now(), owners));
    }

    /// Ends the questions: how many answers there were, and how many addresses in them.
    ///
    /// # Errors
    /// The first answer that led to somebody else.
    ///
    /// # Panics
    /// When a question was not answered at all.
    pub fn verdict(self, limit: Duration) -> Result<(usize, usize), String> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().expect("every question is answered");
        let mut addresses = 0;
        for (time, name, answered) in &seen {
            addresses += answered.len();
            for address in answered {
                let name = &self.names[*name];
                if leads_astray(&self.history, *time, name, *address, limit) {
                    return Err(format!("{name} was {address}, for {limit:?} somebody else's"));
                }
            }
        }
        Ok((seen.len(), addresses))
    }
}

fn leads_astray(
    history: &[(Instant, Owners)],
    [asked, answered]: [Instant; 2],
    name: &str,
    address: IpAddr,
    limit: Duration,
) -> bool {
    let Some(begin) = asked.checked_sub(limit) else { return false };
    let first = history.partition_point(|(from, _)| *from <= begin);
    let last = history.partition_point(|(from, _)| *from <= answered);
    // What was so at the beginning, everything since, and what a command under way leads to.
    let Some(first) = first.checked_sub(1) else { return false };
    history[first..history.len().min(last + 1)].iter().all(|(_, owners)| {
        owners.get(&address).is_some_and(|names| !names.is_empty() && !names.contains(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn owners(name: &str) -> Owners {
        let address: IpAddr = [10, 0, 0, 2].into();
        HashMap::from([(address, HashSet::from([name.to_owned()]))])
    }

    #[test]
    fn an_address_is_wrong_when_it_has_been_somebody_elses_for_the_whole_limit() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let history = [(at(0), owners("a")), (at(2_000), owners("b")), (at(2_500), owners("b"))];
        let wrong =
            |ms, name| leads_astray(&history, [at(ms); 2], name, [10, 0, 0, 2].into(), LIMIT);
        assert!(!wrong(1_500, "a"), "it has it");
        assert!(!wrong(1_500, "b"), "it is getting it");
        assert!(!wrong(2_900, "a"), "it had it a moment ago");
        assert!(wrong(3_100, "a"));
        assert!(!wrong(3_100, "b"));
        assert!(
            !leads_astray(&history, [at(3_100); 2], "a", [10, 0, 0, 3].into(), LIMIT),
            "nobody's"
        );
    }
}
