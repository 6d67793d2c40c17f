//! What does not start, and the one line that says why.

use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;

use tokenbooth::settings::Sources;

use super::{VALUE, described, refusal, refusal_of, refusal_of_file, serve};
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

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
    let sections = "server, database, token, keys, providers, jwks, http_client, accounts, password, clients, refresh, \
                    sessions, sign_in, admin, events, management, rate_limit, cors, log";
    assert_eq!(refusal_of("port", VALUE), format!("port: there is no such setting. Known here: {sections}"));
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
    let blocks = "expected addresses or CIDR blocks such as \"10.0.0.5\" or \"10.0.0.0/28\"";
    let rate = "expected a whole number from 1 to 100000000";
    let boolean = "expected a boolean, found a text (from the environment)";
    let levels = "expected one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\"";
    for (key, value, expected) in [
        ("server.port", VALUE, number),
        ("server.port", "70000", number),
        ("server.port", "-1", number),
        ("server.port", "true", number),
        ("server.port", "80.5", number),
        ("server.workers", "0", "expected a whole number, 1 or more"),
        ("database.pool_size", VALUE, "expected a whole number, 1 or more"),
        ("password.memory_kib", VALUE, "expected a whole number, 1 or more"),
        ("password.iterations", "0", "expected a whole number, 1 or more"),
        ("database.migrate_on_start", VALUE, boolean),
        ("rate_limit.enabled", VALUE, boolean),
        ("rate_limit.address_burst", "0", rate),
        ("rate_limit.address_burst", VALUE, rate),
        ("rate_limit.address_per_minute", "-1", rate),
        ("rate_limit.address_per_minute", "1.5", rate),
        ("rate_limit.account_burst", "true", rate),
        ("rate_limit.account_per_minute", "100000001", rate),
        ("rate_limit.failed_per_minute", "0", rate),
        ("rate_limit.failed_in_all_per_minute", VALUE, rate),
        ("sessions.per_user", "0", "expected a whole number, 1 or more"),
        ("events.refused_rows", "0", "expected a whole number, 1 or more"),
        ("events.refused_retention", "30", duration),
        ("accounts.link_verified_email", VALUE, boolean),
        ("token.access_ttl", VALUE, duration),
        ("database.timeout", "500000000000y", "expected a duration of at most 100 years"),
        ("token.access_ttl", "30", duration),
        ("database.timeout", "-5s", duration),
        ("server.trusted_proxies", VALUE, blocks),
        ("server.trusted_proxies", "127.0.0.1,10.0.0.0/99", blocks),
        ("log.level", VALUE, levels),
        ("log.format", VALUE, "expected \"text\" or \"json\""),
        ("providers.google.nonce", VALUE, "expected \"optional\" or \"required\""),
        ("providers.acme.kind", VALUE, "expected \"oidc\" or \"microsoft\" or \"apple\" or \"gitlab\""),
        ("providers.acme.email_verified", VALUE, "expected \"boolean\" or \"text\" or \"never\""),
        ("providers.acme.response_mode", VALUE, "expected \"query\" or \"form_post\""),
        (
            "providers.acme.token_endpoint_auth_method",
            VALUE,
            "expected \"client_secret_basic\" or \"client_secret_post\"",
        ),
        ("providers.acme.private_key_file", VALUE, "the file cannot be read: entity not found"),
        ("token", VALUE, "expected a table"),
        ("providers.acme", VALUE, "expected a table"),
    ] {
        assert_eq!(refusal_of(key, value), format!("{key}: {expected}. {}", described(key)));
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
        ("database.pool_size", "[database]\npool_size = [1]\n", "expected a whole number, 1 or more"),
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
        ("accounts", "accounts = 'hunter2-must-not-be-shown'\n", "expected a table"),
    ] {
        assert_eq!(refusal_of_file(text), format!("{key}: {expected}. {}", described(key)));
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
    for (key, least) in
        [("token.access_ttl", "1s"), ("database.timeout", "1ms"), ("http_client.timeout", "1ms")]
    {
        assert_eq!(refusal_of(key, "0s"), format!("{key}: it is too short. Use at least {least}"));
    }
}

