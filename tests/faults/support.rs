//! What the tests of the API have for processes and HTTP.

#[path = "../api/support/line.rs"]
#[expect(dead_code, reason = "the tests of the API use more of it")]
pub mod line;
#[path = "../api/support/process.rs"]
#[expect(dead_code, reason = "the tests of the API use more of it")]
pub mod process;

pub mod app {
    /// 32 bytes, as every secret must have.
    pub const SECRET: &str = "the-secret-of-the-tests-0123456789abcdef";
}
