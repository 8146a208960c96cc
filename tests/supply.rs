//! What is built in and by whose leave: where packages come from, their licences, and that what
//! matters is there once. It asks cargo, and no server: advisories are not looked up.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The one place that packages of others come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The packages of this folder.
const OURS: &[&str] = &["bench", "netalias", "netalias-testkit"];

/// Licences that a package may be taken under, and why. All allow use in what is distributed
/// under MIT or Apache-2.0, on no condition but that their text goes along.
const LICENCES: &[(&str, &str)] = &[
    ("MIT", "our own"),
    ("Apache-2.0", "our own"),
    ("ISC", "MIT in other words; ring, untrusted, rustls-webpki"),
    ("BSD-3-Clause", "MIT, and no advertising with the authors' names; subtle"),
    ("Zlib", "MIT, and no claim to be the author; foldhash"),
    ("Unicode-3.0", "for the tables of characters of the icu packages, which are data of Unicode"),
    ("CDLA-Permissive-2.0", "for data: the certificates of webpki-roots"),
];

/// Two versions of these do not work together, or double what must be kept up to date: types of
/// one are not those of the other, and so are pools, timers and stacks of TLS.
const ONCE: &[&str] = &["bollard", "bytes", "hyper", "hyper-util", "ring", "rustls", "tokio"];

struct Package {
    name: String,
    version: String,
    source: Option<String>,
    licence: String,
}

/// Every package of Cargo.lock, for whatever platform.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let packages = metadata["packages"].as_array().expect("packages").iter().map(|p| Package {
        name: text(&p["name"]).expect("a name"),
        version: text(&p["version"]).expect("a version"),
        source: text(&p["source"]),
        licence: text(&p["license"]).unwrap_or_default(),
    });
    let packages: Vec<Package> = packages.collect();
    assert!(packages.len() > 100, "{} packages", packages.len());
    packages
}

#[test]
fn packages_come_from_crates_io_and_from_this_folder_alone() {
    for Package { name, version, source, .. } in packages() {
        match source {
            Some(source) => assert_eq!(source, REGISTRY, "{name} {version}"),
            None => assert!(OURS.contains(&&*name), "{name} {version} is from a path"),
        }
    }
    // What cargo checks each download against.
    let lock = include_str!("../Cargo.lock");
    let count = |word: &str| lock.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!(count("source = "), count("checksum = "), "a package without its checksum");
}

/// It was forgotten when dependencies changed, and `cargo fuzz` would have resolved it anew.
#[test]
fn the_lock_of_the_fuzz_package_knows_what_netalias_depends_on() {
    let read = |text: &str| toml::from_str::<toml::Table>(text).expect("TOML");
    let manifest = read(include_str!("../Cargo.toml"));
    let needed: BTreeSet<&str> =
        manifest["dependencies"].as_table().expect("a table").keys().map(String::as_str).collect();
    let lock = read(include_str!("../fuzz/Cargo.lock"));
    let packages = lock["package"].as_array().expect("packages");
    let ours = packages.iter().find(|package| package["name"].as_str() == Some("netalias"));
    let locked = ours.expect("ours")["dependencies"].as_array().expect("dependencies");
    // Where there are two versions, one follows the name.
    let locked = locked.iter().filter_map(|name| name.as_str()?.split(' ').next());
    assert_eq!(locked.collect::<BTreeSet<_>>(), needed, "run cargo check in fuzz/");
}

#[test]
fn every_licence_may_be_taken() {
    let mut refused = BTreeSet::new();
    let mut needed = BTreeSet::new();
    for Package { name, version, licence, .. } in packages() {
        match taken(&licence) {
            Some(licences) => needed.extend(licences),
            None => drop(refused.insert(format!("{name} {version}: {licence:?}"))),
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    let listed: BTreeSet<&str> = LICENCES.iter().map(|(name, _)| *name).collect();
    let needed: BTreeSet<&str> = needed.iter().map(String::as_str).collect();
    let unused: Vec<_> = listed.difference(&needed).collect();
    assert!(unused.is_empty(), "listed, and nothing is under them: {unused:?}");
}

#[test]
fn expressions_are_read_as_spdx_says() {
    let reads = |text: &str| taken(text).map(|licences| licences.join("+"));
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(reads("GPL-3.0-only OR MIT"), some("MIT"));
    assert_eq!(reads("Unlicense/MIT"), some("MIT"));
    assert_eq!(reads("(MIT OR GPL-3.0-only) AND Unicode-3.0"), some("MIT+Unicode-3.0"));
    assert_eq!(reads("MIT AND GPL-3.0-only"), None);
    assert_eq!(reads("Apache-2.0 WITH LLVM-exception"), None, "an exception is another licence");
    assert_eq!(reads("GPL-3.0-only"), None);
    assert_eq!(reads(""), None);
}

/// The licences that a package is taken under: of each choice the first that is listed. None: one
/// part has none. A choice beside AND stands in
/// parentheses, so parts can be split at AND.
fn taken(expression: &str) -> Option<Vec<String>> {
    let parts = expression.split(" AND ").map(|part| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')').replace('/', " OR ");
        let mut choices = part.split(" OR ").map(str::trim);
        let listed = |choice: &&str| LICENCES.iter().any(|(name, _)| name == choice);
        choices.find(listed).map(str::to_owned)
    });
    parts.collect()
}

#[test]
fn what_matters_is_there_once() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Package { name, version, .. } in packages() {
        versions.entry(name).or_default().insert(version);
    }
    let matters = |name: &str| name.starts_with("hickory-") || ONCE.contains(&name);
    let twice: Vec<_> =
        versions.iter().filter(|(name, found)| matters(name) && found.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
    for name in ONCE {
        assert!(versions.contains_key(*name), "{name} is no package any more");
    }
}
