//! `netalias check`: validates the configuration and prints what would be in force.

use super::ConfigArgs;

pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<bool> {
    let config = args.load()?;
    super::reload::policy(&config)?;
    anstream::print!("{}", config.to_toml());
    Ok(true)
}
