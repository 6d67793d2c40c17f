//! Somebody else's site, for attacks: one page, at whatever name this machine is called by.

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer, rt};

pub struct Site {
    port: u16,
    page: Arc<Mutex<String>>,
}

impl Site {
    pub fn start() -> Self {
        let page = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&page);
        let server = HttpServer::new(move || {
            App::new().app_data(Data::from(Arc::clone(&shown))).default_service(web::to(show))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).expect("a port");
        let port = server.addrs().first().expect("an address").port();
        rt::spawn(server.run());
        Self { port, page }
    }

    /// What everybody sees there from now on.
    pub fn put(&self, page: &str) {
        page.clone_into(&mut self.page.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/", self.port)
    }
}

async fn show(page: Data<Mutex<String>>) -> HttpResponse {
    let page = page.lock().unwrap_or_else(PoisonError::into_inner).clone();
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("cache-control", "no-store"))
        .body(page)
}
