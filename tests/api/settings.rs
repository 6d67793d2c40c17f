//! Settings: what is wrong is said in one line that names the key, what is expected and the remedy, never the value; and
//! which source wins.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use tokenbooth::db::DatabaseUrl;
use tokenbooth::mock::MockProviders;
use tokenbooth::settings::{Environment, Settings, Sources};

use crate::support::app::{Answer, SECRET, client};
use crate::support::process::{Running, Tokenbooth};

/// Stands wherever a value must not be repeated.
const VALUE: &str = "hunter2-must-not-be-shown";

/// Starts the service, which must refuse in one line on stderr with exit code 1; answers with that line.
#[track_caller]
fn refusal(command: Tokenbooth) -> String {
    let mut ended = command.start();
    let status = ended.wait();
    let (stdout, stderr) = (ended.stdout(), ended.stderr());
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stdout.is_empty(), "{stdout}");
    assert_eq!(stderr.lines().count(), 1, "more than one line:\n{stderr}");
    assert!(!stderr.contains(VALUE), "the value is shown: {stderr}");
    let line = stderr.strip_prefix("tokenbooth: ").expect("who says it");
    line.trim_end().to_owned()
}

/// The same with one setting in the environment and all others good.
#[track_caller]
fn refusal_of(key: &str, value: &str) -> String {
    refusal(serve().set(key, value))
}

/// The same with `config/default.toml`.
#[track_caller]
fn refusal_of_file(text: &str) -> String {
    refusal(serve().file("config/default.toml", text))
}

fn serve() -> Tokenbooth {
    Tokenbooth::new(&["serve"]).set("server.port", "0")
}

/// Where a remedy sends the reader who got a value wrong.
fn described(key: &str) -> String {
    let variable = key.replace('.', "__").to_uppercase();
    format!("config/default.toml describes it; the environment variable is TOKENBOOTH__{variable}")
}

#[test]
fn an_unknown_key_does_not_start_and_is_told_its_nearest() {
    let expected = "server.prot: there is no such setting. Did you mean server.port?";
    assert_eq!(refusal_of("server.prot", VALUE), expected);
    assert_eq!(refusal_of_file("[server]\nprot = 1\n"), expected);
    assert_eq!(
        refusal_of("providers.google.client_id", VALUE),
        "providers.google.client_id: there is no such setting. Did you mean providers.google.client_ids?"
    );
    assert_eq!(
        refusal_of("jwks.colour", VALUE),
        "jwks.colour: there is no such setting. Known here: cooldown, max_stale"
    );
}

#[test]
fn an_unknown_section_does_not_start() {
    let expected = "servr: there is no such setting. Did you mean server?";
    assert_eq!(refusal_of("servr.port", VALUE), expected);
    assert_eq!(refusal_of_file("[servr]\nport = 1\n"), expected);
    let sections =
        "server, database, token, providers, jwks, http_client, accounts, rate_limit, cors, log";
    assert_eq!(
        refusal_of("port", VALUE),
        format!("port: there is no such setting. Known here: {sections}")
    );
}

#[test]
fn a_variable_with_one_underscore_too_few_does_not_start_with_the_default() {
    assert_eq!(
        refusal(serve().env("TOKENBOOTH_TOKEN__SECRET", VALUE)),
        "TOKENBOOTH_TOKEN__SECRET: there is no such setting. Did you mean TOKENBOOTH__TOKEN__SECRET?"
    );
}

#[test]
fn a_value_of_the_wrong_type_is_told_what_is_expected() {
    let number = "expected a whole number from 0 to 65535";
    let duration = "expected a duration such as \"500ms\", \"30s\", \"5m\", \"24h\" or \"30d\"";
    let blocks = "expected addresses or CIDR blocks such as \"10.0.0.0/8\"";
    let boolean = "expected a boolean, found a text (from the environment)";
    let levels = "expected one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\"";
    for (key, value, expected) in [
        ("server.port", VALUE, number),
        ("server.port", "70000", number),
        ("server.port", "-1", number),
        ("server.port", "true", number),
        ("server.port", "80.5", number),
        ("server.workers", "0", "expected a whole number, 1 or more"),
        (
            "database.pool_size",
            VALUE,
            "expected a whole number, 1 or more",
        ),
        ("database.migrate_on_start", VALUE, boolean),
        ("accounts.link_verified_email", VALUE, boolean),
        ("token.access_ttl", VALUE, duration),
        ("token.access_ttl", "30", duration),
        ("database.timeout", "-5s", duration),
        ("server.trusted_proxies", VALUE, blocks),
        ("server.trusted_proxies", "127.0.0.1,10.0.0.0/99", blocks),
        ("log.level", VALUE, levels),
        ("log.format", VALUE, "expected \"text\" or \"json\""),
        (
            "providers.google.nonce",
            VALUE,
            "expected \"optional\" or \"required\"",
        ),
        ("providers.acme.kind", VALUE, "expected \"oidc\""),
        ("token", VALUE, "expected a table"),
        ("providers.acme", VALUE, "expected a table"),
    ] {
        assert_eq!(
            refusal_of(key, value),
            format!("{key}: {expected}. {}", described(key))
        );
    }
}

