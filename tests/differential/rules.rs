//! The differences from Docker's DNS that are meant, each with its reason, and nothing else.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::case::{Case, DOMAIN, Facet, Guest, Verdict, netalias_verdict};
use crate::facts::DEFAULT_BRIDGE;
use crate::probe::Reply;
use crate::questions::reverse;

/// A difference that is meant. `differences.md` is this table for people.
pub(crate) struct Rule {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What netalias does, what Docker does, and why.
    pub(crate) why: &'static str,
    /// Where it shows.
    pub(crate) facet: Facet,
    /// Whether this difference is that one. True for as little as can be.
    pub(crate) applies: fn(&Case) -> bool,
    /// Why a long run may end without meeting it.
    pub(crate) rare: Option<&'static str>,
}

/// Every difference that is meant.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "answers-are-authoritative",
        why: "AA is set on every answer about an own name: nobody else could know better. Docker \
              never sets it.",
        facet: Facet::Authority,
        applies: |case| is_own_answer(&case.netalias()),
        rare: None,
    },
    Rule {
        name: "ttl-is-0-not-600",
        why: "The TTL is 0 unless configured, so that no cache keeps a dead address or a first \
              place. Docker's is 600.",
        facet: Facet::Ttl,
        applies: |case| ttl(&case.netalias) == Some(0) && ttl(&case.docker) == Some(600),
        rare: None,
    },
    Rule {
        name: "negative-answers-carry-soa",
        why: "An empty answer has a SOA (RFC 2308), without which a resolver may not cache it or \
              takes it for a referral. Docker's has none.",
        facet: Facet::Soa,
        applies: |case| has_soa(&case.netalias) && case.netalias() == Verdict::NoData,
        rare: None,
    },
    Rule {
        name: "txt-srv-any-stay-local",
        why: "A name that exists is answered here whatever the type, with no data where there are \
              none. Docker passes every type but A, AAAA, MX and PTR on, and the world says that \
              the name does not exist.",
        facet: Facet::Verdict,
        applies: |case| {
            passed_on(case)
                && !["A", "AAAA", "MX"].contains(&case.asked.qtype)
                && is_positive(&case.netalias())
                && case.exists_in_netalias()
        },
        rare: None,
    },
    Rule {
        name: "ptr-of-no-address-is-answered",
        why: "PTR of a name that stands for no address is answered like any other type. Docker \
              20.10 sends no answer at all; newer engines pass it on.",
        facet: Facet::Verdict,
        applies: |case| {
            case.docker == Reply::Silence
                && case.asked.qtype == "PTR"
                && !case.is_reverse()
                && case.netalias() == Verdict::NoData
                && case.exists_in_netalias()
        },
        rare: Some("newer engines pass it on"),
    },
    Rule {
        name: "unknown-single-label-is-nxdomain",
        why: "A single label that nobody has does not exist: no such question leaves the host. \
              Docker passes it on.",
        facet: Facet::Verdict,
        applies: |case| is_denied(case) && !case.asked.name.contains('.'),
        rare: None,
    },
    Rule {
        name: "unknown-below-a-network-is-nxdomain",
        why: "A name that ends in the name of a network and that nobody has there does not exist. \
              Docker passes it on.",
        facet: Facet::Verdict,
        applies: |case| is_denied(case) && case.is_below_a_network() && case.holders().is_empty(),
        rare: None,
    },
    Rule {
        name: "special-use-names-stay",
        why: "A name for special use (below .invalid, .test, .local, .internal, …; RFC 6761) that \
              nothing of ours has does not exist, and never leaves. Docker passes it on.",
        facet: Facet::Verdict,
        applies: |case| is_denied(case) && is_for_special_use(&case.name()),
        rare: None,
    },
    Rule {
        name: "network-name-is-a-name",
        why: "The name of a network exists, without addresses, since there are names below it. \
              Docker passes it on.",
        facet: Facet::Verdict,
        applies: |case| {
            let mut networks = case.client.attachments.iter().map(|a| &a.network);
            is_empty_here(case) && networks.any(|n| n.eq_ignore_ascii_case(&case.asked.name))
        },
        rare: None,
    },
    Rule {
        name: "what-is-above-a-name-is-a-name",
        why: "Where an alias has dots, the names above it exist, without addresses (RFC 8020). \
              Docker passes them on.",
        facet: Facet::Verdict,
        applies: |case| is_empty_here(case) && has_names_below(case),
        rare: None,
    },
    Rule {
        name: "case-of-network-names-never-matters",
        why: "The name of a network is found in any case, as DNS names are (RFC 4343). Docker \
              compares it octet by octet, though not the name before it.",
        facet: Facet::Verdict,
        applies: |case| {
            passed_on(case) && case.is_below_a_network() && is_same_as(case, &case.asked.exact)
        },
        rare: None,
    },
    Rule {
        name: "case-of-link-aliases-never-matters",
        why: "A link alias is found in any case, as every name. Docker compares it octet by octet.",
        facet: Facet::Verdict,
        applies: |case| {
            let spelt = case.link_spellings();
            !spelt.contains(&case.asked.name) && spelt.iter().any(|name| is_same_as(case, name))
        },
        rare: None,
    },
    Rule {
        name: "unknown-ptr-in-our-subnet-is-nxdomain",
        why: "An address in the range of a network that stands for nobody, or for nobody whom the \
              client sees, is denied here. Docker passes it on.",
        facet: Facet::Verdict,
        applies: |case| is_denied(case) && case.is_in_a_subnet(),
        rare: None,
    },
    Rule {
        name: "every-name-is-below-the-domain-too",
        why: "Each name is valid below every configured domain, where nothing leaves the host. \
              Docker has no domain.",
        facet: Facet::Verdict,
        applies: is_as_above_the_domain,
        rare: None,
    },
    Rule {
        name: "dead-link-is-nxdomain",
        why: "A link alias whose container has gone does not exist, whoever else has the name. \
              Docker does not answer it from anyone else either, but passes it on.",
        facet: Facet::Verdict,
        applies: |case| is_denied(case) && case.is_dead_link_alias(),
        rare: Some("links die seldom"),
    },
    Rule {
        name: "default-bridge-comes-last",
        why: "Of a client's networks the default bridge is searched last. Docker gives no names \
              there, but to a container that was renamed, whom it then finds there first.",
        facet: Facet::Verdict,
        applies: is_found_beside_the_default_bridge,
        rare: Some("only containers renamed while on the default bridge have names there"),
    },
    Rule {
        name: "default-bridge-has-names",
        why: "Containers on the default bridge have names like all others, and can ask. Docker \
              gives them neither names nor a resolver.",
        facet: Facet::Verdict,
        applies: is_right_on_the_default_bridge,
        rare: None,
    },
    Rule {
        name: "container-mode-shares-names",
        why: "A container with --network container:X has its names wherever X has an address. \
              Docker gives it none.",
        facet: Facet::Verdict,
        applies: |case| only_these_are_new(case, case.guests(Guest::OfContainer)),
        rare: None,
    },
    Rule {
        name: "host-mode-has-names",
        why: "A container with --network host has its names on every network, where the gateway's \
              address leads to it. Docker gives it none.",
        facet: Facet::Verdict,
        applies: |case| only_these_are_new(case, case.guests(Guest::OfHost)),
        rare: None,
    },
    Rule {
        name: "generated-names-are-names",
        why: "A container without --name has the name that the engine gave it, as in newer \
              engines. Those before 25 leave it out until it is renamed.",
        facet: Facet::Verdict,
        applies: is_by_a_generated_name,
        rare: Some("engines of version 25 and later do the same"),
    },
];

