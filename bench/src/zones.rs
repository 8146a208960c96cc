//! The same names for every peer, each in its own language. All get one thread and no limits.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::workload::{CLIENT, SUFFIX, Shape};

pub(crate) fn nsd(folder: &Path, port: u16, shape: &Shape) -> anyhow::Result<PathBuf> {
    let at = folder.display();
    fs::write(folder.join("zone"), zone(shape))?;
    let text = format!(
        r#"
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  zonesdir: "{at}"
  database: ""
  pidfile: ""
  xfrdfile: "{at}/xfrd"
  xfrdir: "{at}"
  zonelistfile: "{at}/list"
  rrl-ratelimit: 0
  round-robin: yes
remote-control:
  control-enable: no
zone:
  name: "{SUFFIX}"
  zonefile: "zone"
"#
    );
    written(folder, &text)
}

pub(crate) fn knot(folder: &Path, port: u16, shape: &Shape) -> anyhow::Result<PathBuf> {
    let at = folder.display();
    fs::write(folder.join("zone"), zone(shape))?;
    let text = format!(
        r"
server:
  rundir: {at}
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  answer-rotation: on
database:
  storage: {at}
zone:
  - domain: {SUFFIX}
    storage: {at}
    file: zone
"
    );
    written(folder, &text)
}

pub(crate) fn unbound(folder: &Path, port: u16, shape: &Shape) -> anyhow::Result<PathBuf> {
    let at = folder.display();
    let mut text = format!(
        r#"
server:
  directory: "{at}"
  chroot: ""
  username: ""
  pidfile: ""
  interface: 127.0.0.1
  port: {port}
  num-threads: 1
  do-daemonize: no
  use-syslog: no
  rrset-roundrobin: yes
  module-config: "iterator"
  local-zone: "{SUFFIX}." static
"#
    );
    for (name, address) in records(shape) {
        writeln!(text, "  local-data: \"{name}.{SUFFIX}. 0 A {address}\"")?;
    }
    written(folder, &text)
}

/// For dnsmasq.
pub(crate) fn hosts(folder: &Path, shape: &Shape) -> anyhow::Result<PathBuf> {
    let line = |(name, address)| format!("{address} {name}.{SUFFIX}\n");
    written(folder, &records(shape).map(line).collect::<String>())
}

/// A folder of networks. aardvark-dns answers none but containers that it knows.
pub(crate) fn aardvark(folder: &Path, shape: &Shape) -> anyhow::Result<PathBuf> {
    let mut text = format!("127.0.0.1\n{} {CLIENT}  client\n", "c".repeat(64));
    for (number, (name, address)) in records(shape).enumerate() {
        writeln!(text, "{number:064x} {address}  {name}")?;
    }
    let networks = folder.join("networks");
    fs::create_dir(&networks)?;
    fs::write(networks.join("net"), text)?;
    Ok(networks)
}

fn zone(shape: &Shape) -> String {
    let head = format!(
        r"$ORIGIN {SUFFIX}.
$TTL 0
@ SOA ns.{SUFFIX}. host.{SUFFIX}. 1 2 3 4 5
@ NS ns.{SUFFIX}.
ns A 127.0.0.1
"
    );
    let line = |(name, address)| format!("{name} A {address}\n");
    head + &records(shape).map(line).collect::<String>()
}

/// Every name with each of its addresses.
fn records(shape: &Shape) -> impl Iterator<Item = (String, Ipv4Addr)> {
    let shape = *shape;
    let all = (0..shape.names).flat_map(move |name| (0..shape.addresses).map(move |k| (name, k)));
    all.map(move |(name, which)| (Shape::name(name), shape.address(name, which)))
}

fn written(folder: &Path, text: &str) -> anyhow::Result<PathBuf> {
    let file = folder.join("configuration");
    fs::write(&file, text)?;
    Ok(file)
}
