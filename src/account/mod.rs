//! The rules for accounts. Each of them is a transaction ([`Db::write`]) that begins by locking the user's row,
//! looks, writes, and appends what happened to the audit trail: all of it, or nothing.
//!
//! - `sign_in`: from a [`crate::provider::VerifiedIdentity`] to the user it lets in.
//! - `acting_user`: the user behind a request, checked again when the change is written.
//! - `addresses`: which identity gives a user the e-mail.
//! - `identities`: more ways in for one user, and fewer.
//! - `password`: a password as one more way in.
//! - `codes`: one-time codes for apps.
//! - `clients`: services that sign in for themselves.
//! - `sessions`: staying signed in by refresh tokens.
//! - `audit`: events that more than one rule appends; `refused_sign_ins`: rejected sign-ins, which are counted.
//! - `profile`: what users may change of themselves.
//! - `revocation`: ending everything that is out; `revocation_feed`: telling so to services that verify by themselves.
//! - `administration`: what administrators do to users; deletion.
//! - `import`: users of another service, as it exports them.
//! - `housekeeping`: throwing away what has had its time.

pub mod acting_user;
mod addresses;
pub mod administration;
mod audit;
pub mod clients;
pub mod codes;
pub mod housekeeping;
pub mod identities;
pub mod import;
pub mod password;
pub mod profile;
pub mod providers;
mod refused_sign_ins;
pub mod revocation;
pub mod revocation_feed;
pub mod sessions;
mod sign_in;

pub(crate) use self::refused_sign_ins::RefusedSignIns;
pub use self::sign_in::{SignIn, sign_in};
use crate::authentication::NotRecent;
use crate::db::{Db, DbConn, DbError};
use crate::email;
use crate::password::PasswordError;
use crate::provider::VerifiedIdentity;
use crate::settings::Settings;
use crate::user::UserId;

/// Two changes of one thing may cross; whoever loses looks again. A third look is for something deleted in between.
const ATTEMPTS: u32 = 3;

/// What the settings decide of accounts.
#[derive(Debug, Clone)]
pub struct AccountRules {
    /// `accounts.link_verified_email`
    pub link_verified_email: bool,
    /// `admin.emails`: provider and address, as addresses are compared.
    admin_emails: Vec<(String, String)>,
}

impl AccountRules {
    /// The rules by these settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            link_verified_email: settings.accounts.link_verified_email,
            admin_emails: settings
                .admin
                .entries()
                .map(|(name, email)| (name, email::folded(&email)))
                .collect(),
        }
    }

    /// Returns whether `admin.emails` has the verified address of an identity of this provider. Another provider's word for
    /// the same address counts for nothing: whoever runs it could claim any address.
    fn lists(&self, identity: &VerifiedIdentity) -> bool {
        identity.verified_email().is_some_and(|email| {
            let is_listed = |(provider, address): &(String, String)| {
                *provider == identity.provider && address.eq_ignore_ascii_case(email)
            };
            self.admin_emails.iter().any(is_listed)
        })
    }
}

/// Why the rules refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The caller is no user (any more).
    #[error("there is no such user")]
    NoSuchUser,
    /// The caller is not an administrator (any more).
    #[error("the caller is not an administrator any more")]
    NotAdministrator,
    /// An administrator named a user who is not there.
    #[error("there is no user of this id")]
    UnknownUser,
    /// Without this user there would be no administrator.
    #[error("it is the last administrator")]
    LastAdministrator,
    /// The account is disabled.
    #[error("user {0} is disabled")]
    Disabled(UserId),
    /// A provider's ID token that was issued before all tokens and sessions of its user were ended, or before the identity was unlinked
    /// or deleted.
    #[error("the ID token was issued before all sessions were ended, or before the identity was removed")]
    IssuedBeforeRevocation,
    /// A provider's ID token that was presented before, of a provider whose tokens are accepted once.
    #[error("the ID token was used before, and providers.<name>.single_use is true")]
    UsedBefore,
    /// A sensitive operation, and the sign-in behind the access token is too old.
    #[error(transparent)]
    NotRecent(#[from] NotRecent),
    /// The identity lets somebody else in.
    #[error("the identity belongs to another user")]
    IdentityInUse,
    /// The user has no such identity.
    #[error("the user has no such identity")]
    NoSuchIdentity,
    /// Without it nobody could sign in to the account again.
    #[error("it is the last way in")]
    LastWayIn,
    /// The user has no such session.
    #[error("the user has no such session")]
    NoSuchSession,
    /// The refresh token is not good; why is for the log.
    #[error("the refresh token is not accepted: {0}")]
    InvalidRefreshToken(&'static str),
    /// The one-time code is not good (any more).
    #[error("the code is not accepted: {0}")]
    InvalidCode(&'static str),
    /// No such client, another secret, or a disabled client: which is for the log.
    #[error("the client is not accepted: {0}")]
    InvalidClient(&'static str),
    /// An operator named a client that is not there.
    #[error("there is no client of this id")]
    UnknownClient,
    /// The client was disabled.
    #[error("The client is disabled. Enable it first, with `tokenbooth client enable`.")]
    ClientDisabled,
    /// No such user, no password, or another one: which, nobody is told.
    #[error("the e-mail and the password belong to nobody")]
    InvalidCredentials,
    /// The password that is set is another one, or was not given.
    #[error("the current password is another one")]
    WrongPassword,
    /// A password needs a verified e-mail.
    #[error("the user has no verified e-mail")]
    EmailRequired,
    /// Another user of this e-mail has a password.
    #[error("another user of this e-mail has a password")]
    EmailInUse,
    /// The password is not taken, or could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// [`Db::write`], again when the change met another one.
///
/// # Errors
/// The change's, or the database's.
pub async fn write<T, F>(db: &Db, change: F) -> Result<T, AccountError>
where
    F: Fn(&mut DbConn) -> Result<Result<T, AccountError>, DbError> + Clone + Send + 'static,
    T: Send + 'static,
{
    for _ in 0..ATTEMPTS {
        match db.write(change.clone()).await {
            Err(DbError::Conflict) => {}
            result => return result?,
        }
    }
    Err(crossed())
}

/// A rule met another change again and again.
fn crossed() -> AccountError {
    DbError::Unavailable("a change met another one again and again".to_owned()).into()
}
