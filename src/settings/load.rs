//! Laying the sources over each other.
//!
//! Compiled-in `default.toml`, compiled-in overlay of the environment, the same two files in `config/` where they are
//! there, then environment variables. `check.rs` then looks at what types alone cannot say; `explain.rs` puts what is
//! wrong into words.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat};

use super::explain::{SettingsError, explain, variable_name};
use super::read_from::key_files;
use super::{LogFormat, ReadFrom, Settings};
use crate::secret_file;

const DEFAULT: &str = include_str!("../../config/default.toml");
const DEVELOPMENT: &str = include_str!("../../config/development.toml");
const PRODUCTION: &str = include_str!("../../config/production.toml");

/// `TOKENBOOTH_ENV`: which overlay is laid over the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Environment {
    /// Also when the variable is not set. A missing secret is made.
    #[default]
    Development,
    /// Nothing is made up, and no mock starts.
    Production,
    /// Any other name: its overlay must be a file in `config/`.
    Other(String),
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
            Self::Other(name) => name,
        })
    }
}

/// Where settings come from: the process's variables and a folder, or what a test or an embedding app hands in.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    variables: HashMap<String, OsString>,
    folder: Option<PathBuf>,
}

impl Sources {
    /// The process's environment variables and the folder `config` (or `TOKENBOOTH_CONFIG_DIR`).
    #[must_use]
    pub fn from_process() -> Self {
        let variables: HashMap<String, OsString> =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        let folder =
            variables.get("TOKENBOOTH_CONFIG_DIR").map_or_else(|| PathBuf::from("config"), PathBuf::from);
        Self { variables, folder: Some(folder) }
    }

    /// Only the compiled-in defaults, to be laid over with [`Sources::with`].
    #[must_use]
    pub fn defaults() -> Self {
        Self::default()
    }

