//! Changes of the configuration while running: on SIGHUP, and when a file of it changes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

use super::ConfigArgs;
use super::own_container::own_container;
use crate::config::Config;
use crate::directory::Publisher;
use crate::model::Policy;

/// How often the files are looked at.
const PACE: Duration = Duration::from_secs(1);

/// Puts every valid change in force; a bad one is told, and the old configuration stays.
pub(super) async fn follow(args: ConfigArgs, mut config: Config, publisher: Publisher) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::warn!(%error, "cannot wait for SIGHUP"),
    };
    let mut in_force = stamps(&args, &config);
    let mut seen = in_force.clone();
    let mut pace = tokio::time::interval(PACE);
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = pace.tick() => false,
        };
        let now = stamps(&args, &config);
        // Not before it has stayed the same for one pace: a file that is being written is not read.
        let settled = now == std::mem::replace(&mut seen, now.clone());
        if !asked && (now == in_force || !settled) {
            continue;
        }
        in_force = now;
        match args.load().and_then(|new| Ok((policy(&new)?, new))) {
            Ok((policy, new)) => {
                if let Some(key) = config.needs_restart(&new) {
                    tracing::warn!(key, "this key changes only with a restart");
                }
                publisher.set_policy(policy);
                // The hosts file may be another one now.
                in_force = stamps(&args, &new);
                config = new;
                tracing::info!("the configuration was read again and is in force");
            }
            Err(error) => tracing::warn!("the old configuration stays in force: {error:#}"),
        }
    }
}

/// The policy that a configuration and its hosts file give.
pub(super) fn policy(config: &Config) -> anyhow::Result<Policy> {
    let hosts = config.hosts.as_deref().map(read).transpose()?;
    Ok(config.policy(hosts.as_deref(), own_container())?)
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        anyhow::Error::new(error).context(format!("cannot read {}", path.display()))
    })
}

/// When each file was changed last, and its size.
fn stamps(args: &ConfigArgs, config: &Config) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    args.config.iter().chain(&config.hosts).map(stamp).collect()
}
