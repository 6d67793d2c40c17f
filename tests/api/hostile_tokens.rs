//! Tokens made to deceive, at every door: the exchange, under both its names, and all that take a token of ours. Each begins as a
//! good token that is let in, so that its one change is what it is refused for; and no refusal repeats the token or asks anybody
//! else.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::ops::Deref;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::google::WEB_CLIENT_ID;
use tokenbooth::mock::{Person, Signature, SigningKey, compact};

use crate::databases::TestDatabase;
use crate::support::app::SECRET;
use crate::support::oauth::Service;
use crate::support::{Answer, TestApp};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    /// `POST /auth/google` with an ID token, and token exchange at `POST /oauth/token`.
    Exchange,
    /// `GET /api/me` with a token of ours.
    Bearer,
    /// `GET /auth/verify` with one, for a proxy.
    Verify,
    /// `POST /oauth/introspect` with one, by a service that was handed it.
    Introspect,
}

const DOORS: [Door; 4] = [Door::Exchange, Door::Bearer, Door::Verify, Door::Introspect];

/// Those that take a token of ours.
const OUR_DOORS: [Door; 3] = [Door::Bearer, Door::Verify, Door::Introspect];

/// What an introspection says of everything that is not good.
const INACTIVE: &str = r#"{"active":false}"#;

/// The service, and another one that may ask it.
struct House {
    app: TestApp,
    asker: Service,
}

impl Deref for House {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.app
    }
}

/// What is good at a door, and how to sign the like of it.
struct Good {
    header: Value,
    claims: Value,
    key: Key,
    token: String,
}

enum Key {
    Google(SigningKey),
    Ours,
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(jwt: &str, index: usize) -> Value {
    let part = jwt.split('.').nth(index).expect("a part");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

impl Door {
    /// A token that this door lets in.
    async fn good(self, app: &House) -> Good {
        let google = app.mock.google();
        let (header, claims, key) = if self == Self::Exchange {
            let key = google.keys().current();
            // Older than the key set, or a key id that is not in it would have to be asked for once more.
            (key.header(), google.claims(json!({ "iat": app.clock.now().0 - 30 })), Key::Google(key))
        } else {
            let jwt = app.sign_in(Person::default()).await.jwt;
            (decoded(&jwt, 0), decoded(&jwt, 1), Key::Ours)
        };
        let mut good = Good { header, claims, key, token: String::new() };
        // The alphabets of base64 differ in two characters: one of them must be there for a test to mean anything.
        for number in 0..200 {
            good.claims["jti"] = json!(format!("{number}"));
            good.token = good.sign(good.header.to_string(), good.claims.to_string());
            let (_, signature) = good.token.rsplit_once('.').expect("a signature");
            if signature.contains(['-', '_']) {
                break;
            }
        }
        let answer = self.send(app, &good.token).await;
        assert!(self.admits(&answer), "{self:?}: {}", answer.text);
        good
    }

    async fn send(self, app: &House, token: &str) -> Answer {
        match self {
            Self::Exchange => app.exchange_id_token(token).await,
            Self::Bearer => app.me(token).await,
            Self::Verify => app.get_as("/auth/verify", token).await,
            Self::Introspect => app.post_form_as("/oauth/introspect", &app.asker, &[("token", token)]).await,
        }
    }

    /// Whether the token was taken for a good one.
    fn admits(self, answer: &Answer) -> bool {
        answer.status == 200 && (self != Self::Introspect || answer.json["active"] == true)
    }

    /// Sends the token and asserts that it is refused like any other bad one.
    async fn refuses(self, app: &House, what: &str, token: &str) {
        let answer = self.send(app, token).await;
        let what = format!("{self:?}: {what}");
        let expected = if self == Self::Introspect { (200, None) } else { (401, Some("invalid_token")) };
        assert_eq!((answer.status, answer.json["code"].as_str()), expected, "{what}: {}", answer.text);
        self.check_refusal(&what, token, &answer);
    }

    /// As [`Door::refuses`], all at once: a token with an unknown `kid` waits for the next look at the ring.
    async fn refuses_all(self, app: &House, forgeries: &[(String, String)]) {
        join_all(forgeries.iter().map(|(what, token)| self.refuses(app, what, token))).await;
    }

    /// What holds of every refusal.
    #[track_caller]
    fn check_refusal(self, what: &str, token: &str, answer: &Answer) {
        assert_no_echo(what, token, answer);
        if self == Self::Introspect {
            assert_eq!(answer.text, INACTIVE, "{what}");
            return;
        }
        let code = answer.json["code"].as_str().unwrap_or_default();
        answer.assert_problem(answer.status, code);
        if self != Self::Exchange && answer.status == 401 {
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.starts_with("Bearer realm=\"tokenbooth\", error=\"invalid_token\", error_"),
                "{what}: {challenge}"
            );
        }
        assert!(!answer.headers.contains_key("x-user-id"), "{what}");
    }
}

impl Good {
    /// The compact form of these texts, signed with the door's right key.
    fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let signature = match &self.key {
            Key::Google(key) => Signature::Key(key),
            Key::Ours => Signature::Hs256(SECRET.as_bytes()),
        };
        compact(header, payload, signature)
    }

