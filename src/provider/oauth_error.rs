//! What a token endpoint says instead of a token (RFC 6749 §5.2), as far as providers agree.

use serde::Deserialize;

use super::Outage;

/// An error of a token endpoint.
#[derive(Deserialize)]
pub(super) struct OAuthError {
    pub error: String,
}

/// Our callback is not among those that the provider knows: a mistake in the settings here or there, never the user's.
pub(super) fn unregistered_callback(provider: &str) -> Outage {
    let problem = format!(
        "it does not know our callback: {{server.public_url}}/auth/{provider}/callback must be registered with it"
    );
    Outage::bad_answer(provider, problem)
}

/// An error that has no meaning here. Its name is repeated when it looks like one, and nothing else of the answer: who knows
/// what it quotes.
pub(super) fn unexpected(provider: &str, error: &str) -> Outage {
    const LONGEST: usize = 64;
    let name = error.len() <= LONGEST && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let shown = if name { error } else { "an error without a proper name" };
    Outage::bad_answer(provider, format!("it says {shown}"))
}
