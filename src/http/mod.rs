//! Every URL of the product on one screen. A handler reads as the protocol does: take, verify, decide, store, answer.

mod admin;
mod admin_recovery;
mod answer;
mod bearer;
mod body;
mod browser;
mod callers;
mod client_mode;
mod cookies;
mod cors;
mod credential;
mod csrf;
mod device;
mod docs;
mod events;
mod exchange;
mod exchange_request;
mod health;
mod identities;
mod json_body;
mod jwks;
mod limits;
mod logout;
mod me;
mod oauth;
mod observe;
mod origin;
mod pages;
mod paging;
mod password;
mod peer;
mod proofs;
mod redirect_flow;
mod refresh;
mod refusals;
mod sessions;
mod token_answer;
mod verify;

use actix_web::dev::HttpServiceFactory;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, QueryConfig, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError, guard};

pub use self::admin::{UserBody, UserView};
pub use self::bearer::{AdminUser, CurrentUser};
pub use self::callers::{AdmittedClient, Caller, CurrentClient, Scope, Scoped};
pub(crate) use self::cors::cors;
pub use self::events::EventView;
pub use self::exchange_request::{ExchangeBody, Mode};
pub use self::health::{Health, Readiness};
pub use self::identities::IdentityView;
pub use self::jwks::JwkSet;
pub use self::me::{Me, ProfileBody};
use self::oauth::OAuthError;
pub use self::oauth::{
    ClientTokenAnswer, ExchangeAnswer, Introspection, IssuedTokens, OAuthProblem, ServerMetadata,
    TokenRequestBody,
};
use self::observe::RoutePattern;
pub use self::observe::observe;
pub use self::pages::errors_as_pages;
pub use self::paging::Page;
pub use self::password::{CurrentPasswordBody, NewPasswordBody, PasswordSignInBody};
pub use self::refresh::RefreshBody;
pub use self::sessions::SessionView;
pub use self::token_answer::{BrowserAnswer, TokenAnswer, TokenUser};
use crate::error::{ApiError, Code};
use crate::state::AppState;

/// What `#[utoipa::path]` made of the handlers, for the document.
pub(crate) mod paths {
    pub(crate) use super::admin::{
        __path_delete_user, __path_list_users, __path_revoke_tokens, __path_show_user, __path_update_user,
    };
    pub(crate) use super::admin_recovery::{
        __path_list_identities_of_user, __path_remove_password_of_user, __path_unlink_identity_of_user,
    };
    pub(crate) use super::docs::__path_openapi_document;
    pub(crate) use super::events::__path_list_events;
    pub(crate) use super::exchange::__path_exchange_token;
    pub(crate) use super::health::{__path_metrics, __path_process_health, __path_readiness};
    pub(crate) use super::identities::{
        __path_link_identity, __path_list_identities, __path_unlink_identity,
    };
    pub(crate) use super::jwks::__path_public_keys;
    pub(crate) use super::logout::{__path_log_out, __path_log_out_everywhere};
    pub(crate) use super::me::{__path_delete_me, __path_show_me, __path_update_me};
    pub(crate) use super::oauth::{
        __path_introspect_token, __path_issue_token, __path_list_revocations, __path_revoke_token,
        __path_server_metadata,
    };
    pub(crate) use super::password::{
        __path_remove_password, __path_set_password, __path_sign_in_with_password,
    };
    pub(crate) use super::redirect_flow::{
        __path_agree_to_app_sign_in, __path_begin_link, __path_begin_sign_in, __path_finish_sign_in,
        __path_pass_on_form,
    };
    pub(crate) use super::refresh::__path_refresh;
    pub(crate) use super::sessions::{__path_end_session, __path_list_sessions};
    pub(crate) use super::verify::__path_verify;
}

