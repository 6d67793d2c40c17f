//! Token exchange (RFC 8693) beside `POST /auth/{provider}`: a test at both doors sends each credential to either, and whatever is
//! said at the first must be said at the second, in the words of RFC 6749.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::app::{Answer, TestApp};

pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The claims of a JWT, unverified.
pub fn claims(jwt: &str) -> Value {
    let payload = jwt.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

impl TestApp {
    /// From now on every [`TestApp::exchange`] is made at both doors, the second time to compare.
    pub fn at_both_doors(mut self) -> Self {
        self.both_doors = true;
        self
    }

    /// Token exchange with these parameters beside the type of the grant.
    pub async fn token_exchange(
        &self,
        issuer: &str,
        kind: &str,
        token: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let form = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_issuer", issuer),
            ("subject_token_type", kind),
            ("subject_token", token),
        ];
        self.post_form("/oauth/token", &[&form, more].concat()).await
    }

    /// Sends what `POST /auth/{provider}` was sent, where the standard has a form for it, and compares.
    pub(super) async fn compare_with_token_exchange(&self, provider: &str, body: &Value, simple: &Answer) {
        let Some((kind, token)) = credential(body) else { return };
        let more: Vec<(&str, &str)> = match &body["nonce"] {
            Value::Null => Vec::new(),
            // RFC 6749 §3.1 treats it as omitted, JSON does not.
            Value::String(nonce) if !nonce.is_empty() => vec![("nonce", nonce)],
            _ => return,
        };
        let standard = self.token_exchange(provider, kind, token, &more).await;
        assert_same(simple, &standard);
        let said = format!("{} {:?}", standard.text, standard.headers);
        if standard.status != 200 {
            let long = token.split('.').filter(|part| part.len() >= 16);
            assert!(
                !long.map(|part| &part[..part.floor_char_boundary(40)]).any(|part| said.contains(part)),
                "{said}"
            );
        }
    }
}

/// The one credential of a body, and its type.
fn credential(body: &Value) -> Option<(&'static str, &str)> {
    let found: Vec<_> = [("id_token", ID_TOKEN), ("credential", ID_TOKEN), ("access_token", ACCESS_TOKEN)]
        .into_iter()
        .filter_map(|(member, kind)| Some((kind, body[member].as_str()?)))
        .collect();
    match found[..] {
        [(kind, token)] if !token.is_empty() && body["token"].is_null() => Some((kind, token)),
        _ => None,
    }
}

fn assert_same(simple: &Answer, standard: &Answer) {
    let code = simple.json["code"].as_str().unwrap_or_default();
    match simple.status {
        200 => {
            assert_eq!(standard.status, 200, "{}", standard.text);
            let jwt = standard.json["access_token"].as_str().expect("a token");
            assert_eq!(claims(jwt)["sub"], simple.json["user"]["id"]);
        }
        413 => drop(standard.assert_oauth_refusal(413, "invalid_request")),
        502..=504 => {
            let told = standard.assert_oauth_refusal(503, "temporarily_unavailable");
            assert!(told.starts_with(code), "{told}");
            assert!(
                standard.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1),
                "{told}"
            );
        }
        // Which member is wrong is another one.
        400 => {
            let told = standard.assert_oauth_refusal(400, "invalid_request");
            assert!(told.starts_with("invalid_request: "), "{told}");
        }
        401 | 403 | 404 => {
            let told = standard.assert_oauth_refusal(400, "invalid_request");
            let detail = simple.json["detail"].as_str().expect("a detail");
            assert_eq!(comparable(told), comparable(&format!("{code}: {detail}")));
            assert_eq!(standard.header("www-authenticate"), "", "nobody is asked to sign in");
        }
        other => panic!("{other} has no counterpart: {}", simple.text),
    }
}

/// In the characters of RFC 6749 §5.2, and without numbers: seconds pass between two requests.
fn comparable(text: &str) -> String {
    let allowed = |c: char| match c {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => c,
        _ => '?',
    };
    let text: String = text.chars().map(allowed).collect();
    text.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
}
