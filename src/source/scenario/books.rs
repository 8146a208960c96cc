//! The books of one network: its ranges, and who has which of its addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::command::{Create, Labels};
use super::error::EngineError;
use crate::model::{Network, NetworkId, Subnet};

/// A network of the engine, as its creation has made it, and its addresses.
#[derive(Debug)]
pub struct Book {
    /// What the directory knows of it.
    pub network: Network,
    /// `bridge`, or `host` or `null` for the two networks without addresses.
    pub driver: &'static str,
    /// The gateways that were asked for; the others are the first addresses given away.
    pub gateways: Vec<IpAddr>,
    /// Where addresses are taken from, if not the whole subnet.
    pub range: Option<Subnet>,
    /// Its labels.
    pub labels: Labels,
    taken: BTreeSet<IpAddr>,
    /// For each subnet, by its address: no free address lies below this one, counted from the
    /// range's first. Without it a large network would be searched from the start each time.
    lowest: BTreeMap<IpAddr, u128>,
}

impl Book {
    /// A network as asked for, with these subnets.
    pub(super) fn open(
        id: NetworkId,
        create: &Create,
        subnets: Vec<Subnet>,
    ) -> Result<Self, EngineError> {
        let outside = |gateway: &&IpAddr| !subnets.iter().any(|subnet| subnet.contains(**gateway));
        if let Some(gateway) = create.gateways.iter().find(outside) {
            return Err(EngineError::GatewayOutside(*gateway));
        }
        let name = create.name.as_str().into();
        let gateways = Vec::new();
        let network = Network { id, name, internal: create.internal, subnets, gateways };
        let mut book = Self {
            network,
            driver: "bridge",
            gateways: create.gateways.clone(),
            range: create.range,
            labels: create.labels.clone(),
            taken: BTreeSet::new(),
            lowest: BTreeMap::new(),
        };
        let gateways = book.network.subnets.iter().filter_map(|subnet| book.gateway(subnet));
        book.network.gateways = gateways.collect();
        let gateways = book.network.gateways.iter().chain(&create.gateways);
        book.taken = gateways.copied().collect();
        Ok(book)
    }

    /// A network of the engine's own without addresses.
    pub(super) fn bare(id: NetworkId, name: &str, driver: &'static str) -> Self {
        let (subnets, gateways) = (Vec::new(), Vec::new());
        let network = Network { id, name: name.into(), internal: false, subnets, gateways };
        Self {
            network,
            driver,
            gateways: Vec::new(),
            range: None,
            labels: Labels::new(),
            taken: BTreeSet::new(),
            lowest: BTreeMap::new(),
        }
    }

    /// Whether names on it mean something: not on `host` and `none`.
    #[must_use]
    pub fn has_addresses(&self) -> bool {
        self.driver == "bridge"
    }

    /// The gateway of one of its subnets.
    #[must_use]
    pub fn gateway(&self, subnet: &Subnet) -> Option<IpAddr> {
        let given = self.gateways.iter().copied().find(|gateway| subnet.contains(*gateway));
        given.or_else(|| subnet.first_host_in(&self.range_in(subnet)))
    }

    /// The wished address, or the lowest free one of the range, as Docker 20.10 does.
    pub(super) fn take(
        &mut self,
        subnet: Subnet,
        wish: Option<IpAddr>,
    ) -> Result<IpAddr, EngineError> {
        if let Some(wish) = wish {
            if !subnet.contains(wish) {
                return Err(EngineError::AddressOutside(wish));
            }
            if !self.taken.insert(wish) {
                return Err(EngineError::AddressInUse(wish));
            }
            return Ok(wish);
        }
        let range = self.range_in(&subnet);
        let first = u128::from(range.address == subnet.address);
        let lowest = self.lowest.get(&subnet.address).copied().unwrap_or(first);
        let hosts = (lowest..).map_while(|n| Some((n, range.host(n)?)));
        let free = hosts
            .filter(|(_, host)| !subnet.is_broadcast(*host))
            .find(|(_, host)| !self.taken.contains(host));
        let Some((n, free)) = free else {
            return Err(EngineError::Exhausted(self.network.name.to_string()));
        };
        self.lowest.insert(subnet.address, n + 1);
        self.taken.insert(free);
        Ok(free)
    }

