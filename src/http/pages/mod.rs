//! What people see: pages written here and made richer by htmx, with all that they need in the binary.

mod html;
mod refusals;

pub use self::refusals::errors_as_pages;
pub(super) use self::refusals::errors_as_pages_if_asked;
