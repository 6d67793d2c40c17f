//! Services that sign in for themselves: made on the command line, proved at `/oauth/token`.

mod authentication;
mod commands;
mod example;

use serde_json::Value;

use crate::support::oauth::Service;
use crate::support::{Answer, TestApp};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// `client_credentials` with `client_secret_basic`.
async fn sign_in(app: &TestApp, service: &Service) -> Answer {
    app.post_form_as("/oauth/token", service, &[GRANT]).await
}
