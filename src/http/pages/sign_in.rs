//! `/sign-in`: all the ways in, as buttons.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::html;
use super::layout::{Layout, Viewer};
use super::way_in::{WayIn, ways_in};
use crate::error::ApiError;
use crate::http::bearer::Visitor;
use crate::http::browser::redirect;
use crate::http::redirect_flow::RedirectTarget;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    layout: Layout,
    ways_in: Vec<WayIn>,
    password: bool,
    redirect_to: String,
}

#[derive(Deserialize)]
pub(in crate::http) struct SignInQuery {
    redirect_to: Option<String>,
}

/// `GET /sign-in?redirect_to=…`.
///
/// # Errors
/// The database's.
pub(in crate::http) async fn sign_in_page(
    Visitor(session): Visitor,
    state: Data<AppState>,
    query: Query<SignInQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    // Another one is not a reason to let nobody in.
    let redirect_to = RedirectTarget::read_page(query.redirect_to.as_deref(), &state)
        .or_else(|_| RedirectTarget::read_page(None, &state))?;
    if session.is_some() {
        return Ok(redirect(StatusCode::SEE_OTHER, &redirect_to));
    }
    let page = SignInPage {
        layout: Layout::new(&state, &request, None),
        ways_in: ways_in(&state.providers),
        password: state.settings.password.enabled,
        redirect_to,
    };
    html::answer(StatusCode::OK, &page)
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
            password: false,
            redirect_to: "/booth/admin?q=a%20b&after=c".into(),
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
