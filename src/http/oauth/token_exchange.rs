//! A provider's token for ours (RFC 8693): `POST /auth/{provider}` under its standard name. What is refused there is refused
//! here, for the same reason and in the same words.

use actix_web::HttpRequest;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::exchange::{find_provider, record, sign_in};
use super::super::exchange_request::refuse_our_own;
use super::super::token_answer::{TokenAnswer, wants_refresh_token};
use super::client_authentication::authenticate_if_sent;
use super::error::OAuthError;
use super::parameters::Parameters;
use crate::error::{ApiError, Code};
use crate::event::Origin;
use crate::provider::{Credential, CredentialKind, Provider};
use crate::state::AppState;

/// `grant_type` of a token exchange.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Our token for a provider's (RFC 8693 §2.2.1).
#[derive(Debug, Serialize, ToSchema)]
pub struct ExchangeAnswer {
    /// The JWT, to be sent as `Authorization: Bearer`.
    access_token: String,
    /// Always `urn:ietf:params:oauth:token-type:access_token`.
    #[schema(example = "urn:ietf:params:oauth:token-type:access_token")]
    issued_token_type: &'static str,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds the token lives.
    #[schema(example = 1800)]
    expires_in: i64,
    /// Only when it was asked for with `scope=offline_access`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
}

impl From<TokenAnswer> for ExchangeAnswer {
    fn from(tokens: TokenAnswer) -> Self {
        let expires_in = tokens.expires_in();
        let (access_token, refresh_token, _) = tokens.into_parts();
        Self {
            access_token,
            issued_token_type: ACCESS_TOKEN,
            token_type: "Bearer",
            expires_in,
            refresh_token,
        }
    }
}

/// Our token, for the one that a provider gave.
///
/// # Errors
/// 400 `invalid_request` for what is missing and for every token that is refused (RFC 8693 §2.2.2), `invalid_target`; 503; the
/// database's.
pub(super) async fn grant(
    state: &AppState,
    mut parameters: Parameters,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<ExchangeAnswer, OAuthError> {
    authenticate_if_sent(state, request, &mut parameters).await?;
    let wanted = SubjectToken::read(&mut parameters)?;
    let provider = find_provider(state, wanted.issuer.expose_secret())?;
    let result = exchange(state, provider.as_ref(), wanted, request, origin).await;
    record(state, provider.name(), result.as_ref().map(TokenAnswer::created), origin).await;
    Ok(result.map_err(OAuthError::of_subject_token)?.into())
}

async fn exchange(
    state: &AppState,
    provider: &dyn Provider,
    wanted: SubjectToken,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<TokenAnswer, ApiError> {
    let offline_access = wanted.offline_access;
    let signed_in = sign_in(state, provider, &wanted.into_credential(provider)?, origin).await?;
    TokenAnswer::after_sign_in(state, signed_in, offline_access, request, origin).await
}

/// What a client sends, read and not judged.
struct SubjectToken {
    issuer: SecretString,
    kind: CredentialKind,
    token: SecretString,
    nonce: Option<String>,
    offline_access: bool,
}

impl SubjectToken {
    fn read(parameters: &mut Parameters) -> Result<Self, OAuthError> {
        let token = parameters.want("subject_token")?;
        let kind = match parameters.want("subject_token_type")?.expose_secret() {
            ID_TOKEN => CredentialKind::IdToken,
            ACCESS_TOKEN => CredentialKind::AccessToken,
            _ => {
                return Err(
                    invalid(format!("subject_token_type must be {ID_TOKEN} or {ACCESS_TOKEN}")).into()
                );
            }
        };
        let issuer = parameters.want("subject_issuer")?;
        if parameters
            .take("requested_token_type")
            .is_some_and(|wanted| wanted.expose_secret() != ACCESS_TOKEN)
        {
            return Err(invalid(format!("requested_token_type can only be {ACCESS_TOKEN}")).into());
        }
        for name in ["actor_token", "actor_token_type"] {
            if parameters.take(name).is_some() {
                let detail = format!("{name} is not taken: nobody acts for anybody else here");
                return Err(invalid(detail).into());
            }
        }
        for name in ["audience", "resource"] {
            if parameters.take(name).is_some() {
                let detail = format!("{name} is not taken: token.audience decides whom a token is for");
                return Err(OAuthError::invalid_target(detail));
            }
        }
        let scope = parameters.take("scope");
        Ok(Self {
            issuer,
            kind,
            token,
            nonce: parameters.take("nonce").map(|nonce| nonce.expose_secret().to_owned()),
            offline_access: wants_refresh_token(scope.as_ref().map(ExposeSecret::expose_secret)),
        })
    }

    /// The credential for this provider.
    ///
    /// # Errors
    /// 400 when the provider takes no credential of that kind.
    fn into_credential(self, provider: &dyn Provider) -> Result<Credential, ApiError> {
        refuse_our_own(self.token.expose_secret(), "subject_token")?;
        if !provider.accepts().contains(&self.kind) {
            let (expected, received) = match self.kind {
                CredentialKind::IdToken => (ACCESS_TOKEN, ID_TOKEN),
                CredentialKind::AccessToken => (ID_TOKEN, ACCESS_TOKEN),
            };
            let name = provider.name();
            return Err(invalid(format!("provider {name} takes {expected}, not {received}")));
        }
        Ok(Credential { kind: self.kind, token: self.token, nonce: self.nonce })
    }
}

fn invalid(detail: String) -> ApiError {
    ApiError::new(Code::InvalidRequest, detail)
}
