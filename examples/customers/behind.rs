//! The API as a process of its own: who is calling is a question to tokenbooth, with the caller's own token. Nothing of the crate
//! is used here; it could as well be written in another language.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{App, FromRequest, HttpRequest, HttpResponse, HttpServer, ResponseError, get, web};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde_json::json;

use crate::customers::{self, Customer, Results};

/// Where tokenbooth is.
struct Booth {
    me: String,
    client: reqwest::Client,
}

/// Who is calling, as `GET /api/me` describes it.
#[derive(Deserialize)]
struct Caller {
    admin: bool,
}

/// As [`Caller`], and an administrator.
struct Administrator;

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("this needs a good access token of tokenbooth, sent as \"Authorization: Bearer <token>\"")]
    NotSignedIn,
    #[error("this route is for administrators")]
    NotAllowed,
    #[error("who is calling cannot be found out now")]
    CannotAsk,
}

impl Booth {
    /// Only the header goes on: a browser's cookie is for tokenbooth's own origin, where its proof is that one of its pages asks.
    async fn who_is(&self, authorization: &HeaderValue) -> Result<Caller, Refused> {
        let request = self.client.get(&self.me).header(AUTHORIZATION.as_str(), authorization.as_bytes());
        let answer = request.send().await.map_err(|_| Refused::CannotAsk)?;
        match answer.status().as_u16() {
            200 => answer.json().await.map_err(|_| Refused::CannotAsk),
            401 => Err(Refused::NotSignedIn),
            // Trouble there is no word on the caller: 401 would have every client sign in again.
            _ => Err(Refused::CannotAsk),
        }
    }
}

impl FromRequest for Caller {
    type Error = Refused;
    type Future = LocalBoxFuture<'static, Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let booth = request.app_data::<web::Data<Booth>>().cloned();
        let authorization = request.headers().get(AUTHORIZATION).cloned();
        Box::pin(async move {
            let authorization = authorization.ok_or(Refused::NotSignedIn)?;
            booth.ok_or(Refused::CannotAsk)?.who_is(&authorization).await
        })
    }
}

impl FromRequest for Administrator {
    type Error = Refused;
    type Future = LocalBoxFuture<'static, Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        Box::pin(async move { if caller.await?.admin { Ok(Self) } else { Err(Refused::NotAllowed) } })
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotSignedIn => StatusCode::UNAUTHORIZED,
            Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::CannotAsk => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        match self {
            Self::NotSignedIn => response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"customers\"")),
            Self::NotAllowed => &mut response,
            Self::CannotAsk => response.insert_header((RETRY_AFTER, "5")),
        };
        let title = status.canonical_reason();
        response.content_type("application/problem+json").body(
            json!({ "title": title, "status": status.as_u16(), "detail": self.to_string() }).to_string(),
        )
    }
}

#[get("/api/customer/")]
async fn list_customers(_: Caller) -> web::Json<Results<Customer>> {
    web::Json(Results { results: customers::all() })
}

#[get("/api/admin/customer/")]
async fn list_details(_: Administrator) -> web::Json<Results<customers::CustomerDetail>> {
    web::Json(Results { results: customers::details() })
}

#[expect(clippy::disallowed_methods, reason = "no provider is asked, and the limits are below")]
pub async fn serve(tokenbooth: String, port: u16) -> Result<(), Box<dyn std::error::Error>> {
    // A redirect would take the caller's token elsewhere.
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let booth = web::Data::new(Booth { me: format!("{}/api/me", tokenbooth.trim_end_matches('/')), client });
    let server = HttpServer::new(move || {
        App::new().app_data(booth.clone()).service(list_customers).service(list_details)
    })
    .bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("customers on http://{address}/api/customer/, behind {tokenbooth}");
    }
    Ok(server.run().await?)
}
