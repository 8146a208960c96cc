//! A client that looks a name up and connects, again and again: this program itself, in another
//! role, in a container's place.
pub(crate) const ROLE: &str = "NETALIAS_CLIENTS_LOAD";
pub(crate) fn run(_: &str) {}
