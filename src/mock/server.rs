//! The mock's server: every URL on one screen, and a thread of its own to run on, so that the mock
//! answers even while a test blocks its runtime.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, rt, web};
use tokio::sync::oneshot;

use super::world::World;
use super::{
    MockError, authorize, control, github_api, github_device, github_login, gitlab, google, issuer,
    microsoft, middleware, token_endpoint,
};

/// A running mock: its world, and the means to stop it.
pub(super) struct Running {
    pub(super) world: Arc<World>,
    server: ServerHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The order is given by the call; the future would only wait for its end.
        drop(self.server.stop(false));
    }
}

fn routes(app: &mut web::ServiceConfig, world: &Arc<World>) {
    let google = web::Data::from(world.google.clone());
    let oidc = web::Data::from(world.oidc.clone());
    let microsoft = web::Data::from(world.microsoft.clone());
    let apple = web::Data::from(world.apple.clone());
    let gitlab = web::Data::from(world.gitlab.clone());
    app.app_data(web::Data::from(world.clone()))
        .service(
            web::scope("/google")
                .app_data(google.clone())
                .route("/.well-known/openid-configuration", web::get().to(issuer::discovery))
                .route("/oauth2/v3/certs", web::get().to(issuer::jwks))
                .route("/o/oauth2/v2/auth", web::get().to(authorize::authorize))
                .route("/o/oauth2/v2/auth", web::post().to(authorize::authorize))
                .route("/token", web::post().to(token_endpoint::token))
                .route("/tokeninfo", web::get().to(google::tokeninfo))
                .route("/tokeninfo", web::post().to(google::tokeninfo))
                .route("/v1/userinfo", web::get().to(issuer::userinfo))
                .route("/v1/userinfo", web::post().to(issuer::userinfo)),
        )
        .service(
            web::scope("/oidc")
                .app_data(oidc.clone())
                .route("/.well-known/openid-configuration", web::get().to(issuer::discovery))
                .route("/jwks", web::get().to(issuer::jwks))
                .route("/authorize", web::get().to(authorize::authorize))
                .route("/authorize", web::post().to(authorize::authorize))
                .route("/token", web::post().to(token_endpoint::token))
                .route("/userinfo", web::get().to(issuer::userinfo))
                .route("/userinfo", web::post().to(issuer::userinfo)),
        )
        .service(
            web::scope("/microsoft")
                .app_data(microsoft.clone())
                .route(
                    "/{tenant}/v2.0/.well-known/openid-configuration",
                    web::get().to(microsoft::discovery_of_tenant),
                )
                .route("/common/discovery/v2.0/keys", web::get().to(issuer::jwks))
                .route("/common/oauth2/v2.0/authorize", web::get().to(authorize::authorize))
                .route("/common/oauth2/v2.0/authorize", web::post().to(authorize::authorize))
                .route("/common/oauth2/v2.0/token", web::post().to(token_endpoint::token))
                .route("/graph/oidc/userinfo", web::get().to(issuer::userinfo)),
        )
        .service(
            web::scope("/apple")
                .app_data(apple.clone())
                .route("/.well-known/openid-configuration", web::get().to(issuer::discovery))
                .route("/auth/keys", web::get().to(issuer::jwks))
                .route("/auth/authorize", web::get().to(authorize::authorize))
                .route("/auth/authorize", web::post().to(authorize::authorize))
                .route("/auth/token", web::post().to(token_endpoint::token)),
        )
        .service(
            web::scope("/gitlab")
                .app_data(gitlab.clone())
                .route("/.well-known/openid-configuration", web::get().to(issuer::discovery))
                .route("/oauth/discovery/keys", web::get().to(issuer::jwks))
                .route("/oauth/authorize", web::get().to(authorize::authorize))
                .route("/oauth/authorize", web::post().to(authorize::authorize))
                .route("/oauth/token", web::post().to(token_endpoint::token))
                .route("/oauth/token/info", web::get().to(gitlab::token_info))
                .route("/oauth/userinfo", web::get().to(gitlab::userinfo)),
        )
        .service(
            web::scope("/github/api")
                .wrap(from_fn(github_api::front_door))
                .route("/applications/{client_id}/token", web::post().to(github_api::check))
                .route("/user", web::get().to(github_api::user))
                .route("/user/emails", web::get().to(github_api::emails)),
        )
        .service(
            web::scope("/github/login")
                .route("/oauth/authorize", web::get().to(github_login::authorize))
                .route("/oauth/authorize", web::post().to(github_login::authorize))
                .route("/oauth/access_token", web::post().to(github_login::access_token))
                .route("/device/code", web::post().to(github_device::device_code))
                .route("/device", web::get().to(github_device::device))
                .route("/device", web::post().to(github_device::device)),
        )
        .route("/callback", web::get().to(control::callback))
        .service(
            web::scope("/mock")
                .service(web::scope("/google").app_data(google).configure(issuer_controls))
                .service(web::scope("/oidc").app_data(oidc).configure(issuer_controls))
                .service(web::scope("/microsoft").app_data(microsoft).configure(issuer_controls))
                .service(web::scope("/apple").app_data(apple).configure(issuer_controls))
                .service(web::scope("/gitlab").app_data(gitlab).configure(issuer_controls))
                .route("/github/access_token", web::get().to(control::github_access_token))
                .route("/github/access_token", web::post().to(control::github_access_token))
                .route("/faults/{endpoint}", web::put().to(control::set_fault))
                .route("/faults", web::delete().to(control::clear_faults))
                .route("/requests", web::get().to(control::requests))
                .route("/requests", web::delete().to(control::forget_requests)),
        );
}

