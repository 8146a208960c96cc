//! What the environment says of a random run.

use std::str::FromStr;

/// What a variable says, if it says anything of use.
pub fn said<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// The seed that `NETALIAS_SEED` says, or a new one. Whoever draws from it prints it.
pub fn seed() -> u64 {
    said("NETALIAS_SEED").unwrap_or_else(|| fastrand::u64(..))
}
