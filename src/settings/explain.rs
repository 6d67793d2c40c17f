//! What is wrong with the settings, in one line that names the key, the shape of the value and the remedy, never the value.

use std::fmt;

use config::ConfigError;

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
    pub fn new(key: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

/// `server.port` → `TOKENBOOTH__SERVER__PORT`.
pub(super) fn variable_name(key: &str) -> String {
    format!("TOKENBOOTH__{}", key.replace('.', "__").to_uppercase())
}

/// The library's error as ours: it quotes values, we must not.
pub(super) fn explain(path: &str, error: ConfigError) -> SettingsError {
    // An item of a list has no variable of its own.
    let path = path.split('[').next().unwrap_or_default();
    let see = |key: &str| {
        format!("config/default.toml describes it; the environment variable is {}", variable_name(key))
    };
    match error {
        ConfigError::Type { unexpected, expected, origin, .. } => {
            let origin = origin.map(|origin| format!(" (from {origin})")).unwrap_or_default();
            let problem = format!("expected {expected}, found {}{origin}", shape(&unexpected));
            SettingsError::new(path, problem, see(path))
        }
        ConfigError::At { error, .. } => explain(path, *error),
        ConfigError::FileParse { uri, cause } => {
            // The cause quotes the line, which may be the secret's. Its first line tells the place only.
            let place = cause.to_string().lines().next().unwrap_or_default().to_owned();
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

/// serde's "invalid type: string "…", expected …": what was given is left out. Messages of `values.rs` hold no value and
/// are kept.
fn without_values(message: &str) -> String {
    let message = message.split(" for key").next().unwrap_or_default();
    match message.rsplit_once(", expected ") {
        // Serde names a section by the struct it fills.
        Some((_, expected)) if expected.starts_with("struct ") => "expected a table".to_owned(),
        Some((given, expected)) if given.starts_with("invalid ") => format!("expected {expected}"),
        _ => message.to_owned(),
    }
}

fn unknown_key(path: &str, key: &str, message: &str) -> SettingsError {
    let section = path.strip_suffix(key).unwrap_or(path).trim_matches('.');
    let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(key, known), *known))
        .min()
        // In a short word, most other short words are near.
        .filter(|(distance, _)| *distance <= (key.len() / 3).clamp(1, 3));
    let full = |key: &str| {
        if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
    };
    let remedy = match nearest {
        Some((_, known)) => format!("Did you mean {}?", full(known)),
        None => format!("Known here: {}", known.join(", ")),
    };
    SettingsError::new(full(key), "there is no such setting", remedy)
}

fn quoted<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    // At the beginning only: further on it may be part of a value.
    let rest = message.strip_prefix(start)?;
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
