//! Binds a browser's refresh cookie to a second cookie that nobody but this host can set.
//!
//! Any sibling domain can set a cookie called `__Secure-tokenbooth_refresh` with `Domain=` and our path, and so have a visitor's
//! page renew itself into the attacker's session. It cannot set a cookie whose name begins with `__Host-` (RFC 6265bis
//! §4.1.3.2). So `__Host-tokenbooth_device` names the session, with a MAC, and a refresh token counts only beside the one that names
//! its own session. It names what all refresh tokens of a session have in common, so it stays valid when the refresh token is rotated,
//! and verifying it needs no database.
//!
//! Browsers send this cookie to every path and keep it as long as the refresh cookie, so that signing out ends the session also when
//! the access token in the other cookie has expired. It opens nothing: the name is a hash of the first half of the refresh token.

use actix_web::HttpRequest;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;

use super::cookies::{self, Found};
use crate::account::AccountError;
use crate::session::HashedToken;
use crate::state::AppState;
use crate::token::{DerivedKeys, RefreshToken};

/// Returns the value of the device cookie for the session of this refresh token.
pub(super) fn name_session(keys: &DerivedKeys, token: &RefreshToken) -> String {
    let HashedToken(handle) = token.handle_hash();
    let tag = BASE64_URL_SAFE_NO_PAD.encode(keys.tag(handle.as_bytes()));
    format!("{handle}.{tag}")
}

/// Returns the handle of the session that `value` names, if the MAC is one of the current or a previous secret.
fn named_session(keys: &DerivedKeys, value: &str) -> Option<HashedToken> {
    let (handle, tag) = value.split_once('.')?;
    let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
    let is_ours =
        keys.tags(handle.as_bytes()).any(|expected| verify_slices_are_equal(&expected, &tag).is_ok());
    is_ours.then(|| HashedToken(handle.to_owned()))
}

/// Returns the handle of the session that the request's device cookie names.
pub(super) fn session(request: &HttpRequest, state: &AppState) -> Option<HashedToken> {
    match cookies::find(request, cookies::DEVICE) {
        Found::One(value) => named_session(&state.device_keys, value),
        Found::Nothing | Found::Several => None,
    }
}

/// Returns the refresh token of the request's cookies.
///
/// # Errors
/// [`AccountError::InvalidRefreshToken`] when either cookie is missing or duplicated, or when they name different sessions.
pub(super) fn refresh_token(request: &HttpRequest, state: &AppState) -> Result<SecretString, AccountError> {
    let refused = AccountError::InvalidRefreshToken;
    let presented = match cookies::find(request, cookies::REFRESH) {
        Found::One(value) => value,
        Found::Nothing => return Err(refused("there is no refresh cookie")),
        Found::Several => {
            return Err(refused("there is more than one refresh cookie: a sibling domain may have set one"));
        }
    };
    let device = match cookies::find(request, cookies::DEVICE) {
        Found::One(value) => value,
        Found::Nothing => return Err(refused("the refresh cookie comes without a device cookie")),
        Found::Several => return Err(refused("there is more than one device cookie")),
    };
    let token = RefreshToken::parse(presented)
        .ok_or(refused("the refresh cookie does not hold a refresh token of ours"))?;
    if named_session(&state.device_keys, device) != Some(token.handle_hash()) {
        return Err(refused("the device cookie does not name the session of the refresh cookie"));
    }
    Ok(token.expose().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(current: &str, previous: &[&str]) -> DerivedKeys {
        let previous: Vec<_> = previous.iter().map(|secret| (*secret).into()).collect();
        DerivedKeys::new(&current.into(), &previous, "device cookie")
    }

    #[test]
    fn a_device_cookie_names_one_session() {
        let keys = keys("one", &[]);
        let token = RefreshToken::generate().expect("randomness");
        let value = name_session(&keys, &token);
        assert_eq!(named_session(&keys, &value), Some(token.handle_hash()));
        assert_eq!(name_session(&keys, &token), value);
        let other = RefreshToken::generate().expect("randomness");
        assert_ne!(named_session(&keys, &value), Some(other.handle_hash()));
        let (handle, tag) = value.split_once('.').expect("two parts");
        for wrong in [
            "",
            ".",
            "A",
            handle,
            tag,
            &value[1..],
            &format!("{value}A"),
            &format!("{value}="),
            &format!("{handle}.{}", tag.to_lowercase()),
            &format!("{}.{tag}", other.handle_hash().0),
        ] {
            assert_eq!(named_session(&keys, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_device_cookie_outlives_a_change_of_the_secret_as_long_as_the_secret_is_known() {
        let token = RefreshToken::generate().expect("randomness");
        let value = name_session(&keys("old", &[]), &token);
        assert!(named_session(&keys("new", &["old"]), &value).is_some());
        assert_eq!(named_session(&keys("new", &[]), &value), None);
    }
}
