//! Browser apps of other origins (`[cors]`).

use actix_cors::Cors;
use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::Method;
use actix_web::http::header::ACCESS_CONTROL_REQUEST_METHOD;
use futures_util::future::LocalBoxFuture;

use crate::settings::CorsSettings;

/// No cookies are involved, so credentials are not allowed and any origin may be named without danger.
pub(crate) fn cors(settings: &CorsSettings) -> OwnCors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers(["authorization", "content-type", "x-request-id"])
        .expose_headers(["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "www-authenticate"])
        .max_age(usize::try_from(settings.max_age.as_secs()).unwrap_or(usize::MAX));
    let cors = settings.allowed_origins.iter().fold(cors, |cors, origin| match origin.as_str() {
        "*" => cors.allow_any_origin().send_wildcard(),
        origin => cors.allowed_origin(origin),
    });
    OwnCors(cors)
}

/// [`Cors`] for what is asked of us. Envoy asks `/auth/verify/…` with the visitor's own method: a preflight there is not one to us, and a
/// 200 would let a request of nobody pass to the service behind the proxy. One layer and not two, because a request goes through
/// each, also where it does nothing.
pub(crate) struct OwnCors(Cors);

/// The service that [`OwnCors`] makes.
pub(crate) struct OwnCorsService<S> {
    inner: S,
}

impl<S, B> Transform<S, ServiceRequest> for OwnCors
where
    Cors: Transform<S, ServiceRequest, Response = ServiceResponse<B>, Error = Error, InitError = ()>,
    <Cors as Transform<S, ServiceRequest>>::Future: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = OwnCorsService<<Cors as Transform<S, ServiceRequest>>::Transform>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let made = self.0.new_transform(service);
        Box::pin(async move { made.await.map(|inner| OwnCorsService { inner }) })
    }
}

impl<S: Service<ServiceRequest>> Service<ServiceRequest> for OwnCorsService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    forward_ready!(inner);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        if request.method() == Method::OPTIONS && request.path().starts_with("/auth/verify") {
            request.headers_mut().remove(ACCESS_CONTROL_REQUEST_METHOD);
        }
        self.inner.call(request)
    }
}