#[test]
fn a_file_is_named_when_it_holds_a_value_of_the_wrong_type() {
    for (key, text, expected) in [
        (
            "server.host",
            "[server]\nhost = [1]\n",
            "expected a string, found a list (from config/default.toml)",
        ),
        (
            "database.pool_size",
            "[database]\npool_size = [1]\n",
            "expected a whole number, 1 or more",
        ),
        (
            "token.secret",
            "[token]\nsecret = ['hunter2-must-not-be-shown']\n",
            "expected a string, found a list (from config/default.toml)",
        ),
        (
            "providers.google.client_ids",
            "[providers.google]\nclient_ids = 5\n",
            "expected a list of texts, or one text with commas",
        ),
        (
            "accounts",
            "accounts = 'hunter2-must-not-be-shown'\n",
            "expected a table",
        ),
    ] {
        assert_eq!(
            refusal_of_file(text),
            format!("{key}: {expected}. {}", described(key))
        );
    }
}

#[test]
fn a_file_that_is_not_toml_is_told_the_place_and_the_line_is_not_shown() {
    let secret_without_its_quote = format!("[token]\nsecret = \"{VALUE}\n");
    assert_eq!(
        refusal_of_file(&secret_without_its_quote),
        "config/default.toml: not TOML: TOML parse error at line 2, column 36. Mend the line named"
    );
}

#[test]
fn a_time_that_allows_nothing_does_not_start() {
    for (key, least) in [
        ("token.access_ttl", "1s"),
        ("database.timeout", "1ms"),
        ("http_client.timeout", "1ms"),
    ] {
        assert_eq!(
            refusal_of(key, "0s"),
            format!("{key}: it is too short. Use at least {least}")
        );
    }
}

#[test]
fn a_short_secret_does_not_start() {
    let thirty_one = &SECRET[..31];
    for key in ["token.secret", "token.previous_secrets"] {
        let line = refusal_of(key, thirty_one);
        assert_eq!(
            line,
            format!(
                "{key}: the secret has 31 bytes, at least 32 are needed. Make one with `openssl rand -base64 48`"
            )
        );
    }
    let exactly = Sources::defaults()
        .with("token.secret", &SECRET[..32])
        .load();
    assert!(exactly.is_ok());
}

#[test]
fn production_does_not_start_without_a_secret_and_makes_none() {
    let command = serve().env("TOKENBOOTH_ENV", "production");
    let folder = command.folder().to_owned();
    let kept = tempfile::tempdir_in(folder.parent().expect("a folder")).expect("a folder");
    let database = format!("sqlite://{}", kept.path().join("t.db").display());
    let line = refusal(command.set("database.url", &database));
    assert_eq!(
        line,
        "token.secret: it is not set, and one is made up in development only. \
         Make one with `openssl rand -base64 48` and set TOKENBOOTH__TOKEN__SECRET on every replica"
    );
    assert_eq!(
        std::fs::read_dir(kept.path()).expect("a folder").count(),
        0,
        "nothing was made"
    );
}

#[test]
fn github_wants_its_id_and_its_secret_or_neither() {
    let why = "GitHub is asked with both whether a token belongs to your app: set both or neither";
    assert_eq!(
        refusal_of("providers.github.client_id", VALUE),
        format!(
            "providers.github.client_secret: it is missing while providers.github.client_id is set. {why}"
        )
    );
    assert_eq!(
        refusal_of("providers.github.client_secret", VALUE),
        format!(
            "providers.github.client_id: it is missing while providers.github.client_secret is set. {why}"
        )
    );
}

