//! Every scenario file against the core in process and against the real binary.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use netalias_testkit::{Core, Wire, check, on_loopback};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    for entry in std::fs::read_dir(folder).expect("tests/scenarios") {
        let path = entry.expect("tests/scenarios").path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a scenario");
        let (name, body) = (file.clone(), text.clone());
        trials.push(Trial::test(format!("core::{file}"), move || {
            check(&name, &body, &mut Core::of(&body)).map_err(Failed::from)
        }));
        trials.push(Trial::test(format!("wire::{file}"), move || {
            let text = on_loopback(&text);
            let mut wire = Wire::start(env!("CARGO_BIN_EXE_netalias"), &text);
            check(&file, &text, &mut wire).map_err(Failed::from)
        }));
    }
    assert!(trials.len() > 1, "there are scenarios");
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    libtest_mimic::run(&arguments, trials).exit();
}