/// The page for people: the table, one line a rule.
pub(crate) fn page() -> String {
    let line = |rule: &Rule| format!("| `{}` | {} |\n", rule.name, rule.why);
    let head = "# What netalias does otherwise than Docker's own DNS, on purpose\n\n\
                Everything else is the same, as `cargo test --test differential` finds by asking \
                both.\n\n| rule | what, and why |\n|---|---|\n";
    format!("{head}{}", RULES.iter().map(line).collect::<String>())
}

fn ttl(reply: &Reply) -> Option<u32> {
    match reply {
        Reply::Answer(answer) => answer.ttl,
        _ => None,
    }
}

fn has_soa(reply: &Reply) -> bool {
    matches!(reply, Reply::Answer(answer) if answer.soa)
}

fn is_positive(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Data(_) | Verdict::NoData)
}

fn is_own_answer(verdict: &Verdict) -> bool {
    is_positive(verdict) || *verdict == Verdict::NxDomain
}

fn passed_on(case: &Case) -> bool {
    case.docker() == Verdict::NotLocal
}

fn is_denied(case: &Case) -> bool {
    passed_on(case) && case.netalias() == Verdict::NxDomain && has_soa(&case.netalias)
}

fn is_for_special_use(name: &str) -> bool {
    [".invalid", ".test", ".local", ".onion", ".internal"].iter().any(|end| name.ends_with(end))
}

