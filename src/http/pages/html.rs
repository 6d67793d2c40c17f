//! A page as an answer.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use askama::Template;

use crate::error::ApiError;
use crate::settings::PublicUrl;

/// Only what is in the binary is run and drawn; pictures of people come from their providers.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https:; \
                      font-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// The page, which nobody on the way keeps and no other page frames.
///
/// # Errors
/// 500 when it cannot be written.
pub(super) fn answer(status: StatusCode, page: &impl Template) -> Result<HttpResponse, ApiError> {
    answer_under(POLICY.to_owned(), status, page)
}

/// As [`answer`], for a page with a form that ends at a provider: Chromium holds `form-action` against where a form's answer
/// redirects, too. Which host that is, only the provider's discovery document knows.
///
/// # Errors
/// As [`answer`].
pub(super) fn answer_linking(
    status: StatusCode,
    page: &impl Template,
    public_url: &PublicUrl,
) -> Result<HttpResponse, ApiError> {
    answer_under(policy_linking(public_url.origin()), status, page)
}

/// As [`answer_linking`], for a form whose answer may redirect to an address of this scheme, too.
///
/// # Errors
/// As [`answer`].
pub(super) fn answer_leading_to(
    status: StatusCode,
    page: &impl Template,
    public_url: &PublicUrl,
    scheme: &str,
) -> Result<HttpResponse, ApiError> {
    // A scheme and no host: an address in brackets (`[::1]`) is not a host in a policy.
    answer_under(format!("{} {scheme}:", policy_linking(public_url.origin())), status, page)
}

fn policy_linking(origin: &str) -> String {
    // Without TLS we are in development, and so are the providers.
    let schemes = if origin.starts_with("https:") { "https:" } else { "https: http:" };
    format!("{POLICY} {schemes}")
}

fn answer_under(policy: String, status: StatusCode, page: &impl Template) -> Result<HttpResponse, ApiError> {
    let page = page.render().map_err(ApiError::internal)?;
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(page))
}

#[cfg(test)]
mod tests {
    use super::{POLICY, policy_linking};

    #[test]
    fn a_form_may_end_at_a_provider_and_without_tls_only_in_development() {
        assert!(POLICY.ends_with("; form-action 'self'"));
        assert_eq!(policy_linking("https://mail.example"), format!("{POLICY} https:"));
        assert_eq!(policy_linking("http://127.0.0.1:8080"), format!("{POLICY} https: http:"));
    }
}
