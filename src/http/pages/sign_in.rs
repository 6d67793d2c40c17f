//! `/sign-in`: the sign-in methods as buttons. With `reauthenticate`, a person who is signed in confirms who they are, which sensitive
//! operations require from time to time (RFC 9470).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::html;
use super::layout::{Layout, Viewer};
use super::person::Person;
use super::way_in::{WayIn, linked_ways_in, names, ways_in};
use crate::error::ApiError;
use crate::http::bearer::Visitor;
use crate::http::browser::redirect;
use crate::http::redirect_flow::RedirectTarget;
use crate::state::AppState;
use crate::user::User;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    layout: Layout,
    ways_in: Vec<WayIn>,
    /// The names of the providers, for a sentence; empty if there is none.
    providers: String,
    password: bool,
    redirect_to: String,
    /// A sign-in is wanted even if the browser is signed in.
    reauthenticate: bool,
    /// The account that is to be confirmed.
    confirm: Option<Confirm>,
    /// The e-mail address of that account.
    email: Option<String>,
}

/// The account of a person who confirms who they are.
struct Confirm {
    name: String,
    /// It was tried, and nothing was confirmed.
    failed: bool,
}

/// `reauthenticate` after the person chose another account at the provider, or called the sign-in off there.
const FAILED: &str = "failed";

#[derive(Deserialize)]
pub(in crate::http) struct SignInQuery {
    redirect_to: Option<String>,
    reauthenticate: Option<String>,
}

/// Returns the URL at which a signed-in person confirms who they are, and from where they come back to a path of ours.
pub(in crate::http) fn url_to_confirm(state: &AppState, path: &str) -> String {
    confirm_url(state, &format!("{}{path}", state.public_url.path()), "1")
}

/// Returns the URL at which a person learns that nothing was confirmed, and tries again.
pub(in crate::http) fn url_not_confirmed(state: &AppState, redirect_to: &str) -> String {
    confirm_url(state, redirect_to, FAILED)
}

fn confirm_url(state: &AppState, redirect_to: &str, reauthenticate: &str) -> String {
    let (base, redirect_to) = (state.public_url.path(), utf8_percent_encode(redirect_to, NON_ALPHANUMERIC));
    format!("{base}/sign-in?redirect_to={redirect_to}&reauthenticate={reauthenticate}")
}

/// `GET /sign-in?redirect_to=…&reauthenticate=…`.
///
/// # Errors
/// Returns 503 if the database fails.
pub(in crate::http) async fn sign_in_page(
    Visitor(session): Visitor,
    state: Data<AppState>,
    query: Query<SignInQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    // Another one is not a reason to let nobody in.
    let redirect_to = RedirectTarget::read_page(query.redirect_to.as_deref(), &state)
        .or_else(|_| RedirectTarget::read_page(None, &state))?;
    let page = match (session, query.reauthenticate.as_deref()) {
        (Some(_), None) => return Ok(redirect(StatusCode::SEE_OTHER, &redirect_to)),
        (Some(session), Some(mode)) => {
            page_to_confirm(&state, &request, &session.caller.user, mode == FAILED, redirect_to).await?
        }
        // Without a session there is nothing to confirm: any sign-in is recent.
        (None, mode) => {
            let ways_in = ways_in(&state.providers);
            SignInPage {
                layout: Layout::new(&state, &request, None),
                providers: names(&ways_in),
                ways_in,
                password: state.settings.password.enabled,
                redirect_to,
                reauthenticate: mode.is_some(),
                confirm: None,
                email: None,
            }
        }
    };
    html::answer(StatusCode::OK, &page)
}

/// Shows only the sign-in methods of this account: any other one would lead to another account, or to a new one.
async fn page_to_confirm(
    state: &AppState,
    request: &HttpRequest,
    user: &User,
    failed: bool,
    redirect_to: String,
) -> Result<SignInPage, ApiError> {
    let ways_in = linked_ways_in(state, user.id).await?;
    Ok(SignInPage {
        layout: Layout::new(state, request, Some(user)),
        providers: names(&ways_in),
        ways_in,
        password: state.settings.password.enabled && user.has_password && user.email.is_some(),
        redirect_to,
        reauthenticate: true,
        confirm: Some(Confirm { name: Person::of(user).name, failed }),
        email: user.email.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Layout, SignInPage, Template, WayIn};

    #[test]
    fn each_provider_is_a_link_that_comes_back() {
        let way_in =
            |provider: &str, kind, name: &str| WayIn { provider: provider.into(), kind, name: name.into() };
        let page = SignInPage {
            layout: Layout::of_nobody("/booth", true),
            ways_in: vec![
                way_in("github", "github", "GitHub"),
                way_in("google", "google", "Google"),
                way_in("acme", "oidc", "A & C"),
                way_in("work", "microsoft", "Microsoft"),
            ],
            providers: String::new(),
            password: false,
            redirect_to: "/booth/admin?q=a%20b&after=c".into(),
            reauthenticate: false,
            confirm: None,
            email: None,
        };
        let page = page.render().expect("a page");
        for provider in ["github", "google", "acme", "work"] {
            let back = "redirect_to=%2Fbooth%2Fadmin%3Fq%3Da%2520b%26after%3Dc";
            let link = format!("href=\"/booth/auth/{provider}/login?{back}\"");
            assert!(page.contains(&format!("id=\"sign-in-{provider}\"")) && page.contains(&link), "{page}");
        }
        assert!(page.contains("Sign in with A &#38; C"), "{page}");
        assert!(page.contains("fill=\"#EA4335\""), "Google's logo has its own colours: {page}");
        assert!(page.contains("fill=\"#F25022\""), "and Microsoft's, by whatever name it goes: {page}");
        assert!(!page.contains("type=\"password\""), "{page}");
    }
}
