//! The process whose instructions are counted: requests one after the other, through actix-web and the whole product,
//! without a socket.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::Bytes;
use actix_web::{App, Error};
use serde_json::{Value, json};
use tokenbooth::Tokenbooth;
use tokenbooth::settings::Sources;

use super::{HotPath, Order};
use crate::error::{Result, failed};

/// Sends the requests of an order.
///
/// # Errors
/// The service does not start, or answers anything but 200.
pub fn work(order_file: &Path) -> Result<()> {
    let order = serde_json::from_slice(&fs::read(order_file)?).map_err(|error| failed(error.to_string()))?;
    actix_web::rt::System::new().block_on(obey(&order))
}

async fn obey(order: &Order) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let database = format!("sqlite://{}", folder.path().join("bench.db").display());
    let sources = order.settings.iter().fold(Sources::defaults(), |all, (key, value)| all.with(key, value));
    let sources = sources
        .with("database.url", database)
        .with("token.secret", "a secret of the benchmarks, used nowhere else")
        // High enough for all requests of one address; what counting costs is counted.
        .with("rate_limit.address_burst", "1000000");
    let settings = sources.load().map_err(|error| failed(error.to_string()))?;
    let tokenbooth = Tokenbooth::build(settings).map_err(|error| failed(error.to_string()))?;
    // As in the product's own server; CORS is not there without origins.
    let app = App::new().configure(tokenbooth.routes()).wrap(from_fn(tokenbooth::http::observe));
    let app = init_service(app).await;

    let [known, newcomers @ ..] = order.id_tokens.as_slice() else {
        return Err(failed("an order without tokens"));
    };
    // Waits for the provider's keys; everything after it finds them.
    let scope = if order.path == HotPath::ReadOfSession { "offline_access" } else { "" };
    let body = success(app.call(exchange_for(known, scope).to_request())).await?;
    let answer: Value = serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
    let ours = answer["access_token"].as_str().unwrap_or_default();
    let bearer =
        HeaderValue::from_str(&format!("Bearer {ours}")).map_err(|error| failed(error.to_string()))?;
    for number in 0..order.requests {
        match order.path {
            HotPath::Read | HotPath::ReadOfSession => success(app.call(read(&bearer).to_request())).await?,
            HotPath::Exchange => success(app.call(exchange(known).to_request())).await?,
            HotPath::FirstLogin => {
                let newcomer = newcomers.get(number).ok_or_else(|| failed("an order with too few tokens"))?;
                success(app.call(exchange(newcomer).to_request())).await?
            }
        };
    }
    Ok(())
}

fn read(bearer: &HeaderValue) -> TestRequest {
    from_loopback(TestRequest::get()).uri("/api/me").insert_header((AUTHORIZATION, bearer.clone()))
}

fn exchange(id_token: &str) -> TestRequest {
    from_loopback(TestRequest::post()).uri("/auth/google").set_json(json!({ "id_token": id_token }))
}

fn exchange_for(id_token: &str, scope: &str) -> TestRequest {
    from_loopback(TestRequest::post())
        .uri("/auth/google")
        .set_json(json!({ "id_token": id_token, "scope": scope }))
}

fn from_loopback(request: TestRequest) -> TestRequest {
    request.peer_addr((Ipv4Addr::LOCALHOST, 50_000).into())
}

/// Returns the body of a response, which has to be a success; it is not parsed, or parsing it would be counted. Takes the
/// future of `Service::call` because actix-web does not export the type of what is called with.
async fn success<B: MessageBody>(
    call: impl Future<Output = std::result::Result<ServiceResponse<B>, Error>>,
) -> Result<Bytes> {
    let answer = call.await.map_err(|error| failed(error.to_string()))?;
    let status = answer.status();
    let body = to_bytes(answer.into_body()).await.map_err(|_| failed("a body that breaks off"))?;
    if status != 200 {
        return Err(failed(format!("answered {status}: {}", String::from_utf8_lossy(&body))));
    }
    Ok(body)
}