    /// Signs a text that is no canonical `header.payload`.
    fn sign_text(&self, text: &str) -> String {
        let signature = match &self.key {
            Key::Google(key) => base64url(key.sign(text.as_bytes())),
            Key::Ours => {
                let key = EncodingKey::from_secret(SECRET.as_bytes());
                jsonwebtoken::crypto::sign(text.as_bytes(), &key, Algorithm::HS256).expect("an HMAC")
            }
        };
        format!("{text}.{signature}")
    }

    /// With one header member set, or left out.
    fn with_header(&self, name: &str, value: Option<Value>) -> String {
        let mut header = self.header.clone();
        match value {
            Some(value) => header[name] = value,
            None => drop(header.as_object_mut().expect("a header").remove(name)),
        }
        self.sign(header.to_string(), self.claims.to_string())
    }

    fn parts(&self) -> [&str; 3] {
        let parts: Vec<_> = self.token.split('.').collect();
        parts.try_into().expect("three parts")
    }
}

/// No part of a token that is long enough to be recognised comes back, in the body or in a header.
#[track_caller]
fn assert_no_echo(what: &str, token: &str, answer: &Answer) {
    let headers = format!("{:?}", answer.headers);
    for part in token.split('.').filter(|part| part.len() >= 16) {
        let part = &part[..part.floor_char_boundary(40)];
        assert!(!answer.text.contains(part) && !headers.contains(part), "{what}: {} {headers}", answer.text);
    }
}

/// Requests that the service sent to the mock while this was alive: there must be none.
struct Silence<'a> {
    app: &'a TestApp,
    before: u64,
}

impl<'a> Silence<'a> {
    async fn begin(app: &'a TestApp) -> Self {
        app.warm().await;
        let before = app.mock.total_requests();
        Self { app, before }
    }

    #[track_caller]
    fn end(self) {
        assert_eq!(self.app.mock.total_requests(), self.before);
    }
}

/// With a cool-down that outlasts the test, so that an unknown key id never has to be asked for.
async fn start() -> House {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("jwks.cooldown", "10m")).await;
    let asker = app.create_client("Orders", "");
    House { app: app.at_both_doors(), asker }
}

#[actix_web::test]
async fn the_token_does_not_choose_its_algorithm() {
    let app = start().await;
    let silence = Silence::begin(&app).await;
    for door in DOORS {
        let good = door.good(&app).await;
        let own = good.header["alg"].as_str().expect("alg").to_owned();
        let names = [
            "none", "None", "nOnE", "NONE", "", " ", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
            "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "ES256K", "RSA-OAEP", "dir",
            "rs256", "hs256", "RS256 ", " HS256", "RS256\0", "HS256\0",
        ];
        for name in names.into_iter().filter(|name| *name != own) {
            let token = good.with_header("alg", Some(json!(name)));
            door.refuses(&app, &format!("alg {name:?}"), &token).await;
            let header = decoded(&token, 0).to_string();
            let unsigned = compact(header, good.claims.to_string(), Signature::Empty);
            door.refuses(&app, &format!("alg {name:?}, unsigned"), &unsigned).await;
        }
        for value in [json!(null), json!(5), json!(true), json!([own]), json!({ "": own })] {
            let token = good.with_header("alg", Some(value.clone()));
            door.refuses(&app, &format!("alg {value}"), &token).await;
        }
        door.refuses(&app, "no alg", &good.with_header("alg", None)).await;
    }
    silence.end();
}

