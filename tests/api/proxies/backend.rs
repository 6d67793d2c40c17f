//! [`Backend`]: what is protected. It answers everybody, and remembers what it was asked.

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

/// A service that believes its proxy. Stops when dropped.
pub struct Backend {
    /// `127.0.0.1:<port>`
    pub address: String,
    seen: Data<Journal>,
    server: ServerHandle,
}

type Journal = Arc<Mutex<Vec<Seen>>>;

/// A request as the backend got it.
#[derive(Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Seen {
    /// What a backend takes for this header, under any name that CGI or WSGI cannot tell from it. Absent and empty are the same
    /// to most.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let same = |other: &str| other.replace('_', "-").eq_ignore_ascii_case(name);
        let values = self.headers.iter().filter(|(other, _)| same(other)).map(|(_, value)| value.as_str());
        values.filter(|value| !value.is_empty()).collect()
    }
}

impl Backend {
    pub fn start() -> Self {
        let seen = Data::new(Journal::default());
        let journal = seen.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(journal.clone())
                .app_data(web::PayloadConfig::new(1 << 20))
                .default_service(web::to(answer))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).expect("a port");
        let address = server.addrs()[0].to_string();
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { address, seen, server: handle }
    }

    /// What it was asked since the last time.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one request since the last time.
    #[track_caller]
    pub fn take_one(&self) -> Seen {
        let mut seen = self.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Asserts that nothing has come through.
    #[track_caller]
    pub fn assert_untouched(&self, what: &str) {
        let seen = self.take();
        assert!(seen.is_empty(), "{what}: {seen:?}");
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn answer(request: HttpRequest, body: Bytes, seen: Data<Journal>) -> HttpResponse {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
    let request = Seen {
        method: request.method().to_string(),
        path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: headers.collect(),
        body,
    };
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    HttpResponse::Ok().body("from the backend")
}
