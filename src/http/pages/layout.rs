//! What every page has around its own part.

use actix_web::HttpRequest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::assets;
use super::person::Person;
use crate::http::bearer::CurrentSession;
use crate::http::cookies;
use crate::http::observe::RoutePattern;
use crate::state::AppState;
use crate::user::{User, UserId};

/// The frame of a page: where it is, and who looks at it.
pub(super) struct Layout {
    /// What stands before each of our paths (`server.public_url`).
    pub(super) base: String,
    /// The page's own path, without `base`.
    pub(super) here: String,
    /// The page's own URL, with all that was asked for.
    pub(super) url: String,
    pub(super) viewer: Viewer,
    /// Whether `/docs` is on this address, and not on `management.listen`.
    pub(super) has_docs: bool,
    /// The id of the user who looks at the page, so that script notices when another one has signed in.
    pub(super) user_id: Option<UserId>,
    /// The sign-in is recent enough for a sensitive operation.
    pub(super) recent: bool,
    session: Option<SessionLife>,
}

/// Who looks at a page.
pub(super) enum Viewer {
    /// Not looked up: a refusal is made without the database. Script asks.
    Unknown,
    Stranger,
    User {
        person: Person,
        admin: bool,
    },
}

/// For the renewal by script, in seconds.
struct SessionLife {
    whole: u64,
    left: i64,
}

impl Layout {
    /// Of the page that answers this request.
    pub(super) fn new(state: &AppState, request: &HttpRequest, user: Option<&User>) -> Self {
        let base = state.public_url.path();
        Self {
            base: base.to_owned(),
            url: url_of(request, base),
            here: own_path_of(request).to_owned(),
            viewer: user.map_or(Viewer::Stranger, Viewer::of),
            has_docs: has_docs(state),
            user_id: user.map(|user| user.id),
            recent: false,
            session: user.and_then(|_| session_life(state, request)),
        }
    }

    /// As [`Layout::new`], for a page from which sensitive operations are done.
    pub(super) fn of_session(state: &AppState, request: &HttpRequest, session: &CurrentSession) -> Self {
        let recent = session.recency(state).check().is_ok();
        Self { recent, ..Self::new(state, request, Some(&session.caller.user)) }
    }

    /// Of a page that anybody may be looking at.
    pub(super) fn of_nobody(base: &str, has_docs: bool) -> Self {
        Self {
            base: base.to_owned(),
            here: String::new(),
            url: String::new(),
            viewer: Viewer::Unknown,
            has_docs,
            user_id: None,
            recent: false,
            session: None,
        }
    }

    /// The URL of one of our files, which other content would not have.
    pub(super) fn asset(&self, name: &str) -> String {
        format!("{}{}", self.base, assets::path(name))
    }

    /// The URL of `/account`, to come back to.
    pub(super) fn account(&self) -> String {
        format!("{}/account", self.base)
    }

    /// Seconds that a session lives, and that this one has left.
    pub(super) fn session(&self) -> Option<(u64, i64)> {
        self.session.as_ref().map(|session| (session.whole, session.left))
    }

    /// The value of `aria-current` on the link to a path.
    pub(super) fn current(&self, path: &str) -> &'static str {
        if self.here == path { "page" } else { "false" }
    }
}

impl Viewer {
    fn of(user: &User) -> Self {
        Self::User { person: Person::of(user), admin: user.admin }
    }
}

/// Whether a page can link to `/docs`.
pub(super) fn has_docs(state: &AppState) -> bool {
    state.settings.management.listen.is_none()
}

/// The URL of what is asked for, as a browser sees it.
pub(super) fn url_of(request: &HttpRequest, base: &str) -> String {
    match request.uri().query() {
        Some(query) => format!("{base}{}?{query}", own_path_of(request)),
        None => format!("{base}{}", own_path_of(request)),
    }
}

/// The pattern of a page is its path, and does not have the scope of an embedding app in it, which `base` has already.
fn own_path_of(request: &HttpRequest) -> &str {
    match request.app_data() {
        Some(RoutePattern(pattern)) if !pattern.contains('{') => pattern,
        _ => request.path(),
    }
}

/// How long the session in the cookie has to live. Its token was verified when the user was found by it.
fn session_life(state: &AppState, request: &HttpRequest) -> Option<SessionLife> {
    #[derive(Deserialize)]
    struct Ends {
        exp: i64,
    }
    let payload = cookies::read(request, cookies::SESSION)?.split('.').nth(1)?;
    let ends: Ends = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let left = ends.exp.saturating_sub(state.clock.now().0).max(0);
    Some(SessionLife { whole: state.settings.token.access_ttl.as_secs(), left })
}
