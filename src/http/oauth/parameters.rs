//! The form of a request at `/oauth/*` (RFC 6749 §3.2): each parameter at most once, one without a value is none, unknown ones are
//! ignored.

use std::collections::BTreeMap;

use actix_web::web::Payload;
use actix_web::{HttpMessage, HttpRequest};
use secrecy::SecretString;

use super::super::body::read_bytes;
use crate::error::{ApiError, Code};

/// The parameters that were sent. All are kept from logs by their type: some are secrets.
pub(super) struct Parameters(BTreeMap<String, SecretString>);

impl Parameters {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 `invalid_request`, 408, 413.
    pub(super) async fn read(request: &HttpRequest, body: Payload) -> Result<Self, ApiError> {
        let body = read_bytes(request, body).await?;
        if !request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(invalid("Content-Type must be application/x-www-form-urlencoded".to_owned()));
        }
        let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(&body)
            .map_err(|_| invalid("the form is not form-urlencoded UTF-8".to_owned()))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            let problem = format!("{} is there twice", shown(&name));
            if parameters.insert(name, value.into()).is_some() {
                return Err(invalid(problem));
            }
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter, which stays.
    pub(super) fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }

    /// A parameter that may be left out.
    pub(super) fn take(&mut self, name: &str) -> Option<SecretString> {
        self.0.remove(name)
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// 400 `invalid_request`.
    pub(super) fn want(&mut self, name: &str) -> Result<SecretString, ApiError> {
        self.take(name).ok_or_else(|| invalid(format!("the parameter {name} is missing")))
    }
}

/// What a stranger calls a parameter may be a token in the wrong place.
fn shown(name: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if name.len() <= 32 && name.bytes().all(plain) { name } else { "a parameter" }
}

fn invalid(detail: String) -> ApiError {
    ApiError::new(Code::InvalidRequest, detail)
}