#[test]
fn a_provider_is_spoken_to_in_plain_http_on_loopback_only() {
    let remedy = "Use an https:// URL (http:// only on loopback, for a mock)";
    let plain = "plain http:// to another machine would let anyone on the way sign in as anyone";
    let keys = [
        "providers.google.discovery_url",
        "providers.google.tokeninfo_url",
        "providers.github.api_url",
        "providers.github.web_url",
    ];
    for key in keys {
        assert_eq!(
            refusal_of(key, "http://accounts.example.com/x"),
            format!("{key}: {plain}. {remedy}")
        );
    }
    let key = keys[0];
    for (url, problem) in [
        ("http://127.0.0.1.evil.com/x", plain),
        ("http://localhost.evil.com/x", plain),
        ("http://localhost@evil.com/x", plain),
        ("http://10.0.0.1/x", plain),
        ("http://[::ffff:10.0.0.1]/x", plain),
        ("ftp://127.0.0.1/x", "it is neither https:// nor http://"),
        ("accounts.example.com", "it is not a URL"),
    ] {
        assert_eq!(
            refusal_of(key, url),
            format!("{key}: {problem}. {remedy}"),
            "{url}"
        );
    }
    for url in [
        "https://id.example.com/x",
        "http://localhost:1/x",
        "http://127.0.0.1:1/x",
        "http://127.9.9.9/x",
        "http://[::1]:1/x",
    ] {
        assert!(Sources::defaults().with(key, url).load().is_ok(), "{url}");
    }
    assert_eq!(
        refusal(oidc("acme").set("providers.acme.discovery_url", "http://id.example.com/x")),
        format!("providers.acme.discovery_url: {plain}. {remedy}")
    );
}

/// The service with a further provider.
fn oidc(name: &str) -> Tokenbooth {
    serve()
        .set(&format!("providers.{name}.kind"), "oidc")
        .set(&format!("providers.{name}.client_ids"), "app")
        .set(
            &format!("providers.{name}.discovery_url"),
            "https://id.example.com/x",
        )
}

#[test]
fn a_provider_may_not_take_the_name_of_a_route() {
    for name in ["password", "refresh", "logout", "logout-all", "verify"] {
        assert_eq!(
            refusal(oidc(name)),
            format!("providers.{name}: /auth/{name} is a route of its own. Choose another name")
        );
    }
    let text = "[providers.\"Acme Inc\"]\nkind = \"oidc\"\ndiscovery_url = \"https://id.example.com/x\"\nclient_ids = [\"app\"]\n";
    let line = refusal_of_file(text);
    assert!(
        line.ends_with(
            "a provider's name is 1 to 64 lower-case letters, digits, - and _. Choose another name"
        ),
        "{line}"
    );
}

#[test]
fn a_provider_table_without_kind_is_taken_for_a_mistyped_name() {
    assert_eq!(
        refusal_of_file("[providers.gogle]\nclient_ids = [\"app\"]\n"),
        format!(
            "providers.gogle.kind: it is missing. {}",
            described("providers.gogle.kind")
        )
    );
    assert_eq!(
        refusal(
            serve()
                .set("providers.acme.kind", "oidc")
                .set("providers.acme.client_ids", "app")
        ),
        format!(
            "providers.acme.discovery_url: it is missing. {}",
            described("providers.acme.discovery_url")
        )
    );
}

#[test]
fn an_address_of_no_known_database_is_told_the_two_forms() {
    let forms = "expected sqlite://path/to/file.db or postgres://user:password@host/name";
    let in_memory = "an in-memory SQLite database is another one in every connection; expected sqlite://path/to/file.db or postgres://user:password@host/name";
    let end = described("database.url");
    for (url, problem) in [
        ("mysql://u:hunter2-must-not-be-shown@host/db", forms),
        ("hunter2-must-not-be-shown", forms),
        ("sqlite::memory:", in_memory),
        ("sqlite://:memory:", in_memory),
        (
            "sqlite://t.db?mode=hunter2-must-not-be-shown",
            "sqlite:// takes a path and no parameters; expected sqlite://path/to/file.db or postgres://user:password@host/name",
        ),
        (
            "postgres://u:hunter2-must-not-be-shown@host:99999/db",
            "not a URL (invalid port number); expected sqlite://path/to/file.db or postgres://user:password@host/name, with special characters in the password percent-encoded",
        ),
    ] {
        let expected = format!("database.url: {problem}. {end}");
        assert_eq!(refusal_of("database.url", url), expected);
        assert_eq!(refusal(serve().env("DATABASE_URL", url)), expected);
    }
    assert_eq!(
        refusal_of_file("[database]\nurl = \"\"\n"),
        format!("database.url: {forms}. {end}")
    );
}

