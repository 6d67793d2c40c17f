//! Tokens without a server: good ones, and ones made to waste our time. A hostile token has to be refused in about the
//! time that reading it takes.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on ends")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::{System, SystemRunner};
use criterion::{Criterion, criterion_group, criterion_main};
use secrecy::SecretString;
use serde_json::json;
use tokenbooth::clock::{Clock, SharedClock, SystemClock, Timestamp};
use tokenbooth::metrics::Metrics;
use tokenbooth::mock::MockProviders;
use tokenbooth::provider::{
    Credential, CredentialKind, ProviderClient, Providers, Refusal, VerifiedIdentity,
};
use tokenbooth::settings::Sources;
use tokenbooth::token::{Keyring, MAX_ACCESS_TOKEN_BYTES, Tokens};
use tokenbooth::user::{User, UserId};

const MIB: usize = 1 << 20;

/// Verifies Google's ID tokens with keys that are in the cache.
struct IdTokens {
    system: SystemRunner,
    mock: MockProviders,
    providers: Providers,
}

impl IdTokens {
    fn start() -> Self {
        let system = System::new();
        let mock = system.block_on(MockProviders::start()).expect("the mock starts");
        let settings = mock
            .settings()
            .into_iter()
            .fold(Sources::defaults(), |sources, (key, value)| sources.with(&key, value))
            .load()
            .expect("the mock's settings are good");
        let clock: SharedClock = Arc::new(SystemClock);
        let client =
            ProviderClient::new(settings.http_client.timeout, Metrics::default().provider_latency, &clock)
                .expect("a client");
        // Its key caches begin to fill in the background of the runtime.
        let providers = system.block_on(async { Providers::new(&settings, &client, &clock) });
        let this = Self { system, mock, providers };
        // The first one waits for the keys.
        this.verify(&this.good()).expect("the mock's token is good");
        this
    }

    fn good(&self) -> Credential {
        credential(self.mock.google().id_token(json!({})))
    }

    fn verify(&self, credential: &Credential) -> Result<VerifiedIdentity, Refusal> {
        let google = self.providers.get("google").expect("google is configured");
        self.system.block_on(self.providers.verify(google.as_ref(), credential))
    }
}

fn credential(token: String) -> Credential {
    Credential { kind: CredentialKind::IdToken, token: SecretString::from(token), nonce: None }
}

fn our_tokens() -> Tokens {
    let secret = SecretString::from("a secret of the benchmarks, used nowhere else");
    let keyring = Keyring::new(&secret, &[]).expect("a good secret");
    Tokens::new(keyring, "https://auth.mail.com".to_owned(), "tokenbooth".to_owned(), Duration::from_mins(30))
}

fn alice(now: Timestamp) -> User {
    User {
        id: UserId::generate(),
        email: Some("alice@mail.com".to_owned()),
        name: Some("Alice".to_owned()),
        avatar_url: None,
        admin: false,
        disabled: false,
        token_version: 0,
        created_at: now,
        last_login_at: Some(now),
        own_name: false,
        own_avatar: false,
        has_password: false,
        revoked_at: None,
    }
}

/// What somebody might send who does not want to sign in. `good` gives the header that gets furthest. 8 KiB is the most
/// of our own tokens that is looked at, so the first three are refused by their length alone and the others are not.
fn hostile(good: &str) -> [(&'static str, String); 6] {
    let (header, _) = good.split_once('.').expect("a header");
    [
        ("1 MiB", format!("{header}.{}.c2ln", "A".repeat(MIB))),
        ("a million dots", ".".repeat(1_000_000)),
        ("1 MiB without a dot", "A".repeat(MIB)),
        ("8 KiB", format!("{header}.{}.c2ln", "A".repeat(MAX_ACCESS_TOKEN_BYTES - header.len() - 6))),
        ("8 KiB of dots", ".".repeat(MAX_ACCESS_TOKEN_BYTES)),
        ("8 KiB without a dot", "A".repeat(MAX_ACCESS_TOKEN_BYTES)),
    ]
}

fn ours(criterion: &mut Criterion) {
    let (tokens, now) = (our_tokens(), SystemClock.now());
    let alice = alice(now);
    let good = tokens.issue(&alice, None, None, now).expect("an HMAC key signs").jwt;
    criterion.bench_function("own token/issue", |bencher| {
        bencher.iter(|| tokens.issue(black_box(&alice), None, None, now));
    });
    assert!(tokens.verify(&good, now).is_ok());
    criterion
        .bench_function("own token/verify", |bencher| bencher.iter(|| tokens.verify(black_box(&good), now)));
    for (name, token) in hostile(&good) {
        assert!(tokens.verify(&token, now).is_err());
        criterion.bench_function(&format!("own token/refuse {name}"), |bencher| {
            bencher.iter(|| tokens.verify(black_box(&token), now));
        });
    }
}

fn googles(criterion: &mut Criterion) {
    let id_tokens = IdTokens::start();
    let good = id_tokens.good();
    criterion.bench_function("ID token/verify with warm keys", |bencher| {
        bencher.iter(|| id_tokens.verify(black_box(&good)));
    });
    for (name, token) in hostile(&id_tokens.mock.google().id_token(json!({}))) {
        let credential = credential(token);
        assert!(id_tokens.verify(&credential).is_err());
        criterion.bench_function(&format!("ID token/refuse {name}"), |bencher| {
            bencher.iter(|| id_tokens.verify(black_box(&credential)));
        });
    }
}

criterion_group!(benches, ours, googles);
criterion_main!(benches);
