//! The API from the outside: the real service on a real port, with the mock providers, on both databases.
//!
//! One file per endpoint family, named like the files of `src/http` and `src/provider`. A test's name is the sentence
//! it proves; it starts from a valid default and changes one thing.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../support/daemon.rs"]
mod daemon;
#[path = "../support/databases.rs"]
#[macro_use]
mod databases;
#[path = "../support/pgbouncer.rs"]
mod pgbouncer;
#[path = "../support/postgres.rs"]
mod postgres;
mod support;

mod account_takeover;
mod accounts;
mod address_owner;
mod administration;
mod bearer;
mod browser;
mod browser_cookies;
mod browser_mode;
mod clients;
mod command_line;
mod database_file;
mod database_outage;
mod database_schema;
mod demo;
mod docs;
mod embedded;
mod events;
mod exchange;
mod exchange_apple;
mod exchange_github;
mod exchange_gitlab;
mod exchange_google;
mod exchange_google_access_token;
mod exchange_microsoft;
mod exchange_oidc;
mod failed_proofs;
mod first_administrator;
mod form_post;
mod health;
mod hostile_tokens;
mod identities;
mod introspection;
mod jwt;
mod key_cache;
mod keys;
mod kill;
mod log;
mod login_command;
mod lost_rights;
mod management;
mod metadata;
mod metrics;
mod mock_sign_in;
mod native;
mod oauth;
mod pages;
mod password;
mod pooler;
mod postman;
mod profile;
mod provider_issuers;
mod provider_outage;
mod proxies;
mod rate_limit;
mod recent_sign_in;
mod redirect_flow;
mod redirect_provider;
mod refused_sign_ins;
mod removed_identities;
mod replicas;
mod revocation;
mod revocation_feed;
mod selftest;
mod service_manager;
mod sessions;
mod settings;
mod shutdown;
mod slow_clients;
mod stolen_session;
mod verify;
