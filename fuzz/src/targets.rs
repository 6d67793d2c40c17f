//! What is done with bytes of anybody's choice, for each parser that strangers reach, and what must hold whatever they are. The parsers
//! are reached as a stranger reaches them: through a real service and its real providers' responses, over HTTP in one process.
//!
//! `cargo fuzz` drives these functions with coverage, and `tests/fuzz/` drives them on stable Rust without it.

mod booth;
mod liar;

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use percent_encoding::percent_decode;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokenbooth::clock::{Clock, SystemClock};
use tokenbooth::jws::UnverifiedJws;
use tokenbooth::mock::{Signature, compact};
use tokenbooth::settings::Sources;
use tokenbooth::token::{Keyring, Tokens};
use tokenbooth::user::{User, UserId};

use self::booth::Booth;
use self::liar::Liar;

/// A function that must hold for all bytes.
pub type Target = fn(&[u8]);

/// All of them: name, function, and inputs to begin with.
pub const TARGETS: [(&str, Target, &[&[u8]]); 9] = [
    ("jws", jws, &[b"eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIxIn0.AAAA", b"..", b"e30.e30.", b"e30.W10.AA=="]),
    ("access_token", access_token, &[b"\0\0\0\x01", b"\x01\x10\0\x02", b"\x02\xff\x03\x04eyJhbGciOiJub25lIn0"]),
    ("id_token", id_token, &[
        br#"{"iss":"ISSUER","aud":"CLIENT","sub":"1","exp":9999999999,"iat":1}"#,
        br#"{"iss":"ISSUER","aud":["CLIENT"],"azp":"CLIENT","sub":"1","exp":NOW1,"iat":NOW,"nonce":"n","email":"a@b.example","email_verified":true}"#,
        br#"{"sub":1e400,"exp":-1,"aud":null,"iat":"x","email":{},"name":"\u202e\u0000"}"#,
    ]),
    ("headers", headers, &[
        b"Cookie: __Host-tokenbooth_session=a.b.c; x=\"\\\"; =; b=%ff",
        b"X-Forwarded-For: 192.0.2.1, [2001:db8::1]:80, \xff, 1.2.3.4:99999",
        b"Authorization: Bearer a.b.c",
        b"Authorization: Basic OjpcMDAw",
        b"Accept: text/html;q=\xff",
        b"Origin: null",
        b"Forwarded: for=\"[::1]\";proto=x",
    ]),
    ("json_body", json_body, &[
        br#"{"id_token":"a.b.c","scope":"offline_access"}"#,
        br#"{"email":"a@b.example","password":"\ud83d\udc0e"}"#,
        br#"{"refresh_token":"tbr_AAAA"}"#,
        br#"[[[[[[{"a":1e999}]]]]]]"#,
    ]),
    ("form", form, &[
        b"grant_type=refresh_token&refresh_token=tbr_A",
        b"grant_type=urn%3aietf%3aparams%3aoauth%3agrant-type%3atoken-exchange&subject_token=a.b.c&subject_token_type=x&subject_issuer=acme",
        b"token=a&token=b&client_id=%ff%00",
        b"grant_type=authorization_code&code=a&code_verifier=b&redirect_uri=c",
    ]),
    ("redirect_to", redirect_to, &[
        b"/account?a=b#c",
        b"//evil.example",
        b"/a%2Fb?c=%09",
        b"/\\evil.example",
        b"https://app.example/done",
        b"http://127.0.0.1:1/callback",
        "/\u{2215}\u{ff0f}evil.example".as_bytes(),
    ]),
    ("settings", settings, &[
        b"token.access_ttl=30m\nserver.port=70000",
        b"providers.acme.kind=oidc\nproviders.acme.discovery_url=http://[::1]:1/x\nproviders.acme.client_ids=a,b",
        b"admin.emails=google:a@b.example\nsign_in.redirect_uris=https://*.example,x:\nrate_limit.address_burst=0",
        b"database.url=postgres://user:hunter2@host:5432/db?sslmode=x\nlog.level=\xff",
    ]),
    ("provider_responses", provider_responses, &[
        br#"{"azp":"GOOGLE","aud":"GOOGLE","sub":"1","scope":"openid","exp":"9999999999","expires_in":"10","email":"a@b.example","email_verified":"true"}"#,
        br#"{"app":{"client_id":"GITHUB"},"user":{"id":1}}|{"id":1,"login":"a","name":null,"avatar_url":"http://x"}|[{"email":"a@b.example","primary":true,"verified":true}]"#,
        br#"{"issuer":"BASE","jwks_uri":"BASE/k","token_endpoint":7}|{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"b"},null]}"#,
        b"access_token=a&token_type=bearer&scope=%ff",
    ]),
];

const SECRET: &str = "the-secret-of-the-fuzzer-0123456789abcdef";
/// Where nobody may be sent after a sign-in.
const ENTRIES: [&str; 2] = ["https://app.example/done", "http://127.0.0.1/callback"];

/// Parses a JWS of anything. What is parsed can be looked at.
pub fn jws(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(jws) = UnverifiedJws::parse(text, 16 * 1024) {
        let _ = (jws.header(), jws.unverified_claims::<Value>(), jws.unverified_header());
        assert_eq!(text.matches('.').count(), 2);
    }
    let _ = tokenbooth::jws::looks_like_a_jwt(text);
}

