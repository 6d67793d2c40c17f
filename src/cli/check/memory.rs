//! Whether the memory that hashing passwords takes fits in the limit of the container or unit (control groups of Linux).

use std::fs;
use std::io;
use std::path::Path;

use super::finding::Findings;
use crate::settings::Settings;

/// What everything else takes under load, in bytes (docs/PERFORMANCE.md).
const OTHERWISE: u64 = 48 * MIB;
const MIB: u64 = 1024 * 1024;

pub(super) fn check(findings: &mut Findings, settings: &Settings) -> io::Result<()> {
    let password = &settings.password;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(limit) = limit(Path::new("/sys/fs/cgroup"), &groups).filter(|_| password.enabled) else {
        return Ok(());
    };
    let each = u64::from(password.memory_kib) * 1024;
    let at_once = u64::try_from(password.concurrency()).unwrap_or(u64::MAX);
    let found = format!(
        "{at_once} at once take {} MiB, and the limit of this control group is {} MiB, of which the service needs {} besides",
        each.saturating_mul(at_once).div_ceil(MIB),
        limit / MIB,
        OTHERWISE / MIB
    );
    if each.saturating_mul(at_once).saturating_add(OTHERWISE) <= limit {
        return findings.good("password", &found);
    }
    let fitting = limit.saturating_sub(OTHERWISE) / each.max(1);
    let remedy = match fitting {
        0 => "Allow more memory, or the system ends the service when people sign in".to_owned(),
        _ => format!("Set password.concurrency = {fitting}, or allow more memory"),
    };
    findings.warn("password", &found, &remedy)
}

/// Returns the smallest memory limit, in bytes, of the groups in this text of `/proc/self/cgroup` and those around them
/// (<https://docs.kernel.org/admin-guide/cgroup-v2.html>). In a container the own group may be mounted as the root.
fn limit(mounted: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => (mounted.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (mounted.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let own = root.join(group.trim_start_matches('/'));
        own.ancestors()
            .take_while(|folder| folder.starts_with(&root))
            .filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok())
            .collect::<Vec<u64>>()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_smallest_limit_counts_of_either_version() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(limit(root, "0::/system.slice/tokenbooth.service\n"), None);
        write(root, "system.slice/memory.max", "268435456\n");
        write(root, "system.slice/tokenbooth.service/memory.max", "max\n");
        assert_eq!(limit(root, "0::/system.slice/tokenbooth.service\n"), Some(256 * MIB));
        // A container sees its own group as the root.
        write(root, "memory.max", "134217728");
        assert_eq!(limit(root, "0::/\n"), Some(128 * MIB));
        assert_eq!(limit(root, "0::/../elsewhere\n"), Some(128 * MIB));
        // Version 1.
        write(root, "memory/docker/1a2b/memory.limit_in_bytes", "67108864");
        assert_eq!(limit(root, "5:cpu,memory:/docker/1a2b\n4:cpuset:/\n"), Some(64 * MIB));
        assert_eq!(limit(root, ""), None);
        assert_eq!(limit(root, "nonsense\n0:\n"), Some(128 * MIB));
    }
}
