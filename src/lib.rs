//! tokenbooth: a token booth for APIs. Hand in a Google or GitHub token, get the application's own.
//!
//! The map, from the door inwards; dependencies point down this list and never back:
//!
//! - [`cli`]: the commands of the binary.
//! - [`App`]: the server; [`Tokenbooth`]: the same without a server, to mount in an actix-web app of one's own.
//! - [`http`]: every URL, and [`CurrentUser`], [`AdminUser`], [`CurrentClient`], [`Scoped`] and [`Caller`], the extractors for
//!   protected routes.
//! - [`account`]: the rules, from a proved identity to a user. [`token`]: our own tokens. [`password`]: which are taken,
//!   and their hashes. [`provider`]: a provider's token in, a proved identity out. [`rate_limit`]: how often one may ask.
//! - [`db`]: the only place that knows Diesel and that there are two databases.
//! - [`user`]: the people, as everyone above knows them; [`client`]: the services.
//! - [`settings`], [`error`] (the one table of refusals), [`jws`] (the strict door for every signed token), [`clock`],
//!   [`metrics`], [`telemetry`], [`openapi`].
//! - [`mock`]: Google and GitHub on loopback, for the demo and for tests.
//!
//! An embedding app:
//!
//! ```no_run
//! use actix_web::{App, HttpServer, get};
//! use tokenbooth::{CurrentUser, Tokenbooth, settings::Sources};
//!
//! #[get("/hello")]
//! async fn hello(CurrentUser(user): CurrentUser) -> String {
//!     format!("Hello, {}!", user.name.as_deref().unwrap_or("stranger"))
//! }
//!
//! # #[actix_web::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokenbooth = Tokenbooth::build(Sources::from_process().load()?)?;
//! HttpServer::new(move || App::new().configure(tokenbooth.routes()).service(hello))
//!     .bind(("127.0.0.1", 8080))?
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```

pub mod account;
mod app;
pub mod authentication;
pub mod cli;
pub mod client;
pub mod clock;
mod connections;
pub mod db;
mod drain;
mod email;
pub mod error;
pub mod event;
#[cfg(test)]
mod fuzzed;
pub mod http;
pub mod jws;
mod keys;
mod listener;
pub mod metrics;
pub mod mock;
pub mod openapi;
pub mod password;
pub mod provider;
pub mod rate_limit;
pub mod recent_sign_ins;
mod secret_file;
mod secrets;
mod server;
mod service_manager;
pub mod session;
pub mod settings;
mod state;
pub mod stored_key;
pub mod telemetry;
mod text;
pub mod token;
pub mod user;

pub use app::{App, StartError, Stopper, Tokenbooth};
pub use http::{AdminUser, Caller, CurrentClient, CurrentUser, Scope, Scoped};
