//! Reading a request body: how large it may be, and how long it may take.

use std::pin::pin;

use actix_web::HttpRequest;
use actix_web::web::{Bytes, Payload};

use crate::error::{ApiError, Code};
use crate::state::AppState;

/// The largest body, in bytes: four times the longest ID token.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// Reads the body, at most [`MAX_BODY_BYTES`] of it and within `server.body_timeout`. The time is for the whole body: a client that
/// sends a byte now and then gains nothing. A process that is stopping ends the wait once its connections had their time.
///
/// # Errors
/// 400 when the body is cut short, 408, 413.
pub(super) async fn read_bytes(request: &HttpRequest, body: Payload) -> Result<Bytes, ApiError> {
    let state = AppState::of(request)?;
    let limit = state.settings.server.body_timeout;
    let read = pin!(body.to_bytes_limited(MAX_BODY_BYTES));
    // In this order: a body that has arrived with its head costs no timer.
    tokio::select! {
        biased;
        read = read => {
            let read = read.map_err(|_| {
                ApiError::new(Code::PayloadTooLarge, format!("a body here has at most {MAX_BODY_BYTES} bytes"))
            })?;
            read.map_err(|_| ApiError::new(Code::InvalidRequest, "the body broke off"))
        }
        () = async { tokio::time::sleep(limit).await } => {
            let detail = format!(
                "The body did not arrive within server.body_timeout ({}). Send the whole body at once.",
                humantime::format_duration(limit)
            );
            Err(ApiError::new(Code::RequestTimeout, detail))
        }
        () = state.drained() => {
            let detail = "The service is stopping and does not wait for the rest of the body. Send the request again.";
            Err(ApiError::new(Code::RequestTimeout, detail))
        }
    }
}
