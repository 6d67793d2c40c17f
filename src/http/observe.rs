//! Around every request: its id in and out, one access-log line, its time in the metrics.
//!
//! The line names the route's pattern, never the path or the query: strangers type tokens there.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpRequest};
use uuid::Uuid;

use super::peer::client_address;
use crate::error::RefusalNote;
use crate::metrics::RequestLabels;
use crate::state::AppState;

/// On each of our resources, so that its pattern is at hand. `HttpRequest::match_pattern` tries all routes once more, with
/// their regular expressions, to find it.
pub(super) struct RoutePattern(pub(super) &'static str);

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Middleware for `actix_web::middleware::from_fn`; [`crate::App`] has it built in, an embedding app may wrap it around
/// its own.
///
/// # Errors
/// Those of the service it wraps.
pub async fn observe(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let start = Instant::now();
    let state = request.app_data::<Data<AppState>>().cloned();
    let id = take_request_id(&mut request);
    let peer = state.as_ref().and_then(|state| {
        Some(client_address(request.peer_addr()?.ip(), request.headers(), &state.settings.server))
    });
    let method = known_method(request.method());
    let mut response = next.call(request).await?;
    if let Some(state) = &state {
        if state.is_stopping() {
            // Tells a client that keeps its connection to make the next request elsewhere.
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        let labels =
            RequestLabels { method, route: route(response.request()), status: response.status().as_u16() };
        let took = start.elapsed();
        state.metrics.request(&labels, took);
        let extensions = response.response().extensions();
        let refusal: Option<&RefusalNote> = extensions.get();
        if let Some(refusal) = refusal {
            state.metrics.refusal(refusal.code);
        }
        log_access(&labels, &id, peer, took, refusal);
        drop(extensions);
    }
    response.headers_mut().insert(REQUEST_ID.clone(), id);
    Ok(response)
}

fn route(request: &HttpRequest) -> Cow<'static, str> {
    match request.app_data() {
        Some(RoutePattern(pattern)) => Cow::Borrowed(pattern),
        // A route of an embedding app, or none.
        None => request.match_pattern().map_or(Cow::Borrowed("none"), Cow::Owned),
    }
}

/// The caller's id when it is harmless, else one of ours, which takes its place: whoever asks the request later is told the
/// same.
fn take_request_id(request: &mut ServiceRequest) -> HeaderValue {
    if request_id(request.headers()).is_some()
        && let Some(id) = request.headers().get(&REQUEST_ID)
    {
        return id.clone();
    }
    let id = HeaderValue::from_str(Uuid::new_v4().simple().encode_lower(&mut Uuid::encode_buffer()))
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    request.headers_mut().insert(REQUEST_ID.clone(), id.clone());
    id
}

/// The id of a request, when it has one that is harmless.
pub(super) fn request_id(headers: &HeaderMap) -> Option<&str> {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let id = headers.get(&REQUEST_ID)?.as_bytes();
    let fits = (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.iter().copied().all(harmless);
    fits.then(|| std::str::from_utf8(id).ok()).flatten()
}

/// A method a stranger made up must not make a metric of its own.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

fn log_access(
    labels: &RequestLabels,
    id: &HeaderValue,
    peer: Option<IpAddr>,
    took: Duration,
    refusal: Option<&RefusalNote>,
) {
    let RequestLabels { method, route, status } = labels;
    // 5xx are ours to look at; everything else is the day's business.
    let level = if *status >= 500 { log::Level::Warn } else { log::Level::Info };
    if !log::log_enabled!(target: "tokenbooth::access", level) {
        return;
    }
    let id = id.to_str().unwrap_or_default();
    let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
    let ms = took.as_secs_f64() * 1000.0;
    match refusal {
        None => log::log!(
            target: "tokenbooth::access", level,
            method = *method, route = &**route, status = *status, ms = ms, peer = peer.as_str(), request_id = id;
            "request"
        ),
        Some(refusal) => log::log!(
            target: "tokenbooth::access", level,
            method = *method, route = &**route, status = *status, ms = ms, peer = peer.as_str(), request_id = id,
            code = refusal.code, reason = refusal.reason.as_str();
            "request"
        ),
    }
}