#[test]
fn an_unreachable_postgres_is_told_with_its_reason_and_without_its_address() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let url = format!("postgres://operator:{VALUE}@127.0.0.1:{port}/accounts");
    let line = refusal_of("database.url", &url);
    assert!(
        line.starts_with("database.url: the database is unavailable: "),
        "{line}"
    );
    assert!(line.contains("Connection refused"), "{line}");
    assert!(
        line.ends_with(
            "Check the address and that the database runs; `tokenbooth check` tells more"
        ),
        "{line}"
    );
    for secret in ["operator", "127.0.0.1", "accounts", &port.to_string()] {
        assert!(!line.contains(secret), "{secret} in {line}");
    }
}

#[test]
fn an_sqlite_file_in_no_folder_is_told_with_its_reason() {
    let line = refusal_of("database.url", "sqlite:///no/such/folder/t.db");
    assert!(
        line.starts_with("database.url: the database is unavailable: "),
        "{line}"
    );
    assert!(
        line.contains("Unable to open the database file")
            || line.contains("unable to open database file"),
        "{line}"
    );
}

#[test]
fn a_port_that_is_taken_is_told_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    assert_eq!(
        refusal_of("server.port", &address.port().to_string()),
        format!(
            "server.host, server.port: cannot listen on {address}: Address already in use (os error 98). \
             Choose another port, with TOKENBOOTH__SERVER__PORT for example"
        )
    );
}

#[test]
fn a_host_that_is_not_this_machine_is_told_so() {
    // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
    let line = refusal_of("server.host", "192.0.2.1");
    assert!(
        line.starts_with("server.host, server.port: cannot listen on 192.0.2.1:0: "),
        "{line}"
    );
    assert!(
        line.ends_with(
            "Set server.host to an address of this machine, 127.0.0.1 or 0.0.0.0 for example"
        ),
        "{line}"
    );
}

#[test]
fn a_variable_that_is_not_unicode_is_named_and_not_shown() {
    let value =
        std::ffi::OsString::from_vec([b"hunter2-must-not-be-shown\xff".as_slice()].concat());
    for name in [
        "TOKENBOOTH__TOKEN__SECRET",
        "DATABASE_URL",
        "TOKENBOOTH_ENV",
    ] {
        assert_eq!(
            refusal(serve().env(name, &value)),
            format!("{name}: the variable is not valid Unicode. Set it to text in UTF-8")
        );
    }
    // A variable that is not ours is none of our business.
    assert!(
        Sources::defaults()
            .with("token.audience", "x")
            .load()
            .is_ok()
    );
}

#[test]
fn an_unknown_environment_does_not_start() {
    assert_eq!(
        refusal(serve().env("TOKENBOOTH_ENV", "staging")),
        "TOKENBOOTH_ENV: there is no file staging.toml in the settings folder. Use development or production, or write that file"
    );
    // With its file it does, and nothing is made up in it.
    let line = refusal(
        serve()
            .env("TOKENBOOTH_ENV", "staging")
            .file("config/staging.toml", ""),
    );
    assert!(line.starts_with("token.secret: it is not set"), "{line}");
}

#[test]
fn public_url_origins_and_audience_are_checked() {
    assert_eq!(
        refusal_of("server.public_url", "https://auth.example.com/"),
        "server.public_url: it is not an http(s) URL without a trailing slash, query and fragment. Write it like https://auth.mail.com"
    );
    assert_eq!(
        refusal_of(
            "cors.allowed_origins",
            "https://app.example.com,https://app.example.com/"
        ),
        "cors.allowed_origins: an entry is not an origin as browsers send it. Write scheme, host and port only, like https://app.mail.com, or \"*\""
    );
    assert_eq!(
        refusal_of_file("[token]\naudience = \"\"\n"),
        "token.audience: it is empty. Name the API that takes the tokens"
    );
}

/// Settings that `tokenbooth serve` would run with, seen by what they do: the port it listens on.
#[test]
fn a_file_wins_over_the_default_an_overlay_over_a_file_and_the_environment_over_all() {
    let port = || {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("an address").port()
    };
    let (default, overlay, variable) = (port(), port(), port());
    let listens = |command: Tokenbooth| command.start().url();
    let with_default = || {
        Tokenbooth::new(&["serve"]).file(
            "config/default.toml",
            &format!("[server]\nport = {default}\n"),
        )
    };
    let with_overlay = || {
        with_default()
            .file(
                "config/staging.toml",
                &format!("[server]\nport = {overlay}\n"),
            )
            .env("TOKENBOOTH_ENV", "staging")
            .set("token.secret", SECRET)
    };
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    assert_eq!(listens(with_default()), url(default));
    assert_eq!(listens(with_overlay()), url(overlay));
    assert_eq!(
        listens(with_overlay().set("server.port", &variable.to_string())),
        url(variable)
    );
    assert_eq!(Sources::defaults().load().expect("good").server.port, 8080);
}

