//! `POST /oauth/token`: the grants beside `client_credentials` (`clients.rs`) and `authorization_code` (`native.rs`).

mod form;
mod refresh_token;
mod token_exchange;
mod token_kinds;
