//! `Epochs`: which answers a change leaves as they are.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::{Name, Update};

/// Names, and clients, that share an epoch: a change of one costs the others no more than a
/// look-up, and a few thousand numbers stay in a processor's cache.
const BUCKETS: usize = 4096;

/// Counts changes by what depends on them. Every reading of a question's name begins with its
/// first label, so what it leads to depends on the names that begin with that label, on who asks,
/// and on the shape: networks and policy.
pub(super) struct Epochs {
    names: Box<[Epoch]>,
    clients: Box<[Epoch]>,
    pub(super) shape: Epoch,
    /// Ends with each change of any kind.
    pub(super) all: Epoch,
}

/// A time in which something stays as it is.
pub(super) struct Epoch(AtomicUsize);

/// What an answer depended on. Taken before the look-up: a change that comes between is then seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    name: usize,
    client: usize,
    shape: usize,
    all: usize,
    name_bucket: u16,
    client_bucket: u16,
    /// Whether any change outdates it.
    strict: bool,
}

impl Stamp {
    /// The directory's generation when it was taken.
    #[must_use]
    pub fn generation(&self) -> usize {
        self.all
    }

    /// A number that is another one after each change of the client.
    #[must_use]
    pub fn client(&self) -> usize {
        self.client
    }

    /// The same for an answer that any change may concern.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }
}

impl Epochs {
    pub(super) fn new() -> Self {
        let epoch = || Epoch(AtomicUsize::new(0));
        let buckets = || (0..BUCKETS).map(|_| epoch()).collect();
        Self { names: buckets(), clients: buckets(), shape: epoch(), all: epoch() }
    }

    /// The epoch that an update ends, once it is stored.
    pub(super) fn of(&self, update: &Update) -> &Epoch {
        match update {
            Update::Name { owner, .. } => self.of_name(bucket(owner.labels().next())),
            Update::Client { address, .. } => self.of_client(bucket(address)),
            Update::Network(_) | Update::NetworkGone(_) => &self.shape,
        }
    }

    /// As it is now, for an answer that depends on nothing but its name, its client, and the shape.
    pub(super) fn stamp(&self, name: &Name, client: IpAddr) -> Stamp {
        // First: a change that comes between is then seen as one after the stamp.
        let all = self.all.now();
        let (name_bucket, client_bucket) = (bucket(name.labels().next()), bucket(client));
        Stamp {
            name: self.of_name(name_bucket).now(),
            client: self.of_client(client_bucket).now(),
            shape: self.shape.now(),
            all,
            name_bucket,
            client_bucket,
            strict: false,
        }
    }

    pub(super) fn is_current(&self, stamp: &Stamp) -> bool {
        if stamp.strict {
            return self.all.now() == stamp.all;
        }
        self.of_name(stamp.name_bucket).now() == stamp.name
            && self.of_client(stamp.client_bucket).now() == stamp.client
            && self.shape.now() == stamp.shape
    }

    fn of_name(&self, bucket: u16) -> &Epoch {
        &self.names[usize::from(bucket)]
    }

    fn of_client(&self, bucket: u16) -> &Epoch {
        &self.clients[usize::from(bucket)]
    }
}

impl Epoch {
    pub(super) fn now(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Release: whoever reads the new number (Acquire) sees what was stored before.
    pub(super) fn end(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

fn bucket(key: impl Hash) -> u16 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    // Less than [`BUCKETS`], so it always fits.
    u16::try_from(hasher.finish() % BUCKETS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NetworkId;

    #[test]
    fn a_change_outdates_what_depends_on_it_and_nothing_else() {
        let name = |text| Name::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let network = || NetworkId("n1".into());
        let naming = |text| Update::Name { network: network(), owner: name(text), members: None };
        let client = |last| Update::Client { address: [10, 0, 0, last].into(), client: None };
        let epochs = Epochs::new();
        let stamp = || epochs.stamp(&name("web.netlb"), [10, 0, 0, 1].into());
        let (loose, strict) = (stamp(), stamp().strict());
        epochs.of(&naming("db")).end();
        epochs.of(&client(2)).end();
        epochs.all.end();
        assert!(epochs.is_current(&loose) && !epochs.is_current(&strict));
        for update in [naming("web.other"), client(1), Update::NetworkGone(network())] {
            let stamp = stamp();
            assert!(epochs.is_current(&stamp));
            epochs.of(&update).end();
            assert!(!epochs.is_current(&stamp), "{update:?}");
        }
    }
}
