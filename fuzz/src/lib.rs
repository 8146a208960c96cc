//! The fuzz targets; ordinary tests run the same functions (`tests/fuzz`).

#[path = "../../tests/fuzz/targets.rs"]
mod targets;

pub use targets::*;
