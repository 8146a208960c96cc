//! `Seats`: how many connections there are, and who gives way when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// Connections in all.
const SEATS: usize = 512;
/// Connections of one client.
const SEATS_OF_ONE: usize = 64;

/// The connections that are open.
#[derive(Default)]
pub(super) struct Seats {
    table: Mutex<Table>,
    /// Notified when one has been left.
    left: Notify,
}

#[derive(Default)]
struct Table {
    closed: bool,
    /// Numbers are given once.
    next: u64,
    taken: HashMap<u64, Taken>,
}

struct Taken {
    client: IpAddr,
    /// When it last had a reply.
    last: Instant,
    call_off: Arc<Notify>,
}

/// The right to a connection, until it is dropped or called off.
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    call_off: Arc<Notify>,
}

impl Seats {
    /// A seat for one more connection of a client. If the client has too many, its connection that
    /// stood idle longest gives way; if there are too many in all, that of whoever has most, so
    /// that nobody is kept out by others who sit and say nothing. None: the server stops.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Seat> {
        let mut table = self.table();
        if table.closed {
            return None;
        }
        if table.count(client) >= SEATS_OF_ONE {
            table.call_off_idlest(client);
        } else if table.taken.len() >= SEATS {
            let most = table.taken.values().map(|taken| taken.client);
            if let Some(most) = most.max_by_key(|client| table.count(*client)) {
                table.call_off_idlest(most);
            }
        }
        let number = table.next;
        table.next += 1;
        let call_off = Arc::new(Notify::new());
        let taken = Taken { client, last: Instant::now(), call_off: call_off.clone() };
        table.taken.insert(number, taken);
        Some(Seat { seats: self.clone(), number, call_off })
    }

    /// Calls every connection off, and gives no seat any more.
    pub(super) fn close(&self) {
        let mut table = self.table();
        table.closed = true;
        table.taken.values().for_each(|taken| taken.call_off.notify_one());
    }

    /// Waits until every seat has been left.
    pub(super) async fn all_left(&self) {
        loop {
            let left = self.left.notified();
            if self.table().taken.is_empty() {
                return;
            }
            left.await;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn count(&self, client: IpAddr) -> usize {
        self.taken.values().filter(|taken| taken.client == client).count()
    }

    fn call_off_idlest(&mut self, client: IpAddr) {
        let of_client = self.taken.iter().filter(|(_, taken)| taken.client == client);
        let idlest = of_client.min_by_key(|(_, taken)| taken.last).map(|(number, _)| *number);
        if let Some(taken) = idlest.and_then(|number| self.taken.remove(&number)) {
            taken.call_off.notify_one();
        }
    }
}

impl Seat {
    /// The connection has had a reply.
    pub(super) fn touch(&self) {
        if let Some(taken) = self.seats.table().taken.get_mut(&self.number) {
            taken.last = Instant::now();
        }
    }

    /// Waits until the seat is needed for somebody else, or the server stops.
    pub(super) async fn called_off(&self) {
        self.call_off.notified().await;
    }

    /// Waits until somebody else has the seat: not for the end of the server, which lets who sits
    /// have what was asked for.
    pub(super) async fn given_away(&self) {
        while self.seats.table().taken.contains_key(&self.number) {
            self.call_off.notified().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.table().taken.remove(&self.number);
        self.seats.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called_off(seat: &Seat) -> bool {
        is_over(seat.called_off())
    }

    fn is_over(wait: impl Future<Output = ()>) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = wait => true,
                () = std::future::ready(()) => false,
            }
        })
    }

    #[test]
    fn a_client_with_too_many_loses_its_idlest_connection() {
        let seats = Arc::new(Seats::default());
        let client = IpAddr::from([10, 0, 0, 1]);
        let other = seats.take(IpAddr::from([10, 0, 0, 2])).unwrap();
        let mut taken: Vec<Seat> = (0..SEATS_OF_ONE).map(|_| seats.take(client).unwrap()).collect();
        taken[0].touch();
        taken.push(seats.take(client).unwrap());
        let lost: Vec<usize> =
            (0..taken.len()).filter(|index| called_off(&taken[*index])).collect();
        assert_eq!(lost, [1], "the first one was the last to have a reply");
        assert!(!called_off(&other));
    }

    #[test]
    fn when_all_are_taken_whoever_has_most_gives_way() {
        let seats = Arc::new(Seats::default());
        let client = |n: usize| IpAddr::from([10, 0, 0, u8::try_from(n / SEATS_OF_ONE).unwrap()]);
        let modest = seats.take(IpAddr::from([10, 1, 0, 1])).unwrap();
        let taken: Vec<Seat> = (0..SEATS - 1).map(|n| seats.take(client(n)).unwrap()).collect();
        let newcomer = seats.take(IpAddr::from([10, 1, 0, 2])).unwrap();
        assert_eq!(taken.iter().filter(|seat| called_off(seat)).count(), 1);
        assert!(!called_off(&modest) && !called_off(&newcomer));
        assert_eq!(seats.table().taken.len(), SEATS);
        assert_eq!(taken.iter().filter(|seat| is_over(seat.given_away())).count(), 1);
        seats.close();
        assert!(called_off(&newcomer) && !is_over(newcomer.given_away()));
        assert!(seats.take(client(0)).is_none());
        drop((modest, taken, newcomer));
        assert!(seats.table().taken.is_empty());
    }
}
