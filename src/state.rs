//! What handlers and extractors share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use actix_web::HttpRequest;
use actix_web::web::Data;
use tokio::sync::watch;

use crate::account::housekeeping::Housekeeping;
use crate::account::revocation_feed::RevocationFeed;
use crate::account::{AccountRules, RefusedSignIns};
use crate::clock::SharedClock;
use crate::db::schema_watch::SchemaWatch;
use crate::db::{Db, DbError};
use crate::error::ApiError;
use crate::keys::KeyWatch;
use crate::metrics::Metrics;
use crate::password::Passwords;
use crate::provider::Providers;
use crate::rate_limit::RateLimits;
use crate::settings::{PublicUrl, Settings};
use crate::token::{CarriedSeal, Claims, CursorKeys, DerivedKeys, SuccessorKeys, TokenError, Tokens};

/// One for all workers, made by [`crate::Tokenbooth`].
pub(crate) struct AppState {
    pub(crate) settings: Settings,
    pub(crate) db: Db,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) key_watch: KeyWatch,
    pub(crate) revocation_feed: RevocationFeed,
    /// What device cookies name their session with.
    pub(crate) device_keys: DerivedKeys,
    /// What the cursors of lists are signed with.
    pub(crate) cursor_keys: CursorKeys,
    /// What the cookies of sign-ins under way are sealed with.
    pub(crate) attempt_keys: CarriedSeal,
    /// What one-time codes are sealed with.
    pub(crate) code_keys: CarriedSeal,
    pub(crate) public_url: PublicUrl,
    pub(crate) rules: Arc<AccountRules>,
    pub(crate) refused_sign_ins: RefusedSignIns,
    pub(crate) providers: Providers,
    pub(crate) passwords: Passwords,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    /// Absent with `rate_limit.enabled = false`.
    pub(crate) rate_limits: Option<RateLimits>,
    /// The OpenAPI document, which is made from the handlers and so cannot be known to them; when it is first asked for,
    /// because most processes never are.
    pub(crate) openapi: LazyLock<String>,
    pub(crate) stopping: AtomicBool,
    /// Becomes true when a stopping process waits for no body any more.
    pub(crate) drained: watch::Sender<bool>,
    /// What `/readyz` last said of the database, so that a change is logged.
    pub(crate) database_word: Mutex<Option<&'static str>>,
    #[expect(dead_code, reason = "its task ends with it")]
    pub(crate) housekeeping: Housekeeping,
    #[expect(dead_code, reason = "its task ends with it")]
    pub(crate) schema_watch: SchemaWatch,
}

impl AppState {
    /// The state behind a request.
    ///
    /// # Errors
    /// 500 when an embedding app uses an extractor without having mounted [`crate::Tokenbooth::routes`].
    pub(crate) fn of(request: &HttpRequest) -> Result<Data<Self>, ApiError> {
        request.app_data::<Data<Self>>().cloned().ok_or_else(|| {
            ApiError::internal("this App has no tokenbooth: call .configure(tokenbooth.routes()) on it")
        })
    }

    /// What the next refresh token is made with, as the key set is now.
    pub(crate) fn successor_keys(&self) -> Arc<SuccessorKeys> {
        Arc::new(self.tokens.keyring().successor_keys(self.clock.now()))
    }

    /// Whether a token that was refused with `error` deserves another look at the ring, [`KeyWatch::look_again`], before that
    /// is the last word.
    pub(crate) fn may_be_by_an_unseen_key(&self, token: &str, error: &TokenError) -> bool {
        matches!(error, TokenError::UnknownKey(_)) && self.tokens.may_be_by_a_new_key(token, self.clock.now())
    }

    /// As [`Tokens::verify_in_full`], after another look at the ring when the token may be by a key that was not seen yet. The
    /// extractors do the same in two steps, to copy no token.
    ///
    /// # Errors
    /// The database's, when the ring cannot be looked at.
    pub(crate) async fn verify_patiently(&self, token: &str) -> Result<Result<Claims, TokenError>, DbError> {
        match self.tokens.verify_in_full(token, self.clock.now()) {
            Err(error) if self.may_be_by_an_unseen_key(token, &error) => {
                self.key_watch.look_again().await?;
                Ok(self.tokens.verify_in_full(token, self.clock.now()))
            }
            judged => Ok(judged),
        }
    }

    /// Returns when a stopping process waits for no body any more, which most processes never do.
    pub(crate) async fn drained(&self) {
        // The sender lives as long as `self`, so there is no error.
        let _ = self.drained.subscribe().wait_for(|drained| *drained).await;
    }

    /// The process was told to end: no new work should be sent here.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
