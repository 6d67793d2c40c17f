//! Refusals that many routes have in common, as the OpenAPI document has them. What a route refuses of its own stands beside
//! its handler.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ContentBuilder, Header, HeaderBuilder, Object, Ref, RefOr, Response, ResponseBuilder};

const INVALID_TOKEN: (&str, &str) =
    ("401", "`invalid_token`: missing, expired, revoked, or the user is disabled or deleted");
const NO_DATABASE: (&str, &str) = ("503", "`database_unavailable`, `overloaded`, with `Retry-After`");

/// What a refusal is: a schema's name, and a media type.
type Form = (&'static str, &'static str);

const PROBLEM: Form = ("Problem", "application/problem+json");
/// RFC 6749 §5.2.
const OAUTH: Form = ("OAuthProblem", "application/json");

/// Declares sets of refusals: a type for each, to be named in `responses(…)`.
macro_rules! refusals {
    ($($(#[doc = $doc:literal])* $name:ident, $form:ident: $refusals:expr;)+) => {
        $(
            $(#[doc = $doc])*
            pub(super) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    $refusals.into_iter().map(|refusal| document(refusal, $form)).collect()
                }
            }
        )+
    };
}

refusals! {
    /// Of whoever asks the database.
    WithoutDatabase, PROBLEM: [NO_DATABASE];
    /// Of a route for users.
    WithoutUser, PROBLEM: [INVALID_TOKEN, NO_DATABASE];
    /// Of a route for a sensitive operation of a user.
    WithoutRecentSignIn, PROBLEM: [("401", "`invalid_token`; `reauthentication_required`: the sign-in is older than `accounts.fresh_for`, with `max_age` in `WWW-Authenticate` (RFC 9470)"), NO_DATABASE];
    /// Of a route for a sensitive operation of an administrator.
    WithoutRecentAdministrator, PROBLEM: [("401", "`invalid_token`; `reauthentication_required`: the sign-in is older than `accounts.fresh_for`, with `max_age` in `WWW-Authenticate` (RFC 9470)"), ("403", "`admin_required`; by cookie also `csrf_failed`"), NO_DATABASE];
    /// Of a route for users that changes something: a browser's request has to come from our own pages.
    WithoutProof, PROBLEM: [("403", "`csrf_failed`, by cookie only")];
    /// Of a route for administrators.
    WithoutAdministrator, PROBLEM: [INVALID_TOKEN, ("403", "`admin_required`; of a change by cookie also `csrf_failed`"), NO_DATABASE];
    /// Of a route that reads a body.
    WithoutBody, PROBLEM: [
        ("408", "`request_timeout`: the body did not arrive within `server.body_timeout`"),
        ("413", "`payload_too_large`: over 64 KiB"),
        ("415", "`unsupported_media_type`"),
    ];
    /// Of a route that tries a credential.
    OverLimit, PROBLEM: [("429", "`rate_limited`, with `Retry-After`, `RateLimit` and `RateLimit-Policy`")];
    /// Of a route that asks a provider, and then the database.
    WithoutProvider, PROBLEM: [
        ("404", "`unknown_provider`: not configured"),
        ("502", "`provider_unavailable`: a bad answer, with `Retry-After`"),
        ("503", "`provider_unavailable`, `database_unavailable`, `overloaded`, with `Retry-After`"),
        ("504", "`provider_unavailable`: no answer in time, with `Retry-After`"),
    ];
    /// Of whoever reads a form of OAuth and tries what is in it.
    WithoutForm, OAUTH: [
        ("408", "`invalid_request`: the body did not arrive within `server.body_timeout`"),
        ("413", "`invalid_request`: over 64 KiB"),
        ("429", "`temporarily_unavailable`, with `Retry-After`, `RateLimit` and `RateLimit-Policy`"),
        ("503", "`temporarily_unavailable`, with `Retry-After`"),
    ];
}

fn document((status, description): (&str, &str), (schema, media_type): Form) -> (String, RefOr<Response>) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    let response = ResponseBuilder::new().description(description).content(media_type, content);
    let response = headers(status)
        .into_iter()
        .fold(response, |response, (name, kind, what)| response.header(name, header(kind, what)));
    (status.to_owned(), response.build().into())
}

/// What a refusal says beside its body.
fn headers(status: &str) -> Vec<(&'static str, Type, &'static str)> {
    let retry_after = ("Retry-After", Type::Integer, "Seconds after which it is worth another try");
    match status {
        "401" => vec![(
            "WWW-Authenticate",
            Type::String,
            "`Bearer`, and what was wrong with the token (RFC 6750 §3)",
        )],
        "429" => vec![
            retry_after,
            ("RateLimit", Type::String, "What is left, by policy"),
            ("RateLimit-Policy", Type::String, "How much there is"),
        ],
        "502" | "503" | "504" => vec![retry_after],
        _ => Vec::new(),
    }
}

fn header(kind: Type, description: &str) -> Header {
    HeaderBuilder::new().schema(Some(Object::with_type(kind))).description(Some(description)).build()
}
