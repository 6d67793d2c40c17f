//! Model checking: state machines of what several actors do at once, explored in full, and the real
//! functions played against them on both databases. docs/MODELS.md says what each model covers and
//! what it leaves out.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../support/daemon.rs"]
mod daemon;
#[path = "../support/databases.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
#[macro_use]
mod databases;
#[path = "../support/pgbouncer.rs"]
mod pgbouncer;
#[path = "../support/postgres.rs"]
mod postgres;

mod administrators;
mod agreement;
mod codes;
mod explorer;
mod keys;
mod refresh;
mod sign_in_methods;
mod stored;
