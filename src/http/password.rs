//! `/auth/password` and `/api/me/password`: a password as one more way in.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer;
use super::bearer::CurrentSession;
use super::client_mode::ClientMode;
use super::exchange::record;
use super::exchange_request::Mode;
use super::json_body::{read_json, read_json_or_nothing};
use super::limits::{WithinAddressLimit, within_account_limit};
use super::origin::RequestOrigin;
use super::proofs::client_of;
use super::refusals::{OverLimit, WithoutBody, WithoutDatabase, WithoutRecentSignIn};
use super::token_answer::TokenAnswer;
use crate::account::AccountError;
use crate::account::acting_user::ActingUser;
use crate::account::password::{self, Proof};
use crate::error::{ApiError, Code, Problem};
use crate::event::Origin;
use crate::rate_limit::Account;
use crate::state::AppState;
use crate::text::nfc;

/// An e-mail and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordSignInBody {
    /// The account's e-mail; the case of ASCII letters does not matter.
    #[schema(example = "alice@mail.com")]
    email: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// `offline_access` asks for a refresh token.
    scope: Option<String>,
    /// A page of our own asks for cookies instead of tokens.
    mode: Option<Mode>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasswordBody {
    /// At least `password.min_length` characters, at most 1024 bytes, and none of the most common ones.
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
    /// The password that is set, if one is; a sign-in by a provider that is at most `accounts.fresh_for` old replaces it.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
}

/// The password that is set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CurrentPasswordBody {
    /// Required if one is set; a sign-in by a provider that is at most `accounts.fresh_for` old replaces it.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
}

/// Sign in with e-mail and password
#[utoipa::path(
    post,
    path = "/auth/password",
    operation_id = "sign_in_with_password",
    tag = "sign-in",
    request_body(content = PasswordSignInBody),
    responses(
        (status = 200, description = "Signed in", body = TokenAnswer),
        (status = 400, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`invalid_credentials`: whether there is no such account, no password or another one, is not told", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`user_disabled`, with the right password only; `csrf_failed` with `mode`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: `password.enabled` is false", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutBody,
        WithoutDatabase,
    ),
)]
pub(crate) async fn sign_in_with_password(
    _: WithinAddressLimit,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    refuse_when_disabled(&state)?;
    let mut body: PasswordSignInBody = read_json(&request, body).await?;
    // Before it is counted: another spelling of the address must not be another bucket.
    body.email = nfc(body.email.trim()).into_owned();
    let mode = ClientMode::of_body(body.mode, &request, &state)?;
    within_account_limit(
        &state,
        Account::Email { folded: &crate::email::folded(&body.email), from: client_of(&origin) },
    )?;
    let result = sign_in(&state, body, &mode, &request, &origin).await;
    record(&state, password::METHOD, result.as_ref().map(TokenAnswer::created), &origin).await;
    mode.answer(result?, &state)
}

async fn sign_in(
    state: &AppState,
    body: PasswordSignInBody,
    mode: &ClientMode,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<TokenAnswer, ApiError> {
    let PasswordSignInBody { email, password, scope, mode: _ } = body;
    let signed_in = password::sign_in(&state.db, &state.passwords, email, password, origin).await?;
    mode.tokens(state, signed_in, scope.as_deref(), request, origin).await
}

/// Attach a password to the caller's account, or change it
///
/// A change ends every token and every session, the caller's own included. Without `current_password` the sign-in behind the access
/// token must be recent (RFC 9470), and if a password is set, it must be a sign-in by a provider: that is how a forgotten password is
/// replaced.
#[utoipa::path(
    put,
    path = "/api/me/password",
    operation_id = "set_password",
    tag = "account",
    security(("bearer" = [])),
    request_body(content = NewPasswordBody),
    responses(
        (status = 204, description = "Set"),
        (status = 400, description = "`weak_password`; `invalid_request`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`wrong_password`: `current_password` is not the password that is set, or is missing and the caller signed in with a password; `csrf_failed`, by cookie only", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: `password.enabled` is false", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`email_required`: the account has no verified e-mail; `email_in_use`: another account of this e-mail has a password", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutBody,
        WithoutRecentSignIn,
    ),
)]
pub(crate) async fn set_password(
    _: WithinAddressLimit,
    session: CurrentSession,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    refuse_when_disabled(&state)?;
    let NewPasswordBody { new_password, current_password } = read_json(&request, body).await?;
    let proof = Proof { current: current_password, recency: session.recency(&state) };
    let caller = within_limit(&state, session, &proof, &origin)?;
    let set = password::set(&state.db, &state.passwords, &caller, new_password, proof, &origin).await;
    record_guess(&state, &caller, set, &origin).await?;
    Ok(answer::done())
}

/// Remove the caller's password
///
/// It ends every token and every session, the caller's own included. 204 also when none is set. Without `current_password` the sign-in
/// behind the access token must be recent, as for setting one.
#[utoipa::path(
    delete,
    path = "/api/me/password",
    operation_id = "remove_password",
    tag = "account",
    security(("bearer" = [])),
    request_body(content = CurrentPasswordBody),
    responses(
        (status = 204, description = "There is no password"),
        (status = 400, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`wrong_password`: `current_password` is not the password that is set, or is missing and the caller signed in with a password; `csrf_failed`, by cookie only", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: `password.enabled` is false", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`last_identity`: no identity is left to sign in with", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutBody,
        WithoutRecentSignIn,
    ),
)]
pub(crate) async fn remove_password(
    _: WithinAddressLimit,
    session: CurrentSession,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    refuse_when_disabled(&state)?;
    let CurrentPasswordBody { current_password } = read_json_or_nothing(&request, body).await?;
    let proof = Proof { current: current_password, recency: session.recency(&state) };
    let caller = within_limit(&state, session, &proof, &origin)?;
    let removed = password::remove(&state.db, &state.passwords, &caller, proof, &origin).await;
    record_guess(&state, &caller, removed, &origin).await?;
    Ok(answer::done())
}

/// Counts an attempt at the caller's password. A request that proves nothing is rejected before it counts, or whoever holds an old
/// token could use up the attempts of the owner.
fn within_limit(
    state: &AppState,
    session: CurrentSession,
    proof: &Proof,
    origin: &Origin,
) -> Result<ActingUser, ApiError> {
    proof.check_recency()?;
    within_account_limit(state, Account::User { id: session.caller.user.id, from: client_of(origin) })?;
    Ok(session.caller)
}

/// Records a wrong `current_password` among the rejected sign-ins: whoever holds a token may be guessing.
async fn record_guess(
    state: &AppState,
    caller: &ActingUser,
    result: Result<(), AccountError>,
    origin: &Origin,
) -> Result<(), AccountError> {
    if result == Err(AccountError::WrongPassword) {
        let (code, user_id) = (Code::WrongPassword.as_str(), Some(caller.user.id));
        state.refused_sign_ins.record(password::METHOD, code, user_id, origin).await;
    }
    result
}

fn refuse_when_disabled(state: &AppState) -> Result<(), ApiError> {
    if state.settings.password.enabled {
        return Ok(());
    }
    Err(ApiError::new(Code::NotFound, "there are no passwords here: password.enabled is false"))
}