#[actix_web::test]
async fn a_public_key_is_no_hmac_secret() {
    let app = start().await;
    let silence = Silence::begin(&app).await;
    let google = app.mock.google();
    let key = google.keys().current();
    let jwk = key.jwk();
    let modulus = jwk["n"].as_str().expect("n").to_owned();
    let raw_modulus = BASE64_URL_SAFE_NO_PAD.decode(&modulus).expect("base64url");
    let pem = key.public_pem();
    let secrets: [(&str, Vec<u8>); 11] = [
        ("PEM", pem.clone().into()),
        ("PEM without the last line end", pem.trim_end().into()),
        ("PEM with CRLF", pem.replace('\n', "\r\n").into()),
        ("PEM's text", BASE64_STANDARD.encode(key.public_der()).into()),
        ("DER", key.public_der()),
        ("JWK", jwk.to_string().into()),
        ("JWK set", json!({ "keys": [jwk] }).to_string().into()),
        ("n", modulus.into()),
        ("the bytes of n", raw_modulus),
        ("kid", key.kid().into()),
        ("nothing", Vec::new()),
    ];
    for door in DOORS {
        let good = door.good(&app).await;
        for alg in ["HS256", "RS256"] {
            for (what, secret) in &secrets {
                let mut header = good.header.clone();
                header["alg"] = json!(alg);
                let forged = compact(header.to_string(), good.claims.to_string(), Signature::Hs256(secret));
                door.refuses(&app, &format!("{alg} by {what}"), &forged).await;
            }
        }
        // And our own secret is nobody's RSA key.
        if door == Door::Exchange {
            for header in [&good.header, &json!({ "alg": "HS256", "kid": key.kid(), "typ": "JWT" })] {
                let forged =
                    compact(header.to_string(), good.claims.to_string(), Signature::Hs256(SECRET.as_bytes()));
                door.refuses(&app, "our secret", &forged).await;
            }
        }
    }
    silence.end();
}

#[actix_web::test]
async fn no_extension_is_understood_so_none_is_accepted() {
    let app = start().await;
    for door in DOORS {
        let good = door.good(&app).await;
        let criticals = [
            json!(["exp"]),
            json!(["b64"]),
            json!(["http://example.com/UNDEFINED"]),
            json!([]),
            json!([""]),
            json!(null),
            json!("b64"),
            json!({}),
            json!(5),
            json!(false),
        ];
        for value in criticals {
            let token = good.with_header("crit", Some(value.clone()));
            door.refuses(&app, &format!("crit {value}"), &token).await;
        }
        for value in [json!(true), json!(false), json!(null), json!("false"), json!([])] {
            let token = good.with_header("b64", Some(value.clone()));
            door.refuses(&app, &format!("b64 {value}"), &token).await;
        }
        let mut header = good.header.clone();
        (header["b64"], header["crit"]) = (json!(false), json!(["b64"]));
        let unencoded = good.sign_text(&format!("{}.{}", base64url(header.to_string()), good.claims));
        door.refuses(&app, "an unencoded payload (RFC 7797)", &unencoded).await;
        let header = header.to_string();
        door.refuses(&app, "crit b64", &good.sign(header, good.claims.to_string())).await;
    }
}

#[actix_web::test]
async fn keys_and_key_addresses_in_the_header_are_never_read() {
    let app = start().await;
    let silence = Silence::begin(&app).await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let trap = format!("http://{}", listener.local_addr().expect("an address"));
    let attacker = SigningKey::foreign().expect("a key");
    let certificate = BASE64_STANDARD.encode(attacker.public_der());
    let symmetric = json!({ "kty": "oct", "alg": "HS256", "k": base64url("known to all") });
    for door in DOORS {
        let good = door.good(&app).await;
        let own_kid = good.header["kid"].clone();
        let members = [
            ("jwk", attacker.jwk()),
            ("jwk", attacker.with_kid(own_kid.as_str().expect("kid")).jwk()),
            ("jwk", symmetric.clone()),
            ("jwk", json!("not a key")),
            ("jku", json!(format!("{trap}/jwks"))),
            ("jku", json!("file:///etc/passwd")),
            ("x5u", json!(format!("{trap}/certificate"))),
            ("x5c", json!([certificate])),
            ("x5t", json!(base64url([7; 20]))),
            ("x5t#S256", json!(base64url([7; 32]))),
            ("url", json!(trap)),
            ("iss", json!(trap)),
        ];
        let mut forgeries = Vec::new();
        for (name, value) in members {
            let what = format!("{name} {value}");
            let ignored = good.with_header(name, Some(value.clone()));
            let answer = door.send(&app, &ignored).await;
            assert!(door.admits(&answer), "{door:?} {what}: {}", answer.text);
            for kid in [own_kid.clone(), json!(attacker.kid()), json!(trap)] {
                let mut header = good.header.clone();
                header[name] = value.clone();
                header["kid"] = kid;
                let claims = good.claims.to_string();
                for alg in [good.header["alg"].clone(), json!("RS256"), json!("HS256")] {
                    header["alg"] = alg;
                    let text = header.to_string();
                    for signature in [Signature::Key(&attacker), Signature::Hs256(b"known to all")] {
                        forgeries.push((what.clone(), compact(&text, &claims, signature)));
                    }
                }
            }
        }
        door.refuses_all(&app, &forgeries).await;
    }
    silence.end();
    let nobody = listener.accept().expect_err("nobody follows such an address");
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
}

