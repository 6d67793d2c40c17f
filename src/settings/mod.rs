//! Every setting, typed. What each is for and its default stand in `config/default.toml`, which is compiled in;
//! `load.rs` says in which order the sources are laid over each other, `check.rs` what is asked of them beyond types.

mod check;
mod explain;
mod issuers;
mod load;
mod oidc;
mod password;
mod providers;
mod public_url;
mod read_from;
mod sign_in;
mod values;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

pub(crate) use self::check::check_provider_url;
pub use self::explain::SettingsError;
pub use self::issuers::ProviderIssuer;
pub(crate) use self::issuers::{APPLE_ISSUERS, issuer_of};
pub use self::load::{Environment, Sources};
pub use self::oidc::{
    AppleSettings, ClientAuthentication, EmailVerified, NoncePolicy, OidcKind, OidcSettings, Prompt,
    ResponseMode, Tenancy, TenantScope, is_tenant_id,
};
pub use self::password::PasswordSettings;
pub use self::providers::{GithubSettings, GoogleSettings, ProvidersSettings};
pub use self::public_url::PublicUrl;
pub use self::read_from::ReadFrom;
pub use self::sign_in::SignInSettings;
pub use self::values::ListenAddress;
use crate::db::{DatabaseUrl, PreparedStatements, Synchronous};
use crate::email;

/// All settings, checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which overlay was chosen by `TOKENBOOTH_ENV`.
    #[serde(skip)]
    pub environment: Environment,
    /// Which files and variables they were read from.
    #[serde(skip)]
    pub read_from: ReadFrom,
    /// Where we listen and how we are reached.
    pub server: ServerSettings,
    /// Where users are kept.
    pub database: DatabaseSettings,
    /// Our own token.
    pub token: TokenSettings,
    /// The keys that sign it.
    pub keys: KeysSettings,
    /// Who may prove a user to us.
    pub providers: ProvidersSettings,
    /// The cache of provider keys.
    pub jwks: JwksSettings,
    /// Requests to providers.
    pub http_client: HttpClientSettings,
    /// The rules for accounts.
    pub accounts: AccountsSettings,
    /// Passwords and the work of hashing them.
    pub password: PasswordSettings,
    /// Registered clients.
    pub clients: ClientsSettings,
    /// Refresh tokens.
    pub refresh: RefreshSettings,
    /// How many sessions there may be.
    pub sessions: SessionsSettings,
    /// Signing in by way of a browser.
    pub sign_in: SignInSettings,
    /// Administrators.
    pub admin: AdminSettings,
    /// The audit trail.
    pub events: EventsSettings,
    /// Where the process is watched.
    pub management: ManagementSettings,
    /// How often one may ask.
    pub rate_limit: RateLimitSettings,
    /// Browsers of other origins.
    pub cors: CorsSettings,
    /// What is logged.
    pub log: LogSettings,
}

impl Settings {
    /// How clients reach us: `server.public_url`, or made from host and port.
    #[must_use]
    pub fn public_url(&self) -> String {
        let server = &self.server;
        server.public_url.clone().unwrap_or_else(|| {
            // Listening everywhere is no place to be reached at.
            let host =
                if matches!(server.host.as_str(), "0.0.0.0" | "::") { "localhost" } else { &server.host };
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            format!("http://{host}:{}", server.port)
        })
    }
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address or name to listen on.
    pub host: String,
    /// Port to listen on; 0 for any.
    #[serde(deserialize_with = "values::port")]
    pub port: u16,
    /// Worker threads; two more than there are cores when absent.
    #[serde(default, deserialize_with = "values::count")]
    pub workers: Option<usize>,
    /// How clients reach us, without a trailing slash.
    pub public_url: Option<String>,
    /// Whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "values::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// How long the body of a request may take to arrive.
    #[serde(deserialize_with = "values::duration")]
    pub body_timeout: Duration,
    /// How long a stopping process waits for requests in flight.
    #[serde(deserialize_with = "values::duration")]
    pub shutdown_timeout: Duration,
}

impl ServerSettings {
    /// Whether `peer` is a proxy whose headers are believed.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// Where it is.
    #[serde(deserialize_with = "values::database_url")]
    pub url: DatabaseUrl,
    /// Connections; by backend when absent.
    #[serde(default, deserialize_with = "values::count")]
    pub pool_size: Option<u32>,
    /// Whether statements are prepared once and used again.
    #[serde(deserialize_with = "values::prepared_statements")]
    pub prepared_statements: PreparedStatements,
    /// How long a request waits for it.
    #[serde(deserialize_with = "values::duration")]
    pub timeout: Duration,
    /// How long a connection to PostgreSQL is used.
    #[serde(deserialize_with = "values::duration")]
    pub max_lifetime: Duration,
    /// When a change in SQLite is on the disk.
    #[serde(deserialize_with = "values::synchronous")]
    pub synchronous: Synchronous,
    /// How long a starting service waits for it.
    #[serde(deserialize_with = "values::duration")]
    pub start_timeout: Duration,
    /// Run pending migrations at start.
    pub migrate_on_start: bool,
}

