//! The OpenAPI document, made from the handlers; and [`postman`], made from the document.

mod document;
pub mod postman;

use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, RefOr, Required};
use utoipa::{Modify, OpenApi};

use crate::http::paths;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tokenbooth",
        description = "A token booth: hand in a Google or GitHub token, get the application's own. Send it as `Authorization: Bearer <access_token>`. Refusals are `application/problem+json` with a stable `code`.",
    ),
    paths(
        paths::exchange_token,
        paths::sign_in_with_password,
        paths::begin_sign_in,
        paths::agree_to_app_sign_in,
        paths::finish_sign_in,
        paths::pass_on_form,
        paths::begin_link,
        paths::issue_token,
        paths::introspect_token,
        paths::revoke_token,
        paths::server_metadata,
        paths::refresh,
        paths::verify,
        paths::log_out,
        paths::log_out_everywhere,
        paths::show_me,
        paths::update_me,
        paths::delete_me,
        paths::list_identities,
        paths::link_identity,
        paths::unlink_identity,
        paths::set_password,
        paths::remove_password,
        paths::list_sessions,
        paths::end_session,
        paths::list_users,
        paths::show_user,
        paths::update_user,
        paths::delete_user,
        paths::revoke_tokens,
        paths::list_identities_of_user,
        paths::unlink_identity_of_user,
        paths::remove_password_of_user,
        paths::list_events,
        paths::public_keys,
        paths::list_revocations,
        paths::process_health,
        paths::readiness,
        paths::metrics,
        paths::openapi_document,
    ),
    tags(
        (name = "sign-in", description = "A provider's token in, ours out"),
        (name = "browser", description = "Signing in by way of a browser: sent to the provider, and back"),
        (name = "account", description = "The caller's account"),
        (name = "services", description = "For other services, and the proxies before them: whose token is it?"),
        (name = "administration", description = "For administrators: users, and what happened to them"),
        (name = "operations", description = "For whoever runs the service"),
    ),
    modifiers(&Credentials, &RefusalsAsPages, &WithoutABody),
)]
struct Document;

/// "Authorize" in Swagger UI takes the token as it is: HTTP bearer, no OAuth flow to set up; and a client's id and secret.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("`access_token` from `POST /auth/{provider}`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let client = HttpBuilder::new()
            .scheme(HttpAuthScheme::Basic)
            .description(Some("`client_id` and `client_secret`, as `tokenbooth client create` printed them"))
            .build();
        components.add_security_scheme("client", SecurityScheme::Http(client));
    }
}

/// Routes that a browser is led to, or posts a form to, refuse with a page when HTML is asked for; the callback also when nothing
/// is.
struct RefusalsAsPages;

impl Modify for RefusalsAsPages {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let routes = [
            "exchange_token",
            "log_out",
            "begin_sign_in",
            "agree_to_app_sign_in",
            "finish_sign_in",
            "begin_link",
        ];
        for operation in operations(document, &routes) {
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response
                    && response.content.contains_key("application/problem+json")
                {
                    let page = Content::new(Some(Object::with_type(Type::String)));
                    response.content.insert("text/html".to_owned(), page.into());
                }
            }
        }
    }
}

/// Where a browser's cookie, or nothing at all, does instead of a body.
struct WithoutABody;

impl Modify for WithoutABody {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for operation in operations(document, &["refresh", "log_out", "remove_password"]) {
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.required = Some(Required::False);
            }
        }
    }
}

fn operations<'a>(
    document: &'a mut utoipa::openapi::OpenApi,
    ids: &'a [&str],
) -> impl Iterator<Item = &'a mut Operation> {
    let methods =
        document.paths.paths.values_mut().flat_map(|path| {
            [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete]
        });
    methods
        .flatten()
        .filter(|operation| operation.operation_id.as_deref().is_some_and(|id| ids.contains(&id)))
}

/// The document as pretty-printed JSON with a final line break, the same at every call.
#[must_use]
pub fn document() -> String {
    let json = Document::openapi().to_pretty_json().unwrap_or_default();
    json + "\n"
}

/// The document to read in.
fn value() -> Value {
    serde_json::to_value(Document::openapi()).unwrap_or_default()
}
