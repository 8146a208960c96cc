//! Which signals containers were sent, and whether one of them tells a container to stop.

use std::collections::HashMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::model::ContainerId;

/// The signals of each container: when each was sent last, by the engine's clock, in nanoseconds
/// since 1970. There are 64 signals, and a container that is gone is forgotten.
#[derive(Debug, Default)]
pub(super) struct Signals(HashMap<ContainerId, Sent>);

/// When each signal was sent last.
pub type Sent = HashMap<u8, i128>;

/// The signal that no container can ignore.
const KILL: u8 = 9;
/// What `docker stop` sends to a container that asks for nothing else.
const TERM: u8 = 15;
/// The highest signal number of Linux.
const LAST: u8 = 64;

impl Signals {
    /// A container was sent a signal.
    pub(super) fn note(&mut self, id: &ContainerId, signal: u8, at: i128) {
        if signal <= LAST {
            self.0.entry(id.clone()).or_default().insert(signal, at);
        }
    }

    /// What a container was sent.
    pub(super) fn of(&self, id: &ContainerId) -> Sent {
        self.0.get(id).cloned().unwrap_or_default()
    }

    /// A container has gone.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.0.remove(id);
    }
}

/// Whether a container was told to stop since it was started. HUP, USR1 and the like are not
/// stops, unless the container says that one of them is.
pub(super) fn told_to_stop(sent: &Sent, stop_signal: Option<&str>, started_at: &str) -> bool {
    if sent.is_empty() {
        return false;
    }
    // Without a readable time nothing can be said.
    let Some(started) = nanoseconds(started_at) else { return false };
    let stop = stop_signal.filter(|text| !text.is_empty()).map_or(Some(TERM), number);
    let stops = [Some(KILL), stop];
    let mut stops = stops.iter().flatten().filter_map(|signal| sent.get(signal));
    stops.any(|at| *at > started)
}

/// A time of the engine's (RFC 3339) in nanoseconds since 1970.
pub(super) fn nanoseconds(time: &str) -> Option<i128> {
    OffsetDateTime::parse(time, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp_nanos)
}

/// The number of a signal, as Docker takes it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
pub(super) fn number(text: &str) -> Option<u8> {
    const RTMIN: u8 = 34;
    let name = text.strip_prefix("SIG").unwrap_or(text);
    match name {
        "HUP" => Some(1),
        "INT" => Some(2),
        "QUIT" => Some(3),
        "ABRT" => Some(6),
        "KILL" => Some(KILL),
        "USR1" => Some(10),
        "USR2" => Some(12),
        "ALRM" => Some(14),
        "TERM" => Some(TERM),
        "CONT" => Some(18),
        "STOP" => Some(19),
        "WINCH" => Some(28),
        "PWR" => Some(30),
        "RTMIN" => Some(RTMIN),
        _ => match name.strip_prefix("RTMIN+") {
            Some(offset) => RTMIN.checked_add(offset.parse().ok()?),
            None => name.parse().ok(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str = "2026-11-24T08:15:07.123456789Z";

    fn told(signal: &str, stop_signal: Option<&str>, after_ms: i128) -> bool {
        let started = OffsetDateTime::parse(STARTED, &Rfc3339).unwrap().unix_timestamp_nanos();
        let at = started + after_ms * 1_000_000;
        told_to_stop(&Sent::from([(number(signal).unwrap(), at)]), stop_signal, STARTED)
    }

    #[test]
    fn the_stop_signal_and_kill_are_stops_and_others_are_not() {
        assert!(told("15", None, 5));
        assert!(told("9", Some("SIGQUIT"), 5));
        assert!(told("SIGQUIT", Some("SIGQUIT"), 5));
        assert!(told("37", Some("SIGRTMIN+3"), 5));
        assert!(!told("15", Some("SIGQUIT"), 5), "this one stops by QUIT");
        for signal in ["HUP", "USR1", "USR2", "WINCH", "CONT"] {
            assert!(!told(signal, None, 5), "{signal}");
        }
    }

    #[test]
    fn a_signal_before_the_start_was_for_the_life_before() {
        assert!(!told("15", None, -5));
        assert!(!told_to_stop(&Sent::from([(15, i128::MAX)]), None, "0001"), "no readable time");
    }
}
