//! Extractors for routes that services may call: a client, a client with a scope, or a user as well.
//!
//! Bearer token → verified claims → the client's row, read now → `disabled` checked. Which scope a route wants is part of its
//! handler's type, so that it cannot be forgotten on the way and shows where the route is read.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::credential::{by_method, verified_claims};
use crate::client::{ClientId, ClientName, Scopes, is_scope};
use crate::error::ApiError;
use crate::state::AppState;
use crate::token::{ClientClaims, VerifiedClaims};
use crate::user::User;

/// The client that sent this request, whatever it may do. Taking it as an argument *is* the check: without a good token of a
/// client that is not disabled the handler is not called, and the answer is 401 (RFC 6750).
#[derive(Debug, Clone)]
pub struct CurrentClient {
    /// Its id.
    pub id: ClientId,
    /// What people call it.
    pub name: ClientName,
    /// What its token is for, which may be less than what it was made with.
    pub scopes: Scopes,
}

/// Something that a client may do, as a type:
///
/// ```
/// struct ReadReports;
///
/// impl tokenbooth::Scope for ReadReports {
///     const NAME: &'static str = "reports.read";
/// }
/// ```
pub trait Scope: 'static {
    /// As in `tokenbooth client create --scope`. What cannot be a scope (RFC 6749 §3.3) does not compile.
    const NAME: &'static str;
}

/// As [`CurrentClient`], with a token for the scope `S`; without it the answer is 403 `insufficient_scope` (RFC 6750 §3.1).
#[derive(Debug, Clone)]
pub struct Scoped<S> {
    /// The client.
    pub client: CurrentClient,
    scope: PhantomData<fn() -> S>,
}

/// A user, by bearer token or by cookie as [`crate::CurrentUser`], or a client: `Caller` for any, `Caller<Scoped<S>>` for one
/// with the scope `S`. Users have no scopes; what a user may do is the handler's to decide.
#[derive(Debug, Clone)]
pub enum Caller<C = CurrentClient> {
    /// A person.
    User(User),
    /// A service.
    Client(C),
}

/// [`CurrentClient`], or [`Scoped`].
pub trait AdmittedClient: Sized + 'static {
    /// Lets a client in that proved itself.
    ///
    /// # Errors
    /// 403 `insufficient_scope`.
    fn admit(client: CurrentClient) -> Result<Self, ApiError>;
}

impl AdmittedClient for CurrentClient {
    fn admit(client: CurrentClient) -> Result<Self, ApiError> {
        Ok(client)
    }
}

impl<S: Scope> AdmittedClient for Scoped<S> {
    fn admit(client: CurrentClient) -> Result<Self, ApiError> {
        const { assert!(is_scope(S::NAME), "a scope has printable ASCII characters other than space, \" and \\") };
        if client.scopes.contains(S::NAME) {
            Ok(Self { client, scope: PhantomData })
        } else {
            Err(ApiError::insufficient_scope(S::NAME))
        }
    }
}

impl FromRequest for CurrentClient {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        current_client(request)
    }
}

impl<S: Scope> FromRequest for Scoped<S> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        current_client(request)
    }
}

impl<C: AdmittedClient> FromRequest for Caller<C> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let verified = verified_claims(request, by_method);
        Box::pin(async move {
            let (state, claims) = verified.await?;
            Ok(match admit(claims, &state).await? {
                Caller::User(user) => Self::User(user),
                Caller::Client(client) => Self::Client(C::admit(client)?),
            })
        })
    }
}

fn current_client<C: AdmittedClient>(request: &HttpRequest) -> LocalBoxFuture<'static, Result<C, ApiError>> {
    let verified = verified_claims(request, by_method);
    Box::pin(async move {
        let (state, claims) = verified.await?;
        C::admit(admit_client(claims.of_client()?, &state).await?)
    })
}

/// Whose these claims are: the row, read now, has the last word.
///
/// # Errors
/// 401 `invalid_token`, or the database's.
pub(super) async fn admit(claims: VerifiedClaims, state: &AppState) -> Result<Caller, ApiError> {
    Ok(match claims {
        VerifiedClaims::User(claims) => {
            Caller::User(claims.admit(state.db.bearer(claims.bearer_key()).await?)?)
        }
        VerifiedClaims::Client(claims) => Caller::Client(admit_client(claims, state).await?),
    })
}

async fn admit_client(claims: ClientClaims, state: &AppState) -> Result<CurrentClient, ApiError> {
    let row = state.db.client(claims.client_id.clone()).await?;
    let (client, scopes) = claims.admit(row)?;
    Ok(CurrentClient { id: client.id, name: client.name, scopes })
}
