//! Differences that runs met and rules judged wrongly, without an engine.

use std::net::IpAddr;

use libtest_mimic::{Failed, Trial};

use crate::case::{Asked, Case, Sheet, Verdict};
use crate::facts::{Attachment, Container, DEFAULT_BRIDGE, Facts};
use crate::probe::{Answer, Reply};
use crate::rules::RULES;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test(
        "a_name_on_the_default_bridge_that_a_guest_has_too",
        a_name_on_the_default_bridge_that_a_guest_has_too,
    )]
}

/// Seed 42: `nd-two` was the hostname of a container on the default bridge and the name of one on
/// the host's network. A client of another network, too, was told both addresses.
fn a_name_on_the_default_bridge_that_a_guest_has_too() -> Result<(), Failed> {
    let facts = Facts {
        containers: vec![
            container("nd-client", "", vec![on("nd-net", "10.214.0.2"), on_bridge("172.17.0.2")]),
            container("nd-held", "nd-two", vec![on_bridge("172.17.0.3")]),
            container("nd-two", "", vec![on("host", "")]),
        ],
        ..Facts::default()
    };
    let asked = Asked { name: "nd-two.bridge".to_owned(), qtype: "A", exact: String::new() };
    for (addresses, meant) in [
        (&["172.17.0.3", "172.17.0.1"][..], true),
        (&["172.17.0.3"], false),
        (&["172.17.0.1"], false),
        (&["172.17.0.3", "172.17.0.1", "10.214.0.1"], false),
        (&["172.17.0.3", "192.0.2.1"], false),
        (&["192.0.2.1"], false),
    ] {
        let client = &facts.containers[0];
        let (docker, netalias) = (Reply::PassedOn, answer(addresses));
        let case =
            Case { facts: &facts, client, sheet: &Sheet::new(), asked: &asked, docker, netalias };
        let rule = RULES.iter().find(|rule| rule.name == "default-bridge-has-names");
        let applies = rule.is_some_and(|rule| (rule.applies)(&case));
        if applies != meant || !matches!(case.netalias(), Verdict::Data(_)) {
            return Err(format!("{addresses:?}: {applies}, and not {meant}").into());
        }
    }
    Ok(())
}

fn container(name: &str, hostname: &str, attachments: Vec<Attachment>) -> Container {
    Container {
        id: format!("{name:0>64}"),
        name: name.to_owned(),
        running: true,
        hostname: hostname.to_owned(),
        attachments,
        ..Container::default()
    }
}

fn on_bridge(address: &str) -> Attachment {
    on(DEFAULT_BRIDGE, address)
}

/// A place whose gateway is the first address of its range.
fn on(network: &str, address: &str) -> Attachment {
    let gateway = address.rsplit_once('.').map(|(range, _)| format!("{range}.1"));
    let parsed = |text: &str| text.parse::<IpAddr>().ok();
    Attachment {
        network: network.to_owned(),
        addresses: parsed(address).into_iter().collect(),
        gateways: gateway.as_deref().and_then(parsed).into_iter().collect(),
        ..Attachment::default()
    }
}

fn answer(addresses: &[&str]) -> Reply {
    Reply::Answer(Answer {
        code: "NOERROR".to_owned(),
        authoritative: true,
        ttl: Some(0),
        soa: false,
        case_kept: true,
        data: addresses.iter().map(|address| (*address).to_owned()).collect(),
    })
}