/// The routes, relative to wherever they are mounted. They are tried in turn: the busiest first, and one with a `{name}`,
/// which costs a regular expression, after those without.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            endpoint("/api/me", "GET, HEAD, PATCH, DELETE")
                .route(get().to(me::show_me))
                .route(web::patch().to(me::update_me))
                .route(web::delete().to(me::delete_me)),
        )
        .service(endpoint("/auth/verify", "GET, HEAD").route(get().to(verify::verify)))
        .service(endpoint("/auth/password", "POST").route(web::post().to(password::sign_in_with_password)))
        .service(endpoint("/auth/refresh", "POST").route(web::post().to(refresh::refresh)))
        .service(
            endpoint("/auth/logout", "POST")
                .route(web::post().to(logout::log_out))
                .wrap(from_fn(pages::errors_as_pages_if_asked)),
        )
        .service(endpoint("/auth/logout-all", "POST").route(web::post().to(logout::log_out_everywhere)))
        .service(
            // The rest is the path of somebody else's request.
            web::resource(["/auth/verify/{who}", "/auth/verify/{who}/{path:.*}"])
                .app_data(RoutePattern("/auth/verify/{who}"))
                .route(web::route().to(verify::verify_that)),
        )
        .service(
            endpoint("/auth/{provider}", "POST")
                .route(web::post().to(exchange::exchange_token))
                .wrap(from_fn(pages::errors_as_pages_if_asked)),
        )
        .service(
            endpoint("/auth/{provider}/login", "GET, HEAD, POST")
                .route(get().to(redirect_flow::begin_sign_in))
                .route(web::post().to(redirect_flow::agree_to_app_sign_in))
                .wrap(from_fn(pages::errors_as_pages_if_asked)),
        )
        .service(
            // Not HEAD: the request uses the provider's code up, which is no safe method's business, and whoever sends HEAD
            // only looks whether a link is alive.
            endpoint("/auth/{provider}/callback", "GET, POST")
                .route(web::get().to(redirect_flow::finish_sign_in))
                .route(web::post().to(redirect_flow::pass_on_form))
                .wrap(from_fn(errors_as_pages)),
        )
        .service(
            endpoint("/auth/{provider}/link", "POST")
                .route(web::post().to(redirect_flow::begin_link))
                .wrap(from_fn(pages::errors_as_pages_if_asked)),
        )
        .service(oauth_endpoint("/oauth/token", "POST").route(web::post().to(oauth::issue_token)))
        .service(oauth_endpoint("/oauth/introspect", "POST").route(web::post().to(oauth::introspect_token)))
        .service(oauth_endpoint("/oauth/revoke", "POST").route(web::post().to(oauth::revoke_token)))
        .service(
            endpoint("/.well-known/oauth-authorization-server", "GET, HEAD")
                .route(get().to(oauth::server_metadata)),
        )
        .service(
            unlisted("/.well-known/oauth-authorization-server/{issuer:.*}")
                .route(get().to(oauth::server_metadata_of_issuer)),
        )
        .service(oauth_endpoint("/oauth/revocations", "GET, HEAD").route(get().to(oauth::list_revocations)))
        .service(endpoint("/api/me/identities", "GET, HEAD").route(get().to(identities::list_identities)))
        .service(
            // One name for both: what it is, the method says.
            endpoint("/api/me/identities/{id}", "POST, DELETE")
                .route(web::post().to(identities::link_identity))
                .route(web::delete().to(identities::unlink_identity)),
        )
        .service(
            endpoint("/api/me/password", "PUT, DELETE")
                .route(web::put().to(password::set_password))
                .route(web::delete().to(password::remove_password)),
        )
        .service(endpoint("/api/me/sessions", "GET, HEAD").route(get().to(sessions::list_sessions)))
        .service(endpoint("/api/me/sessions/{id}", "DELETE").route(web::delete().to(sessions::end_session)))
        .service(endpoint("/api/admin/users", "GET, HEAD").route(get().to(admin::list_users)))
        .service(endpoint("/api/admin/events", "GET, HEAD").route(get().to(events::list_events)))
        .service(
            endpoint("/api/admin/users/{id}", "GET, HEAD, PATCH, DELETE")
                .route(get().to(admin::show_user))
                .route(web::patch().to(admin::update_user))
                .route(web::delete().to(admin::delete_user)),
        )
        .service(
            endpoint("/api/admin/users/{id}/revoke-tokens", "POST")
                .route(web::post().to(admin::revoke_tokens)),
        )
        .service(
            endpoint("/api/admin/users/{id}/identities", "GET, HEAD")
                .route(get().to(admin_recovery::list_identities_of_user)),
        )
        .service(
            endpoint("/api/admin/users/{id}/identities/{identity_id}", "DELETE")
                .route(web::delete().to(admin_recovery::unlink_identity_of_user)),
        )
        .service(
            endpoint("/api/admin/users/{id}/password", "DELETE")
                .route(web::delete().to(admin_recovery::remove_password_of_user)),
        )
        .service(endpoint("/.well-known/jwks.json", "GET, HEAD").route(get().to(jwks::public_keys)));
    page_routes(config);
}

