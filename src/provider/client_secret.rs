//! What an app proves itself with at a token endpoint: a secret that it was given, or one that it makes of a key, as Apple
//! has it (<https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret>).

use jsonwebtoken::{Algorithm, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::Outage;
use crate::clock::SharedClock;
use crate::jws::{SigningKey, es256_key};
use crate::settings::AppleSettings;

/// Seconds that a made one is good. Apple allows half a year; it is made anew for each use, which costs less than a page.
const LIFE: i64 = 300;
/// Seconds by which our clock may be ahead: one from the future is refused as `invalid_client`.
const LEEWAY: i64 = 60;

/// An app's secret.
pub(super) enum ClientSecret {
    /// A public client has PKCE alone.
    None,
    /// As the provider gave it out.
    Fixed(SecretString),
    /// Made of Apple's key.
    Made(AppleKey),
}

/// A developer team's key with Apple.
pub(super) struct AppleKey {
    key: SigningKey,
    team_id: String,
    client_id: String,
    /// Apple, by the name of its issuer.
    audience: String,
    clock: SharedClock,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
    aud: &'a str,
    sub: &'a str,
}

impl ClientSecret {
    /// The secret of this moment; `None` for a public client.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(super) fn now(&self, provider: &str) -> Result<Option<SecretString>, Outage> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(secret) => Ok(Some(secret.clone())),
            Self::Made(key) => key.make().map(Some).map_err(|_| {
                Outage::bad_answer(provider, "no client secret can be made with its private_key")
            }),
        }
    }

    /// The settings that it comes from, for whoever has to mend them.
    pub(super) fn settings(&self) -> &'static str {
        match self {
            Self::None | Self::Fixed(_) => "client_secret",
            Self::Made(_) => "team_id, key_id and private_key",
        }
    }
}

impl AppleKey {
    /// `None` unless all of it is set, and a key.
    pub(super) fn new(
        settings: &AppleSettings,
        client_id: &str,
        audience: &str,
        clock: &SharedClock,
    ) -> Option<Self> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(settings.key_id.clone()?);
        let key = es256_key(settings.private_key.as_ref()?.expose_secret())?;
        Some(Self {
            key: SigningKey::new(&header, key).ok()?,
            team_id: settings.team_id.clone()?,
            client_id: client_id.to_owned(),
            audience: audience.to_owned(),
            clock: SharedClock::clone(clock),
        })
    }

    fn make(&self) -> Result<SecretString, crate::jws::SigningError> {
        let now = self.clock.now().0;
        let claims = Claims {
            iss: &self.team_id,
            iat: now - LEEWAY,
            exp: now + LIFE,
            aud: &self.audience,
            sub: &self.client_id,
        };
        self.key.sign(&claims).map(SecretString::from)
    }
}
