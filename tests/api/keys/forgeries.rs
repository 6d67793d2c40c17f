//! What an attacker makes of a public key, of another key, and of a key's name.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tokenbooth::mock::{Person, Signature, compact};

use super::command::rotate;
use super::signs_with;
use crate::databases::TestDatabase;
use crate::jwt::{bytes, decoded, kid_of};
use crate::support::TestApp;
use crate::support::app::SECRET;

/// The order of the group of Ed25519, and of that of P-256, little end first.
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
const P256_ORDER: &str = "512563fcc2cab9f3849e17a7adfae6bcffffffffffffffff00000000ffffffff";

/// A service with a token of each algorithm, all of them good.
async fn with_all(db: TestDatabase) -> (TestApp, Vec<String>) {
    let app = TestApp::start(db).await;
    let mut tokens = vec![app.sign_in(Person::default()).await.jwt];
    for alg in ["EdDSA", "ES256"] {
        let kid = rotate(&app.db, &["--alg", alg]);
        signs_with(&app, &kid).await;
        tokens.push(app.sign_in(Person::default()).await.jwt);
    }
    for jwt in &tokens {
        assert_eq!(app.me(jwt).await.status, 200);
    }
    (app, tokens)
}

async fn refuses(app: &TestApp, what: &str, jwt: &str) {
    let answer = app.me(jwt).await;
    assert_eq!(answer.status, 401, "{what}: {jwt}");
    answer.assert_problem(401, "invalid_token");
}

/// Every form of a public key that somebody may take for an HMAC secret.
fn forms_of(jwk: &Value) -> Vec<Vec<u8>> {
    let member = |name: &str| jwk[name].as_str().map(bytes).unwrap_or_default();
    let (raw, der) = if jwk["kty"] == "OKP" {
        let prefix = hex::decode("302a300506032b6570032100").expect("hex");
        (member("x"), [prefix, member("x")].concat())
    } else {
        let prefix = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").expect("hex");
        let point = [vec![4], member("x"), member("y")].concat();
        (point.clone(), [prefix, point].concat())
    };
    let text = BASE64_STANDARD.encode(&der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    let ends = [pem.clone(), format!("{pem}\n")].map(String::into_bytes);
    let json = [jwk.to_string(), format!("{jwk:#}"), jwk["x"].as_str().unwrap_or_default().to_owned()];
    [raw, der, Vec::new()].into_iter().chain(ends).chain(json.map(String::into_bytes)).collect()
}

#[actix_web::test]
async fn a_key_signs_by_its_own_algorithm_under_its_own_name_only() {
    let (app, tokens) = with_all(TestDatabase::sqlite()).await;
    let set = app.get("/.well-known/jwks.json").await.json;
    let claims = decoded(&tokens[0], 1).to_string();
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "typ": "at+jwt", "kid": kid }).to_string();
    for jwk in set["keys"].as_array().expect("keys") {
        let kid = jwk["kid"].as_str().expect("a kid");
        for secret in forms_of(jwk) {
            for alg in ["HS256", "EdDSA", "ES256"] {
                refuses(
                    &app,
                    "a public key as a secret",
                    &compact(header(alg, kid), &claims, Signature::Hs256(&secret)),
                )
                .await;
            }
        }
        refuses(
            &app,
            "the secret under another name",
            &compact(header("HS256", kid), &claims, Signature::Hs256(SECRET.as_bytes())),
        )
        .await;
        for none in ["none", "None", "NONE", ""] {
            let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
            let unsigned = format!("{}.{}.", encode(&header(none, kid)), encode(&claims));
            refuses(&app, "alg none", &unsigned).await;
        }
    }
    // Each token under each other's name and algorithm.
    for signed in &tokens {
        let (_, rest) = signed.split_once('.').expect("parts");
        for other in &tokens {
            let (ours, theirs) = (decoded(signed, 0), decoded(other, 0));
            for (alg, kid) in [
                (&ours["alg"], &theirs["kid"]),
                (&theirs["alg"], &ours["kid"]),
                (&theirs["alg"], &theirs["kid"]),
            ] {
                let changed = BASE64_URL_SAFE_NO_PAD
                    .encode(json!({ "alg": alg, "typ": "at+jwt", "kid": kid }).to_string());
                if (alg, kid) != (&ours["alg"], &ours["kid"]) {
                    refuses(&app, "another header", &format!("{changed}.{rest}")).await;
                }
            }
        }
    }
    // A name that is a path, a query, or one of ours and more.
    let kid = kid_of(&tokens[1]);
    for name in [
        "../../../../dev/null",
        "' OR 1=1 --",
        "",
        &format!("{kid}\0"),
        &format!("{kid}.json"),
        &format!(" {kid}"),
        &kid.to_lowercase(),
    ] {
        refuses(&app, "a name that is none", &compact(header("HS256", name), &claims, Signature::Hs256(b"")))
            .await;
    }
}