#[actix_web::test]
async fn a_key_id_is_a_text_that_is_known_and_nothing_else() {
    let app = start().await;
    let silence = Silence::begin(&app).await;
    for door in DOORS {
        let good = door.good(&app).await;
        let own = good.header["kid"].as_str().expect("kid");
        let kids = [
            json!("' OR 1=1 --"),
            json!("../../dev/null"),
            json!("/dev/null"),
            json!("http://127.0.0.1/"),
            json!("0"),
            json!(""),
            json!(own.to_uppercase()),
            json!(format!("{own} ")),
            json!(format!("{own}\0")),
            json!(&own[..own.len() - 1]),
            json!("*"),
            json!("\u{202e}\r\nX-Injected: 1"),
            json!({}),
            json!({ "$ne": null }),
            json!([own]),
            json!(5),
            json!(true),
            json!(null),
            json!("k".repeat(5000)),
        ];
        let mut forgeries = vec![("no kid".to_owned(), good.with_header("kid", None))];
        for kid in kids {
            let token = good.with_header("kid", Some(kid.clone()));
            let what = format!("kid {:.60}", kid.to_string());
            // No key must not mean an empty key.
            let header = decoded(&token, 0).to_string();
            for secret in ["".as_bytes(), b"null"] {
                let claims = good.claims.to_string();
                let forged = compact(&header, claims, Signature::Hs256(secret));
                forgeries.push((what.clone(), forged));
            }
            forgeries.push((what, token));
        }
        door.refuses_all(&app, &forgeries).await;
    }
    silence.end();
}

#[actix_web::test]
async fn a_signature_is_exactly_that_of_these_bytes() {
    let app = start().await;
    for door in DOORS {
        let good = door.good(&app).await;
        let [header, payload, signature] = good.parts();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let mut refused = vec![
            ("empty".to_owned(), String::new()),
            ("of zeros".to_owned(), base64url(vec![0; bytes.len()])),
            ("of ones".to_owned(), base64url(vec![255; bytes.len()])),
            ("with a byte too much".to_owned(), base64url([&bytes[..], &[0]].concat())),
            ("with a zero in front".to_owned(), base64url([&[0], &bytes[..]].concat())),
            ("twice".to_owned(), format!("{signature}{signature}")),
            ("reversed".to_owned(), base64url(bytes.iter().rev().copied().collect::<Vec<_>>())),
            ("padded".to_owned(), BASE64_URL_SAFE.encode(&bytes)),
            ("padded wrongly".to_owned(), format!("{signature}=")),
            ("in standard base64".to_owned(), signature.replace('-', "+").replace('_', "/")),
            ("in hex".to_owned(), format!("{bytes:02x?}").replace(['[', ',', ' ', ']'], "")),
            ("not base64".to_owned(), "?".repeat(signature.len())),
        ];
        for position in (0..bytes.len()).step_by(bytes.len() / 32) {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << (position % 8);
            refused.push((format!("with a flipped bit in byte {position}"), base64url(flipped)));
        }
        for length in [1, 2, 16, bytes.len() / 2, bytes.len() - 1] {
            refused.push((format!("of {length} bytes"), base64url(&bytes[..length])));
            refused.push((format!("of {length} characters"), signature[..length].to_owned()));
        }
        let another = good.with_header("x", Some(json!(1)));
        let (_, anothers) = another.rsplit_once('.').expect("a signature");
        assert!(door.admits(&door.send(&app, &another).await), "{door:?}");
        refused.push(("of another token".to_owned(), anothers.to_owned()));
        refused.push(("non-canonical".to_owned(), with_stray_bits(signature)));
        for (what, signature) in refused {
            let token = format!("{header}.{payload}.{signature}");
            assert_ne!(token, good.token, "{what}");
            door.refuses(&app, &format!("a signature {what}"), &token).await;
        }
        for claim in ["sub", "exp"] {
            let mut claims = good.claims.clone();
            claims[claim] = json!("0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10");
            let token = format!("{header}.{}.{signature}", base64url(claims.to_string()));
            door.refuses(&app, &format!("another {claim}"), &token).await;
        }
    }
}

