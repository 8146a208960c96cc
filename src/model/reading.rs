//! How a question's name can be read: bare, qualified by a network, below an own domain.

use super::Name;

/// One way to read a name: an owner name, searched everywhere or on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The unqualified owner name.
    pub owner: Name,
    /// The network's name, where the reading takes the end of the name for one.
    pub network: Option<Name>,
}

/// The domains below which every name is valid too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains(Vec<Name>);

impl Domains {
    /// Longest first, so that a domain below another one is found before it.
    #[must_use]
    pub fn new(mut domains: Vec<Name>) -> Self {
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.as_wire().len()));
        Self(domains)
    }

    /// The domains themselves.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.0.iter()
    }

    /// The longest domain that `name` is in, and the name relative to it (None at the apex).
    #[must_use]
    pub fn split(&self, name: &Name) -> Option<(&Name, Option<Name>)> {
        self.0.iter().find_map(|domain| {
            let end = name.prefix_before(domain)?.len();
            Some((domain, (end > 0).then(|| name.part(0, end))))
        })
    }
}

/// The readings of `a.b.c`, in Docker's order (`ResolveName` in libnetwork's sandbox.go):
/// `a.b.c` on any network, `a.b` on network `c`, `a` on network `b.c`.
pub fn readings(name: &Name) -> impl Iterator<Item = Reading> + '_ {
    let end = name.as_wire().len();
    let mut starts: Vec<usize> = name.label_starts().skip(1).collect();
    starts.reverse();
    let bare = Reading { owner: name.clone(), network: None };
    std::iter::once(bare).chain(
        starts
            .into_iter()
            .map(move |at| Reading { owner: name.part(0, at), network: Some(name.part(at, end)) }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn reads_a_dotted_name_in_dockers_order() {
        let abc = name("a.b.c");
        let read: Vec<String> = readings(&abc)
            .map(|r| match r.network {
                None => r.owner.to_string(),
                Some(network) => format!("{} on {network}", r.owner),
            })
            .collect();
        assert_eq!(read, ["a.b.c", "a.b on c", "a on b.c"]);
    }

    #[test]
    fn the_longest_domain_wins_and_the_apex_has_no_relative_name() {
        let domains = Domains::new(vec![name("internal"), name("rr.internal")]);
        let web = name("web.rr.internal");
        assert_eq!(domains.split(&web), Some((&name("rr.internal"), Some(name("web")))));
        assert_eq!(domains.split(&name("rr.internal")), Some((&name("rr.internal"), None)));
        assert_eq!(domains.split(&name("x.internal")), Some((&name("internal"), Some(name("x")))));
        assert_eq!(domains.split(&name("example.org")), None);
    }
}
