//! Signing in by way of a browser (RFC 6749 §4.1 with RFC 7636): `/auth/{provider}/login` sends it to the provider, which sends it
//! back to `/auth/{provider}/callback`. Nothing is stored in between.
//!
//! - `target`: where it may end. `attempt`: what the browser carries for us meanwhile.
//! - `ask`: the page that asks before an app is signed in. `begin`: the way there, for a sign-in and for a link. `callback`: the way back; `form_post`: the way to it for a browser that
//!   comes with a form. `app`: back to an app.

mod app;
mod ask;
mod attempt;
mod begin;
mod callback;
mod form_post;
mod target;

pub(crate) use self::ask::{__path_agree_to_app_sign_in, agree_to_app_sign_in};
pub(crate) use self::begin::{__path_begin_link, __path_begin_sign_in, begin_link, begin_sign_in};
pub(crate) use self::callback::{__path_finish_sign_in, finish_sign_in};
pub(crate) use self::form_post::{__path_pass_on_form, pass_on_form};
pub(super) use self::target::{RedirectTarget, is_app};

/// Where `provider` sends browsers back to; registered there.
fn callback_url(state: &crate::state::AppState, provider: &str) -> String {
    state.public_url.to(&format!("/auth/{provider}/callback"))
}
