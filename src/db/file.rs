//! The file of an embedded database: whether it is still the one that is open, and takes changes.
//!
//! A file that was deleted or replaced stays open, and SQLite goes on with it. But nobody else sees it any more: a user whom a
//! command disables in the file of that name would not be disabled here, and what is changed here is gone with the process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rustix::fs::{Access, access};

use super::DbError;

/// How often we look.
const PERIOD: Duration = Duration::from_secs(1);

/// What is wrong with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Good,
    Deleted,
    Replaced,
    ReadOnly,
}

/// A database file that is open, and looked at each second.
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// Device and inode.
    opened: (u64, u64),
    state: AtomicU8,
}

impl State {
    const ALL: [Self; 4] = [Self::Good, Self::Deleted, Self::Replaced, Self::ReadOnly];

    fn check(self) -> Result<(), DbError> {
        let reason = match self {
            Self::Good => return Ok(()),
            Self::Deleted => {
                "its file was deleted or moved while it was open. Put it back, or start the service again"
            }
            Self::Replaced => {
                "its file was replaced by another one while it was open. Start the service again, which then uses the new one"
            }
            Self::ReadOnly => {
                "its file is read-only. Let the service's user write to it, or mount its file system with write access"
            }
        };
        Err(DbError::Unavailable(reason.to_owned()))
    }
}

impl DatabaseFile {
    /// Looks at the file from now on, in a thread that ends when the value is dropped.
    ///
    /// # Errors
    /// Returns [`DbError::Unavailable`] if the file is not there or read-only, or there is no thread to be had.
    pub(super) fn watch(path: &Path) -> Result<Arc<Self>, DbError> {
        let opened =
            identity(path).ok_or_else(|| DbError::Unavailable("its file is not there".to_owned()))?;
        let file = Self { path: path.to_owned(), opened, state: AtomicU8::new(State::Good as u8) };
        file.look().check()?;
        let file = Arc::new(file);
        let watched = Arc::downgrade(&file);
        let work = move || {
            loop {
                std::thread::sleep(PERIOD);
                let Some(file) = watched.upgrade() else { return };
                file.note(file.look());
            }
        };
        std::thread::Builder::new()
            .name("db-file".to_owned())
            .spawn(work)
            .map_err(|error| DbError::Unavailable(format!("no thread for the database: {error}")))?;
        Ok(file)
    }

    /// Whether the file was good when it was last looked at.
    ///
    /// # Errors
    /// Returns [`DbError::Unavailable`] with what is wrong and what to do.
    pub(super) fn check(&self) -> Result<(), DbError> {
        State::ALL[usize::from(self.state.load(Ordering::Relaxed))].check()
    }

    fn look(&self) -> State {
        match identity(&self.path) {
            None => State::Deleted,
            Some(found) if found != self.opened => State::Replaced,
            Some(_) if access(&self.path, Access::WRITE_OK).is_err() => State::ReadOnly,
            Some(_) => State::Good,
        }
    }

    fn note(&self, state: State) {
        let before = self.state.swap(state as u8, Ordering::Relaxed);
        if before == state as u8 {
            return;
        }
        match state.check() {
            Ok(()) => log::info!("the database file is good again"),
            Err(error) => log::error!("{error}"),
        }
    }
}

/// Device and inode of the file with this name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_inode_and_not_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("users.db"), folder.path().join("aside"));
        assert!(DatabaseFile::watch(&path).is_err());
        fs::write(&path, "").unwrap();
        let file = DatabaseFile::watch(&path).unwrap();
        assert_eq!(file.look(), State::Good);
        fs::rename(&path, &aside).unwrap();
        assert_eq!(file.look(), State::Deleted);
        fs::write(&path, "").unwrap();
        assert_eq!(file.look(), State::Replaced);
        fs::rename(&aside, &path).unwrap();
        assert_eq!(file.look(), State::Good);
        for state in State::ALL {
            file.note(state);
            assert_eq!(file.check(), state.check());
        }
    }
}
