//! Authorization endpoints: what an application may ask, and how the person's choice is sent back to it. All providers
//! share it; `github_login.rs` has GitHub's own part.

use actix_web::http::header;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use url::Url;

use super::apple;
use super::issuer::{Issuer, Ways};
use super::page::{self, Choice};
use super::params::Params;
use super::values::random_base62;

/// Why a request with a parameter twice is refused (RFC 6749 §3.1).
pub(super) const TWICE: &str = "invalid_request: a parameter is there twice";

/// What an application asked for (RFC 6749 §4.1.1).
#[derive(Debug, Clone, Default)]
pub(super) struct AuthorizationRequest {
    /// As it was sent, since the token endpoint compares it letter by letter.
    pub(super) redirect_uri: String,
    pub(super) scope: String,
    pub(super) state: Option<String>,
    /// For the ID token (OpenID Connect Core §3.1.2.1).
    pub(super) nonce: Option<String>,
    /// By the method S256 (RFC 7636 §4.3).
    pub(super) challenge: Option<String>,
}

/// Why an authorization request is not put before the person.
pub(super) enum Refused {
    /// Told on a page, since nobody knows where a redirect would lead (RFC 6749 §4.1.2.1).
    OnPage(&'static str),
    /// Told to the application: `invalid_request` and this description.
    ByRedirect(Box<AuthorizationRequest>, &'static str),
}

impl Refused {
    pub(super) fn answer(self, provider: &str) -> HttpResponse {
        match self {
            Self::OnPage(reason) => page::refusal(provider, reason),
            Self::ByRedirect(request, description) => {
                request.redirect(&[("error", "invalid_request"), ("error_description", description)])
            }
        }
    }
}

impl AuthorizationRequest {
    /// Reads a request to a provider whose only client is `client_id`, and whose only `response_mode` is this.
    pub(super) fn read(client_id: &str, response_mode: &str, query: &Params) -> Result<Self, Refused> {
        match query.get("client_id") {
            None => return Err(Refused::OnPage("invalid_request: client_id is missing")),
            Some(asked) if asked != client_id => {
                return Err(Refused::OnPage("invalid_client: the client is unknown"));
            }
            Some(_) => {}
        }
        let redirect_uri = query.owned("redirect_uri");
        let redirect_uri = redirect_uri.ok_or(Refused::OnPage("invalid_request: redirect_uri is missing"))?;
        if !may_be_redirected_to(&redirect_uri) {
            return Err(Refused::OnPage("invalid_request: redirect_uri is no absolute http or https URL"));
        }
        if query.get("response_mode").unwrap_or("query") != response_mode {
            return Err(Refused::OnPage("invalid_request: the provider has another response_mode"));
        }
        let request = Self {
            redirect_uri,
            scope: query.owned("scope").unwrap_or_default(),
            state: query.owned("state"),
            nonce: query.owned("nonce"),
            challenge: query.owned("code_challenge"),
        };
        match request.wrong_challenge(query.get("code_challenge_method")) {
            Some(description) => Err(Refused::ByRedirect(Box::new(request), description)),
            None => Ok(request),
        }
    }

    /// RFC 7636 §4.4.1. `plain`, also by leaving the method out, is refused although providers take it, so that whoever
    /// falls back to it notices.
    fn wrong_challenge(&self, method: Option<&str>) -> Option<&'static str> {
        match (&self.challenge, method) {
            (None, None) => None,
            (None, Some(_)) => Some("code_challenge is missing"),
            (Some(challenge), Some("S256")) if is_digest(challenge) => None,
            (Some(_), Some("S256")) => Some("code_challenge is no SHA-256 in base64url"),
            (Some(_), _) => Some("the only code_challenge_method is S256"),
        }
    }

    /// The redirect back to the application, with its `state` (RFC 6749 §4.1.2).
    pub(super) fn redirect(&self, members: &[(&str, &str)]) -> HttpResponse {
        let Ok(mut url) = Url::parse(&self.redirect_uri) else {
            return HttpResponse::InternalServerError().finish();
        };
        let state = self.state.iter().map(|state| ("state", state.as_str()));
        url.query_pairs_mut().extend_pairs(members).extend_pairs(state);
        HttpResponse::Found()
            .insert_header((header::LOCATION, url.as_str()))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .finish()
    }
}

impl AuthorizationRequest {
    /// The same in a form that the browser posts by itself (OAuth 2.0 Form Post Response Mode §2).
    fn form_post(&self, members: &[(&str, &str)]) -> HttpResponse {
        let state = self.state.iter().map(|state| ("state", state.as_str()));
        page::form_post(&self.redirect_uri, members.iter().copied().chain(state))
    }
}

/// A URL with a fragment cannot take a query (RFC 6749 §3.1.2).
fn may_be_redirected_to(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none())
}

/// 32 bytes in base64url.
fn is_digest(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// `GET /google/o/oauth2/v2/auth`, `GET /oidc/authorize` (OpenID Connect Core §3.1.2), and the same with `POST` for the
/// page's own forms.
pub(super) async fn authorize(issuer: web::Data<Issuer>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let answer = match read(&issuer, &request) {
        Ok((query, asked)) => decide(&issuer, &request, asked, &Choice::of(&request, &query, &body)),
        Err(refused) => refused.answer(issuer.sign_in().provider),
    };
    page::or_its_url(&request, answer)
}

fn read(issuer: &Issuer, request: &HttpRequest) -> Result<(Params, AuthorizationRequest), Refused> {
    let query = Params::of_query(request).ok_or(Refused::OnPage(TWICE))?;
    if query.get("response_type") != Some("code") {
        return Err(Refused::OnPage("unsupported_response_type: the only response_type is code"));
    }
    let response_mode = if issuer.sign_in().ways == Ways::Apple { "form_post" } else { "query" };
    let asked = AuthorizationRequest::read(issuer.sign_in().client_id, response_mode, &query)?;
    if asked.scope.is_empty() {
        return Err(Refused::OnPage("invalid_request: scope is missing"));
    }
    Ok((query, asked))
}

fn decide(
    issuer: &Issuer,
    request: &HttpRequest,
    asked: AuthorizationRequest,
    choice: &Choice,
) -> HttpResponse {
    let sign_in = issuer.sign_in();
    let named = issuer.issuer_in_answers();
    let mut members: Vec<_> = named.iter().map(|iss| ("iss", iss.as_str())).collect();
    match choice {
        Choice::Open => {
            page::consent(sign_in.provider, sign_in.client_id, &asked.scope, request.query_string())
        }
        Choice::Deny if sign_in.ways == Ways::Apple => {
            asked.form_post(&[("error", "user_cancelled_authorize")])
        }
        Choice::Deny => {
            members.extend([("error", "access_denied"), ("error_description", "The person denied access.")]);
            asked.redirect(&members)
        }
        Choice::Person(name) => {
            let code = format!("{}{}", sign_in.code_prefix, random_base62(64));
            let scope = (sign_in.granted)(&asked.scope);
            members.push(("code", &code));
            let user = apple::user(&issuer.person(name)).to_string();
            let answer = match sign_in.ways {
                Ways::Apple => {
                    members.push(("user", &user));
                    asked.form_post(&members)
                }
                Ways::Google => {
                    members.extend([("scope", scope.as_str()), ("authuser", "0"), ("prompt", "consent")]);
                    asked.redirect(&members)
                }
                Ways::Standard => asked.redirect(&members),
            };
            issuer.codes().issue(&code, asked, name.clone());
            answer
        }
    }
}