#[test]
fn password_hashing_that_argon2_cannot_do_or_that_would_take_the_machine_does_not_start() {
    for (key, value, range) in [
        ("min_length", "7", "8 to 64"),
        ("min_length", "65", "8 to 64"),
        ("memory_kib", "7", "8 to 262144"),
        ("memory_kib", "262145", "8 to 262144"),
        ("iterations", "65", "1 to 64"),
        ("parallelism", "65", "1 to 64"),
        ("concurrency", "1025", "1 to 1024"),
    ] {
        let error = Sources::defaults().with(&format!("password.{key}"), value).load().expect_err(value);
        let line = error.to_string();
        assert!(line.starts_with(&format!("password.{key}: it is not from {range}. ")), "{line}");
    }
    let lanes = Sources::defaults().with("password.parallelism", "4");
    assert!(lanes.clone().with("password.memory_kib", "32").load().is_ok());
    let line = lanes.with("password.memory_kib", "31").load().expect_err("7 each").to_string();
    assert!(line.starts_with("password.memory_kib: it is not from 32 to 262144. "), "{line}");
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
    let exactly = Sources::defaults().with("token.secret", &SECRET[..32]).load();
    assert!(exactly.is_ok());
}

#[test]
fn production_does_not_start_without_a_secret_and_makes_none() {
    let command = serve().env("TOKENBOOTH_ENV", "production").set("log.format", "text");
    let folder = command.folder().to_owned();
    let kept = tempfile::tempdir_in(folder.parent().expect("a folder")).expect("a folder");
    let database = format!("sqlite://{}", kept.path().join("t.db").display());
    let line = refusal(command.set("database.url", &database));
    assert_eq!(
        line,
        "token.secret: it is not set, and one is made up in development only. \
         Make one with `openssl rand -base64 48` and set TOKENBOOTH__TOKEN__SECRET on every replica"
    );
    assert_eq!(std::fs::read_dir(kept.path()).expect("a folder").count(), 0, "nothing was made");
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
        assert_eq!(refusal_of(key, "http://accounts.example.com/x"), format!("{key}: {plain}. {remedy}"));
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
        assert_eq!(refusal_of(key, url), format!("{key}: {problem}. {remedy}"), "{url}");
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
        .set(&format!("providers.{name}.discovery_url"), "https://id.example.com/x")
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
        format!("providers.gogle.kind: it is missing. {}", described("providers.gogle.kind"))
    );
    assert_eq!(
        refusal(serve().set("providers.acme.kind", "oidc").set("providers.acme.client_ids", "app")),
        format!("providers.acme.discovery_url: it is missing. {}", described("providers.acme.discovery_url"))
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
    assert_eq!(refusal_of_file("[database]\nurl = \"\"\n"), format!("database.url: {forms}. {end}"));
}

#[test]
fn an_unreachable_postgres_is_told_with_its_reason_and_without_its_address() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let url = format!("postgres://operator:{VALUE}@127.0.0.1:{port}/accounts");
    let line = refusal_of("database.url", &url);
    assert!(line.starts_with("database.url: the database is unavailable: "), "{line}");
    assert!(line.contains("Connection refused"), "{line}");
    assert!(
        line.ends_with("Check the address and that the database runs; `tokenbooth check` tells more"),
        "{line}"
    );
    for secret in ["operator", "127.0.0.1", "accounts", &port.to_string()] {
        assert!(!line.contains(secret), "{secret} in {line}");
    }
}

