//! The pages in a real Chromium, as a person uses them: the real service, the mock providers, nothing in between.
//!
//! Whatever is waited for is a condition, never a time: the machine may be busy.

mod accessibility;
mod account;
mod administration;
mod app_sign_in;
mod attacks;
mod chromium;
mod driver;
mod form_post;
mod keyboard;
mod look;
mod page;
mod quiet;
mod sibling;
mod sign_in;
mod sign_out;
mod site;
mod staying;
mod step_up;

use tokio::sync::{Semaphore, SemaphorePermit};

use self::chromium::Chromium;
use self::driver::Driver;

/// A browser is a dozen processes: more at once would only wait for each other.
static TURNS: Semaphore = Semaphore::const_new(2);

/// A test's turn at the driver.
struct Turn {
    driver: &'static Driver,
    _permit: SemaphorePermit<'static>,
}

/// None where there is no browser.
async fn turn() -> Option<Turn> {
    let driver = driver::driver()?;
    Some(Turn { driver, _permit: TURNS.acquire().await.expect("never closed") })
}

impl Turn {
    /// A browser that has never been anywhere.
    async fn browser(&self) -> Chromium {
        self.browser_with(&[]).await
    }

    /// The same, with more arguments.
    async fn browser_with(&self, arguments: &[&str]) -> Chromium {
        Chromium::start(self.driver, arguments).await
    }
}
