//! Other people's test vectors, through `jws`: Wycheproof's for JSON Web Signature, and the examples of RFC 7515 and
//! RFC 7520. They are not part of this repository: `ACCEPTANCE_VECTOR_DATA` names a folder that holds
//! `wycheproof_json_web_signature_test.json`, `rfc7515_examples.json` and `rfc7520_jws_examples.json`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use tokenbooth::jws::{JwsError, UnverifiedJws, VerificationKey};

const LIMIT: usize = 16 * 1024;

/// Vectors that Wycheproof calls valid, or lets pass, and we refuse: by number, with the reason.
const STRICTER: [(u64, &str); 4] = [
    (346, "a PS384 token and a key that says PS256: a key is for one algorithm"),
    (350, "the same"),
    (372, "a character that is not base64url in the header"),
    (373, "a character that is not base64url in the payload"),
];

/// Vectors that say nothing of `jws`: by number, with the reason.
const NOT_APPLICABLE: [(u64, &str); 8] = [
    (347, "a P-521 key: ES512 is not supported, such a key is passed over"),
    (351, "the same"),
    (353, "an RSA key with use \"enc\": judged where keys are read (provider::jwks, tests/api/key_cache.rs)"),
    (354, "an elliptic curve key with use \"enc\": the same"),
    (355, "an RSA key with key_ops [\"encrypt\"]: the same"),
    (356, "an elliptic curve key with key_ops [\"encrypt\"]: the same"),
    (
        367,
        "\"invalidBase64Padding\" is, byte for byte, the valid 357: its padding got lost (we have our own test of it)",
    ),
    (370, "\"invalidBase64PaddingInPayload\": the same"),
];

/// What `jws` made of a token.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// Signature and claims are good.
    Accepted,
    /// The signature is good; the payload is no claims set, as a JWT's must be. Many vectors sign a plain text.
    SignatureAccepted,
    Refused(JwsError),
}

fn verdict(token: &str, key: &VerificationKey) -> Verdict {
    let verified =
        UnverifiedJws::parse(token, LIMIT).and_then(|jws| jws.verify(key)?.claims::<Map<String, Value>>());
    match verified {
        Ok(_) => Verdict::Accepted,
        // Claims are read after the signature was found good, so this is all that may be wrong with a valid vector.
        Err(JwsError::Claims(problem)) if problem != "not base64url without padding" => {
            Verdict::SignatureAccepted
        }
        Err(error) => Verdict::Refused(error),
    }
}

/// The JWK as a key for `algorithm`, which is the key's property and not the token's.
fn key(jwk: &Value, algorithm: Algorithm) -> VerificationKey {
    let member = |name: &str| jwk[name].as_str().expect("a member of the key");
    let key = match member("kty") {
        "oct" => {
            let secret = BASE64_URL_SAFE_NO_PAD.decode(member("k")).expect("base64url");
            Ok(DecodingKey::from_secret(&secret))
        }
        "RSA" => DecodingKey::from_rsa_components(member("n"), member("e")),
        _ => DecodingKey::from_ec_components(member("x"), member("y")),
    };
    VerificationKey::new(algorithm, &key.expect("a key")).expect("a usable key")
}

/// The file's content; `None`, with a notice that the test harness does not capture, without the variable.
fn vectors(file: &str) -> Option<Value> {
    let Some(folder) = std::env::var_os("ACCEPTANCE_VECTOR_DATA") else {
        let notice = format!("SKIPPED: ACCEPTANCE_VECTOR_DATA is not set, so {file} was not run\n");
        let _ = std::io::stderr().write_all(notice.as_bytes());
        return None;
    };
    let path = PathBuf::from(folder).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().expect("a list")
}

