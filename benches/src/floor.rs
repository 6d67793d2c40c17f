//! The floor: what actix-web does for `GET /api/me` when there is nothing to check and nothing to read. A ratio to it
//! is comparable between machines, requests per second are not.

use std::net::Ipv4Addr;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{App, HttpResponse, HttpServer, web};
use tokenbooth::clock::Timestamp;
use tokenbooth::http::Me;
use tokenbooth::user::{User, UserId};

use crate::error::Result;

/// Serves until it is killed.
///
/// # Errors
/// When the port cannot be listened on.
pub fn serve(port: u16) -> Result<()> {
    let user = User {
        id: UserId::generate(),
        email: Some("person-000000@mail.com".to_owned()),
        name: Some("Person 000000".to_owned()),
        avatar_url: Some("https://mail.com/portraits/000000.png".to_owned()),
        admin: false,
        disabled: false,
        token_version: 0,
        created_at: Timestamp(1_700_000_000),
        last_login_at: Some(Timestamp(1_700_000_000)),
        own_name: false,
        own_avatar: false,
        has_password: false,
        revoked_at: None,
    };
    let server = HttpServer::new(move || {
        App::new().app_data(web::Data::new(user.clone())).route("/api/me", web::get().to(show_me))
    })
    .bind((Ipv4Addr::LOCALHOST, port))?;
    Ok(actix_web::rt::System::new().block_on(server.run())?)
}

/// The product's own answer, serialised anew each time as there.
async fn show_me(user: web::Data<User>) -> HttpResponse {
    let me = Me::from(User::clone(&user));
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(me)
}