fn issuer_controls(scope: &mut web::ServiceConfig) {
    scope
        .route("/id_token", web::get().to(control::id_token))
        .route("/id_token", web::post().to(control::id_token))
        .route("/access_token", web::get().to(control::access_token))
        .route("/access_token", web::post().to(control::access_token))
        .route("/rotate", web::post().to(control::rotate));
}

/// Starts the server thread and waits until it listens.
pub(super) async fn start(address: SocketAddr) -> Result<Running, MockError> {
    let (report, started) = oneshot::channel();
    std::thread::Builder::new()
        .name("mock-providers".into())
        .spawn(move || rt::System::new().block_on(run(address, report)))
        .map_err(MockError::Start)?;
    started.await.map_err(|_thread_gone| MockError::Stopped)?
}

async fn run(address: SocketAddr, report: oneshot::Sender<Result<Running, MockError>>) {
    let (running, server) = match launch(address) {
        Ok((world, server)) => {
            let handle = server.handle();
            (Ok(Running { world, server: handle }), Some(server))
        }
        Err(error) => (Err(error), None),
    };
    // Whoever does not wait any more drops the `Running`, which stops the server.
    let _ = report.send(running);
    if let Some(server) = server
        && let Err(error) = server.await
    {
        log::error!("mock providers: {error}");
    }
}

fn launch(address: SocketAddr) -> Result<(Arc<World>, actix_web::dev::Server), MockError> {
    let listener = TcpListener::bind(address).map_err(MockError::Start)?;
    let address = listener.local_addr().map_err(MockError::Start)?;
    let world = Arc::new(World::new(address)?);
    let known = world.clone();
    let server = HttpServer::new(move || {
        App::new().configure(|app| routes(app, &known)).wrap(from_fn(middleware::observe))
    })
    .workers(1)
    .disable_signals()
    .on_connect(middleware::keep_line)
    .listen(listener)
    .map_err(MockError::Start)?
    .run();
    Ok((world, server))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use crate::mock::{Endpoint, MockProviders};

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[tokio::test]
    async fn every_endpoint_is_routed_and_counted() -> TestResult {
        let mock = MockProviders::start().await?;
        for endpoint in Endpoint::ALL {
            let path = endpoint.path().replace("{client_id}", "any").replace("{tenant}", "common");
            let mut line = TcpStream::connect(mock.base_url().trim_start_matches("http://"))?;
            write!(line, "GET {path} HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            line.read_to_string(&mut answer)?;
            assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
            assert_eq!(mock.requests(endpoint), 1, "{path}");
        }
        assert_eq!(mock.total_requests(), Endpoint::ALL.len() as u64);
        Ok(())
    }
}
