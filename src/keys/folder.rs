//! Keys in files: `<kid>.json` each, the private key as a JWK with our times beside it, for its owner's eyes only.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::store::StoreError;
use crate::clock::Timestamp;
use crate::stored_key::StoredKey;

/// Longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024;
/// Nobody else may read it, nobody of the group write it.
const FORBIDDEN_MODE: u32 = 0o027;

/// A folder of keys.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

/// What a file says; the rest of it is the key, and gone when it was retired.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    kid: String,
    alg: String,
    created_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signs_from: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired_at: Option<i64>,
    #[serde(flatten)]
    material: Map<String, Value>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The keys in it. Files of other names are none.
    pub(super) fn list(&self) -> Result<Vec<StoredKey>, StoreError> {
        let failed = |error: &io::Error| StoreError::folder(&self.path, error);
        let mut keys = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|error| failed(&error))? {
            let path = entry.map_err(|error| failed(&error))?.path();
            // A temporary file of ours begins with a dot.
            let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && path.extension().is_some_and(|extension| extension == "json") {
                keys.push(read(&path)?);
            }
        }
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(keys)
    }

    /// Written whole before it has its name: who reads meanwhile sees the old one or the new one. A temporary file can be
    /// read by its owner only (0600), and stays so.
    pub(super) fn write(&self, key: &StoredKey) -> Result<(), StoreError> {
        let path = self.path.join(format!("{}.json", key.id));
        let failed = |error: &io::Error| StoreError::folder(&path, error);
        let material = key.material.as_deref().map_or(Ok(Map::new()), serde_json::from_str);
        let mut material = material.map_err(|_| failed(&no_key("the key is no JSON object")))?;
        material.remove("kid");
        let file = KeyFile {
            kid: key.id.clone(),
            alg: key.algorithm.to_string(),
            created_at: key.created_at.0,
            signs_from: key.signs_from.map(|at| at.0),
            retired_at: key.retired_at.map(|at| at.0),
            material,
        };
        let text = serde_json::to_string_pretty(&file).map_err(|_| failed(&no_key("it is no JSON")))?;
        let written = tempfile::Builder::new().prefix(".key").tempfile_in(&self.path).and_then(|mut file| {
            writeln!(file, "{text}")?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)
        });
        written.map(drop).map_err(|error| failed(&error))
    }
}

fn read(path: &Path) -> Result<StoredKey, StoreError> {
    let failed = |error: &io::Error| StoreError::folder(path, error);
    let metadata = fs::metadata(path).map_err(|error| failed(&error))?;
    if metadata.permissions().mode() & FORBIDDEN_MODE != 0 {
        return Err(failed(&no_key("others may read it, or the group write it: `chmod 600` it")));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(failed(&no_key("it is too long to be a key")));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    // The parser's own message quotes what it read.
    let file: KeyFile = serde_json::from_str(&text)
        .map_err(|_| failed(&no_key("it is no JSON object with kid, alg, created_at and a key")))?;
    if path.file_stem().is_none_or(|stem| *stem != *file.kid) {
        return Err(failed(&no_key("its kid is not its name")));
    }
    let algorithm = file.alg.parse().map_err(|_| failed(&no_key("its alg is not one of ours")))?;
    let mut material = file.material;
    let material = (!material.is_empty()).then(|| {
        material.insert("kid".to_owned(), Value::String(file.kid.clone()));
        Value::Object(material).to_string()
    });
    Ok(StoredKey {
        id: file.kid,
        algorithm,
        material,
        created_at: Timestamp(file.created_at),
        signs_from: file.signs_from.map(Timestamp),
        retired_at: file.retired_at.map(Timestamp),
    })
}

fn no_key(reason: &str) -> io::Error {
    io::Error::other(reason.to_owned())
}
