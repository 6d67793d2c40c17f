//! The queries and the migrations, on both databases.

#[path = "../support/databases.rs"]
#[macro_use]
mod databases;
#[path = "../support/postgres.rs"]
mod postgres;
