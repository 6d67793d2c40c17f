//! What a record of each service means here.
//!
//! Sources: Supabase Auth's tables `auth.users` and `auth.identities`
//! (<https://supabase.com/docs/guides/auth/users>, <https://supabase.com/docs/guides/auth/identities>), the file of
//! `firebase auth:export` (<https://firebase.google.com/docs/cli/auth#file_format>), PocketBase's auth collections and its
//! `_externalAuths` (<https://pocketbase.io/docs/authentication>).

use aws_lc_rs::digest;
use clap::ValueEnum;
use serde_json::Value;
use uuid::{Builder, Uuid};

use super::fields::{avatar, email, first_text, milliseconds, moment, name, object, text, truth};
use super::records::Fields;
use crate::account::import::ImportedUser;
use crate::clock::Timestamp;
use crate::user::UserId;

/// Where an export comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Source {
    /// Supabase Auth: auth.users, and auth.identities
    Supabase,
    /// Firebase Authentication: `firebase auth:export users.json`
    Firebase,
    /// PocketBase: an auth collection, and _externalAuths
    Pocketbase,
}

/// A user as the export has it.
pub(super) struct Person {
    pub(super) user: ImportedUser,
    /// Those that stand in the user's own record.
    pub(super) identities: Vec<Way>,
    /// A hash that is no Argon2id.
    pub(super) has_password: bool,
}

/// A way in, by the name that the other service has for the provider.
pub(super) struct Way {
    /// The owner's id there; none where it stands in the owner's record.
    pub(super) owner: Option<String>,
    pub(super) provider: String,
    pub(super) provider_id: Option<String>,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    pub(super) created_at: Option<Timestamp>,
    pub(super) last_used_at: Option<Timestamp>,
}

impl Source {
    /// In the audit trail and in [`Source::user_id`].
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Supabase => "supabase",
            Self::Firebase => "firebase",
            Self::Pocketbase => "pocketbase",
        }
    }

    /// Names of providers there whose ids are the same here, and ours for them.
    pub(super) fn known_providers(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Firebase => [("google.com", "google"), ("github.com", "github")],
            Self::Supabase | Self::Pocketbase => [("google", "google"), ("github", "github")],
        }
    }

    /// What it calls a provider and is none: a password, a phone.
    pub(super) fn is_no_provider(name: &str) -> bool {
        matches!(name, "email" | "phone" | "password" | "anonymous")
    }

    /// A UUID is kept, so that what refers to it elsewhere goes on doing so. Any other id becomes the UUIDv5 (RFC 9562 §5.5) of
    /// `tokenbooth:<service>:<id>` among URLs: the same at every run, and to be computed wherever the old one is stored.
    pub(super) fn user_id(self, theirs: &str) -> Result<UserId, &'static str> {
        match self {
            Self::Supabase => Uuid::parse_str(theirs).map(UserId::from).map_err(|_| "its id is not a UUID"),
            Self::Firebase | Self::Pocketbase => {
                let text = format!("tokenbooth:{}:{theirs}", self.name());
                let named = [Uuid::NAMESPACE_URL.as_bytes().as_slice(), text.as_bytes()].concat();
                let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &named);
                let mut bytes = [0; 16];
                bytes.iter_mut().zip(hash.as_ref()).for_each(|(byte, hashed)| *byte = *hashed);
                Ok(UserId::from(Builder::from_sha1_bytes(bytes).into_uuid()))
            }
        }
    }

    /// The id of a record of a user.
    pub(super) fn their_id(self, fields: &Fields) -> Result<String, &'static str> {
        text(fields, if self == Self::Firebase { "localId" } else { "id" }).ok_or("it has no id")
    }

    /// A record of a user.
    ///
    /// # Errors
    /// Why it is not taken over.
    pub(super) fn person(self, fields: &Fields, now: Timestamp) -> Result<Person, &'static str> {
        let id = self.user_id(&self.their_id(fields)?)?;
        match self {
            Self::Supabase => supabase_user(id, fields, now),
            Self::Firebase => firebase_user(id, fields, now),
            Self::Pocketbase => Ok(pocketbase_user(id, fields, now)),
        }
    }

    /// A record of an identity that is not in its user's.
    pub(super) fn way(self, fields: &Fields) -> Result<Way, &'static str> {
        let way = match self {
            Self::Supabase => supabase_identity(fields),
            Self::Firebase => return Err("identities are in the users' own records"),
            Self::Pocketbase => pocketbase_identity(fields),
        };
        way.ok_or("it names no provider")
    }
}

