//! A real engine, spoken to on its socket, with containers made for a measurement.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use netalias_testkit::IMAGE;
use serde_json::{Value, json};

/// Where the engine is.
pub(crate) const SOCKET: &str = "/var/run/docker.sock";
/// The label of what is made here; only that is ever removed.
const LABEL: (&str, &str) = ("netalias-test", "bench");
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// An engine. Dropping it removes what a measurement has made.
pub(crate) struct Engine {
    socket: PathBuf,
    /// How what is made is called, and what is removed in the end.
    pub(crate) prefix: String,
}

impl Engine {
    /// The engine of this machine, with the image that tests make, and without what an aborted
    /// measurement left.
    pub(crate) fn real() -> anyhow::Result<Self> {
        let prefix = format!("nt-bench-{}", std::process::id());
        let engine = Self { socket: SOCKET.into(), prefix };
        let (status, _) = engine.ask("GET", &format!("/images/{IMAGE}/json"), None)?;
        ensure!(status == 200, "`cargo test --test engine` makes the image {IMAGE}");
        engine.clean()?;
        Ok(engine)
    }

    /// Asks; gives what is answered, if that is no error.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = (!body.is_null()).then(|| body.to_string());
        let (status, answer) = self.ask(method, path, body.as_deref())?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {}", answer.trim());
        Ok(serde_json::from_str(&answer).unwrap_or_default())
    }

    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> anyhow::Result<(u16, String)> {
        ask(&self.socket, method, path, body)
    }

    /// A network, and its id.
    pub(crate) fn network(&self, name: &str, subnet: &str) -> anyhow::Result<String> {
        let body = json!({
            "Name": name, "CheckDuplicate": true, "Labels": { LABEL.0: LABEL.1 },
            "IPAM": { "Config": [{ "Subnet": subnet }] },
        });
        id_of(&self.call("POST", "/networks/create", &body)?)
    }

    /// A container that sleeps, made but not started, and its id.
    pub(crate) fn sleeper(
        &self,
        name: &str,
        network: &str,
        endpoint: &Value,
    ) -> anyhow::Result<String> {
        let body = json!({
            "Image": IMAGE, "Cmd": ["sleep", "3600"], "Labels": { LABEL.0: LABEL.1 },
            "StopTimeout": 0,
            "HostConfig": { "NetworkMode": network },
            "NetworkingConfig": { "EndpointsConfig": { network: endpoint } },
        });
        id_of(&self.call("POST", &format!("/containers/create?name={name}"), &body)?)
    }

    pub(crate) fn start(&self, container: &str) -> anyhow::Result<()> {
        self.call("POST", &format!("/containers/{container}/start"), &Value::Null).map(drop)
    }

    /// Removes what has the label.
    fn clean(&self) -> anyhow::Result<()> {
        let filter = format!("%7B%22label%22%3A%5B%22{}%3D{}%22%5D%7D", LABEL.0, LABEL.1);
        let ids = |path: String| -> anyhow::Result<Vec<String>> {
            let list = self.call("GET", &path, &Value::Null)?;
            list.as_array().context("no list")?.iter().map(id_of).collect()
        };
        for id in ids(format!("/containers/json?all=1&filters={filter}"))? {
            self.call("DELETE", &format!("/containers/{id}?force=1&v=1"), &Value::Null)?;
        }
        for id in ids(format!("/networks?filters={filter}"))? {
            self.call("DELETE", &format!("/networks/{id}"), &Value::Null)?;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.clean() {
            eprintln!("bench: what it made is left in the engine: {error:#}");
        }
    }
}

fn id_of(value: &Value) -> anyhow::Result<String> {
    Ok(value["Id"].as_str().with_context(|| format!("no id in {value}"))?.to_owned())
}

/// A connection with a request on it; HTTP/1.0, so that the answer ends with the connection.
pub(crate) fn send(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> anyhow::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).context("the engine's socket")?;
    let body = body.unwrap_or_default();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Content-Type: application/json\r\n\r\n{body}").as_bytes())?;
    Ok(stream)
}

/// The status and the body of an answer.
pub(crate) fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> anyhow::Result<(u16, String)> {
    let mut stream = send(socket, method, path, body)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (Some(status), Some((_, body))) = (status, answer.split_once("\r\n\r\n")) else {
        bail!("{method} {path}: no HTTP answer");
    };
    Ok((status, body.to_owned()))
}
