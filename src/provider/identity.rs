//! Who a provider says somebody is, after the proof, made fit for the database and for a page.

use serde_json::Value;

use crate::authentication::Authentication;
use crate::clock::Timestamp;
use crate::email;
use crate::settings::EmailVerified;
use crate::text::{is_invisible, nfc};
use crate::user::{IdentityKey, MAX_NAME_CHARACTERS, is_avatar_url};

/// OpenID Connect Core §2: `sub` has at most 255 ASCII characters.
const MAX_SUBJECT_BYTES: usize = 255;

/// An identity that a provider has proved to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedIdentity {
    /// The provider's name in our settings.
    pub provider: String,
    /// The provider's own id of this person.
    pub provider_id: String,
    /// The address the provider gave, verified or not.
    pub email: Option<String>,
    /// The provider says that the address is this person's.
    pub email_verified: bool,
    /// The display name.
    pub name: Option<String>,
    /// A picture, an `https://` URL.
    pub avatar_url: Option<String>,
    /// When the provider issued the ID token behind it (`iat`); none behind an opaque access token.
    pub issued_at: Option<Timestamp>,
    /// When the provider authenticated the person (`auth_time`), if it was asked to do so again and says when it did. A provider may
    /// issue a new ID token without that.
    pub authenticated_at: Option<Timestamp>,
    /// The ID token behind it is accepted once (`providers.<name>.single_use`).
    pub single_use: Option<SingleUse>,
}

/// What is stored of an ID token that is accepted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleUse {
    /// SHA-256 of the token, in hex.
    pub hash: String,
    /// The token is rejected as expired from here on.
    pub until: Timestamp,
}

/// What a provider says of a person, in its own words.
#[derive(Debug, Default)]
pub(super) struct Profile<'a> {
    pub email: Option<&'a str>,
    pub email_verified: bool,
    pub name: Option<&'a str>,
    pub avatar_url: Option<&'a str>,
}

impl<'a> Profile<'a> {
    /// From the standard claims (OpenID Connect Core §5.1), in an ID token or at `userinfo`. One of another type is left
    /// out; `word` says what makes an address verified.
    pub(super) fn of_claims(
        email: &'a Value,
        email_verified: &Value,
        name: &'a Value,
        picture: &'a Value,
        word: EmailVerified,
    ) -> Self {
        let is_true = *email_verified == Value::Bool(true);
        Self {
            email: email.as_str().filter(|_| word != EmailVerified::Never),
            email_verified: match word {
                EmailVerified::Boolean => is_true,
                EmailVerified::Text => is_true || email_verified == "true",
                EmailVerified::Never => false,
            },
            name: name.as_str(),
            avatar_url: picture.as_str(),
        }
    }
}

impl VerifiedIdentity {
    pub(super) fn new(provider: &str, provider_id: &str, profile: &Profile<'_>) -> Self {
        let email =
            profile.email.filter(|email| email::is_plausible(email)).map(|email| nfc(email).into_owned());
        Self {
            provider: provider.to_owned(),
            provider_id: provider_id.to_owned(),
            email_verified: email.is_some() && profile.email_verified,
            email,
            name: profile.name.and_then(clean_name),
            avatar_url: profile.avatar_url.filter(|url| is_avatar_url(url)).map(str::to_owned),
            issued_at: None,
            authenticated_at: None,
            single_use: None,
        }
    }

    /// What this person's identity is found by.
    #[must_use]
    pub fn key(&self) -> IdentityKey {
        IdentityKey { provider: self.provider.clone(), provider_id: self.provider_id.clone() }
    }

    /// Returns the authentication that this proof is: of the moment when the provider issued the ID token, because an old ID token is
    /// no recent sign-in, or authenticated the person, if that was before; of `now` for an access token, which the provider has just
    /// been asked about.
    #[must_use]
    pub fn authentication(&self, now: Timestamp) -> Authentication {
        let proofs = [Some(now), self.issued_at, self.authenticated_at];
        let auth_time = proofs.into_iter().flatten().min().unwrap_or(now).0;
        Authentication { auth_time, idp: self.provider.clone() }
    }

    /// Returns whether the ID token behind it was issued before all tokens and sessions of its user were last ended.
    #[must_use]
    pub fn is_older_than(&self, revoked_at: Option<Timestamp>) -> bool {
        self.issued_at.zip(revoked_at).is_some_and(|(issued_at, revoked_at)| issued_at < revoked_at)
    }

    /// The address when it is verified.
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }
}

/// Whether a `sub` can be one: not empty, not too long, no control characters.
pub(crate) fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_SUBJECT_BYTES && !text.chars().any(char::is_control)
}

/// A longer one is cut; control characters (U+0000 among them, which PostgreSQL cannot store) and invisible ones become nothing:
/// a name is decoration and must not stop a login.
pub(crate) fn clean_name(name: &str) -> Option<String> {
    let printable: String = name.chars().filter(|c| !c.is_control() && !is_invisible(*c)).collect();
    let cut: String = printable.trim().chars().take(MAX_NAME_CHARACTERS).collect();
    let cut = cut.trim_end();
    (!cut.is_empty()).then(|| cut.to_owned())
}
