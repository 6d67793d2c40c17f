//! How people sign in with GitHub: its authorization endpoint, and its token endpoint for the redirect flow and for the
//! device flow (`github_device.rs`), after
//! <https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>.

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::authorize::{AuthorizationRequest, TWICE};
use super::codes::{BadCode, Redemption};
use super::github::{CLIENT_ID, CLIENT_SECRET, Github, GithubGrant};
use super::github_device::DEVICE_GRANT;
use super::page::{self, Choice};
use super::params::Params;
use super::values::random_bytes;
use super::world::World;

/// What GitHub's pages are headed with here.
pub(super) const PROVIDER: &str = "Mock GitHub";

const DOCS: &str = "https://docs.github.com";
const DOCS_TOKEN: &str = "/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/";
const DOCS_AUTHORIZE: &str = "/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/";
/// For the errors of the device flow.
pub(super) const DOCS_DEVICE: &str =
    "/developers/apps/authorizing-oauth-apps#error-codes-for-the-device-flow";

/// `GET /github/login/oauth/authorize`, and the same with `POST` for the page's own forms.
pub(super) async fn authorize(world: web::Data<World>, request: HttpRequest, body: Bytes) -> HttpResponse {
    page::or_its_url(&request, decide(&world, &request, &body))
}

fn decide(world: &World, request: &HttpRequest, body: &[u8]) -> HttpResponse {
    let Some(query) = Params::of_query(request) else {
        return page::refusal(PROVIDER, TWICE);
    };
    let asked = match AuthorizationRequest::read(CLIENT_ID, "query", &query) {
        Ok(asked) => asked,
        Err(refused) => return refused.answer(PROVIDER),
    };
    match Choice::of(request, &query, body) {
        Choice::Open => page::consent(PROVIDER, CLIENT_ID, &asked.scope, request.query_string()),
        Choice::Deny => asked.redirect(&[
            ("error", "access_denied"),
            ("error_description", "The user has denied your application access."),
            ("error_uri", &format!("{DOCS}{DOCS_AUTHORIZE}#access-denied")),
        ]),
        Choice::Person(login) => {
            let code = hex::encode(random_bytes(10));
            let answer = asked.redirect(&[("code", &code)]);
            world.github.codes().issue(&code, asked, login);
            answer
        }
    }
}

/// `POST /github/login/oauth/access_token`. Every error is a 200.
pub(super) async fn access_token(world: web::Data<World>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let github = &world.github;
    let granted = match Params::of_form(&request, &body) {
        None => Err(bad_code()),
        Some(form) => match form.get("grant_type") {
            None | Some("authorization_code") => redeem(github, &form),
            Some(DEVICE_GRANT) => github.devices().poll(&form),
            Some(_) => Err(LoginError::new(
                "unsupported_grant_type",
                "The grant_type is neither authorization_code nor that of the device flow.",
                DOCS_DEVICE,
            )),
        },
    };
    let members = match granted {
        Ok(grant) => {
            let scope = grant.scopes.join(",");
            json!({ "access_token": github.access_token(grant), "scope": scope, "token_type": "bearer" })
        }
        Err(error) => error.members(),
    };
    answer(github, &request, &members)
}

fn redeem(github: &Github, form: &Params) -> Result<GithubGrant, LoginError> {
    if (form.get("client_id"), form.get("client_secret")) != (Some(CLIENT_ID), Some(CLIENT_SECRET)) {
        return Err(wrong_client());
    }
    let shown = Redemption {
        code: form.get("code").ok_or_else(bad_code)?,
        redirect_uri: form.get("redirect_uri"),
        verifier: form.get("code_verifier"),
    };
    let code = github.codes().redeem(&shown).map_err(|bad| match bad {
        // GitHub does not say what it answers to a wrong verifier.
        BadCode::Unknown | BadCode::WrongVerifier => bad_code(),
        BadCode::OtherRedirectUri => LoginError::new(
            "redirect_uri_mismatch",
            "The redirect_uri MUST match the registered callback URL for this application.",
            &format!("{DOCS_AUTHORIZE}#redirect-uri-mismatch2"),
        ),
    })?;
    let scopes = scopes(&code.request.scope);
    Ok(GithubGrant { scopes, ..github.user(&code.person).into() })
}

/// GitHub's error: `error`, `error_description`, `error_uri`, and in one case the seconds to wait between polls.
#[derive(Debug)]
pub(super) struct LoginError {
    error: &'static str,
    description: &'static str,
    docs: String,
    interval: Option<u64>,
}

impl LoginError {
    pub(super) fn new(error: &'static str, description: &'static str, docs: &str) -> Self {
        Self { error, description, docs: docs.to_owned(), interval: None }
    }

    pub(super) fn with_interval(self, seconds: u64) -> Self {
        Self { interval: Some(seconds), ..self }
    }

    pub(super) fn members(self) -> Value {
        let mut members = Map::new();
        members.insert("error".into(), self.error.into());
        members.insert("error_description".into(), self.description.into());
        members.insert("error_uri".into(), format!("{DOCS}{}", self.docs).into());
        if let Some(seconds) = self.interval {
            members.insert("interval".into(), seconds.into());
        }
        Value::Object(members)
    }
}

pub(super) fn wrong_client() -> LoginError {
    LoginError::new(
        "incorrect_client_credentials",
        "The client_id and/or client_secret passed are incorrect.",
        &format!("{DOCS_TOKEN}#incorrect-client-credentials"),
    )
}

fn bad_code() -> LoginError {
    LoginError::new(
        "bad_verification_code",
        "The code passed is incorrect or expired.",
        &format!("{DOCS_TOKEN}#bad-verification-code"),
    )
}

/// Scopes come with spaces or commas between them.
pub(super) fn scopes(asked: &str) -> Vec<String> {
    let mut scopes = Vec::new();
    for scope in asked.split([' ', ',']).filter(|scope| !scope.is_empty()) {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

/// A form unless the client asks for JSON.
pub(super) fn answer(github: &Github, request: &HttpRequest, members: &Value) -> HttpResponse {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let wants_json = accept.is_some_and(|accept| accept.contains("application/json"));
    let mut answer = HttpResponse::build(StatusCode::OK);
    answer.insert_header((header::CACHE_CONTROL, "no-store"));
    if wants_json && !github.answers_forms() {
        return answer.json(members);
    }
    let Ok(form) = serde_urlencoded::to_string(members) else {
        return HttpResponse::InternalServerError().finish();
    };
    answer.content_type("application/x-www-form-urlencoded; charset=utf-8").body(form)
}
