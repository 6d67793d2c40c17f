//! Around every request: its id in and out, one access-log line, its time in the metrics.
//!
//! The line names the route's pattern, never the path or the query: strangers type tokens there.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest};
use uuid::Uuid;

use super::peer::client_address;
use crate::connections::Connection;
use crate::error::RefusalNote;
use crate::metrics::RequestLabels;
use crate::settings::ServerSettings;
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
    // Absent in a server that is not ours.
    if let Some(connection) = request.conn_data::<Connection>() {
        connection.busy();
    }
    let state = request.app_data::<Data<AppState>>().cloned();
    let id = take_request_id(&mut request);
    let peer = state.as_ref().and_then(|state| {
        Some(client_address(request.peer_addr()?.ip(), request.headers(), &state.settings.server))
    });
    let method = known_method(request.method());
    let mut response = next.call(request).await?;
    let took = start.elapsed();
    if let Some(state) = &state {
        if state.is_stopping() || response.status() == StatusCode::REQUEST_TIMEOUT {
            // Tells a client that keeps its connection to make the next request elsewhere; and what is left of a body that took
            // too long is not read (RFC 9110 §15.5.9).
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        let labels =
            RequestLabels { method, route: route(response.request()), status: response.status().as_u16() };
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
    if let Some(connection) = response.request().conn_data::<Connection>() {
        // A chunked body that was not read to its end would keep it open.
        if response.status() == StatusCode::REQUEST_TIMEOUT {
            connection.close_soon(start + took);
        } else {
            connection.done(start + took);
        }
    }
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
    let mut id = HeaderValue::from_str(Uuid::new_v4().simple().encode_lower(&mut Uuid::encode_buffer()))
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    // The mark by which `event_request_id` knows it; what comes from a client never has it.
    id.set_sensitive(true);
    request.headers_mut().insert(REQUEST_ID.clone(), id.clone());
    id
}

/// The id that the events of a request have in place of the client's own. Left in the request, so that all have the same.
struct EventRequestId(String);

/// Returns the id that the events of this request have: the request's own, if we made it or a proxy that we trust did. An id of
/// anybody else's is not stored, since it could be that of another request, or a message; a new one stands for it, and a line
/// of the log has both.
pub(super) fn event_request_id(request: &HttpRequest, settings: &ServerSettings) -> Option<String> {
    let shown = request.headers().get(&REQUEST_ID);
    let is_ours = shown.is_some_and(HeaderValue::is_sensitive);
    let by_trusted_proxy =
        || request.peer_addr().is_some_and(|peer| settings.trusts(peer.ip().to_canonical()));
    if is_ours || by_trusted_proxy() {
        return request_id(request.headers()).map(str::to_owned);
    }
    // Nothing is there in an embedding app that does without `observe`.
    let shown = shown?.to_str().unwrap_or_default();
    let mut extensions = request.extensions_mut();
    if let Some(EventRequestId(id)) = extensions.get() {
        return Some(id.clone());
    }
    let id = Uuid::new_v4().simple().to_string();
    log::info!(
        request_id = shown, event_request_id = id.as_str();
        "the audit trail has an id of its own for this request: X-Request-Id did not come from a trusted proxy"
    );
    extensions.insert(EventRequestId(id.clone()));
    Some(id)
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
    // Whole microseconds: more digits are noise.
    let ms = f64::from(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)) / 1000.0;
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
