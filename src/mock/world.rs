//! All that one mock knows.

use std::net::SocketAddr;
use std::sync::Arc;

use super::faults::Faults;
use super::journal::Journal;
use super::{Github, Issuer, MockError, apple, gitlab, google, microsoft, oidc};

/// Nothing of it is shared with another mock in the process.
pub(super) struct World {
    pub(super) base_url: String,
    pub(super) google: Arc<Issuer>,
    pub(super) oidc: Arc<Issuer>,
    pub(super) microsoft: Arc<Issuer>,
    pub(super) apple: Arc<Issuer>,
    pub(super) gitlab: Arc<Issuer>,
    pub(super) github: Github,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
}

impl World {
    pub(super) fn new(address: SocketAddr) -> Result<Self, MockError> {
        let base_url = format!("http://{address}");
        Ok(Self {
            google: Arc::new(google::issuer(&base_url)?),
            oidc: Arc::new(oidc::issuer(&base_url)?),
            microsoft: Arc::new(microsoft::issuer(&base_url)?),
            apple: Arc::new(apple::issuer(&base_url)?),
            gitlab: Arc::new(gitlab::issuer(&base_url)?),
            github: Github::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            base_url,
        })
    }
}