    /// Sets one key as the environment would: `with("server.port", "0")`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(variable_name(key), value.into());
        self
    }

    /// The process's variables whose names begin so, and no folder: for a command that must not be led astray by
    /// settings meant for the service.
    #[must_use]
    pub fn from_variables(prefixes: &[&str]) -> Self {
        let Self { mut variables, .. } = Self::from_process();
        variables.retain(|name, _| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        Self { variables, folder: None }
    }

    /// Whether this key is set here (compiled-in defaults and files do not count).
    #[must_use]
    pub fn sets(&self, key: &str) -> bool {
        self.variables.contains_key(&variable_name(key))
    }

    /// Chooses the overlay, as `TOKENBOOTH_ENV` does.
    #[must_use]
    pub fn environment(mut self, name: &str) -> Self {
        self.variables.insert("TOKENBOOTH_ENV".to_owned(), name.into());
        self
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(&self) -> Result<Settings, SettingsError> {
        let settings = self.read()?;
        match settings.problems().into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(settings),
        }
    }

    /// The settings, and everything that is wrong with them: none when they cannot even be read. A variable that is refused is
    /// left out, to see what else is wrong.
    #[must_use]
    pub fn examine(&self) -> (Option<Settings>, Vec<SettingsError>) {
        let (mut sources, mut problems) = (self.clone(), Vec::new());
        loop {
            match sources.read() {
                Ok(settings) if problems.is_empty() => {
                    problems = settings.problems();
                    return (Some(settings), problems);
                }
                // What was left out may have led elsewhere: these are not the settings that are meant.
                Ok(settings) => {
                    problems.extend(settings.problems());
                    return (None, problems);
                }
                Err(problem) => {
                    let refused = sources.variable_of(&problem.key);
                    problems.push(problem);
                    let Some(name) = refused else { return (None, problems) };
                    sources.variables.remove(&name);
                }
            }
        }
    }

    /// The variable that a problem's key is about: of its setting, or called so itself.
    fn variable_of(&self, key: &str) -> Option<String> {
        let wanted = [variable_name(key), key.to_uppercase()];
        let found = self.variables.keys().find(|name| wanted.contains(&name.to_uppercase()));
        let found = found.cloned();
        let elsewhere = || self.variables.contains_key("DATABASE_URL").then(|| "DATABASE_URL".to_owned());
        found.or_else(|| if key == "database.url" { elsewhere() } else { None })
    }

    /// What types alone can say.
    fn read(&self) -> Result<Settings, SettingsError> {
        let environment = self.environment_named()?;
        let layers = self.layers(&environment)?;
        let read_from = self.read_from(&environment, &layers);
        let mut settings: Settings = serde_path_to_error::deserialize(layers).map_err(|error| {
            let path = error.path().to_string();
            explain(&path, error.into_inner())
        })?;
        settings.environment = environment;
        settings.read_from = read_from;
        if settings.token.secret.is_none() && settings.environment == Environment::Development {
            settings.read_from.files.push(secret_file::path(&settings.database.url));
        }
        Ok(settings)
    }

    /// Names what is read; a variable that is empty is as good as none.
    fn read_from(&self, environment: &Environment, layers: &Config) -> ReadFrom {
        let files = self.folder.iter().flat_map(|folder| files_of(folder, environment));
        let files = files.filter(|file| file.is_file()).chain(key_files(layers)).collect();
        let url = variable_name("database.url");
        let is_set = |name: &str| self.variables.get(name).is_some_and(|value| !value.is_empty());
        let own = |name: &&String| {
            let upper = name.to_uppercase();
            upper.starts_with("TOKENBOOTH__") || upper == "TOKENBOOTH_ENV" || upper == "TOKENBOOTH_CONFIG_DIR"
        };
        let foreign = |name: &str| (name == "DATABASE_URL" && !is_set(&url)) || name == "RUST_LOG";
        let variables = self.variables.keys().filter(|name| own(name) || foreign(name));
        ReadFrom { files, variables: variables.filter(|name| is_set(name)).cloned().collect() }
    }

    /// `log.format`, also when something else is wrong: the complaint about it is written as the rest of the log would be.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        let environment = self.environment_named().unwrap_or_default();
        let layers = self.layers(&environment).or_else(|_| {
            // A file that cannot be read, or a variable: what is left says it.
            let mut alone = Self { variables: self.variables.clone(), folder: None };
            alone.variables.retain(|name, _| *name == variable_name("log.format"));
            alone.layers(&environment)
        });
        match layers.map(|layers| layers.get_string("log.format")) {
            Ok(Ok(format)) if format == "json" => LogFormat::Json,
            _ => LogFormat::Text,
        }
    }

    fn environment_named(&self) -> Result<Environment, SettingsError> {
        Ok(match self.variable("TOKENBOOTH_ENV")?.as_deref() {
            None | Some("development") => Environment::Development,
            Some("production") => Environment::Production,
            Some(other) => Environment::Other(other.to_owned()),
        })
    }

    fn layers(&self, environment: &Environment) -> Result<Config, SettingsError> {
        let overlay = match environment {
            Environment::Development => DEVELOPMENT,
            Environment::Production => PRODUCTION,
            Environment::Other(_) => "",
        };
        let mut layers = Config::builder()
            .add_source(File::from_str(DEFAULT, FileFormat::Toml))
            .add_source(File::from_str(overlay, FileFormat::Toml));
        if let Some(folder) = &self.folder {
            let overlay_file = folder.join(format!("{environment}.toml"));
            if let Environment::Other(name) = environment
                && !overlay_file.is_file()
            {
                return Err(SettingsError::new(
                    "TOKENBOOTH_ENV",
                    format!("there is no file {name}.toml in the settings folder"),
                    "Use development or production, or write that file",
                ));
            }
            for file in files_of(folder, environment) {
                layers = layers.add_source(File::from(file).format(FileFormat::Toml).required(false));
            }
        }
        layers
            .add_source(
                config::Environment::with_prefix("TOKENBOOTH")
                    .prefix_separator("__")
                    .separator("__")
                    .ignore_empty(true)
                    .source(Some(self.overrides()?)),
            )
            .build()
            .map_err(|error| explain("", error))
    }

    /// The variables that are settings. A value that is not Unicode is refused by name; the library would print it.
    fn overrides(&self) -> Result<HashMap<String, String>, SettingsError> {
        let mut overrides = HashMap::new();
        for name in self.variables.keys() {
            let upper = name.to_uppercase();
            if !upper.starts_with("TOKENBOOTH__") {
                // Read as no setting at all, it would start with the default. A container platform's own variables for a
                // service called tokenbooth (TOKENBOOTH_PORT …) have single underscores only.
                if let Some(rest) = upper.strip_prefix("TOKENBOOTH_")
                    && rest.contains("__")
                {
                    return Err(SettingsError::new(
                        name,
                        "there is no such setting",
                        format!("Did you mean TOKENBOOTH__{rest}?"),
                    ));
                }
                continue;
            }
            if let Some(value) = self.variable(name)? {
                overrides.insert(name.clone(), value);
            }
        }
        let url = "TOKENBOOTH__DATABASE__URL";
        if !overrides.contains_key(url)
            && let Some(value) = self.variable("DATABASE_URL")?
        {
            overrides.insert(url.to_owned(), value);
        }
        Ok(overrides)
    }

    fn variable(&self, name: &str) -> Result<Option<String>, SettingsError> {
        match self.variables.get(name).map(|value| value.clone().into_string()) {
            None => Ok(None),
            Some(Ok(value)) if value.is_empty() => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => {
                Err(SettingsError::new(name, "the variable is not valid Unicode", "Set it to text in UTF-8"))
            }
        }
    }
}

/// The files of a folder that are read, the last one on top.
fn files_of(folder: &Path, environment: &Environment) -> [PathBuf; 2] {
    [folder.join("default.toml"), folder.join(format!("{environment}.toml"))]
}
