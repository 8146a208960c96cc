//! Changes of the configuration while running: on SIGHUP, and when a file of it changes.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ConfigArgs;
use super::own_container::own_container;
use crate::config::Config;
use crate::directory::Publisher;
use crate::model::Policy;

/// How often the files are looked at.
const PACE: Duration = Duration::from_secs(1);

/// The configuration in force, and what tells that it changes.
pub(super) struct Watched {
    pub(super) config: Config,
    args: ConfigArgs,
    /// Of the files that it was read from, from before they were read.
    stamps: Stamps,
    hangup: Signal,
}

/// When each file was changed last, and its size.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl Watched {
    /// Reads the configuration. From now on no change is missed, and SIGHUP, which kills whoever
    /// does not wait for it, is waited for.
    pub(super) fn start(args: ConfigArgs) -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
        let (config, stamps) = load(&args)?;
        Ok(Self { config, args, stamps, hangup })
    }

    /// Puts every valid change in force; a bad one is told, and the old configuration stays.
    pub(super) async fn follow(self, publisher: Publisher) {
        let Self { mut config, args, stamps: mut in_force, mut hangup } = self;
        let mut seen = in_force.clone();
        let mut pace = tokio::time::interval(PACE);
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                _ = pace.tick() => false,
            };
            let now = stamps(&args, &config);
            // Not before it has stayed the same for one pace: a file that is being written is not
            // read.
            let settled = now == std::mem::replace(&mut seen, now.clone());
            if !asked && (now == in_force || !settled) {
                continue;
            }
            in_force = now;
            match load(&args).and_then(|(new, stamps)| Ok((policy(&new)?, new, stamps))) {
                Ok((policy, new, stamps)) => {
                    if let Some(key) = config.needs_restart(&new) {
                        tracing::warn!(key, "this key changes only with a restart");
                    }
                    publisher.set_policy(policy);
                    // The hosts file may be another one now.
                    (config, in_force) = (new, stamps);
                    tracing::info!("the configuration was read again and is in force");
                }
                Err(error) => tracing::warn!("the old configuration stays in force: {error:#}"),
            }
        }
    }
}

/// Reads the configuration. Each file's stamp is from before it is read (the hosts file is read
/// later, by [`policy`]), so that what changes meanwhile is seen afterwards.
fn load(args: &ConfigArgs) -> anyhow::Result<(Config, Stamps)> {
    let file = args.config.as_deref().map(stamp);
    let config = args.load()?;
    let hosts = config.hosts.as_deref().map(stamp);
    Ok((config, file.into_iter().chain(hosts).collect()))
}

fn stamps(args: &ConfigArgs, config: &Config) -> Stamps {
    args.config.iter().chain(&config.hosts).map(|path| stamp(path)).collect()
}

/// None: it cannot be had.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
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
