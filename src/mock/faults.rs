//! What can go wrong at a provider, on order: which endpoint misbehaves, how, and how often.
//! `middleware.rs` plays it out.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::lock;

/// The endpoints whose requests are counted and which can be told to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Google's discovery document.
    Discovery,
    /// Google's key set.
    Jwks,
    /// Google's tokeninfo.
    Tokeninfo,
    /// Google's userinfo.
    Userinfo,
    /// Google's authorization endpoint, its page included.
    GoogleAuthorize,
    /// Google's token endpoint.
    GoogleToken,
    /// The generic issuer's discovery document.
    OidcDiscovery,
    /// The generic issuer's key set.
    OidcJwks,
    /// The generic issuer's userinfo.
    OidcUserinfo,
    /// The generic issuer's authorization endpoint, its page included.
    OidcAuthorize,
    /// The generic issuer's token endpoint.
    OidcToken,
    /// GitHub's "check a token".
    GithubCheck,
    /// GitHub's `GET /user`.
    GithubUser,
    /// GitHub's `GET /user/emails`.
    GithubEmails,
    /// GitHub's authorization endpoint, its page included.
    GithubAuthorize,
    /// GitHub's token endpoint, of the redirect flow and of the device flow.
    GithubToken,
    /// Where GitHub's device flow begins.
    GithubDeviceCode,
    /// GitHub's page for user codes.
    GithubDevice,
    /// Microsoft's discovery documents, of `common` and of each tenant.
    MicrosoftDiscovery,
    /// Microsoft's key set.
    MicrosoftJwks,
    /// Microsoft's userinfo.
    MicrosoftUserinfo,
    /// Microsoft's authorization endpoint, its page included.
    MicrosoftAuthorize,
    /// Microsoft's token endpoint.
    MicrosoftToken,
    /// Apple's discovery document.
    AppleDiscovery,
    /// Apple's key set.
    AppleJwks,
    /// Apple's authorization endpoint, its page included.
    AppleAuthorize,
    /// Apple's token endpoint.
    AppleToken,
    /// GitLab's discovery document.
    GitlabDiscovery,
    /// GitLab's key set.
    GitlabJwks,
    /// GitLab's userinfo.
    GitlabUserinfo,
    /// GitLab's authorization endpoint, its page included.
    GitlabAuthorize,
    /// GitLab's token endpoint.
    GitlabToken,
    /// GitLab's information on an access token.
    GitlabTokenInfo,
}

impl Endpoint {
    /// Every endpoint, in the order of their declaration.
    pub const ALL: [Self; 33] = [
        Self::Discovery,
        Self::Jwks,
        Self::Tokeninfo,
        Self::Userinfo,
        Self::GoogleAuthorize,
        Self::GoogleToken,
        Self::OidcDiscovery,
        Self::OidcJwks,
        Self::OidcUserinfo,
        Self::OidcAuthorize,
        Self::OidcToken,
        Self::GithubCheck,
        Self::GithubUser,
        Self::GithubEmails,
        Self::GithubAuthorize,
        Self::GithubToken,
        Self::GithubDeviceCode,
        Self::GithubDevice,
        Self::MicrosoftDiscovery,
        Self::MicrosoftJwks,
        Self::MicrosoftUserinfo,
        Self::MicrosoftAuthorize,
        Self::MicrosoftToken,
        Self::AppleDiscovery,
        Self::AppleJwks,
        Self::AppleAuthorize,
        Self::AppleToken,
        Self::GitlabDiscovery,
        Self::GitlabJwks,
        Self::GitlabUserinfo,
        Self::GitlabAuthorize,
        Self::GitlabToken,
        Self::GitlabTokenInfo,
    ];

