//! GitHub's three endpoints of its REST API that matter to a sign-in.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes};
use actix_web::{Error, HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::github::{CLIENT_ID, CLIENT_SECRET, Github, GithubApp, GithubGrant};
use super::github_answers as answers;
use super::world::World;

const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

/// What GitHub asks of every API request before it looks at the URL.
pub(super) async fn front_door(
    world: web::Data<World>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let user_agent = request.headers().get(header::USER_AGENT);
    if user_agent.is_none_or(header::HeaderValue::is_empty) {
        return Ok(request.into_response(answers::no_user_agent()));
    }
    if world.github.locked_out() {
        return Ok(request.into_response(answers::locked_out()));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// `POST /applications/{client_id}/token`: is this a token of that application, and whose?
/// <https://docs.github.com/rest/apps/oauth-applications#check-a-token>
pub(super) async fn check(
    world: web::Data<World>,
    client_id: web::Path<String>,
    request: HttpRequest,
    body: Bytes,
) -> HttpResponse {
    let Some((id, secret)) = basic(&request) else {
        return refusal(StatusCode::UNAUTHORIZED, "Requires authentication");
    };
    if (id.as_str(), secret.as_str()) != (CLIENT_ID, CLIENT_SECRET) {
        return refusal(StatusCode::UNAUTHORIZED, "Bad credentials");
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return refusal(StatusCode::BAD_REQUEST, "Problems parsing JSON");
    };
    let Some(token) = body["access_token"].as_str() else {
        let message = "Invalid request.\n\n\"access_token\" wasn't supplied.";
        return refusal(StatusCode::UNPROCESSABLE_ENTITY, message);
    };
    match world.github.find(token) {
        Some(grant) if grant.client_id == id && *client_id == id => {
            answers::answer(StatusCode::OK).json(answers::authorization(token, &grant))
        }
        _ => refusal(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// `GET /user`: whoever the token stands for, whichever application it was issued to.
/// <https://docs.github.com/rest/users/users#get-the-authenticated-user>
pub(super) async fn user(world: web::Data<World>, request: HttpRequest) -> HttpResponse {
    match authenticated(&world.github, &request) {
        Ok(grant) => answers::answer(StatusCode::OK)
            .insert_header(("x-oauth-scopes", grant.scopes.join(", ")))
            .insert_header(("x-accepted-oauth-scopes", ""))
            .json(answers::full_user(&grant.user)),
        Err(message) => answers::error(StatusCode::UNAUTHORIZED, message, ""),
    }
}

#[derive(Deserialize)]
pub(super) struct Page {
    page: Option<usize>,
    per_page: Option<usize>,
}

/// `GET /user/emails`: all addresses, the unverified ones too, in pages.
/// <https://docs.github.com/rest/users/emails#list-email-addresses-for-the-authenticated-user>
pub(super) async fn emails(
    world: web::Data<World>,
    request: HttpRequest,
    asked: web::Query<Page>,
) -> HttpResponse {
    let grant = match authenticated(&world.github, &request) {
        Ok(grant) => grant,
        Err(message) => return answers::error(StatusCode::UNAUTHORIZED, message, ""),
    };
    if let Some(refused) = may_not_read_emails(&grant) {
        return refused;
    }
    let per_page = asked.per_page.unwrap_or(DEFAULT_PER_PAGE).clamp(1, MAX_PER_PAGE);
    let page = asked.page.unwrap_or(1).max(1);
    let all = &grant.user.emails;
    let last = all.len().div_ceil(per_page).max(1);

    let mut answer = answers::answer(StatusCode::OK);
    answer.insert_header(("x-oauth-scopes", grant.scopes.join(", ")));
    let url = format!("{}/github/api/user/emails", world.base_url);
    let links = links(&url, per_page, page, last);
    if !links.is_empty() {
        answer.insert_header((header::LINK, links));
    }
    let start = (page - 1).saturating_mul(per_page).min(all.len());
    let end = (start + per_page).min(all.len());
    answer.json(&all[start..end])
}

/// GitHub answers an OAuth app without the scope 404, and a GitHub App without the permission 403.
fn may_not_read_emails(grant: &GithubGrant) -> Option<HttpResponse> {
    let has_scope = |scope: &str| scope == "user" || scope == "user:email";
    let (allowed, status, message) = match grant.app {
        GithubApp::Oauth => {
            let allowed = grant.scopes.iter().any(|scope| has_scope(scope));
            (allowed, StatusCode::NOT_FOUND, "Not Found")
        }
        GithubApp::Github => {
            let message = "Resource not accessible by integration";
            (grant.may_read_emails, StatusCode::FORBIDDEN, message)
        }
    };
    (!allowed).then(|| answers::error(status, message, answers::DOCS_EMAILS))
}

/// A `Link` header (RFC 8288) in GitHub's order; empty when everything fits on one page.
/// <https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api>
fn links(url: &str, per_page: usize, page: usize, last: usize) -> String {
    let link = |page: usize, rel: &str| format!(r#"<{url}?per_page={per_page}&page={page}>; rel="{rel}""#);
    let mut links = Vec::new();
    if page > 1 {
        links.push(link(page - 1, "prev"));
    }
    if page < last {
        links.push(link(page + 1, "next"));
        links.push(link(last, "last"));
    }
    if page > 1 {
        links.push(link(1, "first"));
    }
    links.join(", ")
}

fn refusal(status: StatusCode, message: &str) -> HttpResponse {
    answers::error(status, message, answers::DOCS_CHECK)
}

/// The grant behind `Authorization: Bearer …` or `token …`, or GitHub's words for a 401.
fn authenticated(github: &Github, request: &HttpRequest) -> Result<GithubGrant, &'static str> {
    let (scheme, token) = authorization(request).ok_or("Requires authentication")?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    known.then(|| github.find(token)).flatten().ok_or_else(|| {
        github.note_bad_credentials();
        "Bad credentials"
    })
}

fn basic(request: &HttpRequest) -> Option<(String, String)> {
    let (scheme, encoded) = authorization(request)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn authorization(request: &HttpRequest) -> Option<(&str, &str)> {
    let value = request.headers().get(header::AUTHORIZATION)?;
    value.to_str().ok()?.split_once(' ')
}
