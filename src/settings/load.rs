//! Laying the sources over each other, and saying what is wrong with them.
//!
//! Compiled-in `default.toml`, compiled-in overlay of the environment, the same two files in `config/` where they are
//! there, then environment variables. Errors name the key, the shape of the value and the remedy, never the value.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use config::{Config, ConfigError, File, FileFormat};
use secrecy::ExposeSecret;
use url::Url;

use super::Settings;

const DEFAULT: &str = include_str!("../../config/default.toml");
const DEVELOPMENT: &str = include_str!("../../config/development.toml");
const PRODUCTION: &str = include_str!("../../config/production.toml");

/// Shorter secrets do not start: RFC 7518 §3.2 wants a key as long as the hash.
const MIN_SECRET_BYTES: usize = 32;
/// Names that are routes of ours under `/auth/`.
const RESERVED_PROVIDER_NAMES: [&str; 5] =
    ["password", "refresh", "logout", "logout-all", "verify"];

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

/// What is wrong with the settings: one line that names the key, what was found and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}. {remedy}")]
pub struct SettingsError {
    /// The key, dotted; or the file.
    pub key: String,
    /// What is wrong, without the value.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl SettingsError {
    /// A problem with `key` and its remedy.
    pub fn new(
        key: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
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
        let variables: HashMap<String, OsString> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect();
        let folder = variables
            .get("TOKENBOOTH_CONFIG_DIR")
            .map_or_else(|| PathBuf::from("config"), PathBuf::from);
        Self {
            variables,
            folder: Some(folder),
        }
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
        Self {
            variables,
            folder: None,
        }
    }

    /// Whether this key is set here (compiled-in defaults and files do not count).
    #[must_use]
    pub fn sets(&self, key: &str) -> bool {
        self.variables.contains_key(&variable_name(key))
    }

