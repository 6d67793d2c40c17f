//! What types alone cannot say of the settings: secrets long enough, URLs that are safe, names that are free.

use std::time::Duration;

use secrecy::ExposeSecret;
use url::Url;

use super::{Environment, Settings, SettingsError};

/// Shorter secrets do not start: RFC 7518 §3.2 wants a key as long as the hash.
const MIN_SECRET_BYTES: usize = 32;
/// Names that are routes of ours under `/auth/`.
const RESERVED_PROVIDER_NAMES: [&str; 5] = ["password", "refresh", "logout", "logout-all", "verify"];

impl Settings {
    /// What types alone cannot say: everything that is wrong.
    pub(super) fn problems(&self) -> Vec<SettingsError> {
        let mut problems = Vec::new();
        self.check_secrets(&mut problems);
        self.check_published_secret(&mut problems);
        self.check_urls(&mut problems);
        self.check_values(&mut problems);
        problems.extend(self.password.check().err());
        self.check_providers(&mut problems);
        problems
    }

    fn check_providers(&self, problems: &mut Vec<SettingsError>) {
        let github = &self.providers.github;
        if github.client_id.is_some() != github.client_secret.is_some() {
            let (set, missing) = match github.client_id {
                Some(_) => ("client_id", "client_secret"),
                None => ("client_secret", "client_id"),
            };
            problems.push(SettingsError::new(
                format!("providers.github.{missing}"),
                format!("it is missing while providers.github.{set} is set"),
                "GitHub is asked with both whether a token belongs to your app: set both or neither",
            ));
        }
        for (name, oidc) in &self.providers.oidc {
            let key = format!("providers.{name}");
            if RESERVED_PROVIDER_NAMES.contains(&name.as_str()) {
                problems.push(SettingsError::new(
                    key.clone(),
                    format!("/auth/{name} is a route of its own"),
                    "Choose another name",
                ));
            }
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
            if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
                problems.push(SettingsError::new(
                    key,
                    "a provider's name is 1 to 64 lower-case letters, digits, - and _",
                    "Choose another name",
                ));
            }
            problems.extend(oidc.check(name).err());
        }
        problems.extend(self.providers.check_issuers().err());
    }

    fn check_secrets(&self, problems: &mut Vec<SettingsError>) {
        let secrets = self.token.secret.iter().map(|secret| ("token.secret", secret));
        let previous = self.token.previous_secrets.iter().map(|secret| ("token.previous_secrets", secret));
        for (key, secret) in secrets.chain(previous) {
            let length = secret.expose_secret().len();
            if length < MIN_SECRET_BYTES {
                problems.push(SettingsError::new(
                    key,
                    format!("the secret has {length} bytes, at least {MIN_SECRET_BYTES} are needed"),
                    "Make one with `openssl rand -base64 48`",
                ));
            }
        }
        if self.token.secret.is_none() && self.environment != Environment::Development {
            problems.push(SettingsError::new(
                "token.secret",
                "it is not set, and one is made up in development only",
                "Make one with `openssl rand -base64 48` and set TOKENBOOTH__TOKEN__SECRET on every replica",
            ));
        }
    }

    fn check_urls(&self, problems: &mut Vec<SettingsError>) {
        let providers = &self.providers;
        let fixed = [
            ("providers.google.discovery_url".to_owned(), &providers.google.discovery_url),
            ("providers.google.tokeninfo_url".to_owned(), &providers.google.tokeninfo_url),
            ("providers.github.api_url".to_owned(), &providers.github.api_url),
            ("providers.github.web_url".to_owned(), &providers.github.web_url),
        ];
        let oidc = providers
            .oidc
            .iter()
            .map(|(name, oidc)| (format!("providers.{name}.discovery_url"), &oidc.discovery_url));
        for (key, text) in fixed.into_iter().chain(oidc) {
            if let Err(problem) = check_provider_url(text) {
                let remedy = "Use an https:// URL (http:// only on loopback, for a mock)";
                problems.push(SettingsError::new(key, problem, remedy));
            }
        }
        if let Some(public_url) = &self.server.public_url {
            let url = Url::parse(public_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            if url.is_none_or(|url| url.query().is_some() || url.fragment().is_some())
                || public_url.ends_with('/')
            {
                problems.push(SettingsError::new(
                    "server.public_url",
                    "it is not an http(s) URL without a trailing slash, query and fragment",
                    "Write it like https://auth.mail.com",
                ));
            }
        }
        for origin in self.cors.allowed_origins.iter().filter(|origin| *origin != "*") {
            let same = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            if !same {
                problems.push(SettingsError::new(
                    "cors.allowed_origins",
                    "an entry is not an origin as browsers send it",
                    "Write scheme, host and port only, like https://app.mail.com, or \"*\"",
                ));
            }
        }
    }

    fn check_admin_emails(&self, problems: &mut Vec<SettingsError>) {
        let known =
            |name: &str| matches!(name, "google" | "github") || self.providers.oidc.contains_key(name);
        for (number, entry) in (1..).zip(&self.admin.emails) {
            let problem = match super::split_admin_email(entry) {
                Some((provider, _)) if known(&provider) => continue,
                Some(_) => format!("entry {number} names a provider that is not configured"),
                None if entry.contains(':') => {
                    format!("entry {number} is not a provider's name, a colon and an e-mail address")
                }
                None => format!("entry {number} does not say which provider must have verified the address"),
            };
            let remedy = "Write \"<provider>:<address>\", such as \"google:ada@mail.com\"";
            problems.push(SettingsError::new("admin.emails", problem, remedy));
        }
    }

    fn check_values(&self, problems: &mut Vec<SettingsError>) {
        let positive = [
            ("token.access_ttl", self.token.access_ttl, Duration::from_secs(1)),
            ("server.body_timeout", self.server.body_timeout, Duration::from_millis(1)),
            ("database.timeout", self.database.timeout, Duration::from_millis(1)),
            ("database.max_lifetime", self.database.max_lifetime, Duration::from_secs(1)),
            ("http_client.timeout", self.http_client.timeout, Duration::from_millis(1)),
            ("refresh.idle_ttl", self.refresh.idle_ttl, Duration::from_secs(1)),
            ("refresh.absolute_ttl", self.refresh.absolute_ttl, Duration::from_secs(1)),
            ("sign_in.state_ttl", self.sign_in.state_ttl, Duration::from_secs(1)),
            ("sign_in.code_ttl", self.sign_in.code_ttl, Duration::from_secs(1)),
            ("events.retention", self.events.retention, Duration::from_secs(1)),
            ("events.refused_retention", self.events.refused_retention, Duration::from_secs(1)),
        ];
        for (key, value, least) in positive {
            if value < least {
                problems.push(SettingsError::new(key, "it is too short", format!("Use at least {least:?}")));
            }
        }
        self.check_bounds(problems);
        self.check_admin_emails(problems);
        problems.extend(self.sign_in.problems());
        if self.token.audience.is_empty() {
            problems.push(SettingsError::new(
                "token.audience",
                "it is empty",
                "Name the API that takes the tokens",
            ));
        }
    }
}

