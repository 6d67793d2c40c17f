//! Trying one case: the attacker has an account, a browser, and an OpenID provider that the service trusts, whose key only that
//! provider's rightful tokens are signed with.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::{Map, Value, json};
use url::Url;

use super::CommandError;
use super::corpus::{Attack, Case, Forgery, Operation, Request};
use super::forge::{Original, Signer};
use super::key_server::KeyServer;
use super::service::{Jar, Response, Service, Values, fill};
use crate::mock::{Issuer, MockProviders, Person, SigningKey, oidc};

/// For the first sign-in: the service may have been started before the provider.
const PATIENCE: Duration = Duration::from_secs(90);
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// How an attack ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Rejected,
    /// What was accepted.
    Accepted(String),
    /// What did not work that has to work before the attack.
    NotTried(String),
    /// What is missing to try it.
    Skipped(String),
}

impl Outcome {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Accepted(_) => "accepted",
            Self::NotTried(_) => "not_tried",
            Self::Skipped(_) => "skipped",
        }
    }

    pub(super) fn detail(&self) -> &str {
        match self {
            Self::Rejected => "",
            Self::Accepted(detail) | Self::NotTried(detail) | Self::Skipped(detail) => detail,
        }
    }

    fn of(response: &Response) -> Self {
        if (200..300).contains(&response.status) {
            return Self::Accepted(format!("The service responded {}.", response.status));
        }
        // An error of the service is no judgement, and an attack may have caused it.
        if response.status >= 500 {
            return Self::Accepted(format!("The service failed with {}.", response.status));
        }
        Self::Rejected
    }
}

