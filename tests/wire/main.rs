//! The wire: what a client gets for each form of request, and how the server bears those that
//! mean no good. Table B is the list of what conformance suites probe; each test of it bears its
//! row's number.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

mod abuse;
mod mutants;
#[path = "../fuzz/mutate.rs"]
mod mutate;
mod octets;
mod table_b;
mod together;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use netalias_testkit::{Process, kernel_port};

/// A demo with three endpoints of `web`, names with dots, and many of `big`.
pub(crate) fn server(name: &str, many: usize, args: &[&str]) -> Process {
    let mut scenario = "\
docker network create --subnet 10.64.0.0/16 netlb
docker run -d --name w1 --net netlb --net-alias web busybox
docker run -d --name w2 --net netlb --net-alias web busybox
docker run -d --name w3 --net netlb --net-alias web busybox
docker run -d --name dotted --net netlb --net-alias a.b.c busybox
"
    .to_owned();
    for n in 0..many {
        let run = "docker run -d --net netlb --net-alias big";
        writeln!(scenario, "{run} --name b{n} busybox").expect("a string");
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("wire-{name}.txt"));
    std::fs::write(&path, scenario).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_netalias"));
    command.arg("demo").arg(&path).args(kernel_port()).args(args);
    let server = Process::start(&mut command);
    server.says("the whole scenario");
    server
}
