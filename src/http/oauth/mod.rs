//! `/oauth/*`, which speaks RFC 6749: forms in, and `error` with `error_description` where the rest of the service has a problem.

mod authorization_code;
mod client_authentication;
mod client_credentials;
mod error;
mod introspection;
mod metadata;
mod parameters;
mod refresh_token;
mod revocation;
mod revocations;
mod token;
mod token_exchange;

pub use self::client_credentials::ClientTokenAnswer;
pub use self::error::OAuthProblem;
pub(super) use self::error::{OAuthError, description};
pub use self::introspection::Introspection;
pub(crate) use self::introspection::{__path_introspect_token, introspect_token};
pub use self::metadata::ServerMetadata;
pub(crate) use self::metadata::{__path_server_metadata, server_metadata, server_metadata_of_issuer};
pub(crate) use self::revocation::{__path_revoke_token, revoke_token};
pub(crate) use self::revocations::{__path_list_revocations, list_revocations};
pub(crate) use self::token::{__path_issue_token, issue_token};
pub use self::token::{IssuedTokens, TokenRequestBody};
pub use self::token_exchange::ExchangeAnswer;
