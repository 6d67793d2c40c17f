//! The single-page app of examples/clients/typescript, at `/app/`. It has to be served from here: its session is in cookies, and
//! the proof that one of our own pages asks is that page's origin.

use std::io;
use std::path::Path;

use actix_web::web::{self, Data, Query, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use serde::Deserialize;
use serde_json::json;
use tokenbooth::mock::{MockProviders, Person};
use tokenbooth::settings::Settings;

/// Google's library, and where a page lets it draw and ask
/// (<https://developers.google.com/identity/gsi/web/guides/get-google-api-clientid#content_security_policy>).
const GOOGLE_LIBRARY: &str = "https://accounts.google.com/gsi/client";
const OURS_AND_GOOGLES: &str = "'self' https://accounts.google.com/gsi/";

#[derive(Clone)]
pub struct SinglePageApp {
    page: String,
    script: String,
    policy: String,
    mock: Option<MockProviders>,
}

#[derive(Deserialize)]
struct Asked {
    person: String,
    nonce: String,
}

impl SinglePageApp {
    pub fn read(folder: &Path, settings: &Settings, mock: Option<MockProviders>) -> io::Result<Self> {
        let file = folder.join("browser.js");
        let script = std::fs::read_to_string(&file)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
        let client_id = settings.providers.google.client_ids.first().map_or("", String::as_str);
        let (library, from) = match mock {
            Some(_) => ("/app/mock-google.js", "'self'"),
            None => (GOOGLE_LIBRARY, OURS_AND_GOOGLES),
        };
        let page = include_str!("../clients/typescript/index.html")
            .replace("GOOGLE_CLIENT_ID", client_id)
            .replace("GOOGLE_LIBRARY", library);
        let policy = format!(
            "default-src 'none'; script-src {from}; connect-src {from}; frame-src {from}; style-src {from}; \
             img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        );
        Ok(Self { page, script, policy, mock })
    }

    pub fn routes(self, config: &mut ServiceConfig) {
        if let Some(mock) = self.mock.clone() {
            config
                .app_data(Data::new(mock))
                .route("/app/mock-google.js", web::get().to(async || script(include_str!("mock-google.js"))))
                .route("/app/mock-credential", web::get().to(mock_credential));
        }
        config
            .app_data(Data::new(self))
            .route("/app/", web::get().to(page))
            .route("/app/browser.js", web::get().to(async |app: Data<Self>| script(app.script.clone())));
    }
}

async fn page(app: Data<SinglePageApp>) -> impl Responder {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", app.policy.clone()))
        .insert_header(("referrer-policy", "same-origin"))
        // Google's button opens a window that must find its way back to this one.
        .insert_header(("cross-origin-opener-policy", "same-origin-allow-popups"))
        .body(app.page.clone())
}

fn script(text: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(text.into())
}

/// What Google's library gets from Google.
async fn mock_credential(mock: Data<MockProviders>, asked: Query<Asked>) -> impl Responder {
    let mut claims = Person::named(&asked.person).claims();
    claims["nonce"] = asked.nonce.clone().into();
    web::Json(json!({ "credential": mock.google().id_token(claims) }))
}