impl Settings {
    /// What is accepted by its lifetime alone must not outlive the moment when somebody notices that it leaked.
    fn check_bounds(&self, problems: &mut Vec<SettingsError>) {
        let bounded = [
            ("token.access_ttl", self.token.access_ttl, Duration::from_hours(24), "24h"),
            ("sign_in.code_ttl", self.sign_in.code_ttl, Duration::from_mins(10), "10m"),
            ("sign_in.state_ttl", self.sign_in.state_ttl, Duration::from_hours(1), "1h"),
        ];
        for (key, value, most, written) in bounded {
            if value > most {
                let problem =
                    format!("it is {}, at most {written} are accepted", humantime::format_duration(value));
                problems.push(SettingsError::new(key, problem, format!("Use \"{written}\" or less")));
            }
        }
    }

    /// A secret that anybody can know is none. Only for `token.secret`: a previous one has to unseal stored keys until they are
    /// sealed anew.
    fn check_published_secret(&self, problems: &mut Vec<SettingsError>) {
        let Some(secret) = self.token.secret.as_ref().map(ExposeSecret::expose_secret) else { return };
        let problem = match () {
            () if self.environment == Environment::Development => return,
            () if is_repetition(secret) => "it is one short text, repeated",
            () if is_published(secret) => {
                "it stands in the documentation or an example, where everybody can read it"
            }
            () => return,
        };
        problems.push(SettingsError::new("token.secret", problem, "Make one with `openssl rand -base64 48`"));
    }
}

