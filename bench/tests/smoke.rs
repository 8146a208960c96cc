//! The benchmark works: a short comparison, whose answers are all looked at.
#![allow(clippy::expect_used, missing_docs)] // A test that cannot go on ends.

use std::path::Path;
use std::process::Command;

const BENCH: &str = env!("CARGO_BIN_EXE_bench");

/// `netalias` beside the benchmark: `cargo test` has made it for the tests of the commands; where
/// only this test is run, it may have to be made.
fn netalias() -> String {
    let program = Path::new(BENCH).with_file_name("netalias");
    if !program.exists() {
        let target = Path::new(BENCH).ancestors().nth(2).expect("a target folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--package", "netalias", "--target-dir"]);
        assert!(build.arg(target).status().expect("cargo runs").success(), "netalias builds");
    }
    program.display().to_string()
}

#[test]
fn a_comparison_checks_answers_and_reports_them() {
    let netalias = netalias();
    let mut bench = Command::new(BENCH);
    bench.args(["compare", "--server", &netalias, "--rounds", "1", "--seconds", "0.2"]);
    let output = bench.args(["--workloads", "w2", "--peers", "netalias,limit"]).output();
    let output = output.expect("it runs");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let rows: Vec<Vec<&str>> = report
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let [head, netalias, limit] = &rows[..] else { panic!("{report}") };
    for (row, name) in [(netalias, "netalias"), (limit, "limit")] {
        assert_eq!(row.len(), head.len(), "{report}");
        assert_eq!(row[..2], ["w2", name], "{report}");
        let value = |column: &str| -> f64 {
            let at = head.iter().position(|cell| *cell == column).expect(column);
            row[at].parse().unwrap_or_else(|_| panic!("{column} of {name}: {report}"))
        };
        for measured in ["answers/s", "of limit", "µs CPU/answer", "RSS MB", "p50 µs", "p99 µs"]
        {
            assert!(value(measured) > 0.0, "{measured} of {name}: {report}");
        }
        assert_eq!((row[7], value("wrong").to_bits()), ("0", 0f64.to_bits()), "{report}");
    }
    assert!(report.contains("load of the machine at the start"), "{report}");
}

#[test]
fn a_binary_that_is_not_there_is_told() {
    let output = Command::new(BENCH).args(["compare", "--server", "/nonexistent"]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent"), "{output:?}");
}