/// The paths for people.
fn page_routes(config: &mut ServiceConfig) {
    config
        .service(page("/", pages::home))
        .service(page("/sign-in", pages::sign_in_page))
        .service(page("/account", pages::account))
        .service(page("/admin", pages::users))
        .service(page("/admin/events", pages::events))
        .service(page("/fragments/navigation", pages::navigation))
        .service(endpoint_of_pages("/assets/{file}").route(get().to(pages::asset)));
}

/// What is for whoever runs the service or builds on it: beside everything else, or on `management.listen`.
pub(crate) fn management_routes(config: &mut ServiceConfig) {
    config
        .service(endpoint("/healthz", "GET, HEAD").route(get().to(health::process_health)))
        .service(endpoint("/readyz", "GET, HEAD").route(get().to(health::readiness)))
        .service(endpoint("/metrics", "GET, HEAD").route(get().to(health::metrics)))
        .service(endpoint("/openapi.json", "GET, HEAD").route(get().to(docs::openapi_document)))
        .service(endpoint("/docs", "GET, HEAD").route(get().to(docs::to_the_page)))
        .service(endpoint("/docs/{file:.*}", "GET, HEAD").route(get().to(docs::page)));
}

/// A path that answers another method with 405 and `Allow` (RFC 9110 §15.5.6).
fn endpoint(path: &'static str, allow: &'static str) -> Resource {
    resource(path).default_service(web::to(move || async move {
        allowing(allow, method_not_allowed(allow).error_response())
    }))
}

/// The same in the words of RFC 6749.
fn oauth_endpoint(path: &'static str, allow: &'static str) -> Resource {
    resource(path).default_service(web::to(move || async move {
        allowing(allow, OAuthError::from(method_not_allowed(allow)).error_response())
    }))
}

fn resource(path: &'static str) -> Resource {
    web::resource(path).app_data(RoutePattern(path)).app_data(query())
}

fn method_not_allowed(allow: &str) -> ApiError {
    ApiError::new(Code::MethodNotAllowed, format!("this path takes {allow}"))
}

fn allowing(allow: &'static str, mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// A path for people, which the document of the API does not list: what is refused there is a page, too.
fn page<H, A>(path: &'static str, handler: H) -> impl HttpServiceFactory + 'static
where
    H: Handler<A>,
    A: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    endpoint_of_pages(path).route(get().to(handler)).wrap(from_fn(errors_as_pages))
}

fn endpoint_of_pages(path: &'static str) -> Resource {
    unlisted(path)
}

/// A path to read from that the document of the API does not list.
fn unlisted(path: &'static str) -> Resource {
    endpoint(path, "GET, HEAD")
}

/// A query that cannot be read: all parameters are texts, so what is wrong can only be that one is there twice.
fn query() -> QueryConfig {
    QueryConfig::default().error_handler(|_, _| {
        ApiError::new(Code::InvalidRequest, "a query parameter must not be there twice").into()
    })
}

/// RFC 9110 §9.1: whatever answers GET answers HEAD.
fn get() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Any other path.
pub(crate) async fn not_found(state: Data<AppState>) -> HttpResponse {
    let detail = match state.settings.management.listen {
        None => "there is no such path; /docs lists them",
        Some(_) => "there is no such path; /docs on management.listen lists them",
    };
    ApiError::new(Code::NotFound, detail).error_response()
}
