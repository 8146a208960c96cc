//! Who says what exists: each source turns what it learns into changes for the publisher.

pub mod docker;
mod labels;
mod names;
pub mod scenario;
