//! `netalias query --as-client` in a container's place, on a network with both families: what it
//! tells beside what DNS gave, for a policy that clients undo and for one that they do not.

use std::collections::BTreeMap;

use netalias_testkit::{Docker, Process, until};

use crate::inside::Place;
use crate::{BINARY, serve};

const NETWORK: &str = "ncl-shown";
const GATEWAY: &str = "10.215.4.1";
const ALIAS: &str = "ncl-shown-web";
/// The last parts of the addresses of the backends and of the client, which has more bits in
/// common with 5 than with any other one (RFC 6724 section 6, rule 9).
const BACKENDS: [usize; 3] = [2, 3, 5];
const CLIENT: usize = 4;
/// What the command asks by itself.
const COUNT: u64 = 300;

pub(crate) fn all_sticks_and_sortproof_spreads(docker: &Docker) -> String {
    let v4 = ["--subnet", "10.215.4.0/24", "--gateway", GATEWAY];
    let v6 = ["--ipv6", "--subnet", "fd00:215:4::/64", NETWORK];
    docker.network(&[v4, v6].concat());
    let start = |name: &str, last: usize, more: &[&str]| {
        let (v4, v6) = (format!("10.215.4.{last}"), format!("fd00:215:4::{last}"));
        let on = ["--name", name, "--network", NETWORK, "--ip", &v4, "--ip6", &v6];
        docker.sleeper(&[&on[..], more].concat());
    };
    for last in BACKENDS {
        start(&format!("{NETWORK}-{last}"), last, &["--network-alias", ALIAS]);
    }
    let client = format!("{NETWORK}-client");
    start(&client, CLIENT, &[]);
    let place = Place::of(docker, &client);
    let spread = BACKENDS.map(|last| (format!("fd00:215:4::{last}"), COUNT / 3));
    let one = [("fd00:215:4::5".to_owned(), COUNT)];
    let mut text = String::from("`netalias query --as-client` in a container:\n\n");
    for (answers, picked) in [("all", &one[..]), ("sortproof", &spread), ("auto", &spread)] {
        let server = serve(GATEWAY, answers);
        until("all are known", || {
            let (_, body) = server.get(&format!("/v1/names?name={ALIAS}"));
            (body.matches("\"fd00:").count() == BACKENDS.len()).then_some(())
        });
        let told = told(&place, &server);
        let side = |side: &str| -> BTreeMap<String, u64> {
            let counts = told[side].as_object().expect("counts by address");
            let count = |(address, times): (&String, &serde_json::Value)| {
                (address.clone(), times.as_u64().expect("a number"))
            };
            counts.iter().map(count).collect()
        };
        let dns = side("dns");
        assert_eq!(dns.len(), 2 * BACKENDS.len(), "{told}");
        assert!(dns.values().all(|times| *times == COUNT / 3), "in DNS each in turn: {told}");
        assert_eq!(side("client"), picked.iter().cloned().collect(), "answers = {answers}: {told}");
        assert_eq!(told["failures"], serde_json::json!({}), "answers = {answers}");
        text.extend([format!("- `{answers}`: picked {:?}\n", side("client"))]);
    }
    text
}

/// What the command tells in that place, where nobody else is there to ask.
fn told(place: &Place, server: &Process) -> serde_json::Value {
    let address = server.dns;
    let script = format!("exec '{BINARY}' query {ALIAS} --as-client --json --server {address}");
    let output = place.command(GATEWAY, &script).output().expect("nsenter");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}
