//! What people see: pages written here and made richer by htmx, with all that they need in the binary.
//!
//! A page reads as the JSON API does, by the same functions; what is done on it goes to that API, by script (`assets/page.js`).

mod account;
mod account_lists;
mod app_question;
mod assets;
mod device;
mod events;
mod home;
mod html;
mod layout;
mod navigation;
mod person;
mod refusals;
mod sign_in;
mod users;
mod way_in;
mod when;

pub(super) use self::account::account;
pub(super) use self::app_question::{AppQuestion, app_question};
pub(super) use self::assets::asset;
pub(super) use self::events::events;
pub(super) use self::home::home;
pub(super) use self::navigation::navigation;
pub use self::refusals::errors_as_pages;
pub(super) use self::refusals::errors_as_pages_if_asked;
pub(super) use self::sign_in::{sign_in_page, url_not_confirmed, url_to_confirm};
pub(super) use self::users::users;