/// Secrets that stand in the documentation, an example or a script of this repository. A test compares this list with them.
const PUBLISHED_SECRETS: [&str; 2] =
    ["for-this-check-and-for-nothing-else-0123456789", "a secret of the benchmarks, used nowhere else"];

fn is_published(secret: &str) -> bool {
    PUBLISHED_SECRETS.contains(&secret.trim())
}

/// Whether the secret repeats a text of at most four bytes.
fn is_repetition(secret: &str) -> bool {
    let bytes = secret.as_bytes();
    (1..=4).any(|period| bytes.iter().zip(bytes.iter().skip(period)).all(|(one, other)| one == other))
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
        "http" => Err("plain http:// to another machine would let anyone on the way sign in as anyone"),
        _ => Err("it is neither https:// nor http://"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn files_in(path: &Path, found: &mut Vec<PathBuf>) {
        if path.is_file() {
            found.push(path.to_owned());
            return;
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let skipped = ["target", "node_modules", ".git"].iter().any(|name| entry.file_name() == *name);
            if !skipped {
                files_in(&entry.path(), found);
            }
        }
    }

    /// What a line sets as `token.secret`, however it is written, if it is long enough to be a secret.
    fn secrets_in(line: &str) -> Vec<String> {
        let sets = line.contains("TOKEN__SECRET=") || line.contains("\"token.secret\"") || {
            let start = line.trim_start_matches(['#', ' ', '$']);
            start.starts_with("secret = ") || start.starts_with("previous_secrets = ")
        };
        if !sets {
            return Vec::new();
        }
        let quoted = line.split('"').skip(1).step_by(2).map(str::to_owned);
        let assigned = line.split("SECRET=").skip(1).filter_map(|rest| rest.split_whitespace().next());
        let assigned = assigned.map(|value| value.trim_matches(['"', '\'', '`']).to_owned());
        let drawn = |text: &String| ["$(", "${", "<", "%s"].iter().any(|mark| text.contains(mark));
        quoted.chain(assigned).filter(|text| text.len() >= MIN_SECRET_BYTES && !drawn(text)).collect()
    }

    #[test]
    fn every_secret_that_stands_in_this_repository_is_known() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        let places = "README.md CHANGELOG.md docs examples config contrib compose.yaml Dockerfile Makefile .ci benches/src";
        for place in places.split(' ') {
            files_in(&root.join(place), &mut files);
        }
        assert!(files.len() > 30, "{} files", files.len());
        let mut found: Vec<String> = Vec::new();
        for text in files.iter().filter_map(|file| fs::read_to_string(file).ok()) {
            found.extend(text.lines().flat_map(secrets_in));
        }
        for secret in &found {
            assert!(is_published(secret), "it is not in PUBLISHED_SECRETS: {secret}");
        }
        for secret in PUBLISHED_SECRETS {
            assert!(found.iter().any(|found| found == secret), "it stands nowhere any more: {secret}");
        }
    }

    #[test]
    fn a_repetition_is_known_and_what_was_drawn_is_none() {
        assert!(is_repetition(&"s".repeat(48)) && is_repetition(&"0123".repeat(8)));
        assert!(!is_repetition("c5a1f04be2d87963a0b1e94d7f263c58"));
    }
}
