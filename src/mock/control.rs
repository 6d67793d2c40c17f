//! The mock's controls over HTTP, below `/mock`: for `curl`, and for programs in other processes.
//! They do what the handle's methods do, and are not counted as requests. Beside them is the door of an app on loopback.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{HttpResponse, ResponseError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::world::World;
use super::{Endpoint, Fault, GithubGrant, Grant, Issuer, MockError};

/// `GET|POST /mock/{issuer}/id_token`; the body, if any, is laid over the claims.
pub(super) async fn id_token(issuer: web::Data<Issuer>, body: Bytes) -> Result<HttpResponse, ControlError> {
    let changes: Value = parse(&body)?;
    Ok(HttpResponse::Ok().json(json!({ "id_token": issuer.id_token(changes) })))
}

/// `GET|POST /mock/{issuer}/access_token`; the body, if any, has members of [`Grant`] and of
/// its person, on one level.
pub(super) async fn access_token(
    issuer: web::Data<Issuer>,
    body: Bytes,
) -> Result<HttpResponse, ControlError> {
    let grant: Grant = parse(&body)?;
    Ok(HttpResponse::Ok().json(json!({ "access_token": issuer.access_token(grant) })))
}

/// `POST /mock/{issuer}/rotate`.
pub(super) async fn rotate(issuer: web::Data<Issuer>) -> Result<HttpResponse, ControlError> {
    // Making the key holds up the mock for a tenth of a second, which hurts nobody here.
    let key = issuer.keys().rotate()?;
    Ok(HttpResponse::Ok().json(json!({ "kid": key.kid() })))
}

/// `GET|POST /mock/github/access_token`; the body, if any, has members of [`GithubGrant`] and of
/// its user, on one level.
pub(super) async fn github_access_token(
    world: web::Data<World>,
    body: Bytes,
) -> Result<HttpResponse, ControlError> {
    let grant: GithubGrant = parse(&body)?;
    let token = world.github.access_token(grant);
    Ok(HttpResponse::Ok().json(json!({ "access_token": token })))
}

/// `GET /callback`: an app that waits on loopback for its one-time code, and shows what it was sent.
pub(super) async fn callback(sent: web::Query<BTreeMap<String, String>>) -> HttpResponse {
    HttpResponse::Ok().json(sent.into_inner())
}

/// `PUT /mock/faults/{endpoint}`: `{"kind": "slow", "seconds": 2, "times": 3}`.
pub(super) async fn set_fault(
    world: web::Data<World>,
    endpoint: web::Path<String>,
    body: Bytes,
) -> Result<HttpResponse, ControlError> {
    let endpoint = Endpoint::named(&endpoint).ok_or_else(|| {
        let known = Endpoint::ALL.map(Endpoint::name).join(", ");
        ControlError::Body(format!("unknown endpoint; one of {known}"))
    })?;
    let order: FaultOrder = parse(&body)?;
    let times = order.times;
    world.faults.order(endpoint, order.fault()?, times);
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /mock/faults`.
pub(super) async fn clear_faults(world: web::Data<World>) -> HttpResponse {
    world.faults.clear();
    HttpResponse::NoContent().finish()
}

/// `GET /mock/requests`: `{"total": 3, "endpoints": {"jwks": 1, …}, "seen": […]}`.
pub(super) async fn requests(world: web::Data<World>) -> HttpResponse {
    let journal = &world.journal;
    let endpoints: Map<String, Value> = Endpoint::ALL
        .into_iter()
        .map(|endpoint| (endpoint.name().into(), journal.count(endpoint).into()))
        .collect();
    HttpResponse::Ok().json(json!({
        "total": journal.total(), "endpoints": endpoints, "seen": journal.seen()
    }))
}

/// `DELETE /mock/requests`.
pub(super) async fn forget_requests(world: web::Data<World>) -> HttpResponse {
    world.journal.forget();
    HttpResponse::NoContent().finish()
}

/// A fault as it is written in JSON; each `kind` is the name of a [`Fault`] in snake case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultOrder {
    kind: String,
    /// How many requests it hits; all when absent.
    times: Option<u64>,
    seconds: Option<f64>,
    status: Option<u16>,
    url: Option<String>,
    retry_after: Option<u64>,
}

impl FaultOrder {
    fn fault(self) -> Result<Fault, ControlError> {
        let wants = |member: &str| ControlError::Body(format!("{} wants {member}", self.kind));
        Ok(match self.kind.as_str() {
            "slow" => {
                let seconds = self.seconds.ok_or_else(|| wants("seconds"))?;
                let delay = Duration::try_from_secs_f64(seconds);
                Fault::Slow(delay.map_err(|error| ControlError::Body(error.to_string()))?)
            }
            "hang" => Fault::Hang,
            "status" => Fault::Status(self.status.ok_or_else(|| wants("status"))?),
            "truncated" => Fault::Truncated,
            "huge" => Fault::Huge,
            "redirect" => Fault::Redirect(self.url.clone().ok_or_else(|| wants("url"))?),
            "wrong_type" => Fault::WrongType,
            "not_json" => Fault::NotJson,
            "empty" => Fault::Empty,
            "close_at_once" => Fault::CloseAtOnce,
            "rate_limited_403" => Fault::RateLimited403,
            "rate_limited_429" => Fault::RateLimited429 { retry_after: self.retry_after },
            "locked_out" => Fault::LockedOut,
            unknown => return Err(ControlError::Body(format!("unknown kind {unknown:?}"))),
        })
    }
}

/// What the controls answer when an order cannot be carried out: `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    #[error("{0}")]
    Body(String),
    #[error(transparent)]
    Mock(#[from] MockError),
}

impl ResponseError for ControlError {
    fn status_code(&self) -> actix_web::http::StatusCode {
        match self {
            Self::Body(_) => actix_web::http::StatusCode::BAD_REQUEST,
            Self::Mock(_) => actix_web::http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(json!({ "error": self.to_string() }))
    }
}

/// The body as JSON whatever its content type, since `curl -d` says it is a form; none is `{}`.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| ControlError::Body(error.to_string()))
}
