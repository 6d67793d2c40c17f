//! The attacker's own server: it has the attacker's public key at every address, and counts who asks for it. A service asks only if it
//! believes what a token says about its key.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::mock::SigningKey;

/// The key's id in the key set; cases name it in their headers.
const KID: &str = "attacker";
/// For a caller that connects and says nothing.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct KeyServer {
    url: String,
    requests: Arc<AtomicU64>,
}

impl KeyServer {
    /// Serves until the process ends, at a free port of this host.
    ///
    /// # Errors
    /// Returns the system's reason if there is no such port.
    pub(super) fn start(host: &str, key: &SigningKey) -> io::Result<Self> {
        let listener = TcpListener::bind(format!("{host}:0"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let body = json!({ "keys": [key.with_kid(KID).jwk()] }).to_string();
        let response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let requests = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&requests);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                // A caller that gives up is no concern of the attacker's.
                let _ = stream.set_read_timeout(Some(TIMEOUT));
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(response.as_bytes());
            }
        });
        Ok(Self { url, requests })
    }

    /// Returns the address, without a slash at its end.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns how many connections there were.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}
