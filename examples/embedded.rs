//! tokenbooth inside an actix-web app of one's own: its routes are mounted, and taking `CurrentUser`, `AdminUser` or, for
//! services, `Scoped` as an argument is all that a protected handler does.
//!
//!     TOKENBOOTH__PROVIDERS__GOOGLE__CLIENT_IDS=<your client id> PORT=3000 cargo run --example embedded
//!
//! Settings are read as `tokenbooth serve` reads them; only where to listen is this app's own business,
//! so set `server.public_url`, which is also the `iss` of the tokens, to where this app is reached.

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, get};
use tokenbooth::settings::Sources;
use tokenbooth::{AdminUser, Caller, CurrentUser, Scope, Scoped, Tokenbooth};

#[get("/hello")]
async fn hello(CurrentUser(user): CurrentUser) -> String {
    format!("Hello, {}!", user.name.as_deref().unwrap_or("stranger"))
}

#[get("/admin/hello")]
async fn admin_hello(AdminUser(user): AdminUser) -> String {
    format!("Hello, administrator {}!", user.id)
}

/// What a service may do is named once, as a type.
struct ReadReports;

impl Scope for ReadReports {
    const NAME: &'static str = "reports.read";
}

/// For people, and for services made with `tokenbooth client create "Night job" --scope reports.read`.
#[get("/reports")]
async fn reports(caller: Caller<Scoped<ReadReports>>) -> String {
    match caller {
        Caller::User(user) => format!("The reports of {}", user.name.as_deref().unwrap_or("a stranger")),
        Caller::Client(service) => format!("Everybody's reports, for {}", service.client.name),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let settings = Sources::from_process().load()?;
    tokenbooth::telemetry::start(settings.log);
    let tokenbooth = Tokenbooth::build(settings)?;

    let server = HttpServer::new(move || {
        App::new()
            .configure(tokenbooth.routes())
            .service(hello)
            .service(admin_hello)
            .service(reports)
            // Request ids, the access log and metrics, for the handlers above too.
            .wrap(from_fn(tokenbooth::http::observe))
    })
    .bind(("127.0.0.1", port.parse()?))?;
    for address in server.addrs() {
        println!("listening on {address}");
    }
    Ok(server.run().await?)
}
