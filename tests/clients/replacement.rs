//! Rolling.
use netalias_testkit::Docker;
pub(crate) fn under_load(_: &Docker) -> String {
    String::new()
}
