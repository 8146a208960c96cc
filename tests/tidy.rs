//! The house rules as an executable check: imports, first lines, sizes, words.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::fs;
use std::path::{Path, PathBuf};

/// A room of the house: which parts of the crate and which dependencies it may use.
struct Room {
    place: &'static str,
    parts: &'static [&'static str],
    dependencies: &'static [&'static str],
}

/// The table of ARCHITECTURE.md. `cli`, `lib.rs` and `main.rs` may use everything.
const HOUSE: &[Room] = &[
    Room { place: "src/model/", parts: &["model"], dependencies: &[] },
    Room {
        place: "src/config/",
        parts: &["model", "config"],
        dependencies: &["clap", "serde", "strsim", "thiserror", "toml"],
    },
    Room {
        place: "src/directory/",
        parts: &["model", "directory"],
        dependencies: &["arc_swap", "dashmap"],
    },
    Room { place: "src/status.rs", parts: &["model"], dependencies: &[] },
    Room {
        place: "src/source/",
        parts: &["model", "directory", "status", "source"],
        dependencies: &[
            "bollard",
            "fastrand",
            "futures_util",
            "hyper",
            "hyper_util",
            "serde",
            "serde_json",
            "thiserror",
            "time",
            "tokio",
            "tokio_rustls",
            "tracing",
        ],
    },
    Room {
        place: "src/dns/",
        parts: &["model", "directory", "status", "dns"],
        dependencies: &[
            "async_trait",
            "fastrand",
            "foldhash",
            "futures_util",
            "hashbrown",
            "hickory_proto",
            "hickory_server",
            "http_body_util",
            "hyper",
            "hyper_util",
            "nix",
            "quick_cache",
            "smallvec",
            "socket2",
            "thiserror",
            "tokio",
            "tokio_rustls",
            "tracing",
            "webpki_roots",
        ],
    },
    Room {
        place: "src/http/",
        parts: &["model", "directory", "status", "http"],
        dependencies: &[
            "axum",
            "hyper",
            "hyper_util",
            "prometheus_client",
            "serde",
            "tokio",
            "tracing",
        ],
    },
];

/// The pure core does not even use these parts of the standard library.
const IMPURE: &[&str] = &[
    "Instant",
    "SystemTime",
    "Mutex",
    "RwLock",
    "thread::",
    "std::fs",
    "std::io",
    "std::env",
    "UdpSocket",
    "TcpStream",
    "println!",
];
const MAX_COLUMNS: usize = 100;
const MAX_FUNCTION: usize = 70;
const MAX_FILE: usize = 600;

#[test]
fn rooms_import_downward_only() {
    let dependencies = dependencies();
    let everything = ["cli", "config", "directory", "dns", "http", "model", "source", "status"];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let Some(room) = HOUSE.iter().find(|room| file.starts_with(room.place)) else { continue };
        let code = code(&text);
        for part in everything.iter().filter(|part| !room.parts.contains(part)) {
            if uses(&code, &format!("crate::{part}")) || uses(&code, &format!("netalias::{part}")) {
                wrong.push(format!("{file} uses crate::{part}"));
            }
        }
        for dependency in dependencies.iter().filter(|d| !room.dependencies.contains(&&***d)) {
            if uses(&code, &format!("{dependency}::")) {
                wrong.push(format!("{file} uses {dependency}"));
            }
        }
        if room.place == "src/model/" {
            let found = IMPURE.iter().filter(|word| code.contains(*word));
            wrong.extend(found.map(|word| format!("{file} is pure, but has {word}")));
        }
    }
    let outside = ["src/main.rs", "src/lib.rs"];
    for (file, _) in sources() {
        let known = HOUSE.iter().any(|room| file.starts_with(room.place))
            || file.starts_with("src/cli/")
            || outside.contains(&&*file);
        if file.starts_with("src/") && !known {
            wrong.push(format!("{file} is in no room of the house"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//! "));
    let silent: Vec<String> = silent.map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "no //! first line: {silent:#?}");
}

#[test]
fn files_functions_and_lines_fit_on_a_screen() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > MAX_FILE {
            wrong.push(format!("{file} has {} lines", lines.len()));
        }
        for (index, line) in lines.iter().enumerate() {
            if line.chars().count() > MAX_COLUMNS {
                wrong.push(format!("{file}:{} is too wide", index + 1));
            }
            if let Some(length) = function_length(&lines[index..])
                && length > MAX_FUNCTION
            {
                wrong.push(format!("{file}:{} is a function of {length} lines", index + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "for ".to_owned() + "now"];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (index, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                wrong.push(format!("{file}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_dependency_is_justified() {
    for manifest in ["Cargo.toml", "bench/Cargo.toml", "fuzz/Cargo.toml", "tests/kit/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).expect(manifest);
        let mut justified = false;
        let mut in_dependencies = false;
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
                justified = false;
            } else if line.starts_with('#') {
                justified = true;
            } else if in_dependencies && !line.is_empty() {
                // One comment may stand above several lines of one purpose.
                assert!(justified, "{manifest}: no reason above: {line}");
            } else {
                justified = false;
            }
        }
    }
}

/// The lines from the first to the closing brace, if the first one begins a function.
fn function_length(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?;
    let indent = first.len() - first.trim_start().len();
    let words = first.trim_start().split(' ');
    let prefixes = ["pub", "pub(super)", "pub(crate)", "async", "const"];
    let mut words = words.skip_while(|word| prefixes.contains(word));
    if words.next() != Some("fn") {
        return None;
    }
    let close = format!("{}}}", " ".repeat(indent));
    let end = lines.iter().position(|line| *line == close || line.trim_end().ends_with(';'));
    let body = lines.iter().position(|line| line.trim_end().ends_with('{'))?;
    if end.is_some_and(|end| end < body) {
        return None;
    }
    lines.iter().position(|line| *line == close).map(|end| end + 1)
}

/// Whether a path occurs as a whole: `http::` does not occur in `crate::http::`.
fn uses(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + path.len()..].chars().next();
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let nested = before == Some(':') || joins(before);
        !nested && (path.ends_with("::") || !joins(after))
    })
}

/// The text without comments and without the unit tests at its end.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]").next().unwrap_or(text);
    let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The names of all dependencies, as code spells them.
fn dependencies() -> Vec<String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let table = text.split("[dependencies]").nth(1).expect("dependencies");
    let table = table.split("\n[").next().expect("dependencies");
    let names = table.lines().filter(|line| !line.starts_with('#'));
    names.filter_map(|line| Some(line.split_once(" =")?.0.replace('-', "_"))).collect()
}

/// Every Rust file of ours, with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["src", "tests", "bench", "fuzz/src", "fuzz/fuzz_targets"] {
        collect(&root().join(folder), &mut found);
    }
    assert!(found.len() > 20, "the sources are found");
    let relative =
        |path: &Path| path.strip_prefix(root()).expect("below the root").display().to_string();
    let read = |path: PathBuf| (relative(&path), fs::read_to_string(&path).expect("a source"));
    found.into_iter().map(read).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
