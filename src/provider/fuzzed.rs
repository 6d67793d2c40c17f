//! Key sets and discovery documents of anybody's choice.

use std::sync::LazyLock;

use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::discovery::Discovery;
use super::jwks::JwkSet;
use crate::fuzzed::{bytes, config, text};
use crate::mock::SigningKey;

const WORDS: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "null",
    "{\"keys\":[",
    "\"kty\":",
    "\"RSA\"",
    "\"EC\"",
    "\"OKP\"",
    "\"kid\":\"a\"",
    "\"n\":",
    "\"AQAB\"",
    "\"e\":\"AQAB\"",
    "\"crv\":\"P-256\"",
    "\"x\":\"AA\"",
    "\"issuer\":\"https://a\"",
    "\"jwks_uri\":\"https://a/k\"",
    "\"token_endpoint\":7",
    "1e999",
    "\"alg\":\"HS256\"",
    "\"use\":\"sig\"",
];
const URL_WORDS: [&str; 24] = [
    "https://",
    "http://",
    "http:",
    "ftp://",
    "file:///",
    "javascript:",
    "//",
    "/",
    "\\",
    "@",
    ":",
    ":80",
    "?",
    "#",
    "[::1]",
    "127.0.0.1",
    "0x7f.1",
    "localhost",
    "localhost.",
    "evil.example",
    ".",
    "%00",
    "\t",
    "\u{ff0f}",
];

/// Members of a key, each valid for some key and odd for the others.
static VALUES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let keys = [SigningKey::foreign().expect("a key").jwk(), SigningKey::es256().expect("a key").jwk()];
    let members = keys.iter().filter_map(Value::as_object).flat_map(Map::values).cloned();
    let odd = [
        json!(null),
        json!(7),
        json!(""),
        json!("AA"),
        json!("AQ"),
        json!("oct"),
        json!("OKP"),
        json!("Ed25519"),
        json!("P-384"),
        json!("HS256"),
        json!("none"),
        json!("PS512"),
        json!("enc"),
        json!(["verify"]),
        json!(["sign"]),
        json!("A".repeat(2000)),
    ];
    members.chain(odd).collect()
});

fn key() -> impl Strategy<Value = Value> {
    let names = ["kty", "kid", "alg", "use", "key_ops", "crv", "n", "e", "x", "y", "k"];
    let genuine =
        select(vec![SigningKey::foreign().expect("a key").jwk(), SigningKey::es256().expect("a key").jwk()]);
    let changes = names.map(|name| weighted(0.15, select(&**VALUES)).prop_map(move |value| (name, value)));
    (genuine, changes).prop_map(|(mut key, changes)| {
        for (name, value) in changes {
            if let Some(value) = value {
                key[name] = value;
            }
        }
        key
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_document_is_too_odd(input in bytes(&WORDS)) {
        if let Ok(set) = serde_json::from_slice::<JwkSet>(&input) {
            let _ = set.usable_keys();
        }
        if let Ok(discovery) = serde_json::from_slice::<Discovery>(&input) {
            let _ = (discovery.check("acme", &[]), discovery.prompt(), discovery.wants_secret_in_body());
        }
    }

    /// A key is for the algorithms of its own type, for signatures, and never a secret.
    #[test]
    fn a_key_that_is_used_is_what_it_says(keys in proptest::collection::vec(key(), 1..4)) {
        let set: JwkSet = serde_json::from_value(json!({ "keys": keys })).expect("a key set");
        for (kid, usable) in set.usable_keys() {
            let fits = |key: &&Value| {
                let families: &[&str] = match key["kty"].as_str() {
                    Some("RSA") => &["RS", "PS"],
                    Some("EC") => &["ES"],
                    Some("OKP") => &["Ed"],
                    _ => &[],
                };
                let algorithm = usable.key.algorithm();
                key["kid"] == kid.as_str()
                    && families.iter().any(|family| algorithm.starts_with(family))
                    && key["alg"].as_str().is_none_or(|named| named == algorithm)
                    && key["use"] != "enc"
                    && key["key_ops"] != json!(["sign"])
            };
            prop_assert!(keys.iter().find(fits).is_some(), "{} of {:?}", kid, keys);
        }
    }

    /// Nothing is asked by plain HTTP but this machine, as the URL is read by whoever asks.
    #[test]
    fn where_a_document_leads_is_safe_to_ask(url in text(&URL_WORDS)) {
        let document = json!({ "issuer": "https://a.example", "jwks_uri": url });
        let discovery: Discovery = serde_json::from_value(document).expect("a document");
        if discovery.check("acme", &[]).is_ok() {
            let url = reqwest::Url::parse(&url).expect("a URL");
            let host = url.host_str().expect("a host");
            let is_here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
            prop_assert!(url.scheme() == "https" || (url.scheme() == "http" && is_here), "{}", url);
        }
    }
}
