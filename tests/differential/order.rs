//! In which order Docker searches a client's networks for a name, and what it finds first.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::case::Case;
use crate::facts::{Attachment, DEFAULT_BRIDGE};

/// The addresses that Docker should find: of the first reading that anyone answers to, those on
/// the first network that has any of the type. None where no reading is anyone's.
pub(crate) fn found(case: &Case) -> Option<BTreeSet<String>> {
    let networks = searched(case);
    for (owner, named) in readings(&case.name()) {
        let mut exists = false;
        for on in &networks {
            if named.as_ref().is_some_and(|name| !name.eq_ignore_ascii_case(&on.network)) {
                continue;
            }
            let holders = case.facts.holders(&owner, &on.network);
            exists |= !holders.is_empty();
            let addresses = holders.iter().flat_map(|(_, on)| on.addresses.iter().copied());
            let addresses = case.of_type(addresses);
            if !addresses.is_empty() {
                return Some(addresses);
            }
        }
        if exists {
            return Some(BTreeSet::new());
        }
    }
    None
}

/// The client's networks, first those that lead out, then those with gateways of both families,
/// then by name. The default bridge is none of them.
fn searched<'a>(case: &Case<'a>) -> Vec<&'a Attachment> {
    let attachments = case.client.attachments.iter();
    let mut networks: Vec<_> = attachments.filter(|on| on.network != DEFAULT_BRIDGE).collect();
    networks.sort_by_key(|on| {
        let network = case.facts.network(&on.network);
        let internal = network.is_some_and(|network| network.internal);
        (internal, Reverse(network.is_some_and(|network| network.dual)), &on.network)
    });
    networks
}

/// `a.b.c` anywhere, `a.b` on the network `c`, `a` on the network `b.c`.
fn readings(name: &str) -> Vec<(String, Option<String>)> {
    let dots = name.rmatch_indices('.');
    let split = dots.map(|(at, _)| (name[..at].to_owned(), Some(name[at + 1..].to_owned())));
    std::iter::once((name.to_owned(), None)).chain(split).collect()
}