fn is_empty_here(case: &Case) -> bool {
    passed_on(case) && case.netalias() == Verdict::NoData && has_soa(&case.netalias)
}

fn has_names_below(case: &Case) -> bool {
    case.readings().iter().any(|(owner, network)| {
        let below = format!(".{owner}");
        let is_below = |name: &str| name.to_lowercase().ends_with(&below);
        let mut on_it = case.facts.attached(network);
        let mut guests = case.facts.containers.iter().filter(|c| c.running && c.is_guest());
        on_it.any(|(container, on)| container.names(on).any(is_below))
            || guests.any(|guest| guest.own_names().any(is_below))
    })
}

/// Whether netalias says the same of another spelling or form of the name.
fn is_same_as(case: &Case, name: &str) -> bool {
    let other = case.sheet.get(&(name.to_owned(), case.asked.qtype));
    name != case.asked.name
        && other.is_some_and(|(_, netalias)| netalias_verdict(netalias) == case.netalias())
}

fn is_as_above_the_domain(case: &Case) -> bool {
    let below = format!(".{DOMAIN}");
    let Some(name) = case.asked.name.strip_suffix(&below) else {
        return case.asked.name == DOMAIN && is_empty_here(case);
    };
    if !passed_on(case) {
        return false;
    }
    match case.sheet.get(&(name.to_owned(), case.asked.qtype)) {
        // What is not ours above the domain does not exist below it.
        Some((_, netalias)) if netalias_verdict(netalias) == Verdict::NotLocal => is_denied(case),
        Some(_) => is_same_as(case, name),
        None => false,
    }
}

/// Whether the data that Docker does not have are these, and all that Docker has are there.
fn only_these_are_new(case: &Case, addresses: Vec<IpAddr>) -> bool {
    let exists = !addresses.is_empty();
    let docker = match case.docker() {
        Verdict::Data(data) => data,
        Verdict::NoData | Verdict::NotLocal | Verdict::Nobody => BTreeSet::new(),
        _ => return false,
    };
    match case.netalias() {
        // Docker has nothing to compare with for the other types.
        Verdict::Data(_) if !is_address_type(case) => exists && case.docker() == Verdict::Nobody,
        Verdict::Data(data) => {
            let mut new = data.difference(&docker).peekable();
            let these = case.of_type(addresses);
            new.peek().is_some() && new.all(|new| these.contains(new)) && docker.is_subset(&data)
        }
        Verdict::NoData => exists && (passed_on(case) || case.docker() == Verdict::Nobody),
        _ => false,
    }
}

