//! The middleware in front of every mock endpoint: notes the request, then plays out the fault on
//! order, if there is one.

use std::any::Any;
use std::net::{Shutdown, TcpStream};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, rt, web};

use super::world::World;
use super::{Endpoint, Fault, distort, github_answers};

/// The controls of the mock itself live here and are neither counted nor disturbed.
const CONTROLS: &str = "/mock/";

/// Notes the request and plays out the fault on order.
pub(super) async fn observe(
    world: web::Data<World>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.path().starts_with(CONTROLS) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let pattern = request.match_pattern();
    let endpoint = Endpoint::ALL.into_iter().find(|endpoint| pattern.as_deref() == Some(endpoint.path()));
    world.journal.record(endpoint, &request);

    let Some(fault) = endpoint.and_then(|endpoint| world.faults.take(endpoint)) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let answer = match fault {
        Fault::Slow(delay) => {
            rt::time::sleep(delay).await;
            return Ok(next.call(request).await?.map_into_boxed_body());
        }
        Fault::Truncated => return Ok(distort::cut_short(next.call(request).await?).await),
        Fault::Huge => return Ok(distort::bloat(next.call(request).await?).await),
        Fault::Hang => std::future::pending().await,
        Fault::CloseAtOnce => {
            hang_up(&request);
            HttpResponse::Ok().finish()
        }
        Fault::Status(code) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            HttpResponse::build(status).body(format!("status {status} on order"))
        }
        Fault::Redirect(url) => HttpResponse::Found().insert_header((header::LOCATION, url)).finish(),
        Fault::WrongType => HttpResponse::Ok()
            .content_type(ContentType::html())
            .body("<!DOCTYPE html><title>Sign in to the hotel network</title>"),
        Fault::NotJson => json_answer("{\"keys\": [}, this is not JSON"),
        Fault::Empty => json_answer(""),
        Fault::RateLimited403 => github_answers::primary_rate_limit(),
        Fault::RateLimited429 { retry_after } => github_answers::secondary_rate_limit(retry_after),
        Fault::LockedOut => github_answers::locked_out(),
    };
    Ok(request.into_response(answer))
}

fn json_answer(body: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(body)
}

/// A second handle on a connection's socket, kept so that [`hang_up`] can close it.
struct Line(TcpStream);

/// Called by the server for every new connection.
pub(super) fn keep_line(connection: &dyn Any, data: &mut Extensions) {
    #[cfg(unix)]
    if let Some(stream) = connection.downcast_ref::<rt::net::TcpStream>() {
        use std::os::fd::AsFd as _;
        if let Ok(second) = stream.as_fd().try_clone_to_owned() {
            data.insert(Line(second.into()));
        }
    }
    #[cfg(not(unix))]
    let _ = (connection, data);
}

fn hang_up(request: &ServiceRequest) {
    if let Some(Line(stream)) = request.conn_data::<Line>() {
        // It fails only when the other side was faster, which is as good.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
