//! The file of an embedded database: who may read it, whether it can be written, and how much room there is.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::finding::Findings;
use crate::settings::Environment;

/// Under this, commits will soon fail.
const FULL: u64 = 16 * 1024 * 1024;
/// Under this somebody should look.
const NARROW: u64 = 512 * 1024 * 1024;

/// The folder of a file.
pub(super) fn folder(file: &Path) -> &Path {
    file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether the folder takes files: SQLite makes its log beside the database.
pub(super) fn check_folder(findings: &mut Findings, file: &Path) -> io::Result<bool> {
    let folder = folder(file);
    if !folder.is_dir() {
        findings.error(
            "database",
            "SQLite, the folder of its file does not exist",
            "Make it, or set database.url",
        )?;
        return Ok(false);
    }
    if let Err(reason) = tempfile::tempfile_in(folder) {
        let found = format!("SQLite, nothing can be written beside its file: {}", reason.kind());
        findings.error("database", &found, "Let the service's user write to the folder")?;
        return Ok(false);
    }
    check_room(findings, folder)?;
    Ok(true)
}

fn check_room(findings: &mut Findings, folder: &Path) -> io::Result<()> {
    let Ok(room) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let found = format!("{} MiB are free where the database is", free / 1024 / 1024);
    match free {
        ..FULL => findings.error("disk", &found, "Make room: nothing can be stored soon"),
        FULL..NARROW => findings.warn("disk", &found, "Make room, before nothing can be stored"),
        NARROW.. => findings.good("disk", &found),
    }
}

/// Whether the file can be written, and is nobody else's to read.
pub(super) fn check_file(
    findings: &mut Findings,
    file: &Path,
    environment: &Environment,
) -> io::Result<bool> {
    if let Err(reason) = OpenOptions::new().read(true).write(true).open(file) {
        let found = format!("SQLite, its file cannot be read and written: {}", reason.kind());
        findings.error("database", &found, "Make it the service's user's own")?;
        return Ok(false);
    }
    let others = fs::metadata(file)?.permissions().mode() & 0o007 != 0;
    if others && *environment != Environment::Development {
        findings.warn(
            "database",
            "every user of this machine can read its file, with the hashes of passwords and sessions",
            "Take that from them: chmod 600, or a folder that is the service's own",
        )?;
    }
    Ok(true)
}