/// Whether it is found by, or called by, a name that the engine chose.
fn is_by_a_generated_name(case: &Case) -> bool {
    let addresses = |meanings: Vec<(String, &str)>| {
        let mut addresses = Vec::new();
        for (owner, network) in meanings {
            let holders = case.facts.holders(&owner, network).into_iter();
            let called = holders.filter(|(container, _)| {
                container.has_generated_name() && container.name.eq_ignore_ascii_case(&owner)
            });
            addresses.extend(called.flat_map(|(_, on)| on.addresses.iter().copied()));
        }
        addresses
    };
    // A link to such a name is dead for Docker, which then looks on.
    let linked = addresses(case.links());
    let linked = !linked.is_empty()
        && matches!(case.netalias(), Verdict::Data(data) if data == case.of_type(linked));
    let addresses = addresses(case.meanings());
    if linked || !case.is_reverse() {
        return linked || only_these_are_new(case, addresses);
    }
    let (Verdict::Data(docker), Verdict::Data(netalias)) = (case.docker(), case.netalias()) else {
        return false;
    };
    // Docker calls an address by an alias or the short id then.
    case.facts.containers.iter().filter(|c| c.has_generated_name()).any(|container| {
        container.attachments.iter().any(|on| {
            let below = |name: &str| format!("{name}.{}.", on.network).to_lowercase();
            let called = |data: &BTreeSet<String>, name: &str| *data == [below(name)].into();
            called(&netalias, &container.name)
                && container.names(on).any(|name| called(&docker, name))
        })
    })
}

/// Whether netalias answers from the default bridge what is true there: the addresses of all who
/// have the name, those who share another one's network or the host's among them.
fn is_right_on_the_default_bridge(case: &Case) -> bool {
    let alone = case.docker() == Verdict::Nobody;
    if case.client.on(DEFAULT_BRIDGE).is_none() {
        return false;
    }
    let kinds = [Guest::OfContainer, Guest::OfHost].into_iter();
    let guests = kinds.flat_map(|kind| case.guests_on(DEFAULT_BRIDGE, kind));
    let addresses: Vec<_> = case.on_default_bridge().into_iter().chain(guests).collect();
    let exists = !addresses.is_empty();
    let expected = case.of_type(addresses);
    let docker = match case.docker() {
        Verdict::Nobody | Verdict::NotLocal => BTreeSet::new(),
        // Once renamed, a container has its new name there for those who have a resolver.
        Verdict::Data(data) => data,
        _ => return false,
    };
    if !docker.is_subset(&expected) {
        return false;
    }
    match case.netalias() {
        Verdict::Data(data) if case.is_reverse() => is_called_on_the_default_bridge(case, &data),
        // Docker has nothing to compare with for the other types.
        Verdict::Data(data) => data == expected || exists && !is_address_type(case),
        Verdict::NoData if exists => expected.is_empty(),
        Verdict::NoData => alone && (has_names_below(case) || is_zone(case)),
        Verdict::NxDomain | Verdict::NotLocal => alone && !exists,
        _ => false,
    }
}

/// Whether Docker found a renamed container on the default bridge, and netalias found the name on
/// another network of the client.
fn is_found_beside_the_default_bridge(case: &Case) -> bool {
    let on_bridge = case.of_type(case.on_default_bridge());
    let elsewhere = case.holders().into_iter().filter(|(_, on)| on.network != DEFAULT_BRIDGE);
    let elsewhere = elsewhere.flat_map(|(_, on)| on.addresses.iter().copied());
    let elsewhere = case.of_type(elsewhere);
    match (case.docker(), case.netalias()) {
        (Verdict::Data(docker), Verdict::Data(netalias)) => {
            docker.is_subset(&on_bridge) && netalias.is_subset(&elsewhere)
        }
        _ => false,
    }
}

fn is_address_type(case: &Case) -> bool {
    ["A", "AAAA"].contains(&case.asked.qtype)
}

/// Whether an address on the default bridge is called by its container's name there.
fn is_called_on_the_default_bridge(case: &Case, data: &BTreeSet<String>) -> bool {
    case.facts.attached(DEFAULT_BRIDGE).any(|(container, on)| {
        let name = format!("{}.{DEFAULT_BRIDGE}.", container.name).to_lowercase();
        let address = on.addresses.iter().any(|a| reverse(*a) == case.name());
        address && *data == [name].into()
    })
}

/// Whether the name is that of the domain or of the default bridge.
fn is_zone(case: &Case) -> bool {
    let name = case.name();
    name == DOMAIN || name == DEFAULT_BRIDGE
}
