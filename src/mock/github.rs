//! The mock GitHub's state: its users, and the tokens it gave out for the application under test
//! and for others. `github_api.rs` has the API's endpoints, `github_login.rs` and
//! `github_device.rs` those of signing in.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use super::codes::Codes;
use super::github_device::Devices;
use super::values::random_base62;
use super::{GithubUser, lock};

/// The application under test.
pub const CLIENT_ID: &str = "Iv1.demo0000000000";
/// Its secret.
pub const CLIENT_SECRET: &str = "demo-github-client-secret";
/// Some other application, whose tokens must not be accepted.
pub const FOREIGN_CLIENT_ID: &str = "Iv1.foreign000000000";

/// What one GitHub token stands for.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct GithubGrant {
    /// The user who granted it.
    #[serde(flatten)]
    pub user: GithubUser,
    /// The application it was issued to, by default [`CLIENT_ID`].
    pub client_id: String,
    /// What kind of application that is.
    pub app: GithubApp,
    /// An OAuth app's scopes; `user:email` or `user` opens `GET /user/emails`.
    pub scopes: Vec<String>,
    /// Whether a GitHub App has the permission to read e-mail addresses (it has no scopes).
    pub may_read_emails: bool,
}

/// The two kinds of application, whose user tokens look and behave differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GithubApp {
    /// Tokens `gho_…`, ruled by scopes.
    Oauth,
    /// Tokens `ghu_…`, without scopes, ruled by the app's permissions.
    Github,
}

impl Default for GithubGrant {
    fn default() -> Self {
        Self {
            user: GithubUser::default(),
            client_id: CLIENT_ID.into(),
            app: GithubApp::Oauth,
            scopes: vec!["read:user".into(), "user:email".into()],
            may_read_emails: true,
        }
    }
}

impl From<GithubUser> for GithubGrant {
    fn from(user: GithubUser) -> Self {
        Self { user, ..Self::default() }
    }
}

/// The controls of the mock GitHub.
#[derive(Default)]
pub struct Github {
    tokens: Mutex<HashMap<String, GithubGrant>>,
    lock_out: Mutex<LockOut>,
    codes: Codes,
    devices: Devices,
    introduced: Mutex<HashMap<String, GithubUser>>,
    always_forms: AtomicBool,
}

#[derive(Default)]
struct LockOut {
    bad_credentials: u32,
    limit: Option<u32>,
}

impl Github {
    /// A token of the application under test: `gho_` and 36 characters, or `ghu_` for a GitHub App.
    pub fn access_token(&self, grant: impl Into<GithubGrant>) -> String {
        let mut grant = grant.into();
        let prefix = match grant.app {
            GithubApp::Oauth => "gho_",
            GithubApp::Github => "ghu_",
        };
        if grant.app == GithubApp::Github {
            grant.scopes.clear();
        }
        let token = format!("{prefix}{}", random_base62(36));
        lock(&self.tokens).insert(token.clone(), grant);
        token
    }

    /// A token of another application: good for `GET /user`, unknown to the check.
    pub fn foreign_access_token(&self, user: GithubUser) -> String {
        self.access_token(GithubGrant { client_id: FOREIGN_CLIENT_ID.into(), ..user.into() })
    }

    /// A `ghu_` token of the application under test, taken as a GitHub App.
    pub fn github_app_token(&self, user: GithubUser) -> String {
        self.access_token(GithubGrant { app: GithubApp::Github, ..user.into() })
    }

    /// Forgets a token, as when its user withdrew the grant.
    pub fn revoke(&self, token: &str) {
        lock(&self.tokens).remove(token);
    }

    /// From this many bad credentials on, every API request is refused with 403, good ones too;
    /// `None`, as at first, never. The check of tokens does not count against it
    /// (<https://docs.github.com/rest/apps/oauth-applications#check-a-token>).
    pub fn lock_out_after(&self, bad_credentials: Option<u32>) {
        *lock(&self.lock_out) = LockOut { bad_credentials: 0, limit: bad_credentials };
    }

    /// Lets `user` be who signs in by this name in the redirect flow and on the device page; other names are those of
    /// [`GithubUser::named`].
    pub fn introduce(&self, name: &str, user: GithubUser) {
        lock(&self.introduced).insert(name.to_owned(), user);
    }

    /// Forgets all outstanding authorization codes, as time does after ten minutes.
    pub fn expire_codes(&self) {
        self.codes.forget();
    }

    /// Whether the token endpoint answers with a form even to who asks for JSON.
    pub fn always_answer_forms(&self, always: bool) {
        self.always_forms.store(always, Ordering::Relaxed);
    }

    /// The seconds between two polls of a device, 5 at first; applies to devices that wait already. With 0 none is told
    /// to slow down.
    pub fn set_device_interval(&self, seconds: u64) {
        self.devices.set_interval(seconds);
    }

    /// What a person does at GitHub's page for devices; answers whether a device waits with this code.
    pub fn approve_device(&self, user_code: &str, user: GithubUser) -> bool {
        self.devices.approve(user_code, user)
    }

    /// The same for a person who declines.
    pub fn deny_device(&self, user_code: &str) -> bool {
        self.devices.deny(user_code)
    }

    /// Lets the codes of all devices expire, as time does after fifteen minutes.
    pub fn expire_devices(&self) {
        self.devices.expire();
    }

    pub(super) fn codes(&self) -> &Codes {
        &self.codes
    }

    pub(super) fn devices(&self) -> &Devices {
        &self.devices
    }

    pub(super) fn answers_forms(&self) -> bool {
        self.always_forms.load(Ordering::Relaxed)
    }

    pub(super) fn user(&self, name: &str) -> GithubUser {
        lock(&self.introduced).get(name).cloned().unwrap_or_else(|| GithubUser::named(name))
    }

    pub(super) fn locked_out(&self) -> bool {
        let lock_out = lock(&self.lock_out);
        lock_out.limit.is_some_and(|limit| lock_out.bad_credentials >= limit)
    }

    pub(super) fn note_bad_credentials(&self) {
        lock(&self.lock_out).bad_credentials += 1;
    }

    pub(super) fn find(&self, token: &str) -> Option<GithubGrant> {
        lock(&self.tokens).get(token).cloned()
    }
}
