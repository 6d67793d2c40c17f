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

    fn check_values(&self, problems: &mut Vec<SettingsError>) {
        let positive = [
            ("token.access_ttl", self.token.access_ttl, Duration::from_secs(1)),
            ("database.timeout", self.database.timeout, Duration::from_millis(1)),
            ("http_client.timeout", self.http_client.timeout, Duration::from_millis(1)),
            ("refresh.idle_ttl", self.refresh.idle_ttl, Duration::from_secs(1)),
            ("refresh.absolute_ttl", self.refresh.absolute_ttl, Duration::from_secs(1)),
            ("sign_in.state_ttl", self.sign_in.state_ttl, Duration::from_secs(1)),
            ("sign_in.code_ttl", self.sign_in.code_ttl, Duration::from_secs(1)),
            ("events.retention", self.events.retention, Duration::from_secs(1)),
        ];
        for (key, value, least) in positive {
            if value < least {
                problems.push(SettingsError::new(key, "it is too short", format!("Use at least {least:?}")));
            }
        }
        if self.admin.emails.iter().any(|email| !email.contains('@')) {
            problems.push(SettingsError::new(
                "admin.emails",
                "an entry is no e-mail address",
                "Write addresses like ada@mail.com",
            ));
        }
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