#[test]
fn the_folder_of_files_can_be_named() {
    let command = serve()
        .file("elsewhere/default.toml", "[server]\nprot = 1\n")
        .env("TOKENBOOTH_CONFIG_DIR", "elsewhere");
    assert_eq!(
        refusal(command),
        "server.prot: there is no such setting. Did you mean server.port?"
    );
}

fn load(settings: &[(&str, &str)]) -> Settings {
    let sources = settings
        .iter()
        .fold(Sources::defaults(), |sources, (key, value)| {
            sources.with(key, *value)
        });
    sources.load().expect("good settings")
}

#[test]
fn database_url_counts_only_while_our_own_variable_is_absent() {
    let unreachable = "sqlite:///no/such/folder/t.db";
    let good = |command: Tokenbooth| drop(command.start().url());
    let line = refusal(serve().env("DATABASE_URL", unreachable));
    assert!(
        line.starts_with("database.url: the database is unavailable"),
        "{line}"
    );
    good(
        serve()
            .env("DATABASE_URL", unreachable)
            .set("database.url", "sqlite://t.db"),
    );
    // An empty variable is as good as none.
    let line = refusal(
        serve()
            .env("DATABASE_URL", unreachable)
            .set("database.url", ""),
    );
    assert!(
        line.starts_with("database.url: the database is unavailable"),
        "{line}"
    );
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
        (
            "providers.google.client_ids",
            " web.example.com, ios.example.com ,,",
        ),
        ("server.trusted_proxies", "10.0.0.0/8,192.0.2.7,::1"),
        ("server.port", ""),
        ("token.secret", ""),
        ("providers.github.client_id", ""),
    ]);
    assert_eq!(
        settings.providers.google.client_ids,
        ["web.example.com", "ios.example.com"]
    );
    let proxies: Vec<String> = settings
        .server
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
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
    assert_eq!(
        secret.expose_secret(),
        "00000000000000000000000000000000000001"
    );
}

/// `default.toml` with every commented-out key put in.
fn documented() -> (String, BTreeSet<String>) {
    let mut text = String::new();
    let (mut keys, mut section) = (BTreeSet::new(), String::new());
    for line in include_str!("../../config/default.toml").lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        let is_section = bare.starts_with('[') && bare.ends_with(']');
        let key = bare.split(" = ").next().unwrap_or_default();
        let is_key = bare.contains(" = ") && !key.is_empty() && key.chars().all(word);
        if is_section {
            section = bare.trim_matches(['[', ']']).to_owned();
        } else if is_key {
            keys.insert(format!("{section}.{key}"));
        }
        if is_section || is_key {
            text += bare;
            text += "\n";
        }
    }
    // Keys whose example is empty or belongs to production.
    let text = text
        .replace("secret = \"\"", &format!("secret = \"{SECRET}\""))
        .replace("client_id = \"\"", "client_id = \"x\"");
    (text, keys)
}

#[test]
fn every_documented_key_is_accepted() {
    let (text, keys) = documented();
    assert!(
        keys.contains("token.secret") && keys.contains("providers.example.kind"),
        "{keys:?}"
    );
    let mut running = serve().file("config/default.toml", &text).start();
    running.url();
}

#[test]
fn every_key_there_is_stands_in_default_toml() {
    let (_, documented) = documented();
    let documented: BTreeSet<String> = documented
        .into_iter()
        .map(|key| key.replace("providers.example.", "providers.<name>."))
        .collect();
    assert_eq!(documented, known_keys());
}

