//! Which source wins, how values are written, and that `config/default.toml` knows every key.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokenbooth::db::DatabaseUrl;
use tokenbooth::settings::{Environment, LogFormat, Settings, Sources};

use super::{refusal, serve};
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// Settings that `tokenbooth serve` would run with, seen by what they do: the port it listens on.
#[test]
fn a_file_wins_over_the_default_an_overlay_over_a_file_and_the_environment_over_all() {
    let port = || {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("an address").port()
    };
    let (default, overlay, variable) = (port(), port(), port());
    let listens = |command: Tokenbooth| command.start().url();
    let with_default =
        || Tokenbooth::new(&["serve"]).file("config/default.toml", &format!("[server]\nport = {default}\n"));
    let with_overlay = || {
        with_default()
            .file("config/staging.toml", &format!("[server]\nport = {overlay}\n"))
            .env("TOKENBOOTH_ENV", "staging")
            .set("token.secret", SECRET)
    };
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    assert_eq!(listens(with_default()), url(default));
    assert_eq!(listens(with_overlay()), url(overlay));
    assert_eq!(listens(with_overlay().set("server.port", &variable.to_string())), url(variable));
    assert_eq!(Sources::defaults().load().expect("good").server.port, 8080);
}

#[test]
fn the_folder_of_files_can_be_named() {
    let command = serve()
        .file("elsewhere/default.toml", "[server]\nprot = 1\n")
        .env("TOKENBOOTH_CONFIG_DIR", "elsewhere");
    assert_eq!(refusal(command), "server.prot: there is no such setting. Did you mean server.port?");
}

fn load(settings: &[(&str, &str)]) -> Settings {
    let sources =
        settings.iter().fold(Sources::defaults(), |sources, (key, value)| sources.with(key, *value));
    sources.load().expect("good settings")
}

#[test]
fn database_url_counts_only_while_our_own_variable_is_absent() {
    let unreachable = "sqlite:///no/such/folder/t.db";
    let good = |command: Tokenbooth| drop(command.start().url());
    let line = refusal(serve().env("DATABASE_URL", unreachable));
    assert!(line.starts_with("database.url: the database is unavailable"), "{line}");
    good(serve().env("DATABASE_URL", unreachable).set("database.url", "sqlite://t.db"));
    // An empty variable is as good as none.
    let line = refusal(serve().env("DATABASE_URL", unreachable).set("database.url", ""));
    assert!(line.starts_with("database.url: the database is unavailable"), "{line}");
    // It is environment, and wins over files.
    good(
        serve()
            .env("DATABASE_URL", "sqlite://t.db")
            .file("config/default.toml", "[database]\nurl = \"mysql://x\"\n"),
    );
}

#[test]
fn lists_are_written_with_commas_and_empty_variables_count_as_absent() {
    let settings = load(&[
        ("providers.google.client_ids", " web.example.com, ios.example.com ,,"),
        ("server.trusted_proxies", "10.0.0.0/8,192.0.2.7,::1"),
        ("server.port", ""),
        ("token.secret", ""),
        ("providers.github.client_id", ""),
    ]);
    assert_eq!(settings.providers.google.client_ids, ["web.example.com", "ios.example.com"]);
    let proxies: Vec<String> = settings.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.7/32", "::1/128"]);
    assert_eq!(settings.server.port, 8080);
    assert!(settings.token.secret.is_none());
    assert!(settings.providers.github.client_id.is_none());
}

#[test]
fn a_text_that_looks_like_a_number_or_a_truth_stays_the_text_it_is() {
    let settings = load(&[
        ("providers.google.client_ids", "007"),
        ("providers.github.client_id", "0123"),
        ("providers.github.client_secret", "1e5"),
        ("token.audience", "true"),
        ("token.secret", "00000000000000000000000000000000000001"),
    ]);
    assert_eq!(settings.providers.google.client_ids, ["007"]);
    assert_eq!(settings.providers.github.client_id.as_deref(), Some("0123"));
    let secret = settings.providers.github.client_secret.expect("a secret");
    assert_eq!(secret.expose_secret(), "1e5");
    assert_eq!(settings.token.audience, "true");
    let secret = settings.token.secret.expect("a secret");
    assert_eq!(secret.expose_secret(), "00000000000000000000000000000000000001");
}

