//! The benchmark works: each command in small, whose answers are all looked at.
#![allow(clippy::expect_used, missing_docs)] // A test that cannot go on ends.

use std::path::Path;
use std::process::Command;

use netalias_testkit::Docker;

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

/// The rows of the table that a command prints, the head first, and its exit code.
fn table(args: &[&str]) -> (Vec<Vec<String>>, Option<i32>) {
    let output = Command::new(BENCH).args(args).output().expect("it runs");
    let report = String::from_utf8_lossy(&output.stdout);
    let cells = |line: &str| {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let rows: Vec<_> = report.lines().filter(|line| line.starts_with("| ")).map(cells).collect();
    let as_wide = |row: &Vec<String>| row.len() == rows[0].len();
    assert!(!rows.is_empty() && rows.iter().all(as_wide), "{output:?}");
    (rows, output.status.code())
}

/// The figures of a row from this column on.
fn figures(row: &[String], from: usize) -> Vec<f64> {
    let number = |cell: &String| cell.parse().unwrap_or_else(|_| panic!("{cell} of {row:?}"));
    row[from..].iter().map(number).collect()
}

#[test]
fn growth_is_measured_up_to_a_resync() {
    let netalias = netalias();
    let args = ["scale", "--server", &netalias, "--endpoints", "40,400", "--changes", "4"];
    let (rows, code) = table(&[&args[..], &["--seconds", "0.2"]].concat());
    assert_eq!((rows.len(), code), (3, Some(0)), "{rows:?}");
    assert_eq!((&*rows[1][0], &*rows[2][0], &*rows[2][8]), ("40", "400", "0"), "{rows:?}");
    assert!(rows[1..].iter().all(|row| figures(row, 7)[0] > 0.0), "answers: {rows:?}");
}

#[test]
fn inspects_are_measured_beside_another_client() {
    let args = ["inspects", "--real", "0", "--fake", "40", "--at-once", "1,16", "--rounds", "1"];
    let (rows, code) = table(&args);
    assert_eq!((rows.len(), code), (4, Some(0)), "{rows:?}");
    for (row, at_once) in rows[2..].iter().zip(["1", "16"]) {
        assert_eq!(row[..3], ["fake", "40", at_once], "{rows:?}");
        assert!(figures(row, 3)[0] > 0.0, "it takes time: {rows:?}");
    }
}

#[test]
fn changes_of_a_real_engine_are_timed() {
    let Some(_docker) = Docker::for_suite("bench real and inspects in small", false) else {
        return;
    };
    let netalias = netalias();
    let args = ["real", "--server", &netalias, "--containers", "5", "--changes", "2"];
    let (rows, code) = table(&args);
    assert!(matches!(code, Some(0 | 1)), "in time, or late: {rows:?}");
    for (row, kind) in rows[1..].iter().zip(["start", "die", "connect"]) {
        assert_eq!(row[..3], [kind, "5", "2"], "{rows:?}");
        assert_eq!(figures(row, 3).len(), 6, "{rows:?}");
    }
    assert_eq!(rows.len(), 4, "{rows:?}");
    let args = ["inspects", "--real", "3", "--fake", "0", "--at-once", "2", "--rounds", "1"];
    let (rows, code) = table(&args);
    assert_eq!((rows.len(), code, &*rows[2][0]), (3, Some(0), "real"), "{rows:?}");
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