/// The same bytes in base64 whose last character has a bit that belongs to none of them.
fn with_stray_bits(part: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(part.len() % 4, 0, "no bits are left over");
    let last = part.as_bytes()[part.len() - 1];
    let index = ALPHABET.iter().position(|byte| *byte == last).expect("base64url");
    let stray = char::from(ALPHABET[index | 1]);
    format!("{}{stray}", &part[..part.len() - 1])
}

#[actix_web::test]
async fn a_token_has_three_parts_in_canonical_base64url() {
    let app = start().await;
    for door in DOORS {
        let good = door.good(&app).await;
        let token = &good.token;
        let [header, payload, signature] = good.parts();
        let mut refused = vec![
            header.to_owned(),
            format!("{header}.{payload}"),
            format!("{header}.{signature}"),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.."),
            format!("{token}.{signature}"),
            format!("{header}.{token}"),
            format!("{token}.{payload}.{signature}"),
            format!("{header}..{payload}.{signature}"),
            format!("{header}..{signature}"),
            format!(".{payload}.{signature}"),
            "..".to_owned(),
            format!("{payload}.{header}.{signature}"),
            format!("{signature}.{payload}.{header}"),
            format!("{header},{payload},{signature}"),
            format!("\"{token}\""),
            format!("{header} .{payload}.{signature}"),
            format!("{header}. {payload}.{signature}"),
            format!("{header}.{payload} .{signature}"),
            format!("{header}.{payload}. {signature}"),
            token.replacen('.', "%2E", 1),
            token.replace('.', "\u{ff0e}"),
        ];
        // Signed as they stand, so that only their form is wrong.
        let claims = good.claims.to_string();
        let padded_header = format!("{}  ", good.header);
        let (one, two) = (format!("{} ", good.header), format!("{}  ", good.header));
        for text in [good.header.to_string(), one, two, padded_header] {
            let encoded = base64url(&text);
            if encoded.len() % 4 != 0 {
                let padded = BASE64_URL_SAFE.encode(&text);
                refused.push(good.sign_text(&format!("{padded}.{payload}")));
                let stray = with_stray_bits(&encoded);
                refused.push(good.sign_text(&format!("{stray}.{payload}")));
            }
        }
        for text in [claims.clone(), format!("{claims} "), format!("{claims}  ")] {
            let encoded = base64url(&text);
            if encoded.len() % 4 != 0 {
                let padded = BASE64_URL_SAFE.encode(&text);
                refused.push(good.sign_text(&format!("{header}.{padded}")));
                let stray = with_stray_bits(&encoded);
                refused.push(good.sign_text(&format!("{header}.{stray}")));
            }
        }
        let mut shouting = good.claims.clone();
        shouting["x"] = json!("???>>>~~~ÿÿÿ");
        let standard = base64url(shouting.to_string()).replace('-', "+").replace('_', "/");
        refused.push(good.sign_text(&format!("{header}.{standard}")));
        refused.push(good.sign_text(&format!("{}.{}", good.header, good.claims).replace(' ', "")));
        if matches!(door, Door::Exchange | Door::Introspect) {
            // A header's value cannot carry these, or loses them on the way.
            for space in [" ", "\n", "\r\n", "\t", "\0", "\u{feff}", "\u{a0}"] {
                refused.push(format!("{token}{space}"));
                refused.push(format!("{space}{token}"));
                refused.push(format!("{header}.{payload}{space}.{signature}"));
            }
        }
        for token in refused {
            door.refuses(&app, &token, &token).await;
        }
    }
}

#[actix_web::test]
async fn a_member_that_is_there_twice_is_refused() {
    let app = start().await;
    for door in DOORS {
        let good = door.good(&app).await;
        let (header, claims) = (good.header.to_string(), good.claims.to_string());
        let doubled = |object: &str, name: &str, value: &Value| {
            let member = format!("\"{name}\":{value}");
            [format!("{{{member},{}", &object[1..]), format!("{},{member}}}", &object[..object.len() - 1])]
        };
        for name in ["alg", "kid", "typ"] {
            for value in [good.header[name].clone(), json!("none"), json!(null)] {
                for text in doubled(&header, name, &value) {
                    let what = format!("header {text}");
                    door.refuses(&app, &what, &good.sign(text, &claims)).await;
                }
            }
        }
        for text in doubled(&header, "al\\u0067", &json!("none")) {
            door.refuses(&app, "alg, escaped", &good.sign(text, &claims)).await;
        }
        let names: &[&str] = match door {
            Door::Exchange => &["iss", "aud", "azp", "sub", "exp", "iat", "email", "email_verified", "name"],
            _ => &["iss", "aud", "sub", "exp", "iat", "jti", "ver"],
        };
        for name in names {
            for value in [good.claims[name].clone(), json!("x"), json!(null)] {
                for text in doubled(&claims, name, &value) {
                    let what = format!("payload {text}");
                    door.refuses(&app, &what, &good.sign(&header, text)).await;
                }
            }
        }
        for text in doubled(&claims, "s\\u0075b", &json!("x")) {
            door.refuses(&app, "sub, escaped", &good.sign(&header, text)).await;
        }
    }
}