fn supabase_user(id: UserId, fields: &Fields, now: Timestamp) -> Result<Person, &'static str> {
    if fields.get("deleted_at").is_some_and(|at| !at.is_null()) {
        return Err("it was deleted there");
    }
    if truth(fields, "is_anonymous") {
        return Err("it is anonymous: nobody could sign in to it");
    }
    // The API has these under shorter names. Users may change all of it: it is decoration.
    let mut told = object(fields, "user_metadata");
    told.extend(object(fields, "raw_user_meta_data"));
    // `confirmed_at` may be that of the phone.
    let verified = moment(fields, "email_confirmed_at").is_some();
    let user = ImportedUser {
        id,
        email: email(fields, "email").filter(|_| verified),
        name: name(&told, &["full_name", "name", "user_name", "preferred_username"]),
        avatar_url: avatar(&told, &["avatar_url", "picture"]),
        disabled: moment(fields, "banned_until").is_some_and(|until| until > now),
        created_at: moment(fields, "created_at").unwrap_or(now),
        last_login_at: moment(fields, "last_sign_in_at"),
    };
    let own = fields.get("identities").and_then(Value::as_array);
    let identities = own.into_iter().flatten().filter_map(Value::as_object).filter_map(supabase_identity);
    Ok(Person {
        user,
        identities: identities.collect(),
        has_password: text(fields, "encrypted_password").is_some(),
    })
}

fn supabase_identity(fields: &Fields) -> Option<Way> {
    let data = object(fields, "identity_data");
    // Before 2023 the provider's id was the row's own.
    let row_id = || text(fields, "id").filter(|id| Uuid::parse_str(id).is_err());
    Some(Way {
        owner: text(fields, "user_id"),
        provider: text(fields, "provider")?,
        provider_id: text(fields, "provider_id").or_else(|| text(&data, "sub")).or_else(row_id),
        email: email(&data, "email"),
        email_verified: truth(&data, "email_verified"),
        created_at: moment(fields, "created_at"),
        last_used_at: moment(fields, "last_sign_in_at"),
    })
}

fn firebase_user(id: UserId, fields: &Fields, now: Timestamp) -> Result<Person, &'static str> {
    let email = email(fields, "email").filter(|_| truth(fields, "emailVerified"));
    let listed = fields.get("providerUserInfo").and_then(Value::as_array);
    let listed: Vec<&Fields> = listed.into_iter().flatten().filter_map(Value::as_object).collect();
    let reachable = ["email", "phoneNumber", "passwordHash"].iter().any(|name| text(fields, name).is_some());
    if listed.is_empty() && !reachable {
        return Err("it is anonymous: nobody could sign in to it");
    }
    let identities = listed.iter().filter_map(|way| {
        let address = self::email(way, "email");
        Some(Way {
            owner: None,
            provider: text(way, "providerId")?,
            provider_id: text(way, "rawId"),
            email_verified: address.is_some() && address == email,
            email: address,
            created_at: None,
            last_used_at: None,
        })
    });
    let identities = identities.collect();
    let user = ImportedUser {
        id,
        email,
        name: name(fields, &["displayName"]),
        avatar_url: avatar(fields, &["photoUrl"]),
        disabled: truth(fields, "disabled"),
        created_at: milliseconds(fields, "createdAt").unwrap_or(now),
        last_login_at: milliseconds(fields, "lastSignedInAt"),
    };
    Ok(Person { user, identities, has_password: text(fields, "passwordHash").is_some() })
}

fn pocketbase_user(id: UserId, fields: &Fields, now: Timestamp) -> Person {
    let user = ImportedUser {
        id,
        email: email(fields, "email").filter(|_| truth(fields, "verified")),
        name: name(fields, &["name", "username"]),
        // A file there, and no URL.
        avatar_url: None,
        disabled: false,
        created_at: moment(fields, "created").unwrap_or(now),
        last_login_at: None,
    };
    // Their names in the two generations of its database; the API shows neither.
    let has_password = first_text(fields, &["password", "passwordHash"]).is_some();
    Person { user, identities: Vec::new(), has_password }
}

fn pocketbase_identity(fields: &Fields) -> Option<Way> {
    Some(Way {
        // Its names in the three generations of its API.
        owner: first_text(fields, &["recordRef", "recordId", "userId"]),
        provider: text(fields, "provider")?,
        provider_id: text(fields, "providerId"),
        email: None,
        email_verified: false,
        created_at: moment(fields, "created"),
        last_used_at: None,
    })
}
