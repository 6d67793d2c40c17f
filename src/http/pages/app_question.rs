//! The question whether an app may be signed in, at `/auth/{provider}/login`. Its form works without script.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use url::Url;

use super::html;
use super::layout::{Layout, Viewer, has_docs};
use super::person::Person;
use crate::error::ApiError;
use crate::provider::Provider;
use crate::state::AppState;
use crate::user::User;

/// What an app asks for, and who is asked.
pub(in crate::http) struct AppQuestion<'a> {
    pub(in crate::http) provider: &'a dyn Provider,
    /// Who is signed in in this browser.
    pub(in crate::http) user: Option<&'a User>,
    /// Whether that account has an identity of this provider.
    pub(in crate::http) has_identity: bool,
    pub(in crate::http) redirect_uri: &'a str,
    pub(in crate::http) state: Option<&'a str>,
    pub(in crate::http) code_challenge: &'a str,
    /// Where the app is told that the person called it off.
    pub(in crate::http) cancel: &'a Url,
}

#[derive(Template)]
#[template(path = "app_question.html")]
struct AppQuestionPage<'a> {
    layout: Layout,
    provider: &'a str,
    provider_name: &'a str,
    /// Who is signed in, when the provider can prove that account.
    agreed: Option<Account>,
    /// The name of who is signed in, when the provider is not linked to that account.
    unlinked: Option<String>,
    destination: String,
    redirect_uri: &'a str,
    state: Option<&'a str>,
    code_challenge: &'a str,
    cancel: &'a str,
}

struct Account {
    name: String,
    id: String,
}

/// The page. What the form leads to may redirect to the app at once, which its policy allows.
///
/// # Errors
/// 500 when it cannot be written.
pub(in crate::http) fn app_question(
    state: &AppState,
    question: &AppQuestion<'_>,
) -> Result<HttpResponse, ApiError> {
    let account = question.user.map(|user| Account { name: Person::of(user).name, id: user.id.to_string() });
    let (agreed, unlinked) =
        if question.has_identity { (account, None) } else { (None, account.map(|account| account.name)) };
    let page = AppQuestionPage {
        layout: Layout::of_nobody(state.public_url.path(), has_docs(state)),
        provider: question.provider.name(),
        provider_name: question.provider.display_name(),
        agreed,
        unlinked,
        destination: destination(question.cancel),
        redirect_uri: question.redirect_uri,
        state: question.state,
        code_challenge: question.code_challenge,
        cancel: question.cancel.as_str(),
    };
    html::answer_leading_to(StatusCode::OK, &page, &state.public_url, question.cancel.scheme())
}

/// Who gets the result, as far as the address tells.
fn destination(redirect_uri: &Url) -> String {
    match redirect_uri.scheme() {
        "http" => "a program on this computer".to_owned(),
        "https" => redirect_uri.host_str().unwrap_or_default().to_owned(),
        scheme => format!("the app that opens addresses beginning with {scheme}:"),
    }
}