    /// Its name in the mock's own URLs and counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::Tokeninfo => "tokeninfo",
            Self::Userinfo => "userinfo",
            Self::GoogleAuthorize => "google_authorize",
            Self::GoogleToken => "google_token",
            Self::OidcDiscovery => "oidc_discovery",
            Self::OidcJwks => "oidc_jwks",
            Self::OidcUserinfo => "oidc_userinfo",
            Self::OidcAuthorize => "oidc_authorize",
            Self::OidcToken => "oidc_token",
            Self::GithubCheck => "github_check",
            Self::GithubUser => "github_user",
            Self::GithubEmails => "github_emails",
            Self::GithubAuthorize => "github_authorize",
            Self::GithubToken => "github_token",
            Self::GithubDeviceCode => "github_device_code",
            Self::GithubDevice => "github_device",
            Self::MicrosoftDiscovery => "microsoft_discovery",
            Self::MicrosoftJwks => "microsoft_jwks",
            Self::MicrosoftUserinfo => "microsoft_userinfo",
            Self::MicrosoftAuthorize => "microsoft_authorize",
            Self::MicrosoftToken => "microsoft_token",
            Self::AppleDiscovery => "apple_discovery",
            Self::AppleJwks => "apple_jwks",
            Self::AppleAuthorize => "apple_authorize",
            Self::AppleToken => "apple_token",
            Self::GitlabDiscovery => "gitlab_discovery",
            Self::GitlabJwks => "gitlab_jwks",
            Self::GitlabUserinfo => "gitlab_userinfo",
            Self::GitlabAuthorize => "gitlab_authorize",
            Self::GitlabToken => "gitlab_token",
            Self::GitlabTokenInfo => "gitlab_token_info",
        }
    }

    /// Its path below the mock's base URL, as a route pattern.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Discovery => "/google/.well-known/openid-configuration",
            Self::Jwks => "/google/oauth2/v3/certs",
            Self::Tokeninfo => "/google/tokeninfo",
            Self::Userinfo => "/google/v1/userinfo",
            Self::GoogleAuthorize => "/google/o/oauth2/v2/auth",
            Self::GoogleToken => "/google/token",
            Self::OidcDiscovery => "/oidc/.well-known/openid-configuration",
            Self::OidcJwks => "/oidc/jwks",
            Self::OidcUserinfo => "/oidc/userinfo",
            Self::OidcAuthorize => "/oidc/authorize",
            Self::OidcToken => "/oidc/token",
            Self::GithubCheck => "/github/api/applications/{client_id}/token",
            Self::GithubUser => "/github/api/user",
            Self::GithubEmails => "/github/api/user/emails",
            Self::GithubAuthorize => "/github/login/oauth/authorize",
            Self::GithubToken => "/github/login/oauth/access_token",
            Self::GithubDeviceCode => "/github/login/device/code",
            Self::GithubDevice => "/github/login/device",
            Self::MicrosoftDiscovery => "/microsoft/{tenant}/v2.0/.well-known/openid-configuration",
            Self::MicrosoftJwks => "/microsoft/common/discovery/v2.0/keys",
            Self::MicrosoftUserinfo => "/microsoft/graph/oidc/userinfo",
            Self::MicrosoftAuthorize => "/microsoft/common/oauth2/v2.0/authorize",
            Self::MicrosoftToken => "/microsoft/common/oauth2/v2.0/token",
            Self::AppleDiscovery => "/apple/.well-known/openid-configuration",
            Self::AppleJwks => "/apple/auth/keys",
            Self::AppleAuthorize => "/apple/auth/authorize",
            Self::AppleToken => "/apple/auth/token",
            Self::GitlabDiscovery => "/gitlab/.well-known/openid-configuration",
            Self::GitlabJwks => "/gitlab/oauth/discovery/keys",
            Self::GitlabUserinfo => "/gitlab/oauth/userinfo",
            Self::GitlabAuthorize => "/gitlab/oauth/authorize",
            Self::GitlabToken => "/gitlab/oauth/token",
            Self::GitlabTokenInfo => "/gitlab/oauth/token/info",
        }
    }

    /// The endpoint of that [`Self::name`].
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// How an endpoint misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answers properly, but only after this long.
    Slow(Duration),
    /// Takes the request and never answers.
    Hang,
    /// Answers with this status and a short text.
    Status(u16),
    /// Announces the whole proper answer, sends half of it and closes the connection.
    Truncated,
    /// Sends the proper answer behind 16 MB of white space: valid JSON, if one reads that far.
    Huge,
    /// Answers 302 with this `Location`.
    Redirect(String),
    /// Answers 200 with an HTML page.
    WrongType,
    /// Answers 200, says it is JSON, and sends text that is not.
    NotJson,
    /// Answers 200, says it is JSON, and sends nothing.
    Empty,
    /// Takes the request and closes the connection without a word.
    CloseAtOnce,
    /// GitHub's primary rate limit: 403 with `x-ratelimit-remaining: 0` and, in a minute,
    /// `x-ratelimit-reset`.
    RateLimited403,
    /// GitHub's secondary rate limit: 429, with `retry-after` (seconds) or without.
    RateLimited429 {
        /// The header's value; `None` leaves it out.
        retry_after: Option<u64>,
    },
    /// GitHub's answer, 403, once it saw too many bad credentials: to good ones too.
    LockedOut,
}

/// The faults on order.
#[derive(Default)]
pub(super) struct Faults {
    ordered: Mutex<HashMap<Endpoint, Order>>,
}

struct Order {
    fault: Fault,
    /// How many more requests it hits; `None` is all of them.
    left: Option<u64>,
}

impl Faults {
    pub(super) fn order(&self, endpoint: Endpoint, fault: Fault, times: Option<u64>) {
        let order = Order { fault, left: times };
        lock(&self.ordered).insert(endpoint, order);
    }

    pub(super) fn clear(&self) {
        lock(&self.ordered).clear();
    }

    /// The fault that hits this request, if any.
    pub(super) fn take(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut ordered = lock(&self.ordered);
        let order = ordered.get_mut(&endpoint)?;
        match &mut order.left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        Some(order.fault.clone())
    }
}
