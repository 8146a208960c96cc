//! The questions, and what is right about each answer.

use std::collections::BTreeSet;

use crate::world::{LARGE, SET, address, addresses, large};

/// A question.
#[derive(Clone)]
pub(crate) struct Question {
    /// What the test is called.
    pub(crate) label: &'static str,
    /// The name, or the address whose name is asked for.
    pub(crate) name: &'static str,
    /// A, AAAA or PTR.
    pub(crate) kind: &'static str,
    /// How it is to be asked.
    pub(crate) way: Way,
    /// What is right.
    pub(crate) right: Right,
}

/// How a question is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As the client does by itself: over UDP, and over TCP once more when the answer is cut.
    AsEver,
    /// Over TCP.
    Tcp,
    /// Over UDP alone, with the cut answer shown.
    Cut,
}

/// What a client is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// These data and no others.
    All(BTreeSet<String>),
    /// Some of these, as many as a datagram holds.
    Part(BTreeSet<String>),
    /// The same, with TC set.
    Cut(BTreeSet<String>),
    /// The name exists, without data of the type.
    NoData,
    /// No data, and the client may say that there is no such name.
    Nothing,
    /// There is no such name.
    NxDomain,
}

/// No fewer fit in a datagram, even one of 512 octets.
pub(crate) const LEAST: usize = 20;

/// All of them.
pub(crate) fn questions() -> Vec<Question> {
    use Right::{All, Cut, NoData, NxDomain, Part};
    use Way::{AsEver, Tcp};
    let (many, every) = (addresses(SET.many), addresses(SET.every));
    let web = (2..5).map(|last| address(SET.web, last)).collect();
    let one = |datum: &str| All([datum.to_owned()].into());
    let all = [
        ("three_addresses", "web.rr.internal", "A", AsEver, All(web)),
        ("two_hundred_in_part", "many.rr.internal", "A", AsEver, Part(many.clone())),
        ("two_hundred_by_tcp", "many.rr.internal", "A", Tcp, All(many)),
        ("two_hundred_cut", "every.rr.internal", "A", Way::Cut, Cut(every.clone())),
        ("two_hundred_asked_again", "every.rr.internal", "A", AsEver, All(every)),
        ("no_data", "web.rr.internal", "AAAA", AsEver, NoData),
        ("no_name", "nobody.rr.internal", "A", AsEver, NxDomain),
        ("name_of_an_address", "172.31.8.2", "PTR", AsEver, one("web2.netlb")),
        ("forwarded", "www.example.com", "A", AsEver, one("192.0.2.7")),
        ("forwarded_and_cut", LARGE, "A", AsEver, All(large())),
    ];
    let question = |(label, name, kind, way, right)| Question { label, name, kind, way, right };
    all.into_iter().map(question).collect()
}

impl Right {
    /// Whether a client that told this told it right.
    pub(crate) fn is(&self, told: &[String]) -> bool {
        let set: BTreeSet<String> = told.iter().cloned().collect();
        if set.len() != told.len() {
            return false;
        }
        let part = |set: &BTreeSet<String>, of: &BTreeSet<String>| {
            set.is_subset(of) && (LEAST..of.len()).contains(&set.len())
        };
        match self {
            Self::All(right) => set == *right,
            Self::Part(right) => part(&set, right),
            Self::Cut(right) => {
                let mut set = set;
                set.remove("TRUNCATED") && part(&set, right)
            }
            Self::NoData => told == ["NODATA"],
            Self::Nothing => told == ["NODATA"] || told == ["NXDOMAIN"],
            Self::NxDomain => told == ["NXDOMAIN"],
        }
    }
}
