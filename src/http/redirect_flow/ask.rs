//! The page that asks before an app is signed in. Without it, a link of somebody else's could hand the app a code although the
//! person at the browser saw nothing: the provider knows the person already, and so may we.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::bearer::Visitor;
use super::super::csrf;
use super::super::exchange::{find_provider, find_redirect_flow};
use super::super::pages::{AppQuestion, app_question};
use super::super::refusals::WithoutProvider;
use super::RedirectTarget;
use super::app;
use super::attempt::{Aim, AppReturn};
use super::begin::{LoginQuery, send_to_provider};
use super::form_post::read_form;
use crate::db::identities;
use crate::error::{ApiError, Code, Problem};
use crate::provider::Provider;
use crate::settings::Prompt;
use crate::state::AppState;
use crate::user::User;

/// More identities than a person has. Of one who has more, a later one counts as missing, and the page offers less.
const MAX_IDENTITIES: i64 = 200;

/// The form of the page that asks whether an app may be signed in: what the app sent, and the person's choice.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AppSignInForm {
    /// As the app sent it.
    redirect_to: Option<String>,
    /// As the app sent it.
    state: Option<String>,
    /// As the app sent it.
    code_challenge: Option<String>,
    /// The account that the person agreed to. Empty or absent: whichever the person chooses at the provider.
    account: Option<String>,
}

/// Sends the browser to the provider, or asks the person first: when the browser is signed in here, and when the provider cannot
/// be made to show a page.
///
/// # Errors
/// 404 without an authorization code flow; 500.
pub(super) async fn ask_or_send(
    state: &AppState,
    provider: &dyn Provider,
    back: AppReturn,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let flow = find_redirect_flow(provider)?;
    let Visitor(session) = match Visitor::extract(request).await {
        Ok(visitor) => visitor,
        Err(error) => return app::refuse(&back, &error, state),
    };
    let provider_asks = match flow.prompt().await {
        Ok(prompt) => prompt != Prompt::Unsupported,
        Err(outage) => return app::refuse(&back, &outage.into(), state),
    };
    if provider_asks && session.is_none() {
        return send_to_provider(state, provider, Aim::App(back), request, StatusCode::FOUND).await;
    }
    let user = session.map(|session| session.caller.user);
    let has_identity = match &user {
        None => false,
        Some(user) => match is_linked(state, user, provider.name()).await {
            Ok(linked) => linked,
            Err(error) => return app::refuse(&back, &error, state),
        },
    };
    app_question(
        state,
        &AppQuestion {
            provider,
            user: user.as_ref(),
            has_identity,
            redirect_uri: &back.redirect_uri,
            state: back.state.as_deref(),
            code_challenge: back.code_challenge.as_str(),
            cancel: &app::url_of_cancel(&back, state)?,
        },
    )
}

async fn is_linked(state: &AppState, user: &User, provider: &str) -> Result<bool, ApiError> {
    let id = user.id;
    let identities = state.db.run(move |conn| identities::page(conn, id, None, MAX_IDENTITIES)).await?;
    Ok(identities.iter().any(|identity| identity.provider == provider))
}

/// Agree that an app is signed in
///
/// From the form of the page that `GET` shows, which another site cannot send. Sends the browser to the provider.
#[utoipa::path(
    post,
    path = "/auth/{provider}/login",
    operation_id = "agree_to_app_sign_in",
    tag = "browser",
    params(("provider" = String, Path, description = "`google`, `github`, or the name of a configured provider", example = "google")),
    request_body(content = AppSignInForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "To the provider, with a cookie for this sign-in; or to the app, with an error", headers(("Location" = String, description = "The provider's page"))),
        (status = 302, description = "To the app, with an error", headers(("Location" = String, description = "The app's redirect URI"))),
        (status = 400, description = "`redirect_not_allowed`; `invalid_request`: not a form, a duplicated field, or an app's parameters", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`csrf_failed`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request_timeout`: the body did not arrive within `server.body_timeout`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`payload_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = Problem, content_type = "application/problem+json"),
        WithoutProvider,
    ),
)]
pub(crate) async fn agree_to_app_sign_in(
    state: Data<AppState>,
    name: Path<String>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let provider = find_provider(&state, &name)?;
    csrf::check(&request, &state)?;
    let form: AppSignInForm = read_form(&request, body).await?;
    let RedirectTarget::App(redirect_uri) = RedirectTarget::read(form.redirect_to.as_deref(), &state)? else {
        return Err(ApiError::new(Code::RedirectNotAllowed, "redirect_to is not the redirect URI of an app"));
    };
    let account = match form.account.as_deref() {
        None | Some("") => None,
        Some(id) => Some(
            Uuid::try_parse(id)
                .map_err(|_| ApiError::new(Code::InvalidRequest, "account is not the id of a user"))?,
        ),
    };
    let query = LoginQuery::of_app(form.state, form.code_challenge);
    let back = AppReturn { account, ..query.read_app(redirect_uri, &state)? };
    send_to_provider(&state, provider.as_ref(), Aim::App(back), &request, StatusCode::SEE_OTHER).await
}
