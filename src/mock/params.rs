//! The parameters of the sign-in endpoints, in a query or a form, as RFC 6749 §3.1 and §3.2 have them: one sent without
//! a value counts as left out, and none may be sent twice.

use std::collections::HashMap;

use actix_web::HttpRequest;
use actix_web::http::header;

/// Parameters by name.
#[derive(Debug)]
pub(super) struct Params(HashMap<String, String>);

impl Params {
    /// What is in the request's query; `None` when a parameter is there twice.
    pub(super) fn of_query(request: &HttpRequest) -> Option<Self> {
        Self::parse(request.query_string().as_bytes())
    }

    /// What is in the body; `None` when a parameter is there twice or the body is not said to be a form.
    pub(super) fn of_form(request: &HttpRequest, body: &[u8]) -> Option<Self> {
        let content_type = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return None;
        }
        Self::parse(body)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(text).ok()?;
        let mut params = HashMap::new();
        for (name, value) in pairs {
            if params.insert(name, value).is_some() {
                return None;
            }
        }
        Some(Self(params))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same, as a text of its own.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }
}