/// Why a case is not decided.
pub(super) enum Stop {
    Missing(String),
    Failed(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

pub(super) struct Attacker {
    pub(super) service: Service,
    issuer: Option<MockProviders>,
    /// The secret with which the service signs access tokens.
    secret: Option<SecretString>,
    key: SigningKey,
    /// Where the attacker's key can be had, for services that follow a token there.
    key_server: KeyServer,
    people: u32,
}

impl Attacker {
    /// # Errors
    /// Returns an error if no key can be made, or no port be opened to serve it.
    pub(super) fn new(
        service: Service,
        issuer: Option<MockProviders>,
        secret: Option<SecretString>,
    ) -> Result<Self, CommandError> {
        let key = SigningKey::foreign()?;
        // Where the provider can be reached, the attacker can be, too.
        let address = issuer.as_ref().and_then(|issuer| Url::parse(issuer.base_url()).ok());
        let host = address.and_then(|url| url.host_str().map(ToOwned::to_owned));
        let key_server = KeyServer::start(host.as_deref().unwrap_or("127.0.0.1"), &key)?;
        Ok(Self { service, issuer, secret, key, key_server, people: 0 })
    }

    /// Finds out whether what is rightful is accepted; otherwise a rejection proves nothing.
    ///
    /// # Errors
    /// Returns what is not accepted.
    pub(super) async fn begin(&mut self) -> Result<(), String> {
        let root =
            Request { method: "GET".into(), path: "/".into(), headers: vec![], json: None, form: None };
        self.service.send(&root, &self.service.values(), None).await?;
        if self.issuer.is_none() {
            return Ok(());
        }
        let start = Instant::now();
        let values = loop {
            match self.sign_in().await {
                Ok(values) => break values,
                Err(Stop::Missing(_)) => return Ok(()),
                Err(Stop::Failed(reason)) if start.elapsed() > PATIENCE => {
                    return Err(format!(
                        "A valid ID token is not accepted, so no rejection proves anything. {reason}"
                    ));
                }
                Err(Stop::Failed(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        };
        self.check_access_token(values).await
    }

    /// Reads with a valid access token, and with one that is signed anew.
    async fn check_access_token(&self, mut values: Values) -> Result<(), String> {
        let Some(read) = self.service.operation(Operation::Read) else { return Ok(()) };
        match self.service.send(read, &values, None).await?.status {
            200..300 => {}
            status => {
                return Err(format!("A valid access token is not accepted: the service responded {status}."));
            }
        }
        let Some(original) = self.secret.as_ref().and_then(|_| Original::parse(&values["access_token"]))
        else {
            return Ok(());
        };
        // Its members may be written in another order, so that the signature has to be a new one.
        let signed = original.forge(&Forgery::default(), &self.signer(), &self.key);
        values.insert("access_token".to_owned(), signed);
        match self.service.send(read, &values, None).await?.status {
            200..300 => Ok(()),
            status => Err(format!(
                "An access token that is signed with the secret of --token-secret-file is not accepted: the service responded {status}."
            )),
        }
    }

    pub(super) async fn try_case(&mut self, case: &Case) -> Outcome {
        let asked = self.key_server.requests();
        let decided = match &case.attack {
            Attack::IdToken(forgery) => self.with_id_token(forgery).await,
            Attack::AccessToken(forgery) => self.with_access_token(forgery).await,
            Attack::SignIn(members) => self.with_body(members).await,
            Attack::Request(request) => self.with_request(request).await,
            Attack::RedirectTo(target) => self.with_redirect(target).await,
            Attack::Flow(steps) => self.with_flow(steps).await,
        };
        if self.key_server.requests() > asked {
            return Outcome::Accepted("The service asked an address that the attacker named.".to_owned());
        }
        match decided {
            Ok(outcome) => outcome,
            Err(Stop::Missing(what)) => Outcome::Skipped(what),
            Err(Stop::Failed(reason)) => Outcome::NotTried(reason),
        }
    }

    async fn with_id_token(&mut self, forgery: &Forgery) -> Result<Outcome, Stop> {
        let person = self.next_person();
        let mut values = self.values(&person, 0)?;
        let issuer = self.issuer()?;
        let original = Original::parse(&values["id_token"]).ok_or_else(|| "no valid token".to_owned())?;
        let forged = original.forge(&forgery.filled(&values), &Signer::Provider(issuer), &self.key);
        values.insert("id_token".to_owned(), forged);
        let response = self.service.send(self.operation(Operation::SignIn)?, &values, None).await?;
        Ok(Outcome::of(&response))
    }

    async fn with_access_token(&mut self, forgery: &Forgery) -> Result<Outcome, Stop> {
        if forgery.is_signed_anew() && self.secret.is_none() {
            return Err(Stop::Missing("It needs --token-secret-file.".to_owned()));
        }
        let mut values = self.sign_in().await?;
        let original = Original::parse(&values["access_token"])
            .ok_or_else(|| Stop::Missing("The service's access tokens are no JWTs.".to_owned()))?;
        let forged = original.forge(&forgery.filled(&values), &self.signer(), &self.key);
        values.insert("access_token".to_owned(), forged);
        let response = self.service.send(self.operation(Operation::Read)?, &values, None).await?;
        Ok(Outcome::of(&response))
    }

    async fn with_body(&mut self, members: &Map<String, Value>) -> Result<Outcome, Stop> {
        let values = self.sign_in().await?;
        let mut request = self.operation(Operation::SignIn)?.clone();
        let Some(Value::Object(body)) = &mut request.json else {
            return Err(Stop::Missing("The profile's sign_in has no JSON body.".to_owned()));
        };
        body.extend(members.clone());
        Ok(Outcome::of(&self.service.send(&request, &values, None).await?))
    }

    async fn with_request(&mut self, request: &Request) -> Result<Outcome, Stop> {
        let needs_tokens = serde_json::to_string(&request.headers).is_ok_and(|text| text.contains("_token}"))
            || request.path.contains("_token}");
        let values = if needs_tokens { self.sign_in().await? } else { self.service.values() };
        self.operation(Operation::Read)?;
        Ok(Outcome::of(&self.service.send(request, &values, None).await?))
    }

    async fn with_redirect(&mut self, target: &str) -> Result<Outcome, Stop> {
        let person = self.next_person();
        let mut values = self.values(&person, 0)?;
        values.insert("redirect_to".to_owned(), fill(target, &values));
        let mut jar = Jar::new();
        let login = self.operation(Operation::BeginLogin)?;
        let response = self.service.send(login, &values, Some(&mut jar)).await?;
        if response.status >= 400 {
            return Ok(Outcome::of(&response));
        }
        let callback = self.choose(&response, &person).await?;
        let response = self.service.visit(&callback, &mut jar).await?;
        let Some(location) = &response.location else { return Ok(Outcome::Rejected) };
        let leads_to = Url::parse(&callback).and_then(|here| here.join(location));
        match leads_to {
            Ok(url) if url.origin() == self.service.base.origin() => Ok(Outcome::Rejected),
            _ => Ok(Outcome::Accepted(format!("The sign-in ends at {location:?}."))),
        }
    }

    /// Signs a person in, and returns the tokens.
    pub(super) async fn sign_in(&mut self) -> Result<Values, Stop> {
        let person = self.next_person();
        let mut values = self.values(&person, 0)?;
        let response = self.service.send(self.operation(Operation::SignIn)?, &values, None).await?;
        let Some(token) = response.body["access_token"].as_str().filter(|_| response.status == 200) else {
            let (status, body) = (response.status, response.body);
            return Err(Stop::Failed(format!(
                "The sign-in with a valid ID token responded {status} {body}."
            )));
        };
        values.insert("access_token".to_owned(), token.to_owned());
        let refresh_token = response.body["refresh_token"].as_str();
        values.extend(refresh_token.map(|token| ("refresh_token".to_owned(), token.to_owned())));
        Ok(values)
    }

    /// A person nobody has seen.
    pub(super) fn next_person(&mut self) -> Person {
        self.people += 1;
        let name = format!("selftest-{}-{}", uuid::Uuid::new_v4().simple(), self.people);
        Person { sub: name.clone(), ..Person::named(&name) }
    }

    /// What a request of this person may use, whose ID token was issued so many seconds from now.
    pub(super) fn values(&self, person: &Person, offset: i64) -> Result<Values, Stop> {
        use crate::clock::{Clock, SystemClock};
        let issuer = self.issuer()?;
        let mut values = self.service.values();
        let claims = issuer.claims_of(person, json!({ "iat": SystemClock.now().0 + offset }));
        values.insert("issuer".to_owned(), claims["iss"].as_str().unwrap_or_default().to_owned());
        values.insert("client_id_at_issuer".to_owned(), oidc::CLIENT_ID.to_owned());
        values.insert("id_token".to_owned(), issuer.sign_claims(&claims));
        values.insert("verifier".to_owned(), VERIFIER.to_owned());
        values.insert("challenge".to_owned(), CHALLENGE.to_owned());
        values.insert("attacker".to_owned(), self.key_server.url().to_owned());
        Ok(values)
    }

    pub(super) fn operation(&self, operation: Operation) -> Result<&Request, Stop> {
        let missing = || Stop::Missing(format!("The profile does not have {operation:?}."));
        self.service.operation(operation).ok_or_else(missing)
    }

    pub(super) fn running(&self) -> Result<&MockProviders, Stop> {
        self.issuer.as_ref().ok_or_else(|| Stop::Missing("It needs --issuer.".to_owned()))
    }

    fn signer(&self) -> Signer<'_> {
        self.secret.as_ref().map_or(Signer::Unknown, Signer::Secret)
    }

    fn issuer(&self) -> Result<&Issuer, Stop> {
        Ok(self.running()?.oidc())
    }
}
