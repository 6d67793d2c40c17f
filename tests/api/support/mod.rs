//! The real service on a real port, a database of its own, the mock providers beside it, and a clock that can be set.

mod administrators;
pub mod app;
pub mod both_doors;
pub mod browser;
mod documented;
pub mod line;
pub mod nginx;
pub mod oauth;
pub mod process;

pub use app::{Answer, SignedIn, TestApp};