    /// Gives an address back.
    pub(super) fn release(&mut self, address: IpAddr) {
        self.taken.remove(&address);
        let subnet = self.network.subnets.iter().find(|subnet| subnet.contains(address));
        let Some(subnet) = subnet.copied() else { return };
        if let Some(n) = bits(address).checked_sub(bits(self.range_in(&subnet).address))
            && let Some(lowest) = self.lowest.get_mut(&subnet.address)
        {
            *lowest = n.min(*lowest);
        }
    }

    fn range_in(&self, subnet: &Subnet) -> Subnet {
        self.range.filter(|range| subnet.contains(range.address)).unwrap_or(*subnet)
    }
}

/// The first of Docker's default pools that does not overlap with one of these networks:
/// 172.18.0.0/16 and on.
pub(super) fn free_subnet(books: &[Book], network: &str) -> Result<Subnet, EngineError> {
    let pool = |second| Subnet { address: Ipv4Addr::new(172, second, 0, 0).into(), prefix: 16 };
    let free = (18..=31).map(pool).find(|subnet| !overlaps(books, subnet));
    free.ok_or_else(|| EngineError::Exhausted(network.to_owned()))
}

/// Whether one of these networks has a part of that range.
pub(super) fn overlaps(books: &[Book], subnet: &Subnet) -> bool {
    let mut others = books.iter().flat_map(|book| &book.network.subnets);
    others.any(|other| other.contains(subnet.address) || subnet.contains(other.address))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(subnet: &str, range: Option<&str>) -> (Book, Subnet) {
        let parse = |text: &str| text.parse().ok();
        let subnet: Subnet = parse(subnet).unwrap();
        let create = Create { name: "n".into(), range: range.and_then(parse), ..Create::default() };
        (Book::open(NetworkId("n".into()), &create, vec![subnet]).unwrap(), subnet)
    }

    #[test]
    fn gives_the_lowest_free_address_also_after_one_came_back() {
        let (mut book, subnet) = book("10.0.0.0/29", None);
        let take = |book: &mut Book| book.take(subnet, None).map(|a| a.to_string());
        for expected in ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"] {
            assert_eq!(take(&mut book), Ok(expected.to_owned()));
        }
        book.release([10, 0, 0, 4].into());
        book.release([10, 0, 0, 3].into());
        for expected in ["10.0.0.3", "10.0.0.4", "10.0.0.6"] {
            assert_eq!(take(&mut book), Ok(expected.to_owned()));
        }
        // 10.0.0.7 is the broadcast address.
        assert_eq!(take(&mut book), Err(EngineError::Exhausted("n".into())));
    }

    #[test]
    fn a_range_limits_what_is_given_but_not_what_is_wished() {
        let (mut book, subnet) = book("10.0.0.0/24", Some("10.0.0.128/30"));
        // The range's first address is the gateway's, as no other one was asked for.
        assert_eq!(book.take(subnet, None), Ok([10, 0, 0, 129].into()));
        let wish = Some([10, 0, 0, 9].into());
        assert_eq!(book.take(subnet, wish), Ok([10, 0, 0, 9].into()));
        assert_eq!(book.take(subnet, wish), Err(EngineError::AddressInUse([10, 0, 0, 9].into())));
        let far = [10, 0, 1, 9].into();
        assert_eq!(book.take(subnet, Some(far)), Err(EngineError::AddressOutside(far)));
        book.release([10, 0, 0, 9].into());
        assert_eq!(book.take(subnet, None), Ok([10, 0, 0, 130].into()));
    }
}