/// What the settings take, learned from their refusals: an unknown key is answered with all known ones.
fn known_keys() -> BTreeSet<String> {
    let known = |key: &str| -> Vec<String> {
        let error = Sources::defaults()
            .with(key, "x")
            .load()
            .expect_err("an unknown key");
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
    for (name, shown) in [
        ("google", "google"),
        ("github", "github"),
        ("zzzzzzzz", "<name>"),
    ] {
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
    assert_eq!(settings.token.access_ttl, Duration::from_secs(1800));
    assert_eq!(settings.token.audience, "tokenbooth");
    assert_eq!(settings.jwks.cooldown, Duration::from_secs(30));
    assert_eq!(settings.jwks.max_stale, Duration::from_secs(86_400));
    assert_eq!(settings.http_client.timeout, Duration::from_secs(5));
    assert!(!settings.accounts.link_verified_email);
    assert!(settings.providers.is_empty());
    let production = Sources::defaults()
        .environment("production")
        .with("token.secret", SECRET)
        .load();
    assert_eq!(
        production.expect("good").log.format,
        tokenbooth::settings::LogFormat::Json
    );
}

/// The service without a secret, beside the mock.
fn in_development(mock: &MockProviders, database: &str) -> Running {
    Tokenbooth::serving(mock, database)
        .set("token.secret", "")
        .start()
}

async fn sign_in(mock: &MockProviders, url: &str) -> String {
    let body = json!({ "id_token": mock.google().id_token(json!({})) });
    let request = client().post(format!("{url}/auth/google")).json(&body);
    Answer::of(request.send().await.expect("an answer"))
        .await
        .assert_signed_in()
        .jwt
}

async fn status_of_me(url: &str, jwt: &str) -> u16 {
    let request = client().get(format!("{url}/api/me")).bearer_auth(jwt);
    request.send().await.expect("an answer").status().as_u16()
}

#[actix_web::test]
async fn the_secret_of_development_is_made_once_kept_from_others_and_outlives_a_restart() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite://{}", folder.path().join("kept.db").display());
    // The issuer follows the port when it is not set, and the port is another one after the restart.
    let start = || {
        let command = Tokenbooth::serving(&mock, &database).set("token.secret", "");
        command
            .set("token.issuer", "https://auth.example.com")
            .start()
    };
    let mut first = start();
    let jwt = sign_in(&mock, &first.url()).await;
    let file = folder.path().join("kept.db.secret");
    let (mode, secret) = (
        file.metadata()
            .expect("a file beside the database")
            .permissions()
            .mode()
            & 0o777,
        std::fs::read_to_string(&file).expect("a file"),
    );
    assert_eq!(mode, 0o600);
    assert!(secret.trim().len() >= 32, "{} bytes", secret.trim().len());
    first.wait_for("token.secret is not set: one was made for development and kept in");
    first.signal("TERM");
    assert!(first.wait().success());
    assert!(
        !first.stderr().contains(secret.trim()),
        "the log shows the secret"
    );

    let mut second = start();
    assert_eq!(status_of_me(&second.url(), &jwt).await, 200);
    assert!(
        !second.stderr().contains("one was made"),
        "{}",
        second.stderr()
    );
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), secret);
}

#[actix_web::test]
async fn two_processes_that_start_at_once_in_development_agree_on_the_secret() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite://{}", folder.path().join("shared.db").display());
    let start = || {
        let command = Tokenbooth::serving(&mock, &database).set("token.secret", "");
        command
            .set("token.issuer", "https://auth.example.com")
            .start()
    };
    let mut both: Vec<Running> = (0..4).map(|_| start()).collect();
    let urls: Vec<String> = both.iter_mut().map(Running::url).collect();
    let jwt = sign_in(&mock, &urls[0]).await;
    for url in &urls {
        assert_eq!(status_of_me(url, &jwt).await, 200);
    }
}

#[test]
fn a_secret_file_that_is_too_short_does_not_start() {
    let mut ended = serve().file("tokenbooth.db.secret", "short").start();
    assert_eq!(ended.wait().code(), Some(1));
    assert_eq!(
        ended.stderr().lines().last(),
        Some(
            "tokenbooth: token.secret: it is not set, and the file tokenbooth.db.secret to keep one in cannot be used: \
             it holds less than 32 bytes; delete it. Set TOKENBOOTH__TOKEN__SECRET, or make the folder writable"
        )
    );
}

#[actix_web::test]
async fn a_provider_without_client_ids_does_not_exist() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite://{}", folder.path().join("t.db").display());
    let mut running = in_development(&mock, &database);
    let configured = running.url();
    let mut bare = serve().start();
    let unconfigured = bare.url();
    for name in ["google", "github", "acme"] {
        let post = async |url: &str| {
            let request = client()
                .post(format!("{url}/auth/{name}"))
                .json(&json!({ "token": "x" }));
            Answer::of(request.send().await.expect("an answer")).await
        };
        post(&configured).await.assert_problem(401, "invalid_token");
        post(&unconfigured)
            .await
            .assert_problem(404, "unknown_provider");
    }
    bare.wait_for("no provider is configured: set providers.google.client_ids, for example");
}