#[test]
fn wycheproof_is_judged_as_it_says_or_more_strictly() {
    let Some(file) = vectors("wycheproof_json_web_signature_test.json") else {
        return;
    };
    let (mut accepted, mut refused, mut stricter, mut not_applicable) = (0, 0, 0, 0);
    for group in list(&file, "testGroups") {
        let jwk = group.get("public").unwrap_or(&group["private"]);
        for test in list(group, "tests") {
            let number = test["tcId"].as_u64().expect("a number");
            let token = test["jws"].as_str().expect("a token");
            let what = format!("{number} {} {}", group["comment"], test["comment"]);
            if NOT_APPLICABLE.iter().any(|(known, _)| *known == number) {
                not_applicable += 1;
                continue;
            }
            let algorithm = jwk["alg"].as_str().expect("alg").parse();
            let verdict = verdict(token, &key(jwk, algorithm.expect("an algorithm of ours")));
            if STRICTER.iter().any(|(known, _)| *known == number) {
                assert!(matches!(verdict, Verdict::Refused(_)), "{what}: {verdict:?}");
                stricter += 1;
            } else if test["result"] == "valid" {
                assert!(!matches!(verdict, Verdict::Refused(_)), "{what}: {verdict:?}");
                accepted += 1;
            } else {
                assert!(matches!(verdict, Verdict::Refused(_)), "{what}: {verdict:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((stricter, not_applicable), (STRICTER.len(), NOT_APPLICABLE.len()));
    assert!(accepted >= 35, "only {accepted} valid vectors were run");
    assert!(refused >= 340, "only {refused} invalid vectors were run");
    let total = accepted + refused + stricter + not_applicable;
    assert_eq!(file["numberOfTests"], total, "every vector is counted once");
}

#[test]
fn the_examples_of_rfc_7515_are_accepted_and_its_unsecured_one_by_no_key() {
    let Some(file) = vectors("rfc7515_examples.json") else {
        return;
    };
    let examples = list(&file, "examples");
    let keys: Vec<_> = examples
        .iter()
        .filter(|example| !example["key"].is_null())
        .map(|example| {
            let algorithm = example["alg"].as_str().expect("alg").parse();
            key(&example["key"], algorithm.expect("an algorithm of ours"))
        })
        .collect();
    assert_eq!((examples.len(), keys.len()), (4, 3));
    for example in examples {
        let token = example["jws"].as_str().expect("a token");
        let (section, algorithm) = (&example["section"], &example["alg"]);
        for key in &keys {
            let right = algorithm == key.algorithm();
            let verdict = verdict(token, key);
            if right {
                assert_eq!(verdict, Verdict::Accepted, "{section}");
            } else {
                let reason = matches!(verdict, Verdict::Refused(JwsError::Algorithm { .. }));
                assert!(reason, "{section} with {key:?}: {verdict:?}");
            }
        }
    }
}

#[test]
fn the_examples_of_rfc_7520_are_accepted_in_the_one_form_that_is_a_jwts() {
    let Some(file) = vectors("rfc7520_jws_examples.json") else {
        return;
    };
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for example in list(&file, "examples") {
        let source = example["source_file"].as_str().expect("a name");
        let output = &example["output"];
        // 4.8 has three signatures by three algorithms; its names are a list.
        let algorithms: Vec<&str> = match &example["alg"] {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            name => name.as_str().into_iter().collect(),
        };
        for (jwk, name) in list(example, "public_keys").iter().zip(algorithms) {
            // ES512 is not supported: such a key is passed over.
            let Ok(algorithm) = name.parse() else {
                assert_eq!(name, "ES512", "{source}");
                continue;
            };
            let key = key(jwk, algorithm);
            // The JSON serializations are no JWT (RFC 7519 §1).
            for form in ["json", "json_flat"] {
                if !output[form].is_null() {
                    let verdict = verdict(&output[form].to_string(), &key);
                    assert!(matches!(verdict, Verdict::Refused(_)), "{source} {form}: {verdict:?}");
                    refused += 1;
                }
            }
            let Some(compact) = output["compact"].as_str() else {
                continue;
            };
            let verdict = verdict(compact, &key);
            if source.contains("4_5") {
                // Detached content: the payload that was signed is not in the token.
                assert_eq!(verdict, Verdict::Refused(JwsError::Signature), "{source}");
                refused += 1;
            } else if source.contains("b64_false") {
                // RFC 7797: a payload that is not encoded, marked as critical.
                assert_eq!(verdict, Verdict::Refused(JwsError::Extension("crit")), "{source}");
                refused += 1;
            } else {
                // Its payload is a line of Tolkien's.
                assert_eq!(verdict, Verdict::SignatureAccepted, "{source}");
                accepted.push(name.to_owned());
            }
        }
    }
    assert_eq!(accepted, ["RS256", "PS384", "HS256"]);
    assert!(refused >= 14, "only {refused} other forms were run");
}