#[test]
fn an_sqlite_file_in_no_folder_is_told_with_its_reason() {
    let line = refusal_of("database.url", "sqlite:///no/such/folder/t.db");
    assert!(line.starts_with("database.url: the database is unavailable: "), "{line}");
    assert!(
        line.contains("Unable to open the database file") || line.contains("unable to open database file"),
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
    assert!(line.starts_with("server.host, server.port: cannot listen on 192.0.2.1:0: "), "{line}");
    assert!(
        line.ends_with("Set server.host to an address of this machine, 127.0.0.1 or 0.0.0.0 for example"),
        "{line}"
    );
}

#[test]
fn a_variable_that_is_not_unicode_is_named_and_not_shown() {
    let value = std::ffi::OsString::from_vec([b"hunter2-must-not-be-shown\xff".as_slice()].concat());
    for name in ["TOKENBOOTH__TOKEN__SECRET", "DATABASE_URL", "TOKENBOOTH_ENV"] {
        assert_eq!(
            refusal(serve().env(name, &value)),
            format!("{name}: the variable is not valid Unicode. Set it to text in UTF-8")
        );
    }
    // A variable that is not ours is none of our business.
    assert!(Sources::defaults().with("token.audience", "x").load().is_ok());
}

#[test]
fn an_unknown_environment_does_not_start() {
    assert_eq!(
        refusal(serve().env("TOKENBOOTH_ENV", "staging")),
        "TOKENBOOTH_ENV: there is no file staging.toml in the settings folder. Use development or production, or write that file"
    );
    // With its file it does, and nothing is made up in it.
    let line = refusal(serve().env("TOKENBOOTH_ENV", "staging").file("config/staging.toml", ""));
    assert!(line.starts_with("token.secret: it is not set"), "{line}");
}

#[test]
fn public_url_origins_and_audience_are_checked() {
    assert_eq!(
        refusal_of("server.public_url", "https://auth.example.com/"),
        "server.public_url: it is not an http(s) URL without a trailing slash, query and fragment. Write it like https://auth.mail.com"
    );
    assert_eq!(
        refusal_of("cors.allowed_origins", "https://app.example.com,https://app.example.com/"),
        "cors.allowed_origins: an entry is not an origin as browsers send it. Write scheme, host and port only, like https://app.mail.com, or \"*\""
    );
    assert_eq!(
        refusal_of_file("[token]\naudience = \"\"\n"),
        "token.audience: it is empty. Name the API that takes the tokens"
    );
}

#[test]
fn redirect_uris_are_exact_and_say_what_arrives_there() {
    let pages = "Write them like https://app.mail.com/welcome, http://127.0.0.1/callback (any port) or com.mail.app:/callback";
    let codes = "Write addresses like https://app.mail.com/callback, and only those of apps and servers that exchange codes";
    for (entry, problem) in [
        (
            "https://*.mail.com/",
            "an entry has a wildcard: entries are compared exactly, so that nobody can choose the address",
        ),
        (
            "http://localhost/callback",
            "an entry is http:// and not a loopback address (127.0.0.1 or [::1], not a name)",
        ),
        ("javascript:alert(1)", "an entry has a scheme that is not an app's"),
    ] {
        let expected = format!("sign_in.redirect_uris: {problem}. {pages}");
        assert_eq!(refusal_of("sign_in.redirect_uris", entry), expected);
    }
    for (entry, problem) in [
        (
            "https://app.mail.com/*",
            "an entry has a wildcard: entries are compared exactly, so that nobody can choose the address",
        ),
        (
            "com.mail.app:/callback",
            "an entry is not https://: an app's other addresses belong in sign_in.redirect_uris",
        ),
        (
            "http://127.0.0.1/callback",
            "an entry is not https://: an app's other addresses belong in sign_in.redirect_uris",
        ),
    ] {
        let expected = format!("sign_in.code_redirect_uris: {problem}. {codes}");
        assert_eq!(refusal_of("sign_in.code_redirect_uris", entry), expected);
    }
    let both = "[sign_in]\nredirect_uris = [\"https://a.com/\"]\ncode_redirect_uris = [\"https://a.com/\"]\n";
    let problem = "an entry is in sign_in.redirect_uris as well, where it gets a cookie and never a code";
    assert_eq!(refusal_of_file(both), format!("sign_in.code_redirect_uris: {problem}. {codes}"));
    for id in ["\"\"", "\"a b\"", "\"a/b\""] {
        let line = refusal_of_file(&format!("[sign_in]\nclient_id = {id}\n"));
        assert!(line.starts_with("sign_in.client_id: it is not 1 to 128 characters"), "{line}");
    }
}
