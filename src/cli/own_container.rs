//! Which container this process runs in, if any.

use crate::model::ContainerId;

/// Docker mounts a container's resolv.conf, hostname and hosts from a folder of its id.
pub(super) fn own_container() -> Option<ContainerId> {
    parse(&std::fs::read_to_string("/proc/self/mountinfo").ok()?)
}

fn parse(mountinfo: &str) -> Option<ContainerId> {
    let line = mountinfo.lines().find(|line| {
        line.split(' ').nth(4).is_some_and(|mount_point| mount_point == "/etc/hostname")
    })?;
    let root = line.split(' ').nth(3)?;
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    root.split('/').find(is_id).map(|id| ContainerId(id.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_id_from_the_mount_of_the_hostname() {
        let id = "4f1c".repeat(16);
        let line = |root: &str| {
            format!(
                "1 2 0:1 / / rw - overlay overlay rw\n\
                 9 1 254:1 {root} /etc/hostname rw,relatime - ext4 /dev/vda rw\n"
            )
        };
        let docker = line(&format!("/var/lib/docker/containers/{id}/hostname"));
        assert_eq!(parse(&docker), Some(ContainerId(id.as_str().into())));
        assert_eq!(parse(&line("/etc/hostname")), None);
        assert_eq!(parse("1 2 0:1 / / rw - ext4 /dev/vda rw\n"), None);
    }
}