#[actix_web::test]
async fn header_and_payload_are_json_objects() {
    let app = start().await;
    for door in DOORS {
        let good = door.good(&app).await;
        let (header, claims) = (good.header.to_string(), good.claims.to_string());
        // A list of the right values, in the order in which a program might declare the members.
        let list = |names: &[&str], object: &Value| -> String {
            let values: Vec<_> = names.iter().map(|name| object[name].clone()).collect();
            json!(values).to_string()
        };
        let claims_list = match door {
            Door::Exchange => list(&["iss", "aud", "azp", "sub", "exp", "iat"], &good.claims),
            _ => list(&["iss", "aud", "sub", "iat", "exp", "jti", "ver"], &good.claims),
        };
        let header_list = list(&["alg", "kid", "typ"], &good.header);
        let no_object: Vec<Vec<u8>> = [
            "",
            " ",
            "null",
            "true",
            "5",
            "\"text\"",
            "[]",
            "{",
            "}",
            "{}{}",
            "[{}]",
            "{\"a\"}",
            "{'a': 1}",
            "{a: 1}",
            "{\"a\": 1,}",
            "NaN",
            "\0",
            "<xml/>",
        ]
        .into_iter()
        .map(Vec::from)
        .collect();
        let around = |text: &str| -> Vec<Vec<u8>> {
            vec![
                format!("{text}{text}").into(),
                format!("{text} x").into(),
                format!("{text},").into(),
                format!("{text}\0").into(),
                format!("\u{feff}{text}").into(),
                format!("[{text}]").into(),
                format!("// {text}\n{text}").into(),
                json!(text).to_string().into(),
                text.replace('"', "'").into(),
                text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                [&text.as_bytes()[..text.len() - 1], b",\"x\":\"\xff\xfe\"}"].concat(),
                [&text.as_bytes()[..text.len() - 1], b",\"x\":\"\xed\xa0\x80\"}"].concat(),
                [&text.as_bytes()[..text.len() - 1], b",\"x\":\"\n\"}"].concat(),
            ]
        };
        let payloads = no_object.clone().into_iter().chain(around(&claims)).chain([claims_list.into()]);
        for payload in payloads {
            let what = format!("payload {}", String::from_utf8_lossy(&payload));
            door.refuses(&app, &what, &good.sign(&header, payload)).await;
        }
        let headers = no_object.into_iter().chain(around(&header)).chain([header_list.into()]);
        for header in headers {
            let what = format!("header {}", String::from_utf8_lossy(&header));
            door.refuses(&app, &what, &good.sign(header, &claims)).await;
        }
        // White space around and within an object is JSON.
        let spaced = format!(" \n{}\t", good.header).replace(",\"", " ,\r\n\"");
        let answer = door.send(&app, &good.sign(spaced, &claims)).await;
        assert!(door.admits(&answer), "{door:?}: {}", answer.text);
    }
}

#[actix_web::test]
async fn nesting_is_no_way_to_exhaust_the_stack() {
    let app = start().await;
    for door in DOORS {
        let good = door.good(&app).await;
        for (open, close) in [("[", "]"), ("{\"x\":", "}")] {
            let depth = 2800 / open.len();
            let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for name in ["x", "aud", "name", "crit", "kid"] {
                let member = format!(",\"{name}\":{nested}}}");
                let extend = |object: &Value| {
                    let mut object = object.clone();
                    object.as_object_mut().expect("an object").remove(name);
                    let text = object.to_string();
                    format!("{}{member}", &text[..text.len() - 1])
                };
                let tokens = [
                    good.sign(extend(&good.header), good.claims.to_string()),
                    good.sign(good.header.to_string(), extend(&good.claims)),
                ];
                for token in tokens {
                    // A member that nobody reads may be as deep as it likes.
                    let answer = door.send(&app, &token).await;
                    assert!(matches!(answer.status, 200 | 401), "{door:?} {name}: {}", answer.text);
                    if !door.admits(&answer) {
                        door.check_refusal(name, &token, &answer);
                    }
                }
                let unsigned = compact(extend(&good.header), &nested, Signature::Empty);
                door.refuses(&app, name, &unsigned).await;
            }
        }
    }
}

