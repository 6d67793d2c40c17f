//! The bodies of `/api/*` and of `/auth/password|refresh|logout`: JSON objects with known members only.

use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::web::Payload;
use actix_web::{HttpMessage, HttpRequest};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use super::body::read_bytes;
use crate::error::{ApiError, Code};

/// Longest name of an unknown member that is repeated in an answer.
const MAX_MEMBER_BYTES: usize = 64;

/// Reads the body as `T`, which denies unknown fields.
///
/// # Errors
/// 400, 408, 413, 415; the detail names the member that is wrong and never shows a value.
pub(super) async fn read_json<T: DeserializeOwned>(
    request: &HttpRequest,
    body: Payload,
) -> Result<T, ApiError> {
    let bytes = read_bytes(request, body).await?;
    if !request.content_type().eq_ignore_ascii_case("application/json") {
        let detail = "Content-Type must be application/json";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    parse(&bytes)
}

/// As [`read_json`], but no body at all is as good as `{}`.
///
/// # Errors
/// As [`read_json`].
pub(super) async fn read_json_or_nothing<T: DeserializeOwned>(
    request: &HttpRequest,
    body: Payload,
) -> Result<T, ApiError> {
    if has_body(request) { read_json(request, body).await } else { parse(b"{}") }
}

/// RFC 9112 §6.3: a request without either header has no body.
pub(super) fn has_body(request: &HttpRequest) -> bool {
    [CONTENT_LENGTH, TRANSFER_ENCODING]
        .iter()
        .any(|name| request.headers().get(name).is_some_and(|value| value != "0"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Serde reads a struct from an array of its members' values, too.
    let object = bytes.trim_ascii_start().starts_with(b"{");
    let parsed = object.then(|| serde_json::from_slice(bytes).ok()).flatten();
    parsed.ok_or_else(|| {
        let problem = if object { problem::<T>(bytes) } else { "not a JSON object".to_owned() };
        ApiError::new(Code::InvalidRequest, format!("the body is not the JSON object expected: {problem}"))
    })
}

/// What is wrong, without any value: an unknown member by its name, unless that is no name but something pasted.
fn problem<T: DeserializeOwned>(bytes: &[u8]) -> String {
    let problem = crate::jws::json_problem::<T>(bytes);
    match problem.strip_prefix("unknown field \"").and_then(|rest| rest.split_once('"')) {
        Some((name, _)) if !is_a_name(name) => "it has a member that is not known here".to_owned(),
        Some((name, _)) => format!("member \"{name}\" is not known here"),
        None => problem,
    }
}

fn is_a_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_MEMBER_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// For a member that may be absent but not `null`: with `#[serde(default)]`.
pub(super) fn not_null<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}