#[actix_web::test]
async fn another_signature_of_the_same_token_is_no_signature_unless_the_standard_has_it_so() {
    let (app, tokens) = with_all(TestDatabase::sqlite()).await;
    for jwt in &tokens[1..] {
        let (input, signature) = jwt.rsplit_once('.').expect("a signature");
        let good = bytes(signature);
        let (r, s) = good.split_at(32);
        let zero = [0; 32];
        let changed = [
            ("a byte more", [&good[..], &[0]].concat()),
            ("a byte before", [&[0], &good[..]].concat()),
            ("a byte less", good[..63].to_vec()),
            ("twice", [&good[..], &good[..]].concat()),
            ("halves that changed places", [s, r].concat()),
            ("no r", [&zero, s].concat()),
            ("no s", [r, &zero].concat()),
            ("nothing but zeros", vec![0; 64]),
            ("nothing but ones", vec![255; 64]),
            ("DER", der(r, s)),
        ];
        for (what, signature) in changed {
            refuses(&app, what, &format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))).await;
        }
    }
    // RFC 8032 §5.1.7: S is below the order of the group. S + L means the same, and is refused.
    let (input, signature) = tokens[1].rsplit_once('.').expect("a signature");
    let (r, s) = {
        let good = bytes(signature);
        (good[..32].to_vec(), good[32..].to_vec())
    };
    let higher = add(&s, &hex::decode(ED25519_ORDER).expect("hex"));
    refuses(&app, "S + L", &format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode([r, higher].concat()))).await;
    // ECDSA knows (r, n − s) as well as (r, s), and RFC 7518 §3.4 does not choose: it says the same, and no list of ours
    // goes by a token's text.
    let (input, signature) = tokens[2].rsplit_once('.').expect("a signature");
    let good = bytes(signature);
    let mut little: Vec<u8> = good[32..].iter().rev().copied().collect();
    little = subtract(&hex::decode(P256_ORDER).expect("hex"), &little);
    little.reverse();
    let twin = format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode([&good[..32], &little].concat()));
    assert_eq!(app.me(&twin).await.status, 200);
}

#[actix_web::test]
#[expect(clippy::disallowed_methods, reason = "what a verifier has is another library")]
async fn the_published_keys_are_all_that_another_library_needs() {
    let (app, tokens) = with_all(TestDatabase::sqlite()).await;
    let answer = app.get("/.well-known/jwks.json").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=60");
    let set: JwkSet = serde_json::from_value(answer.json.clone()).expect("a JWK set");
    for (jwt, algorithm) in tokens.iter().skip(1).zip([Algorithm::EdDSA, Algorithm::ES256]) {
        let jwk = set.find(&kid_of(jwt)).expect("it is published");
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&["tokenbooth"]);
        validation.set_issuer(&[&app.base]);
        let key = DecodingKey::from_jwk(jwk).expect("a key");
        let verified = jsonwebtoken::decode::<Value>(jwt, &key, &validation).expect("it verifies");
        assert_eq!(verified.claims["sub"], decoded(jwt, 1)["sub"]);
    }
    let keys = answer.json["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 2);
    for key in keys {
        let members: Vec<&str> = key.as_object().expect("a key").keys().map(String::as_str).collect();
        let expected: &[&str] = if key["kty"] == "EC" {
            &["alg", "crv", "kid", "kty", "use", "x", "y"]
        } else {
            &["alg", "crv", "kid", "kty", "use", "x"]
        };
        assert_eq!(members, expected, "public members and nothing else");
        assert_eq!(key["use"], "sig");
    }
}

#[actix_web::test]
async fn with_hs256_only_nothing_is_published() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let answer = app.get("/.well-known/jwks.json").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"keys":[]}"#));
    assert_eq!(
        (answer.header("cache-control"), answer.header("content-type")),
        ("public, max-age=60", "application/json")
    );
}

/// `a + b`, little end first, in 32 bytes.
fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    a.iter()
        .zip(b)
        .map(|(a, b)| {
            let sum = u16::from(*a) + u16::from(*b) + carry;
            carry = sum >> 8;
            sum.to_le_bytes()[0]
        })
        .collect()
}

/// `a − b`, little end first, in 32 bytes.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    a.iter()
        .zip(b)
        .map(|(a, b)| {
            let difference = i16::from(*a) - i16::from(*b) - borrow;
            borrow = i16::from(difference < 0);
            difference.to_le_bytes()[0]
        })
        .collect()
}

/// ASN.1, as libraries outside JOSE write an ECDSA signature.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| [&[2, 33, 0], bytes].concat();
    let body = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(body.len()).expect("short")], &body[..]].concat()
}
