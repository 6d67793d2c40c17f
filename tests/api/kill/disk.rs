//! A disk that loses everything which was not synced when the power is cut.
//!
//! `synced.c`, preloaded into the service, copies each file at each sync. [`Disk::cut`] puts the copies in a folder of their own,
//! as the machine would find them when it starts again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::databases::TestDatabase;
use crate::support::process::Tokenbooth;

/// What `synced.c` makes of the disk under one database in SQLite.
pub struct Disk {
    folder: TempDir,
    /// Of the database, as it is without a power cut.
    database: PathBuf,
    keeps_history: bool,
}

impl Disk {
    /// A disk on which the database is as it is now.
    pub fn under(db: &TestDatabase) -> Self {
        let database = PathBuf::from(db.url.strip_prefix("sqlite://").expect("a database in SQLite"));
        let disk = Self { folder: tempfile::tempdir().expect("a folder"), database, keeps_history: false };
        for folder in [disk.synced(), disk.history()] {
            fs::create_dir(folder).expect("a folder");
        }
        disk.compile();
        disk.power_on();
        disk
    }

    /// Keeps what a cut after each sync would leave, too.
    pub fn with_history(self) -> Self {
        Self { keeps_history: true, ..self }
    }

    /// A command whose files are on this disk.
    pub fn of(&self, command: Tokenbooth) -> Tokenbooth {
        let command = command.env("LD_PRELOAD", self.library()).env("SYNCED_FILES", self.synced());
        if self.keeps_history { command.env("SYNCED_HISTORY", self.history()) } else { command }
    }

    /// What a power cut at this moment would leave, as the URL of a database.
    pub fn cut(&self) -> (TempDir, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = copied(&self.synced(), folder.path(), &self.database);
        (folder, url)
    }

    /// What a cut after each sync would have left, one database after the other.
    pub fn cuts(&self) -> impl Iterator<Item = (TempDir, String)> {
        let folders = (0..).map(|number| self.history().join(number.to_string()));
        folders.take_while(|folder| folder.exists()).map(|from| {
            let folder = tempfile::tempdir().expect("a folder");
            let url = copied(&from, folder.path(), &self.database);
            (folder, url)
        })
    }

    /// The database is from now on what a power cut has left.
    pub fn lose_what_is_not_synced(&self) {
        for file in files_of(&self.database) {
            let _ = fs::remove_file(file);
        }
        copied(&self.synced(), self.database.parent().expect("a folder"), &self.database);
    }

    /// What is there now is on the disk.
    pub fn power_on(&self) {
        for entry in fs::read_dir(self.synced()).expect("a folder") {
            fs::remove_file(entry.expect("an entry").path()).expect("a file");
        }
        copied(self.database.parent().expect("a folder"), &self.synced(), &self.database);
    }

    fn compile(&self) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/kill/synced.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(self.library()).arg(source);
        let output = compiler.output().expect("a C compiler, which the product needs as well");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("synced.so")
    }

    fn synced(&self) -> PathBuf {
        self.folder.path().join("synced")
    }

    fn history(&self) -> PathBuf {
        self.folder.path().join("history")
    }
}

/// The files in which SQLite keeps what must not be lost; `-shm` is an index that it makes anew.
fn files_of(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", database.display())))
}

/// Copies the database's files from one folder to the other; answers with the URL.
fn copied(from: &Path, to: &Path, database: &Path) -> String {
    let name = database.file_name().expect("a name");
    let [source, log, _] = files_of(&from.join(name));
    let [target, target_log, _] = files_of(&to.join(name));
    fs::copy(source, &target).expect("a database");
    if log.exists() {
        fs::copy(log, target_log).expect("its log");
    }
    format!("sqlite://{}", target.display())
}