#[actix_web::test]
async fn size_is_refused_before_it_costs_anything() {
    let app = start().await;
    let silence = Silence::begin(&app).await;
    let begin = Instant::now();
    for door in DOORS {
        let good = door.good(&app).await;
        let [header, payload, signature] = good.parts();
        // Under every limit of HTTP, over ours: 16 KiB for an ID token, 8 KiB for our own.
        let mut padded = good.claims.clone();
        padded["x"] = json!("x".repeat(13_000));
        let mut padded_header = good.header.clone();
        padded_header["x"] = json!("x".repeat(13_000));
        for token in [
            good.sign(good.header.to_string(), padded.to_string()),
            good.sign(padded_header.to_string(), good.claims.to_string()),
            format!("{header}.{payload}.{}", signature.repeat(60_000 / signature.len())),
            ".".repeat(60_000),
            "a.".repeat(30_000),
            "x".repeat(60_000),
        ] {
            door.refuses(&app, &format!("{} bytes", token.len()), &token).await;
        }
    }
    let megabyte = "x".repeat(1 << 20);
    let huge_key_id = json!({ "alg": "RS256", "kid": "k".repeat(64 * 1024) }).to_string();
    let claims = app.mock.google().claims(json!({})).to_string();
    for token in [
        format!("{0}.{0}.{0}", &megabyte[..350_000]),
        megabyte,
        ".".repeat(1_000_000),
        compact(huge_key_id, claims, Signature::Empty),
    ] {
        let answer = Door::Exchange.send(&app, &token).await;
        answer.assert_problem(413, "payload_too_large");
        assert_no_echo("a megabyte", &token, &answer);
        // A header of that size is HTTP's own affair: the connection ends there, before any route.
        let status = bearer_status(&app, &token).await;
        assert!(matches!(status, 0 | 400 | 401 | 431), "{status}");
    }
    silence.end();
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(app.get("/healthz").await.status, 200);
}

/// `GET /api/me` with a token that HTTP itself may refuse: the status, 0 when the connection was closed instead.
async fn bearer_status(app: &TestApp, token: &str) -> u16 {
    let request = app.http.get(format!("{}/api/me", app.base));
    match request.bearer_auth(token).send().await {
        Ok(answer) => answer.status().as_u16(),
        Err(_) => 0,
    }
}