/// Changes a token of ours. No other text than the token itself is accepted.
pub fn access_token(data: &[u8]) {
    static ISSUED: LazyLock<(Tokens, String)> = LazyLock::new(|| {
        let keyring = Keyring::new(&SecretString::from(SECRET), &[]).expect("a key");
        let tokens = Tokens::new(keyring, "https://a.example".into(), "api".into(), Duration::from_hours(1));
        let user = a_user();
        let token = tokens.issue(&user, None, None, SystemClock.now()).expect("a token").jwt;
        (tokens, token)
    });
    let (tokens, valid) = &*ISSUED;
    let mut token = valid.clone().into_bytes();
    // Each four bytes are one change: what, where, and by what.
    for change in data.chunks_exact(4) {
        let place = usize::from(u16::from_be_bytes([change[1], change[2]])) % token.len().max(1);
        match change[0] % 4 {
            0 if !token.is_empty() => token[place] ^= change[3],
            1 if !token.is_empty() => drop(token.remove(place)),
            2 => token.insert(place, change[3]),
            _ => token.extend_from_slice(&data[..data.len().min(usize::from(change[3]))]),
        }
    }
    let Ok(text) = String::from_utf8(token) else { return };
    let accepted = tokens.verify(&text, SystemClock.now()).is_ok();
    assert_eq!(accepted, text == *valid, "{text}");
}

/// Signs claims of anything with the provider's own key. Whoever is signed in is the person that the claims name, for us.
pub fn id_token(data: &[u8]) {
    let booth = Booth::get();
    let key = booth.mock.oidc().keys().current();
    let now = SystemClock.now().0;
    let claims = booth.mock.oidc().claims(json!({}));
    let (issuer, client) = (claims["iss"].as_str().expect("iss"), claims["aud"].as_str().expect("aud"));
    let mut payload = data.to_vec();
    for (placeholder, value) in [
        ("ISSUER", issuer.to_owned()),
        ("CLIENT", client.to_owned()),
        ("NOW1", (now + 600).to_string()),
        ("NOW", now.to_string()),
    ] {
        payload = replace(&payload, placeholder.as_bytes(), value.as_bytes());
    }
    let token = compact(key.header().to_string(), &payload, Signature::Key(&key));
    let body = json!({ "id_token": token }).to_string();
    let (status, response) = booth.post("/auth/acme", "application/json", body.as_bytes());
    if status == 200 {
        let claims: Value = serde_json::from_slice(&payload).expect("JSON was accepted");
        assert_eq!(claims["iss"], issuer, "{response}");
        assert!(claims["aud"].to_string().contains(client), "{response}");
        assert!(
            claims["exp"].as_f64().is_some_and(|exp| exp > 0.0) && claims["sub"].is_string(),
            "{response}"
        );
    }
}

/// Sends header lines of anything to the routes that read most of them.
pub fn headers(data: &[u8]) {
    for path in ["/api/me", "/auth/verify", "/account", "/auth/acme/callback?state=x&code=y"] {
        let request =
            [b"GET ", path.as_bytes(), b" HTTP/1.1\r\nHost: a\r\n", data, b"\r\nConnection: close\r\n\r\n"]
                .concat();
        Booth::get().send(&request);
    }
}

/// Sends a body of anything as JSON.
pub fn json_body(data: &[u8]) {
    for path in ["/auth/acme", "/auth/github", "/auth/password", "/auth/refresh", "/auth/logout"] {
        Booth::get().post(path, "application/json", data);
    }
}

/// Sends a body of anything as a form.
pub fn form(data: &[u8]) {
    for path in ["/oauth/token", "/oauth/revoke", "/oauth/introspect", "/auth/acme"] {
        Booth::get().post(path, "application/x-www-form-urlencoded", data);
    }
}

/// Asks for a sign-in that ends anywhere. It is begun only for a path of the service, or an entry of the settings.
pub fn redirect_to(data: &[u8]) {
    let booth = Booth::get();
    let encoded = data.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    });
    let path = format!(
        "/auth/acme/login?redirect_to={encoded}&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
    );
    let (status, _) =
        booth.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes());
    if status != 302 {
        return;
    }
    // What is not UTF-8 is read with replacement characters.
    let text = &*String::from_utf8_lossy(data);
    let base = url::Url::parse("https://booth.example/").expect("a URL");
    if ENTRIES.contains(&text) {
        return;
    }
    // Something on the way may decode it once more.
    let decoded = percent_decode(text.as_bytes()).decode_utf8_lossy();
    for location in [text, &*decoded] {
        let target = base.join(location).unwrap_or_else(|_| panic!("{text:?} is accepted"));
        let is_loopback = target.host_str() == Some("127.0.0.1") && target.path() == "/callback";
        assert!(target.origin() == base.origin() || is_loopback, "{text:?} is accepted");
    }
}

/// Reads settings of anything. What is wrong is told without a secret.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pairs: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let sources = pairs.iter().fold(Sources::defaults(), |sources, (key, value)| sources.with(key, *value));
    // A key is repeated as it was written.
    if pairs.iter().any(|(key, _)| key.contains("hunter2")) {
        return;
    }
    for problem in sources.examine().1.into_iter().chain(sources.load().err()) {
        let told = format!("{problem} {problem:?}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

/// Has every response of every provider be a part of this: the first `|` ends the first response, and so on.
pub fn provider_responses(data: &[u8]) {
    static LIAR: LazyLock<Liar> = LazyLock::new(Liar::start);
    LIAR.ask_all(data);
}

fn a_user() -> User {
    User {
        id: UserId::generate(),
        email: None,
        name: None,
        avatar_url: None,
        admin: false,
        disabled: false,
        token_version: 0,
        created_at: SystemClock.now(),
        last_login_at: None,
        own_name: false,
        own_avatar: false,
        has_password: false,
        revoked_at: None,
    }
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.windows(from.len()).position(|window| window == from) {
        replaced.extend_from_slice(&rest[..place]);
        replaced.extend_from_slice(to);
        rest = &rest[place + from.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}
