//! Names every file and variable that settings were read from, so that a file which is not read, or a variable that is mistyped, is
//! noticed at once. Names only: the values may be secrets.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use config::{Config, Value};

/// Where settings came from, besides the defaults that are compiled in.
#[derive(Debug, Clone, Default)]
pub struct ReadFrom {
    /// Files, in the order in which they are laid over each other, then the files of keys that they name.
    pub files: Vec<PathBuf>,
    /// The names of environment variables.
    pub variables: BTreeSet<String>,
}

impl ReadFrom {
    /// Says it in two lines.
    #[must_use]
    pub fn lines(&self) -> [String; 2] {
        let listed = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let files = self.files.iter().map(|file| file.display().to_string()).collect();
        let variables = self.variables.iter().cloned().collect();
        [format!("files read: {}", listed(files)), format!("variables read: {}", listed(variables))]
    }
}

/// Returns the files of keys that the settings name, as far as they are there.
pub(super) fn key_files(layers: &Config) -> Vec<PathBuf> {
    let providers: HashMap<String, Value> = layers.get_table("providers").unwrap_or_default();
    let mut files: Vec<PathBuf> = providers
        .into_values()
        .filter_map(|provider| provider.into_table().ok()?.remove("private_key_file")?.into_string().ok())
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .collect();
    files.sort();
    files
}
