//! PostgreSQL under faults: a primary and its standby, a proxy that keeps, freezes, ends and redirects connections, and two
//! replicas (real processes) with clients that check what holds whatever happens.
//!
//! `make faults` runs the scenarios for as long as `TOKENBOOTH_FAULTS_SECONDS` says.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../support/daemon.rs"]
mod daemon;
#[path = "../support/pgbouncer.rs"]
mod pgbouncer;
#[path = "../support/postgres.rs"]
mod postgres;
mod support;

mod clients;
mod clock;
mod freeze;
mod pair;
mod pooled;
mod proxy;
mod read_only;
mod site;
mod stall;
mod start;
mod switchover;