/// `[token]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// Signs and verifies our tokens; 32 bytes or more.
    #[serde(default, deserialize_with = "values::secret")]
    pub secret: Option<SecretString>,
    /// Secrets that still verify.
    #[serde(deserialize_with = "values::secrets")]
    pub previous_secrets: Vec<SecretString>,
    /// The `iss` claim; `server.public_url` when absent.
    pub issuer: Option<String>,
    /// The `aud` claim.
    pub audience: String,
    /// How long a token lives, to the second.
    #[serde(deserialize_with = "values::duration")]
    pub access_ttl: Duration,
}

/// `[keys]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysSettings {
    /// The folder they are kept in; the database when absent.
    pub directory: Option<PathBuf>,
}

/// `[jwks]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwksSettings {
    /// Unknown key ids cause at most one fetch in this time.
    #[serde(deserialize_with = "values::duration")]
    pub cooldown: Duration,
    /// How long the last good set outlives its `max-age` while the provider is away.
    #[serde(deserialize_with = "values::duration")]
    pub max_stale: Duration,
}

/// `[http_client]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpClientSettings {
    /// For one request to a provider, and for the whole proof of one token.
    #[serde(deserialize_with = "values::duration")]
    pub timeout: Duration,
}

/// `[accounts]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountsSettings {
    /// Sign a new identity in to the one user with the same verified e-mail.
    pub link_verified_email: bool,
    /// How recent the sign-in behind a sensitive operation must be, to the second; zero if it is never asked for.
    #[serde(deserialize_with = "values::duration")]
    pub fresh_for: Duration,
}

/// `[clients]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientsSettings {
    /// How long the previous secret works after a rotation, to the second.
    #[serde(deserialize_with = "values::duration")]
    pub previous_secret_ttl: Duration,
}

/// `[refresh]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshSettings {
    /// Issue refresh tokens to those who ask, and take them.
    pub enabled: bool,
    /// How long a repeated request gets the same successor.
    #[serde(deserialize_with = "values::duration")]
    pub grace: Duration,
    /// How long an unused session lives, to the second.
    #[serde(deserialize_with = "values::duration")]
    pub idle_ttl: Duration,
    /// How long a session lives at most, to the second.
    #[serde(deserialize_with = "values::duration")]
    pub absolute_ttl: Duration,
}

/// `[sessions]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsSettings {
    /// Sessions of one user. Beginning one more ends the oldest.
    #[serde(deserialize_with = "values::positive")]
    pub per_user: u32,
}

/// `[admin]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// `<provider>:<address>`: whoever signs in by that provider with that address, verified, is made an administrator while
    /// there is none.
    #[serde(deserialize_with = "values::list")]
    pub emails: Vec<String>,
}

impl AdminSettings {
    /// Returns provider and address of each entry that has both.
    pub fn entries(&self) -> impl Iterator<Item = (String, String)> {
        self.emails.iter().filter_map(|entry| split_admin_email(entry))
    }
}

/// Splits `google:ada@mail.com`; none without a provider or without an address.
fn split_admin_email(entry: &str) -> Option<(String, String)> {
    let (provider, address) = entry.trim().split_once(':')?;
    let (provider, address) = (provider.trim(), address.trim());
    let fits = !provider.is_empty() && !provider.contains('@') && email::is_plausible(address);
    fits.then(|| (provider.to_owned(), address.to_owned()))
}

/// `[events]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsSettings {
    /// How long an event is kept.
    #[serde(deserialize_with = "values::duration")]
    pub retention: Duration,
    /// How long a rejected sign-in is kept.
    #[serde(deserialize_with = "values::duration")]
    pub refused_retention: Duration,
    /// How many rows of rejected sign-ins are kept.
    #[serde(deserialize_with = "values::positive")]
    pub refused_rows: u32,
}

/// `[management]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagementSettings {
    /// Where `/metrics`, `/readyz`, `/healthz`, `/docs` and `/openapi.json` are; beside everything else when absent.
    #[serde(default, deserialize_with = "values::listen_address")]
    pub listen: Option<ListenAddress>,
}

/// `[rate_limit]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSettings {
    /// Off: nothing is counted.
    pub enabled: bool,
    /// Requests of one address at once.
    #[serde(deserialize_with = "values::rate")]
    pub address_burst: NonZeroU32,
    /// Requests of one address in a minute, for ever.
    #[serde(deserialize_with = "values::rate")]
    pub address_per_minute: NonZeroU32,
    /// Attempts at one account at once.
    #[serde(deserialize_with = "values::rate")]
    pub account_burst: NonZeroU32,
    /// Attempts at one account in a minute, for ever.
    #[serde(deserialize_with = "values::rate")]
    pub account_per_minute: NonZeroU32,
    /// Failed proofs of one address in a minute.
    #[serde(deserialize_with = "values::rate")]
    pub failed_per_minute: NonZeroU32,
    /// Failed proofs with one provider in a minute after which addresses that failed are held back.
    #[serde(deserialize_with = "values::rate")]
    pub failed_in_all_per_minute: NonZeroU32,
}

/// `[cors]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsSettings {
    /// Origins, exactly; `*` for any; none for no CORS at all.
    #[serde(deserialize_with = "values::list")]
    pub allowed_origins: Vec<String>,
    /// How long a preflight answer is remembered.
    #[serde(deserialize_with = "values::duration")]
    pub max_age: Duration,
}

/// `[log]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// What is left out.
    #[serde(deserialize_with = "values::level")]
    pub level: log::LevelFilter,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl<'de> Deserialize<'de> for LogFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::one_of(deserializer, &[("text", Self::Text), ("json", Self::Json)])
    }
}
