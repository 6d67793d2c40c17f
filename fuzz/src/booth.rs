//! The service that the targets ask.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tokenbooth::App;
use tokenbooth::mock::{MockProviders, Person};
use tokenbooth::settings::Sources;

use super::{ENTRIES, SECRET};

/// A service with a mock provider, in this process.
pub(crate) struct Booth {
    pub(crate) mock: MockProviders,
    address: String,
    _folder: tempfile::TempDir,
}

impl Booth {
    pub(crate) fn get() -> &'static Self {
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

    pub(crate) fn post(&self, path: &str, content_type: &str, body: &[u8]) -> (u16, String) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat())
    }

    /// Sends bytes, and returns the status and all of the response. The service never fails, and tells nobody a secret.
    pub(crate) fn send(&self, request: &[u8]) -> (u16, String) {
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