/// `default.toml` with every commented-out key put in.
fn documented() -> (String, BTreeSet<String>) {
    let mut text = String::new();
    let (mut keys, mut section) = (BTreeSet::new(), String::new());
    for line in include_str!("../../../config/default.toml").lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        let is_section = bare.starts_with('[') && bare.ends_with(']');
        let key = bare.split(" = ").next().unwrap_or_default();
        let is_key = bare.contains(" = ") && !key.is_empty() && key.chars().all(word);
        if is_section {
            bare.trim_matches(['[', ']']).clone_into(&mut section);
        } else if is_key {
            keys.insert(format!("{section}.{key}"));
        }
        if is_section || is_key {
            text += bare;
            text += "\n";
        }
    }
    // Keys whose example is empty, or a file of another machine.
    let text = text
        .replace("secret = \"\"", &format!("secret = \"{SECRET}\""))
        .replace("client_id = \"\"", "client_id = \"x\"")
        .replace("private_key = \"\"", &format!("private_key = \"{}\"", private_key()))
        .replace("private_key_file = \"/etc/tokenbooth/AuthKey_ABC123DEFG.p8\"", "");
    (text, keys)
}

/// As Apple gives them out, in one line.
fn private_key() -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    key.serialize_pem().replace('\r', "").replace('\n', "\\n")
}

#[test]
fn every_documented_key_is_accepted() {
    let (text, keys) = documented();
    assert!(keys.contains("token.secret") && keys.contains("providers.example.kind"), "{keys:?}");
    // The folder of keys has to be there.
    let mut running = serve().file("config/default.toml", &text).file("keys/.keep", "").start();
    running.url();
}

#[test]
fn every_key_there_is_stands_in_default_toml() {
    let (_, documented) = documented();
    // The kinds share one set of keys, and each shows its own.
    let of_any_name = |key: String| {
        let kind = ["example", "microsoft", "apple", "gitlab"].into_iter().find_map(|name| {
            Some(format!("providers.<name>.{}", key.strip_prefix(&format!("providers.{name}."))?))
        });
        kind.unwrap_or(key)
    };
    let documented: BTreeSet<String> = documented.into_iter().map(of_any_name).collect();
    assert_eq!(documented, known_keys());
}

/// What the settings take, learned from their refusals: an unknown key is answered with all known ones.
fn known_keys() -> BTreeSet<String> {
    let known = |key: &str| -> Vec<String> {
        let error = Sources::defaults().with(key, "x").load().expect_err("an unknown key");
        let list = error.remedy.strip_prefix("Known here: ").expect("the list");
        list.split(", ").map(str::to_owned).collect()
    };
    let mut keys = BTreeSet::new();
    for section in known("zzzzzzzz") {
        if section != "providers" {
            let all = known(&format!("{section}.zzzzzzzz"));
            keys.extend(all.iter().map(|key| format!("{section}.{key}")));
        }
    }
    for (name, shown) in [("google", "google"), ("github", "github"), ("zzzzzzzz", "<name>")] {
        let all = known(&format!("providers.{name}.zzzzzzzz"));
        keys.extend(all.iter().map(|key| format!("providers.{shown}.{key}")));
    }
    keys
}

#[test]
fn the_compiled_in_defaults_are_those_of_the_contract() {
    let settings = Sources::defaults().load().expect("the defaults");
    assert_eq!(settings.environment, Environment::Development);
    assert_eq!(settings.public_url(), "http://127.0.0.1:8080");
    assert!(
        matches!(settings.database.url, DatabaseUrl::Sqlite(ref path) if path.ends_with("tokenbooth.db"))
    );
    assert_eq!(settings.token.access_ttl, Duration::from_mins(30));
    assert_eq!(settings.token.audience, "tokenbooth");
    assert_eq!(settings.jwks.cooldown, Duration::from_secs(30));
    assert_eq!(settings.jwks.max_stale, Duration::from_hours(24));
    assert_eq!(settings.http_client.timeout, Duration::from_secs(5));
    assert!(!settings.accounts.link_verified_email);
    let limit = settings.rate_limit;
    assert!(limit.enabled);
    assert_eq!((limit.address_burst.get(), limit.address_per_minute.get()), (200, 600));
    assert_eq!((limit.account_burst.get(), limit.account_per_minute.get()), (10, 10));
    assert_eq!((limit.failed_per_minute.get(), limit.failed_in_all_per_minute.get()), (30, 300));
    assert_eq!(settings.sessions.per_user, 100);
    assert_eq!(
        (settings.events.refused_retention, settings.events.refused_rows),
        (Duration::from_hours(720), 100_000)
    );
    let password = settings.password;
    assert!(password.enabled && password.concurrency.is_none());
    assert_eq!(
        (password.min_length, password.memory_kib, password.iterations, password.parallelism),
        (12, 19456, 2, 1)
    );
    assert!(settings.providers.is_empty());
    let production = Sources::defaults().environment("production").with("token.secret", SECRET).load();
    assert_eq!(production.expect("good").log.format, LogFormat::Json);
}
