//! For whoever runs the service: is it alive, can it work, how is it doing.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::DbError;
use crate::error::ApiError;
use crate::metrics::KeysGauge;
use crate::state::AppState;

/// The process is alive; nothing more is said.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether requests should be sent here, and what is behind the answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, `starting`, `stopping` or `unavailable`.
    #[schema(example = "ready")]
    status: &'static str,
    /// `ok`; `unavailable`; `read-only` while only a server that takes no changes can be reached; `clock-differs` while this
    /// machine's clock and the PostgreSQL server's differ by more than 60 seconds.
    #[schema(example = "ok")]
    database: &'static str,
    /// By provider: `ok`, `starting` (first fetch under way) or `unavailable` (no keys; its ID tokens are answered 503).
    #[schema(value_type = std::collections::BTreeMap<String, String>, example = json!({ "google": "ok" }))]
    keys: BTreeMap<String, &'static str>,
}

/// The process answers
#[utoipa::path(get, path = "/healthz", operation_id = "process_health", tag = "operations",
    responses((status = 200, description = "Alive", body = Health)))]
pub(crate) async fn process_health() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Health { status: "ok" })
}

/// Requests may be sent here
///
/// Not while starting (the first fetch of every provider's keys is under way), stopping, or without a database that takes
/// changes and has the same time. A provider that is down is reported and makes nobody unready: everything else still works, on every replica.
#[utoipa::path(get, path = "/readyz", operation_id = "readiness", tag = "operations",
    responses(
        (status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready", body = Readiness),
    ))]
pub(crate) async fn readiness(state: Data<AppState>) -> HttpResponse {
    let database = database_word(&state).await;
    let mut keys = BTreeMap::new();
    for provider in state.providers.iter() {
        let Some(status) = provider.keys() else {
            continue;
        };
        let word = match (status.keys, status.attempted) {
            (0, false) => "starting",
            (0, true) => "unavailable",
            _ => "ok",
        };
        keys.insert(provider.name().to_owned(), word);
    }
    let status = if state.is_stopping() {
        "stopping"
    } else if database != "ok" {
        "unavailable"
    } else if keys.values().any(|word| *word == "starting") {
        "starting"
    } else {
        "ready"
    };
    let mut response =
        if status == "ready" { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((CACHE_CONTROL, "no-store")).json(Readiness { status, database, keys })
}

/// What is to be said of the database. A change is logged, with the reason.
async fn database_word(state: &AppState) -> &'static str {
    let answer = state.db.ping().await;
    let word = match &answer {
        Ok(()) => "ok",
        Err(DbError::ReadOnly) => "read-only",
        Err(DbError::ClockDiffers { .. }) => "clock-differs",
        Err(_) => "unavailable",
    };
    let mut last = state.database_word.lock().unwrap_or_else(PoisonError::into_inner);
    let before = last.replace(word);
    match answer {
        Err(error) if before != Some(word) => log::warn!("not ready: {error}"),
        Ok(()) if before.is_some_and(|before| before != word) => log::info!("the database is ready again"),
        _ => {}
    }
    word
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operations",
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text")))]
pub(crate) async fn metrics(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let keys: Vec<KeysGauge<'_>> = state
        .providers
        .iter()
        .filter_map(|provider| {
            let status = provider.keys()?;
            Some(KeysGauge { provider: provider.name(), keys: status.keys, age: status.age })
        })
        .collect();
    let text = state.metrics.render(&keys, state.db.pool_state()).map_err(ApiError::internal)?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(content_type).body(text))
}
