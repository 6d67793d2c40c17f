//! What is done with bytes of anybody's choice, for each parser that strangers reach, and what must hold whatever they are. The parsers
//! are reached as a stranger reaches them: through a real service and its real providers' responses, over HTTP in one process.
//!
//! `cargo fuzz` drives these functions with coverage, and `tests/fuzz/` drives them on stable Rust without it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tokenbooth::App;
use tokenbooth::clock::{Clock, SharedClock, SystemClock};
use tokenbooth::jws::UnverifiedJws;
use tokenbooth::metrics::Metrics;
use tokenbooth::mock::{MockProviders, Person, Signature, compact, github, google};
use tokenbooth::provider::{Credential, CredentialKind, ProviderClient, Providers};
use tokenbooth::settings::Sources;
use tokenbooth::token::{Keyring, Tokens};
use tokenbooth::user::{User, UserId};

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
    let target = base.join(text).unwrap_or_else(|_| panic!("{text:?} is accepted"));
    let is_loopback = target.host_str() == Some("127.0.0.1") && target.path() == "/callback";
    assert!(
        target.origin() == base.origin() || ENTRIES.contains(&text) || is_loopback,
        "{text:?} is accepted"
    );
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

/// A service with a mock provider, in this process.
struct Booth {
    mock: MockProviders,
    address: String,
    _folder: tempfile::TempDir,
}

impl Booth {
    fn get() -> &'static Self {
        static BOOTH: LazyLock<Booth> = LazyLock::new(Booth::start);
        &BOOTH
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = format!("sqlite://{}", folder.path().join("fuzz.db").display());
        let (started, begun) = mpsc::channel();
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let mock = MockProviders::start().await.expect("the mock starts");
                let settings = mock.settings().into_iter().chain(mock.oidc_settings("acme"));
                let sources = settings
                    .fold(Sources::defaults(), |sources, (key, value)| sources.with(&key, value))
                    .with("server.port", "0")
                    .with("server.workers", "2")
                    .with("server.public_url", "https://booth.example")
                    .with("server.trusted_proxies", "127.0.0.1")
                    .with("database.url", database)
                    .with("database.synchronous", "normal")
                    .with("token.secret", SECRET)
                    .with("password.memory_kib", "64")
                    .with("password.iterations", "1")
                    .with("sign_in.redirect_uris", ENTRIES.join(","))
                    .with("rate_limit.enabled", "false");
                let app = App::build(sources.load().expect("good settings")).expect("the service is built");
                let address = format!("127.0.0.1:{}", app.port());
                let (server, _stopper) = app.start().expect("the service starts");
                started.send((mock, address)).expect("somebody waits");
                server.await.expect("the service runs");
            });
        });
        let (mock, address) = begun.recv().expect("the service starts");
        let booth = Self { mock, address, _folder: folder };
        // From here on its keys are known: no rejection is one for the lack of them.
        let id_token = booth.mock.oidc().id_token_of(&Person::named("first"), json!({}));
        let body = json!({ "id_token": id_token }).to_string();
        while booth.post("/auth/acme", "application/json", body.as_bytes()).0 != 200 {
            thread::sleep(Duration::from_millis(50));
        }
        booth
    }

    fn post(&self, path: &str, content_type: &str, body: &[u8]) -> (u16, String) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat())
    }

    /// Sends bytes, and returns the status and all of the response. The service never fails, and tells nobody a secret.
    fn send(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        // It may have closed the connection when it had read enough.
        let _ = stream.write_all(request);
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        let response = String::from_utf8_lossy(&response).into_owned();
        let status: u16 = response.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let shown = String::from_utf8_lossy(request);
        // 503: a key that may be newer than those that are known.
        assert!(status < 500 || status == 503, "{shown}: {response}");
        assert!(!response.contains(SECRET) && !response.contains("panicked"), "{shown}: {response}");
        (status, response)
    }
}

/// A server that responds with whatever it was given, and providers that believe it.
struct Liar {
    responses: Arc<Mutex<Vec<Vec<u8>>>>,
    runtime: tokio::runtime::Runtime,
    base: String,
}

impl Liar {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let responses: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let given = Arc::clone(&responses);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 8192];
                let _ = stream.read(&mut request);
                let mut given = given.lock().expect("no panic");
                let body = if given.len() > 1 {
                    given.remove(0)
                } else {
                    given.first().cloned().unwrap_or_default()
                };
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { responses, runtime, base }
    }

    fn ask_all(&self, data: &[u8]) {
        let mut data = data.to_vec();
        for (placeholder, value) in
            [("GOOGLE", google::WEB_CLIENT_ID), ("GITHUB", github::CLIENT_ID), ("BASE", self.base.as_str())]
        {
            data = replace(&data, placeholder.as_bytes(), value.as_bytes());
        }
        let parts: Vec<Vec<u8>> = data.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect();
        let base = &self.base;
        let sources = [
            ("google.client_ids", google::WEB_CLIENT_ID.to_owned()),
            ("google.discovery_url", format!("{base}/discovery")),
            ("google.tokeninfo_url", format!("{base}/tokeninfo")),
            ("github.client_id", github::CLIENT_ID.to_owned()),
            ("github.client_secret", github::CLIENT_SECRET.to_owned()),
            ("github.api_url", base.clone()),
            ("github.web_url", base.clone()),
            ("acme.kind", "oidc".to_owned()),
            ("acme.discovery_url", format!("{base}/acme")),
            ("acme.client_ids", "acme".to_owned()),
        ]
        .into_iter()
        .fold(Sources::defaults(), |sources, (key, value)| sources.with(&format!("providers.{key}"), value))
        .with("token.secret", SECRET)
        .with("http_client.timeout", "2s");
        let settings = sources.load().expect("good settings");
        let clock: SharedClock = Arc::new(SystemClock);
        let tokens = BTreeMap::from([
            ("google", (CredentialKind::AccessToken, "ya29.fuzzed")),
            ("github", (CredentialKind::AccessToken, "gho_0123456789abcdef0123456789abcdef0123")),
            ("acme", (CredentialKind::IdToken, "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIxIn0.AAAA")),
        ]);
        self.runtime.block_on(async {
            for (name, (kind, token)) in tokens {
                let credential = Credential { kind, token: token.into(), nonce: None };
                self.responses.lock().expect("no panic").clone_from(&parts);
                let latency = Metrics::default().provider_latency;
                let client =
                    ProviderClient::new(settings.http_client.timeout, latency, &clock).expect("a client");
                let providers = Providers::new(&settings, &client, &clock);
                let provider = providers.get(name).expect("a provider");
                match provider.verify(&credential).await {
                    // Nothing is believed that a database or a page could not take.
                    Ok(identity) => {
                        assert!(
                            !identity.provider_id.is_empty() && !identity.provider_id.contains('\0'),
                            "{identity:?}"
                        );
                        assert!(!identity.name.unwrap_or_default().chars().any(char::is_control));
                        assert!(identity.avatar_url.is_none_or(|url| url.starts_with("https://")));
                        assert!(name != "acme", "an ID token without a genuine signature is accepted");
                    }
                    Err(refusal) => {
                        let told = format!("{refusal} {refusal:?}");
                        assert!(
                            !told.contains(github::CLIENT_SECRET) && !told.contains("ya29.fuzzed"),
                            "{told}"
                        );
                    }
                }
            }
        });
    }
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
