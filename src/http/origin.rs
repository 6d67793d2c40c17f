//! Who asks, from where, in which request: for the audit trail.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::{FromRequest, HttpRequest};

use super::observe::event_request_id;
use super::peer::client_address;
use crate::error::ApiError;
use crate::event::{Actor, Origin};
use crate::session::Place;
use crate::state::AppState;

/// A `User-Agent` is kept up to this many characters: enough to tell one's own devices apart.
const MAX_DEVICE_CHARACTERS: usize = 200;

/// The [`Origin`] of a request, of a stranger until a handler knows better.
pub(super) struct RequestOrigin(pub(super) Origin);

impl FromRequest for RequestOrigin {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(AppState::of(request).map(|state| {
            let peer = request.peer_addr().map(|peer| peer.ip());
            Self(Origin {
                actor: Actor::Stranger,
                ip: peer.map(|peer| client_address(peer, request.headers(), &state.settings.server)),
                request_id: event_request_id(request, &state.settings.server),
                at: state.clock.now(),
            })
        }))
    }
}

/// Returns which client a request came from, as far as it can be told.
pub(super) fn place(request: &HttpRequest, origin: &Origin) -> Place {
    Place { ip: origin.ip, device: device(request) }
}

/// What the client calls itself. What is not UTF-8 is replaced: a device without a name could be told from no other.
fn device(request: &HttpRequest) -> Option<String> {
    let text = String::from_utf8_lossy(request.headers().get(USER_AGENT)?.as_bytes());
    let cut: String = text.chars().take(MAX_DEVICE_CHARACTERS).collect();
    (!cut.is_empty()).then_some(cut)
}