#[actix_web::test]
async fn each_kind_of_token_opens_its_own_door_only() {
    let app = start().await;
    let silence = Silence::begin(&app).await;
    let (google, acme) = (app.mock.google(), app.mock.oidc());
    let ours = app.sign_in(Person::default()).await.jwt;
    let google_id_token = google.id_token(json!({}));
    let acme_id_token = acme.id_token(json!({}));
    let google_access_token = google.access_token(Person::default());
    let acme_access_token = acme.access_token(Person::default());
    let github_token = app.mock.github().access_token(tokenbooth::mock::GithubUser::default());
    let opaque = [
        google_access_token.as_str(),
        &acme_access_token,
        &github_token,
        "ya29.a0.b1",
        "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    ];

    // (provider, member, token, code)
    let mut cases = vec![
        ("google", "id_token", ours.as_str(), "issuer_mismatch"),
        ("google", "credential", &ours, "issuer_mismatch"),
        ("google", "token", &ours, "issuer_mismatch"),
        ("google", "access_token", &ours, "invalid_token"),
        ("acme", "id_token", &ours, "issuer_mismatch"),
        ("google", "id_token", &acme_id_token, "issuer_mismatch"),
        ("google", "token", &acme_id_token, "issuer_mismatch"),
        ("acme", "id_token", &google_id_token, "issuer_mismatch"),
        ("google", "access_token", &google_id_token, "invalid_token"),
        ("google", "access_token", &acme_id_token, "invalid_token"),
    ];
    for token in opaque {
        cases.push(("google", "id_token", token, "invalid_token"));
        cases.push(("google", "credential", token, "invalid_token"));
        cases.push(("acme", "id_token", token, "invalid_token"));
        cases.push(("acme", "token", token, "invalid_token"));
    }
    for (provider, member, token, code) in cases {
        let answer = app.exchange(provider, &json!({ member: token })).await;
        let what = format!("{token} as {provider}'s {member}");
        assert_eq!(answer.json["code"], code, "{what}: {}", answer.text);
        answer.assert_problem(401, code);
        assert_no_echo(&what, token, &answer);
    }
    for token in [&google_id_token, &acme_id_token].into_iter().map(String::as_str).chain(opaque) {
        for door in OUR_DOORS {
            door.refuses(&app, token, token).await;
        }
    }
    silence.end();
    assert_eq!(app.me(&ours).await.status, 200);
}

#[actix_web::test]
async fn a_provider_that_copies_our_claims_does_not_become_us() {
    let app = start().await;
    let ours = app.sign_in(Person::default()).await.jwt;
    let (header, claims) = (decoded(&ours, 0), decoded(&ours, 1));
    // An issuer that anybody configures may sign what it likes.
    let google = app.mock.google();
    let key = google.keys().current();
    for kid in [header["kid"].clone(), json!(key.kid())] {
        for alg in ["HS256", "RS256"] {
            let header = json!({ "alg": alg, "typ": "at+jwt", "kid": kid });
            let token = compact(header.to_string(), claims.to_string(), Signature::Key(&key));
            for door in OUR_DOORS {
                door.refuses(&app, &header.to_string(), &token).await;
            }
        }
    }
    // And what we sign is no ID token, whatever it says.
    let mut id_token = google.claims(json!({}));
    for (kid, code) in [(header["kid"].clone(), "invalid_token"), (json!(key.kid()), "invalid_token")] {
        id_token["jti"] = json!("x");
        for typ in ["JWT", "at+jwt"] {
            let header = json!({ "alg": "HS256", "typ": typ, "kid": kid });
            let token =
                compact(header.to_string(), id_token.to_string(), Signature::Hs256(SECRET.as_bytes()));
            let answer = app.exchange_id_token(&token).await;
            answer.assert_problem(401, code);
        }
    }
}

#[actix_web::test]
async fn our_token_says_that_it_is_an_access_token() {
    let app = start().await;
    let types = [
        json!("JWT"),
        json!("jwt"),
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("refresh"),
        json!("AT+JWT"),
        json!("application/at+jwt"),
        json!("at+jwt "),
        json!("at+jwt\0"),
        json!(""),
        json!(["at+jwt"]),
        json!({}),
        json!(5),
        json!(null),
    ];
    for door in OUR_DOORS {
        let good = door.good(&app).await;
        for typ in &types {
            let token = good.with_header("typ", Some(typ.clone()));
            door.refuses(&app, &format!("typ {typ}"), &token).await;
        }
        let token = good.with_header("typ", None);
        door.refuses(&app, "no typ", &token).await;
    }
}

#[actix_web::test]
async fn what_else_a_provider_signs_for_us_is_no_id_token() {
    let app = start().await;
    app.warm().await;
    let acme = app.mock.oidc();
    let key = acme.keys().current();
    let send = async |header: Value, claims: Value| {
        let token = compact(header.to_string(), claims.to_string(), Signature::Key(&key));
        app.exchange("acme", &json!({ "id_token": token })).await
    };
    let with_type = |typ: Value| {
        let mut header = key.header();
        header["typ"] = typ;
        header
    };
    // OpenID Connect Back-Channel Logout 1.0 §2.4: our client id is its audience.
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let logout = acme.claims(json!({ "events": event, "jti": "1", "sid": "1" }));
    for header in [with_type(json!("logout+jwt")), key.header(), json!({ "alg": "RS256", "kid": key.kid() })]
    {
        let answer = send(header.clone(), logout.clone()).await;
        assert_eq!(answer.status, 401, "{header}: {}", answer.text);
        answer.assert_problem(401, "invalid_token");
    }
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "logout+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "dpop+jwt",
        "",
    ] {
        let answer = send(with_type(json!(typ)), acme.claims(json!({}))).await;
        assert_eq!(answer.status, 401, "{typ}: {}", answer.text);
        let detail = answer.assert_problem(401, "invalid_token");
        assert!(detail.contains(&format!("typ is \"{typ}\"")), "{detail}");
    }
    for typ in ["JWT", "jwt"] {
        let answer = send(with_type(json!(typ)), acme.claims(json!({}))).await;
        assert_eq!(answer.status, 200, "{typ}: {}", answer.text);
    }
    let without_type = json!({ "alg": "RS256", "kid": key.kid() });
    assert_eq!(send(without_type, acme.claims(json!({}))).await.status, 200);
}

#[actix_web::test]
async fn a_foreign_audience_is_refused_whatever_else_is_right() {
    let app = start().await;
    let acme = app.mock.oidc();
    // An audience of ours at another provider is a stranger's here.
    let token = acme.id_token(json!({ "aud": WEB_CLIENT_ID }));
    let answer = app.exchange("acme", &json!({ "id_token": token })).await;
    let detail = answer.assert_problem(401, "audience_mismatch");
    assert!(detail.contains("providers.acme.client_ids"), "{detail}");
}
