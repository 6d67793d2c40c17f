//! The token endpoint of Google and of all other issuers (RFC 6749 §4.1.3, OpenID Connect Core §3.1.3): a code becomes
//! an ID token and an access token. GitHub's is another matter, see `github_login.rs`.

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::codes::{Code, Redemption};
use super::issuer::{Secret, Ways};
use super::params::Params;
use super::values::{base64url, lay_over};
use super::{Grant, Issuer, Person};

/// What Google says of a token that lives an hour.
const EXPIRES_IN: i64 = 3599;

/// `POST /google/token`, `POST /oidc/token`, and those of the others.
pub(super) async fn token(issuer: web::Data<Issuer>, request: HttpRequest, body: Bytes) -> HttpResponse {
    match redeem(&issuer, &request, &body) {
        Ok(code) => answer(StatusCode::OK, &Value::Object(tokens(&issuer, code)), None),
        Err(refusal) => refusal.answer(&issuer),
    }
}

/// An error of RFC 6749 §5.2.
struct Refusal {
    error: &'static str,
    description: String,
    /// Whether the client came with HTTP Basic and is to be challenged.
    basic: bool,
}

impl Refusal {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into(), basic: false }
    }

    fn answer(self, issuer: &Issuer) -> HttpResponse {
        // Apple says 400 to everything, and hardly ever why.
        let like_apple = issuer.sign_in().ways == Ways::Apple;
        let unauthorized = self.error == "invalid_client" && !like_apple;
        let status = if unauthorized { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        let mut body = json!({ "error": self.error });
        if !like_apple {
            body["error_description"] = self.description.into();
        }
        answer(status, &body, self.basic.then(|| format!("Basic realm=\"{}\"", issuer.realm())))
    }
}

fn answer(status: StatusCode, body: &Value, challenge: Option<String>) -> HttpResponse {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((header::CACHE_CONTROL, "no-cache, no-store, max-age=0, must-revalidate"))
        .insert_header((header::PRAGMA, "no-cache"));
    if let Some(challenge) = challenge {
        answer.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    answer.json(body)
}

fn redeem(issuer: &Issuer, request: &HttpRequest, body: &[u8]) -> Result<Code, Refusal> {
    let form = Params::of_form(request, body)
        .ok_or_else(|| Refusal::new("invalid_request", "not a form, or a parameter is there twice"))?;
    authenticate(issuer, request, &form)?;
    match form.get("grant_type") {
        Some("authorization_code") => {}
        None => return Err(missing("grant_type")),
        Some(other) => {
            return Err(Refusal::new("unsupported_grant_type", format!("Invalid grant_type: {other}")));
        }
    }
    let shown = Redemption {
        code: form.get("code").ok_or_else(|| missing("code"))?,
        redirect_uri: Some(form.get("redirect_uri").ok_or_else(|| missing("redirect_uri"))?),
        verifier: form.get("code_verifier"),
    };
    issuer.codes().redeem(&shown).map_err(|_which| Refusal::new("invalid_grant", "Bad Request"))
}

fn missing(parameter: &str) -> Refusal {
    Refusal::new("invalid_request", format!("Missing required parameter: {parameter}"))
}

/// `client_secret_basic` or `client_secret_post`, and not both at once (RFC 6749 §2.3.1).
fn authenticate(issuer: &Issuer, request: &HttpRequest, form: &Params) -> Result<(), Refusal> {
    let header = request.headers().get(header::AUTHORIZATION);
    let basic = header.is_some();
    let refuse = |description: &str| Refusal { basic, ..Refusal::new("invalid_client", description) };
    let (id, secret) = match header {
        Some(value) => {
            if form.get("client_secret").is_some() {
                return Err(Refusal::new("invalid_request", "the client authenticates in two ways"));
            }
            let (id, secret) =
                value.to_str().ok().and_then(basic_pair).ok_or_else(|| refuse("Unauthorized"))?;
            if form.get("client_id").is_some_and(|other| other != id) {
                return Err(refuse("Unauthorized"));
            }
            (id, secret)
        }
        None => (
            form.owned("client_id").ok_or_else(|| refuse("Could not determine client ID from request."))?,
            form.owned("client_secret").unwrap_or_default(),
        ),
    };
    let known = issuer.sign_in();
    if id != known.client_id {
        return Err(refuse("The OAuth client was not found."));
    }
    let proved = match &known.client_secret {
        Secret::Text(text) => secret == *text,
        // Apple takes it in the body only.
        Secret::Signed(team) => !basic && team.knows(&secret, known.client_id),
    };
    if proved { Ok(()) } else { Err(refuse("Unauthorized")) }
}

/// Id and secret are forms' text before they are base64, so that a colon in either does no harm.
fn basic_pair(authorization: &str) -> Option<(String, String)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    };
    Some((decoded(id)?, decoded(secret)?))
}

/// The successful answer (OpenID Connect Core §3.1.3.3).
fn tokens(issuer: &Issuer, code: Code) -> Map<String, Value> {
    let sign_in = issuer.sign_in();
    let scope = (sign_in.granted)(&code.request.scope);
    let person = within(issuer.person(&code.person), &scope);
    let access_token = issuer.access_token(Grant {
        aud: sign_in.client_id.into(),
        scope: scope.clone(),
        expires_in: EXPIRES_IN,
        ..person.clone().into()
    });
    let mut members = Map::new();
    lay_over(
        &mut members,
        json!({ "access_token": access_token, "expires_in": EXPIRES_IN, "scope": scope, "token_type": "Bearer" }),
    );
    if scope.split(' ').any(|word| word == "openid") {
        let mut changes = Map::new();
        changes.insert("aud".into(), sign_in.client_id.into());
        if sign_in.ways != Ways::Apple {
            changes.insert("azp".into(), sign_in.client_id.into());
        }
        changes.insert("at_hash".into(), at_hash(&access_token).into());
        changes.insert("nonce".into(), code.request.nonce.into());
        changes.extend(issuer.claim_changes());
        members.insert("id_token".into(), issuer.id_token_of(&person, Value::Object(changes)).into());
    }
    lay_over(&mut members, issuer.token_answer_changes());
    members
}

/// What the scopes let an application know of a person (OpenID Connect Core §5.4).
fn within(person: Person, scope: &str) -> Person {
    let has = |name: &str| {
        scope.split(' ').any(|word| word == name || word.ends_with(&format!("/userinfo.{name}")))
    };
    let mut known = Person { sub: person.sub.clone(), ..nobody() };
    if has("email") {
        known = Person { email: person.email, email_verified: person.email_verified, ..known };
    }
    if has("profile") {
        known = Person {
            name: person.name,
            given_name: person.given_name,
            family_name: person.family_name,
            picture: person.picture,
            ..known
        };
    }
    known
}

fn nobody() -> Person {
    Person {
        sub: String::new(),
        email: None,
        email_verified: None,
        name: None,
        given_name: None,
        family_name: None,
        picture: None,
    }
}

/// The left half of the access token's SHA-256, for RS256 and ES256 (OpenID Connect Core §3.1.3.6).
fn at_hash(access_token: &str) -> String {
    let digest = digest::digest(&digest::SHA256, access_token.as_bytes());
    base64url(&digest.as_ref()[..digest.as_ref().len() / 2])
}