    /// Chooses the overlay, as `TOKENBOOTH_ENV` does.
    #[must_use]
    pub fn environment(mut self, name: &str) -> Self {
        self.variables
            .insert("TOKENBOOTH_ENV".to_owned(), name.into());
        self
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(&self) -> Result<Settings, SettingsError> {
        let environment = match self.variable("TOKENBOOTH_ENV")?.as_deref() {
            None | Some("development") => Environment::Development,
            Some("production") => Environment::Production,
            Some(other) => Environment::Other(other.to_owned()),
        };
        let layers = self.layers(&environment)?;
        let mut settings: Settings = serde_path_to_error::deserialize(layers).map_err(|error| {
            let path = error.path().to_string();
            explain(&path, error.into_inner())
        })?;
        settings.environment = environment;
        settings.check()?;
        Ok(settings)
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
            for file in [folder.join("default.toml"), overlay_file] {
                layers =
                    layers.add_source(File::from(file).format(FileFormat::Toml).required(false));
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
        for name in self
            .variables
            .keys()
            .filter(|name| name.to_uppercase().starts_with("TOKENBOOTH__"))
        {
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
        match self
            .variables
            .get(name)
            .map(|value| value.clone().into_string())
        {
            None => Ok(None),
            Some(Ok(value)) if value.is_empty() => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => Err(SettingsError::new(
                name,
                "the variable is not valid Unicode",
                "Set it to text in UTF-8",
            )),
        }
    }
}

/// `server.port` → `TOKENBOOTH__SERVER__PORT`.
fn variable_name(key: &str) -> String {
    format!("TOKENBOOTH__{}", key.replace('.', "__").to_uppercase())
}

/// The library's error as ours: it quotes values, we must not.
fn explain(path: &str, error: ConfigError) -> SettingsError {
    let see = |key: &str| {
        format!(
            "config/default.toml describes it; the environment variable is {}",
            variable_name(key)
        )
    };
    match error {
        ConfigError::Type {
            unexpected,
            expected,
            origin,
            ..
        } => {
            let origin = origin
                .map(|origin| format!(" (from {origin})"))
                .unwrap_or_default();
            let problem = format!("expected {expected}, found {}{origin}", shape(&unexpected));
            SettingsError::new(path, problem, see(path))
        }
        ConfigError::At { error, .. } => explain(path, *error),
        ConfigError::FileParse { uri, cause } => {
            // The cause quotes the line, which may be the secret's. Its first line tells the place only.
            let place = cause
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            let file = uri.unwrap_or_else(|| "settings file".to_owned());
            SettingsError::new(file, format!("not TOML: {place}"), "Mend the line named")
        }
        ConfigError::NotFound(key) => SettingsError::new(key.clone(), "it is missing", see(&key)),
        other => {
            let message = other.to_string();
            match quoted(&message, "unknown field `") {
                Some(key) => unknown_key(path, key, &message),
                None => match quoted(&message, "missing field `")
                    .or(quoted(&message, "missing configuration field \""))
                {
                    Some(key) if !path.ends_with(key) => {
                        let key = if path.is_empty() || path == "." {
                            key.to_owned()
                        } else {
                            format!("{path}.{key}")
                        };
                        SettingsError::new(key.clone(), "it is missing", see(&key))
                    }
                    Some(_) => SettingsError::new(path, "it is missing", see(path)),
                    None => SettingsError::new(path, without_values(&message), see(path)),
                },
            }
        }
    }
}

/// "unknown variant `x`, expected …": what was given is left out.
fn without_values(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((_, expected)) if message.starts_with("unknown variant") => {
            format!(
                "expected {}",
                expected
                    .replace('`', "\"")
                    .split(" for key")
                    .next()
                    .unwrap_or_default()
            )
        }
        _ => message
            .split(" for key")
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

fn unknown_key(path: &str, key: &str, message: &str) -> SettingsError {
    let section = path.strip_suffix(key).unwrap_or(path).trim_matches('.');
    let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(key, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    let full = |key: &str| {
        if section.is_empty() {
            key.to_owned()
        } else {
            format!("{section}.{key}")
        }
    };
    let remedy = match nearest {
        Some((_, known)) => format!("Did you mean {}?", full(known)),
        None => format!("Known here: {}", known.join(", ")),
    };
    SettingsError::new(full(key), "there is no such setting", remedy)
}

fn quoted<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    let rest = &message[message.find(start)? + start.len()..];
    rest.split(['`', '"']).next()
}

/// What kind of value was found, without the value. The library's type cannot be named, its text can be read.
fn shape(unexpected: &impl fmt::Display) -> &'static str {
    let text = unexpected.to_string();
    match text.split([' ', '`', '"']).next().unwrap_or_default() {
        "boolean" => "true or false",
        "64-bit" | "128-bit" => "a whole number",
        "floating" => "a number with a fraction",
        "string" => "a text",
        "sequence" => "a list",
        "map" => "a table",
        _ => "nothing",
    }
}

impl Settings {
    /// What types alone cannot say.
    fn check(&self) -> Result<(), SettingsError> {
        self.check_secrets()?;
        self.check_urls()?;
        self.check_numbers()?;
        let github = &self.providers.github;
        if github.client_id.is_some() != github.client_secret.is_some() {
            let (set, missing) = match github.client_id {
                Some(_) => ("client_id", "client_secret"),
                None => ("client_secret", "client_id"),
            };
            return Err(SettingsError::new(
                format!("providers.github.{missing}"),
                format!("it is missing while providers.github.{set} is set"),
                "GitHub is asked with both whether a token belongs to your app: set both or neither",
            ));
        }
        for name in self.providers.oidc.keys() {
            let key = format!("providers.{name}");
            if RESERVED_PROVIDER_NAMES.contains(&name.as_str()) {
                return Err(SettingsError::new(
                    key,
                    format!("/auth/{name} is a route of its own"),
                    "Choose another name",
                ));
            }
            let plain =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
            if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
                return Err(SettingsError::new(
                    key,
                    "a provider's name is 1 to 64 lower-case letters, digits, - and _",
                    "Choose another name",
                ));
            }
        }
        Ok(())
    }

    fn check_secrets(&self) -> Result<(), SettingsError> {
        let secrets = self
            .token
            .secret
            .iter()
            .map(|secret| ("token.secret", secret));
        let previous = self
            .token
            .previous_secrets
            .iter()
            .map(|secret| ("token.previous_secrets", secret));
        for (key, secret) in secrets.chain(previous) {
            let length = secret.expose_secret().len();
            if length < MIN_SECRET_BYTES {
                return Err(SettingsError::new(
                    key,
                    format!(
                        "the secret has {length} bytes, at least {MIN_SECRET_BYTES} are needed"
                    ),
                    "Make one with `openssl rand -base64 48`",
                ));
            }
        }
        if self.token.secret.is_none() && self.environment != Environment::Development {
            return Err(SettingsError::new(
                "token.secret",
                "it is not set, and one is made up in development only",
                "Make one with `openssl rand -base64 48` and set TOKENBOOTH__TOKEN__SECRET on every replica",
            ));
        }
        Ok(())
    }

    fn check_urls(&self) -> Result<(), SettingsError> {
        let providers = &self.providers;
        let fixed = [
            (
                "providers.google.discovery_url".to_owned(),
                &providers.google.discovery_url,
            ),
            (
                "providers.google.tokeninfo_url".to_owned(),
                &providers.google.tokeninfo_url,
            ),
            (
                "providers.github.api_url".to_owned(),
                &providers.github.api_url,
            ),
            (
                "providers.github.web_url".to_owned(),
                &providers.github.web_url,
            ),
        ];
        let oidc = providers.oidc.iter().map(|(name, oidc)| {
            (
                format!("providers.{name}.discovery_url"),
                &oidc.discovery_url,
            )
        });
        for (key, text) in fixed.into_iter().chain(oidc) {
            check_provider_url(text).map_err(|problem| {
                SettingsError::new(
                    key,
                    problem,
                    "Use an https:// URL (http:// only on loopback, for a mock)",
                )
            })?;
        }
        if let Some(public_url) = &self.server.public_url {
            let url = Url::parse(public_url)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https"));
            if url.is_none_or(|url| url.query().is_some() || url.fragment().is_some())
                || public_url.ends_with('/')
            {
                return Err(SettingsError::new(
                    "server.public_url",
                    "it is not an http(s) URL without a trailing slash, query and fragment",
                    "Write it like https://auth.mail.com",
                ));
            }
        }
        for origin in self
            .cors
            .allowed_origins
            .iter()
            .filter(|origin| *origin != "*")
        {
            let same =
                Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            if !same {
                return Err(SettingsError::new(
                    "cors.allowed_origins",
                    "an entry is not an origin as browsers send it",
                    "Write scheme, host and port only, like https://app.mail.com, or \"*\"",
                ));
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), SettingsError> {
        let positive = [
            (
                "token.access_ttl",
                self.token.access_ttl,
                Duration::from_secs(1),
            ),
            (
                "database.timeout",
                self.database.timeout,
                Duration::from_millis(1),
            ),
            (
                "http_client.timeout",
                self.http_client.timeout,
                Duration::from_millis(1),
            ),
        ];
        for (key, value, least) in positive {
            if value < least {
                return Err(SettingsError::new(
                    key,
                    "it is too short",
                    format!("Use at least {least:?}"),
                ));
            }
        }
        if self.database.pool_size == Some(0) || self.server.workers == Some(0) {
            let key = if self.server.workers == Some(0) {
                "server.workers"
            } else {
                "database.pool_size"
            };
            return Err(SettingsError::new(
                key,
                "it is 0",
                "Use 1 or more, or leave it out for the default",
            ));
        }
        if self.token.audience.is_empty() {
            return Err(SettingsError::new(
                "token.audience",
                "it is empty",
                "Name the API that takes the tokens",
            ));
        }
        Ok(())
    }
}

/// `https`, or `http` to this machine.
pub(crate) fn check_provider_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is not a URL")?;
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => {
            Err("plain http:// to another machine would let anyone on the way sign in as anyone")
        }
        _ => Err("it is neither https:// nor http://"),
    }
}
