//! The bodies and headers of GitHub's REST API, after <https://docs.github.com/rest>.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::{Map, Value, json};

use super::GithubUser;
use super::github::{GithubApp, GithubGrant};
use super::values::{lay_over, sha256_hex, unix_now};

const DOCS: &str = "https://docs.github.com/rest";
/// Anchors below [`DOCS`] that GitHub's errors point to.
pub(super) const DOCS_CHECK: &str = "apps/oauth-applications#check-a-token";
pub(super) const DOCS_EMAILS: &str = "users/emails#list-email-addresses-for-the-authenticated-user";
const DOCS_LIMITS: &str = "using-the-rest-api/rate-limits-for-the-rest-api";

/// GitHub's error object: `{"message", "documentation_url", "status"}`, the status as a string.
pub(super) fn error(status: StatusCode, message: &str, docs: &str) -> HttpResponse {
    answer(status).json(error_body(status, message, docs))
}

pub(super) fn primary_rate_limit() -> HttpResponse {
    let status = StatusCode::FORBIDDEN;
    answer(status)
        .insert_header(("x-ratelimit-remaining", "0"))
        .insert_header(("x-ratelimit-used", "5000"))
        .insert_header(("x-ratelimit-reset", (unix_now() + 60).to_string()))
        .json(error_body(status, "API rate limit exceeded for user ID 583231.", DOCS_LIMITS))
}

pub(super) fn secondary_rate_limit(retry_after: Option<u64>) -> HttpResponse {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut answer = answer(status);
    if let Some(seconds) = retry_after {
        answer.insert_header((header::RETRY_AFTER, seconds));
    }
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you \
                   try again.";
    answer.json(error_body(status, message, DOCS_LIMITS))
}

pub(super) fn locked_out() -> HttpResponse {
    let message = "Maximum number of login attempts exceeded. Please try again later.";
    error(StatusCode::FORBIDDEN, message, "")
}

/// Comes from GitHub's front door, before the API: plain text, not JSON.
pub(super) fn no_user_agent() -> HttpResponse {
    HttpResponse::Forbidden().content_type("text/html; charset=utf-8").body(
        "\r\nRequest forbidden by administrative rules. Please make sure your request has a \
         User-Agent header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api\
         #user-agent-required). Check https://developer.github.com for other possible causes.\n",
    )
}

/// An answer with the headers that every API answer has.
pub(super) fn answer(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header(("x-github-media-type", "github.v3; format=json"))
        .insert_header(("x-ratelimit-limit", "5000"))
        .insert_header(("x-ratelimit-remaining", "4999"))
        .insert_header(("x-ratelimit-used", "1"))
        .insert_header(("x-ratelimit-reset", (unix_now() + 3600).to_string()))
        .insert_header(("x-ratelimit-resource", "core"));
    answer
}

/// The answer to "check a token". `user` is a *simple user*: no name, no e-mail address.
pub(super) fn authorization(token: &str, grant: &GithubGrant) -> Value {
    let last_eight = token.get(token.len().saturating_sub(8)..);
    json!({
        "id": 1_000_000 + grant.user.id,
        "url": "https://api.github.com/authorizations/1",
        "app": {
            "name": "tokenbooth demo",
            "url": "http://127.0.0.1:8080/",
            "client_id": grant.client_id
        },
        "token": token,
        "hashed_token": sha256_hex(token),
        "token_last_eight": last_eight,
        "note": null,
        "note_url": null,
        "created_at": "2024-01-01T00:00:00Z",
        "updated_at": "2024-01-01T00:00:00Z",
        "scopes": grant.scopes,
        "fingerprint": null,
        // An OAuth app's tokens do not expire, a GitHub App's do.
        "expires_at": (grant.app == GithubApp::Github).then_some("2037-12-31T23:59:59Z"),
        "user": simple_user(&grant.user)
    })
}

/// The answer to `GET /user`: a simple user and the public profile.
pub(super) fn full_user(user: &GithubUser) -> Value {
    let mut members = simple_user(user);
    lay_over(
        &mut members,
        json!({ "public_repos": 2, "public_gists": 0, "followers": 1, "following": 0,
                "created_at": "2011-01-25T18:44:36Z", "updated_at": "2024-01-01T00:00:00Z" }),
    );
    members.insert("name".into(), json!(user.name));
    members.insert("email".into(), json!(user.email));
    for unset in ["company", "location", "hireable", "bio", "twitter_username", "notification_email"] {
        members.insert(unset.into(), Value::Null);
    }
    members.insert("blog".into(), json!(""));
    Value::Object(members)
}

fn simple_user(user: &GithubUser) -> Map<String, Value> {
    let GithubUser { id, login, .. } = user;
    let url = format!("https://api.github.com/users/{login}");
    let mut members = Map::new();
    lay_over(
        &mut members,
        json!({
            "login": login,
            "id": id,
            "node_id": format!("U_kgDO{id:08x}"),
            "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
            "gravatar_id": "",
            "url": url,
            "html_url": format!("https://github.com/{login}"),
            "followers_url": format!("{url}/followers"),
            "following_url": format!("{url}/following{{/other_user}}"),
            "gists_url": format!("{url}/gists{{/gist_id}}"),
            "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{url}/subscriptions"),
            "organizations_url": format!("{url}/orgs"),
            "repos_url": format!("{url}/repos"),
            "events_url": format!("{url}/events{{/privacy}}"),
            "received_events_url": format!("{url}/received_events"),
            "type": "User",
            "user_view_type": "public",
            "site_admin": false
        }),
    );
    members
}

fn error_body(status: StatusCode, message: &str, docs: &str) -> Value {
    json!({
        "message": message,
        "documentation_url": if docs.is_empty() { DOCS.into() } else { format!("{DOCS}/{docs}") },
        "status": status.as_str()
    })
}
