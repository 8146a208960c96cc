//! What lists of a real engine say of a network, beside what an inspect says: netalias reads the
//! list, since an inspect has every container of the network in it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use netalias::model::{Change, NetworkId};
use netalias::source::docker::{InspectedNetwork, translate};
use netalias_testkit::Docker;

use crate::SOCKET;

/// Each is created with these flags, and looked at beside those that the engine has of itself.
const CREATED: [(&str, &[&str]); 5] = [
    ("nt-plain", &[]),
    ("nt-ranged", &["--subnet", "10.213.40.0/24", "--ip-range", "10.213.40.128/25"]),
    ("nt-gateway", &["--subnet", "10.213.41.0/24", "--gateway", "10.213.41.77"]),
    ("nt-internal", &["--internal", "--subnet", "10.213.42.0/24"]),
    (
        "nt-dual",
        &["--ipv6", "--subnet", "10.213.43.0/24", "--subnet", "fd00:213::/64", "--internal"],
    ),
];

/// For each network there is: the list says what an inspect does, and no container.
pub(crate) fn lists_say_of_networks_what_inspects_say(docker: &Docker) {
    for (name, flags) in CREATED {
        docker.network(&[flags, &[name]].concat());
    }
    docker.sleeper(&["--name", "nt-on-it", "--network", "nt-plain"]);
    let mut seen = Vec::new();
    for id in docker.run(&["network", "ls", "-q", "--no-trunc"]).lines() {
        let inspected = get(&format!("/networks/{id}"));
        let filters = format!("%7B%22id%22%3A%5B%22{id}%22%5D%7D");
        let listed = get(&format!("/networks?filters={filters}"));
        let [listed] = &listed.as_array().expect("a list")[..] else { panic!("{listed}") };
        let read = |value: &serde_json::Value| -> Change {
            let network: InspectedNetwork =
                serde_json::from_value(value.clone()).expect("a network");
            translate::network(&NetworkId(id.into()), network)
        };
        assert_eq!(read(listed), read(&inspected), "{listed} {inspected}");
        assert_eq!(listed["Containers"], serde_json::json!({}), "{listed}");
        seen.push(listed["Name"].as_str().expect("a name").to_owned());
    }
    for name in CREATED.map(|(name, _)| name).into_iter().chain(["bridge", "host", "none"]) {
        assert!(seen.iter().any(|seen| seen == name), "{name} of {seen:?}");
    }
    let unknown =
        get(&format!("/networks?filters=%7B%22id%22%3A%5B%22{}%22%5D%7D", "0".repeat(64)));
    assert_eq!(unknown, serde_json::json!([]));
}

fn get(path: &str) -> serde_json::Value {
    let mut stream = UnixStream::connect(SOCKET).expect("the engine's socket");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}
