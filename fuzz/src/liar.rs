//! Providers whose responses are anything.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use tokenbooth::clock::{SharedClock, SystemClock};
use tokenbooth::metrics::Metrics;
use tokenbooth::mock::{github, google};
use tokenbooth::provider::{Credential, CredentialKind, ProviderClient, Providers};
use tokenbooth::settings::Sources;

use super::{SECRET, replace};

/// A server that responds with whatever it was given, and providers that believe it.
pub(crate) struct Liar {
    responses: Arc<Mutex<Vec<Vec<u8>>>>,
    runtime: tokio::runtime::Runtime,
    base: String,
}

impl Liar {
    pub(crate) fn start() -> Self {
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

    pub(crate) fn ask_all(&self, data: &[u8]) {
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
