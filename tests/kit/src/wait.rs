//! Waiting on a condition, never for a time.

use std::time::{Duration, Instant};

/// How long a condition may take to come true before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked at.
const PACE: Duration = Duration::from_millis(2);

/// Waits until `look` gives something, and says how long that took.
///
/// # Panics
/// When nothing comes within [`PATIENCE`].
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> (T, Duration) {
    within(PATIENCE, what, look)
}

/// The same for what may take longer, or must not take so long.
///
/// # Panics
/// When nothing comes in time.
pub fn within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> (T, Duration) {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return (found, started.elapsed());
        }
        assert!(started.elapsed() < patience, "waited {patience:?} in vain: {what}");
        std::thread::park_timeout(PACE);
    }
}
