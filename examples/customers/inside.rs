//! tokenbooth in the same process: taking [`CurrentUser`] or [`AdminUser`] as an argument is the login check, by bearer token and
//! by cookie alike.

use std::net::TcpListener;
use std::path::PathBuf;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, get, web};
use askama::Template;
use tokenbooth::http::{errors_as_pages, observe};
use tokenbooth::mock::MockProviders;
use tokenbooth::settings::{Settings, Sources};
use tokenbooth::{AdminUser, CurrentUser, Tokenbooth};

use crate::customers::{self, Customer, Results};
use crate::single_page_app::SinglePageApp;

/// Only what comes from here is run, drawn, sent to or framed.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[get("/api/customer/")]
async fn list_customers(_: CurrentUser) -> web::Json<Results<Customer>> {
    web::Json(Results { results: customers::all() })
}

#[get("/api/admin/customer/")]
async fn list_details(_: AdminUser) -> web::Json<Results<customers::CustomerDetail>> {
    web::Json(Results { results: customers::details() })
}

#[derive(Template)]
#[template(path = "../examples/customers/page.html")]
struct Page {
    who: String,
    customers: Vec<Customer>,
}

/// A page of one's own: wrapped in [`errors_as_pages`], it sends a visitor to the sign-in page, who comes back here.
async fn customers_page(CurrentUser(user): CurrentUser) -> actix_web::Result<HttpResponse> {
    let page = Page { who: user.name.or(user.email).unwrap_or_default(), customers: customers::all() };
    let page = page.render().map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", POLICY))
        // It says who is signed in: not for a cache, nor for the "back" button of whoever comes next.
        .insert_header(("cache-control", "no-store"))
        .body(page))
}

#[get("/customers.css")]
async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("customers.css"))
}

pub async fn serve(with_mock: bool, app: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    let mock = if with_mock { Some(MockProviders::start().await?) } else { None };
    // Gone with the process.
    let folder = tempfile::tempdir()?;
    let mut settings = match &mock {
        Some(mock) => mock_settings(mock, &folder.path().join("customers.db").display().to_string())?,
        None => Sources::from_process().load()?,
    };
    tokenbooth::telemetry::start(settings.log);
    let listener = TcpListener::bind((settings.server.host.as_str(), settings.server.port))?;
    // Where browsers find us, unless `server.public_url` says otherwise: it is in the callbacks, and in the proof that one of our
    // own pages asks.
    settings.server.port = listener.local_addr()?.port();
    let base = settings.public_url();
    let app = app.map(|folder| SinglePageApp::read(&folder, &settings, mock.clone())).transpose()?;
    let has_app = app.is_some();
    let tokenbooth = Tokenbooth::build(settings)?;

    let server = HttpServer::new(move || {
        App::new()
            .configure(tokenbooth.routes())
            .service(list_customers)
            .service(list_details)
            .service(web::resource("/customers").get(customers_page).wrap(from_fn(errors_as_pages)))
            .service(style)
            .configure(|config| app.iter().cloned().for_each(|app| app.routes(config)))
            // Request ids, the access log and metrics, for the handlers above too.
            .wrap(from_fn(observe))
    })
    .listen(listener)?;
    println!("customers on {base}/customers");
    if has_app {
        println!("the single-page app on {base}/app/");
    }
    if let Some(mock) = &mock {
        println!(
            "beside a mock Google, GitHub and Acme on {}; \"ada\" is the administrator",
            mock.base_url()
        );
    }
    Ok(server.run().await?)
}

/// As `tokenbooth demo` has them: everything made for this run, but for where to listen and what to log.
fn mock_settings(mock: &MockProviders, database: &str) -> Result<Settings, Box<dyn std::error::Error>> {
    let mut sources =
        Sources::from_variables(&["TOKENBOOTH_ENV", "TOKENBOOTH__SERVER__", "TOKENBOOTH__LOG__"]);
    for (key, value) in mock.settings().into_iter().chain(mock.oidc_settings("acme")) {
        sources = sources.with(&key, value);
    }
    let secret = format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    Ok(sources
        .with("providers.acme.display_name", "Acme")
        .with("admin.emails", "google:ada@example.com")
        .with("database.url", format!("sqlite://{database}"))
        .with("token.secret", secret)
        .load()?)
}
