//! The secret of development: made once and kept beside the database, so that tokens outlive a restart and nobody has
//! to set anything to try the service.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::SecretString;

use crate::db::DatabaseUrl;

/// Bytes of randomness.
const SECRET_BYTES: usize = 48;

/// The secret in the file beside the database (in the working directory for PostgreSQL), made when it is not there.
///
/// # Errors
/// The file's path and the system's reason.
pub(crate) fn read_or_create(url: &DatabaseUrl) -> Result<SecretString, (PathBuf, io::Error)> {
    let path = path(url);
    let failed = |reason| (path.clone(), reason);
    if let Some(secret) = read(&path).map_err(failed)? {
        return Ok(secret);
    }
    create(&path).map_err(failed)?;
    log::warn!("token.secret is not set: one was made for development and kept in {}", path.display());
    read(&path).map_err(failed)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

/// Returns where the secret is kept.
pub(crate) fn path(url: &DatabaseUrl) -> PathBuf {
    match url.file() {
        Some(file) => {
            let mut name = file.file_name().unwrap_or_default().to_owned();
            name.push(".secret");
            file.with_file_name(name)
        }
        None => PathBuf::from("tokenbooth.secret"),
    }
}

fn read(path: &Path) -> io::Result<Option<SecretString>> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= 32 => Ok(Some(text.trim().to_owned().into())),
        Ok(_) => Err(io::Error::other("it holds less than 32 bytes; delete it")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Written whole before it has its name, and never over another's: of two processes that start at once, both go on with
/// the same secret. A temporary file can be read by its owner only (0600), and stays so.
fn create(path: &Path) -> io::Result<()> {
    let mut secret = [0; SECRET_BYTES];
    SystemRandom::new().fill(&mut secret).map_err(|_| io::Error::other("no randomness"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{}", BASE64_STANDARD.encode(secret))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}
