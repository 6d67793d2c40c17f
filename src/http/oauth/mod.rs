//! `/oauth/*`, which speaks RFC 6749: forms in, and `error` with `error_description` where the rest of the service has a problem.

mod authorization_code;
mod client_authentication;
mod client_credentials;
mod error;
mod parameters;
mod token;

pub use self::error::OAuthProblem;
pub(super) use self::error::description;
pub use self::token::TokenRequestBody;
pub(crate) use self::token::{__path_issue_token, issue_token};
