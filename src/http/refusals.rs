//! Refusals that many routes have in common, as the OpenAPI document has them. What a route refuses of its own stands beside
//! its handler.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

const INVALID_TOKEN: (&str, &str) =
    ("401", "`invalid_token`: missing, expired, revoked, or the user is disabled or deleted");
const NO_DATABASE: (&str, &str) = ("503", "`database_unavailable`, `overloaded`, with `Retry-After`");

/// Declares sets of refusals: a type for each, to be named in `responses(…)`.
macro_rules! refusals {
    ($($(#[doc = $doc:literal])* $name:ident: $refusals:expr;)+) => {
        $(
            $(#[doc = $doc])*
            pub(super) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    $refusals.into_iter().map(problem).collect()
                }
            }
        )+
    };
}

refusals! {
    /// Of whoever asks the database.
    WithoutDatabase: [NO_DATABASE];
    /// Of a route for users.
    WithoutUser: [INVALID_TOKEN, NO_DATABASE];
    /// Of a route for administrators.
    WithoutAdministrator: [INVALID_TOKEN, ("403", "`admin_required`"), NO_DATABASE];
    /// Of a route that reads a body.
    WithoutBody: [
        ("413", "`payload_too_large`: over 64 KiB"),
        ("415", "`unsupported_media_type`"),
    ];
    /// Of a route that tries a credential.
    OverLimit: [("429", "`rate_limited`, with `Retry-After`, `RateLimit` and `RateLimit-Policy`")];
    /// Of a route that asks a provider, and then the database.
    WithoutProvider: [
        ("404", "`unknown_provider`: not configured"),
        ("502", "`provider_unavailable`: a bad answer, with `Retry-After`"),
        ("503", "`provider_unavailable`, `database_unavailable`, `overloaded`, with `Retry-After`"),
        ("504", "`provider_unavailable`: no answer in time, with `Retry-After`"),
    ];
}

fn problem((status, description): (&str, &str)) -> (String, RefOr<Response>) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response =
        ResponseBuilder::new().description(description).content("application/problem+json", content);
    (status.to_owned(), response.build().into())
}
