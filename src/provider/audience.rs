//! For whom an ID token may be made (OpenID Connect Core §3.1.3.7, points 3 to 5).

use serde_json::Value;

use super::Refusal;
use crate::jws::Quoted;

/// The client ids that a token may be for.
pub(super) struct Audience {
    client_ids: Vec<String>,
    /// After "is not" in a refusal.
    ours: String,
    /// After "expected" in a refusal.
    expected: String,
}

impl Audience {
    /// Any client id of a provider's settings: the apps on all platforms hand in their tokens at one address.
    pub(super) fn any_of(provider: &str, client_ids: &[String]) -> Self {
        let setting = format!("providers.{provider}.client_ids");
        Self {
            client_ids: client_ids.to_vec(),
            ours: format!("in {setting}"),
            expected: format!("one of {setting}"),
        }
    }

    /// The one that we ask with ourselves: what comes back for another of ours was not made in answer to us.
    pub(super) fn first_of(provider: &str, client_ids: &[String]) -> Self {
        let first = format!("the first of providers.{provider}.client_ids");
        Self {
            client_ids: client_ids.iter().take(1).cloned().collect(),
            ours: first.clone(),
            expected: first,
        }
    }

    /// One audience: ours. Several: only together with an `azp` that is ours. An `azp` is checked wherever it stands.
    pub(super) fn check(&self, aud: &Value, azp: Option<&str>) -> Result<(), Refusal> {
        let audiences: Vec<&str> = match aud {
            Value::String(audience) => vec![audience],
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let texts_only = aud.as_array().is_none_or(|list| list.len() == audiences.len());
        match audiences.as_slice() {
            [] => return Err(self.foreign("the token names no audience")),
            _ if !texts_only => return Err(self.foreign("the token's aud is not a list of texts")),
            [one] => self.check_client_id("audience", one)?,
            several => {
                if !several.iter().any(|audience| self.is_ours(audience)) {
                    let problem = format!("token audience {} is not one of ours", Quoted(several[0]));
                    return Err(self.foreign(&problem));
                }
                if azp.is_none() {
                    return Err(self.foreign("the token has several audiences and no azp"));
                }
            }
        }
        azp.map_or(Ok(()), |azp| self.check_client_id("azp", azp))
    }

    /// `what` names the member that holds `client_id`.
    pub(super) fn check_client_id(&self, what: &str, client_id: &str) -> Result<(), Refusal> {
        if self.is_ours(client_id) {
            return Ok(());
        }
        Err(Refusal::AudienceMismatch(format!("token {what} {} is not {}", Quoted(client_id), self.ours)))
    }

    fn is_ours(&self, client_id: &str) -> bool {
        self.client_ids.iter().any(|ours| ours == client_id)
    }

    fn foreign(&self, problem: &str) -> Refusal {
        Refusal::AudienceMismatch(format!("{problem}, expected {}", self.expected))
    }
}
