//! What is said of an ID token whose key is not in the key set: it is rejected, or it has to wait until the provider can be asked for
//! newer keys.

use serde::Deserialize;
use serde_json::Value;

use super::super::key_cache::LastAsked;
use super::super::{Outage, Refusal};
use super::{IdTokens, LEEWAY};
use crate::clock::Timestamp;
use crate::jws::{Quoted, UnverifiedJws};

/// What a token whose key is not known says of itself: the issuer, to name a foreign one to the client that sent its token here, and
/// when it was issued, to know whether its key may be newer than the key set. Nothing is accepted by them.
#[derive(Default, Deserialize)]
struct UnverifiedClaims {
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    iat: Value,
}

impl IdTokens {
    /// Why a token is not accepted whose key is not in the set. A token that was issued after the provider was last asked may be
    /// signed by a newer key: that is no fault of the token, so the client is asked to come again when the provider can be asked.
    pub(super) fn unknown_key(&self, jws: &UnverifiedJws<'_>, kid: &str, last_asked: LastAsked) -> Refusal {
        let claims = jws.unverified_claims::<UnverifiedClaims>().unwrap_or_default();
        if let Value::String(iss) = &claims.iss
            && !self.rules.issuers.could_be(iss)
        {
            return self.rules.issuers.foreign(&self.provider, iss);
        }
        // No provider's key is symmetric.
        let symmetric = jws.header().alg.starts_with("HS") || jws.header().alg.eq_ignore_ascii_case("none");
        match last_asked {
            LastAsked::Before { at, retry_in } if !symmetric && self.may_be_newer_than(at, &claims.iat) => {
                Outage::keys_may_be_newer(&self.provider, retry_in).into()
            }
            _ => Refusal::InvalidToken(format!(
                "the token's kid {} is not among {}'s keys",
                Quoted(kid),
                self.provider
            )),
        }
    }

    /// Whether a token with this `iat` may have been issued at `moment` or later. One that is dated ahead of our clock is not
    /// accepted by whatever key, and must not be put off for ever.
    fn may_be_newer_than(&self, moment: Timestamp, iat: &Value) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "it saturates, and the fraction does not matter")]
        let seconds = iat.as_i64().or_else(|| iat.as_f64().map(|seconds| seconds as i64));
        seconds.is_some_and(|iat| iat >= moment.0 && Timestamp(iat).since(self.clock.now()) <= LEEWAY)
    }
}
