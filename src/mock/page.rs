//! The pages that a browser sees: plain HTML without scripts, which cannot be taken for a real provider's.
//!
//! Who drives a browser finds the buttons `as-alice`, `as-bob`, `as-carol`, `as-name` (beside the field `name`) and `deny`
//! by these ids. Who has none puts `mock_person=<name>` or `mock_deny=1` into the URL of the page, and `Accept:
//! application/json` into a request that is to say where it leads instead of leading there.

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::params::Params;

const PEOPLE: [(&str, &str); 3] = [("alice", "Alice"), ("bob", "Bob"), ("carol", "Carol")];

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:30rem;margin:2rem auto;padding:0 1rem;\
                     color:#1b1b1b;background:#fff}h1{border-bottom:.25rem solid #8a5a00}\
                     form{margin:.75rem 0}button,input{font:inherit;padding:.4rem .8rem}";

/// Nothing is loaded and nobody frames it. There is no `form-action`: browsers hold it against the redirect to the
/// application, too.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What the person in front of a page decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Nothing yet.
    Open,
    /// To be the person of this name.
    Person(String),
    Deny,
}

impl Choice {
    /// The choice in the form that a button sent or, for scripts, in the query.
    pub(super) fn of(request: &HttpRequest, query: &Params, body: &[u8]) -> Self {
        let in_form = Params::of_form(request, body).map_or(Self::Open, |form| Self::among(&form));
        if in_form == Self::Open { Self::among(query) } else { in_form }
    }

    fn among(params: &Params) -> Self {
        if params.get("mock_deny").is_some() {
            return Self::Deny;
        }
        let name = params.get("mock_person").map_or("", str::trim);
        if name.is_empty() { Self::Open } else { Self::Person(name.to_owned()) }
    }
}

/// For programs that cannot stop at a redirect: with `Accept: application/json` the answer is `{"location": …}` instead of a
/// redirect there, and `{"page": …}`, its URL, instead of a page.
pub(super) fn or_its_url(request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    let accept = request.headers().get(header::ACCEPT).map(header::HeaderValue::as_bytes);
    if accept != Some(b"application/json") {
        return answer;
    }
    match answer.headers().get(header::LOCATION).and_then(|url| url.to_str().ok()) {
        Some(location) => HttpResponse::Ok().json(json!({ "location": location })),
        None => HttpResponse::build(answer.status()).json(json!({ "page": request.full_url().as_str() })),
    }
}

/// A page of the mock `provider`; `content` is HTML.
pub(super) fn page(status: StatusCode, provider: &str, content: &str) -> HttpResponse {
    let provider = escape(provider);
    HttpResponse::build(status)
        .content_type(ContentType::html())
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(format!(
            r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{provider}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{provider}</h1>
<p>This is a mock for trying things out: nobody is asked for a password.</p>
{content}</main>
</body>
</html>
"#
        ))
}

/// The page of a request that must not be answered with a redirect (RFC 6749 §4.1.2.1).
pub(super) fn refusal(provider: &str, reason: &str) -> HttpResponse {
    let content = format!("<p role=\"alert\" id=\"error\">Access blocked: {}</p>\n", escape(reason));
    page(StatusCode::BAD_REQUEST, provider, &content)
}

/// Asks who to be. The forms go to the page's own URL with this query, which therefore has everything else.
pub(super) fn consent(provider: &str, application: &str, scope: &str, query: &str) -> HttpResponse {
    let (application, scope, query) = (escape(application), escape(scope), escape(query));
    let mut content = format!(
        "<p>The application <strong>{application}</strong> wants to know who you are{}.</p>\n<h2>Who are you?</h2>\n",
        if scope.is_empty() { String::new() } else { format!(" (<span id=\"scope\">{scope}</span>)") }
    );
    let mut form = |inside: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(content, "<form method=\"post\" action=\"?{query}\">{inside}</form>");
    };
    for (name, shown) in PEOPLE {
        form(&format!(
            r#"<button type="submit" id="as-{name}" name="mock_person" value="{name}">Continue as {shown}</button>"#
        ));
    }
    form(concat!(
        r#"<label for="name">Anybody else</label> "#,
        r#"<input id="name" name="mock_person" required autocomplete="off"> "#,
        r#"<button type="submit" id="as-name">Sign in</button>"#
    ));
    form(r#"<button type="submit" id="deny" name="mock_deny" value="1">Deny</button>"#);
    page(StatusCode::OK, provider, &content)
}

/// A page whose form goes to the application by itself, from a site that is not the application's.
pub(super) fn form_post<'a>(action: &str, members: impl Iterator<Item = (&'a str, &'a str)>) -> HttpResponse {
    let mut inputs = String::new();
    for (name, value) in members {
        let (name, value) = (escape(name), escape(value));
        // Writing to a string cannot fail.
        let _ = writeln!(inputs, r#"<input type="hidden" name="{name}" value="{value}">"#);
    }
    let action = escape(action);
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(format!(
            r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>One moment</title><link rel="icon" href="data:,"></head>
<body onload="document.forms[0].submit()">
<form method="post" action="{action}">
{inputs}</form>
</body>
</html>
"#
        ))
}

/// Text as HTML content and as an attribute in quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_from_an_attribute() {
        assert_eq!(escape(r#"a"'<&>"#), "a&quot;&#39;&lt;&amp;&gt;");
    }
}
