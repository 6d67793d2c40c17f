//! Trying one case: the attacker has an account, a browser, and an OpenID provider that the service trusts, whose key only that
//! provider's rightful tokens are signed with.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use url::Url;

use super::corpus::{Attack, Case, Expected, Forgery, Operation, Request, Step};
use super::forge::Original;
use super::service::{Jar, Response, Service, Values, fill, fill_json};
use crate::mock::{Issuer, MockError, MockProviders, Person, SigningKey, oidc};

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
enum Stop {
    Missing(String),
    Failed(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

pub(super) struct Attacker {
    service: Service,
    issuer: Option<MockProviders>,
    key: SigningKey,
    people: u32,
}

impl Attacker {
    /// # Errors
    /// Returns an error if no key can be made.
    pub(super) fn new(service: Service, issuer: Option<MockProviders>) -> Result<Self, MockError> {
        Ok(Self { service, issuer, key: SigningKey::foreign()?, people: 0 })
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
        let Some(read) = self.service.operation(Operation::Read) else { return Ok(()) };
        match self.service.send(read, &values, None).await?.status {
            200..300 => Ok(()),
            status => Err(format!("A valid access token is not accepted: the service responded {status}.")),
        }
    }

    pub(super) async fn try_case(&mut self, case: &Case) -> Outcome {
        let decided = match &case.attack {
            Attack::IdToken(forgery) => self.with_id_token(forgery).await,
            Attack::AccessToken(forgery) => self.with_access_token(forgery).await,
            Attack::SignIn(members) => self.with_body(members).await,
            Attack::Request(request) => self.with_request(request).await,
            Attack::RedirectTo(target) => self.with_redirect(target).await,
            Attack::Flow(steps) => self.with_flow(steps).await,
        };
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
        let claims = fill_json(&Value::Object(forgery.claims.clone()), &values);
        let filled = Forgery {
            claims: claims.as_object().cloned().unwrap_or_default(),
            header: forgery.header.clone(),
            append_to_claims: forgery.append_to_claims.clone(),
            signature: forgery.signature.clone(),
            form: forgery.form.clone(),
        };
        let forged = original.forge(&filled, Some(issuer), &self.key);
        values.insert("id_token".to_owned(), forged);
        let response = self.service.send(self.operation(Operation::SignIn)?, &values, None).await?;
        Ok(Outcome::of(&response))
    }

    async fn with_access_token(&mut self, forgery: &Forgery) -> Result<Outcome, Stop> {
        let mut values = self.sign_in().await?;
        let original = Original::parse(&values["access_token"])
            .ok_or_else(|| Stop::Missing("The service's access tokens are no JWTs.".to_owned()))?;
        let forged = original.forge(forgery, None, &self.key);
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

    async fn with_flow(&mut self, steps: &[Step]) -> Result<Outcome, Stop> {
        let mut kept: BTreeMap<&str, Values> = BTreeMap::new();
        let mut browsers: BTreeMap<&str, Jar> = BTreeMap::new();
        let mut people: BTreeMap<&str, Person> = BTreeMap::new();
        for (number, step) in steps.iter().enumerate() {
            let person = match &step.person {
                Some(name) => people.entry(name).or_insert_with(|| self.next_person()).clone(),
                None => self.next_person(),
            };
            let mut values = match &step.with {
                Some(name) => kept.get(name.as_str()).cloned().unwrap_or_default(),
                None => self.values(&person, step.issued)?,
            };
            if let Some((name, value)) = &step.set {
                values.insert(name.clone(), fill(value, &values));
            }
            let jar = browsers.entry(step.browser.as_deref().unwrap_or_default()).or_default();
            let stolen: Values = kept
                .iter()
                .flat_map(|(name, values)| {
                    values.iter().map(move |(key, value)| (format!("{name}.{key}"), value.clone()))
                })
                .collect();
            let accepted = self.step(step, &person, &mut values, jar, &stolen).await?;
            match (step.expect, accepted) {
                (Expected::Accepted, Err(reason)) => {
                    return Err(Stop::Failed(format!("Step {}: {reason}", number + 1)));
                }
                (Expected::Rejected, Ok(())) => {
                    return Ok(Outcome::Accepted(format!("Step {} was accepted.", number + 1)));
                }
                _ => {}
            }
            if let Some(name) = &step.keep {
                kept.insert(name, values);
            }
        }
        Ok(Outcome::Rejected)
    }

    /// Takes a step, and returns whether the service accepted it; otherwise what it responded.
    async fn step(
        &self,
        step: &Step,
        person: &Person,
        values: &mut Values,
        jar: &mut Jar,
        stolen: &Values,
    ) -> Result<Result<(), String>, Stop> {
        if step.operation == Operation::FinishLogin {
            let callback = changed(&values["callback"], step.change.as_ref(), stolen)?;
            let response = self.service.visit(&callback, jar).await?;
            let code = response.location.as_deref().and_then(code_in);
            let is_accepted = response.status < 400 && (response.sets_cookie || code.is_some());
            values.extend(code.map(|code| ("code".to_owned(), code)));
            return Ok(if is_accepted {
                Ok(())
            } else {
                Err(format!("the callback responded {}", response.status))
            });
        }
        let response = self.service.send(self.operation(step.operation)?, values, Some(jar)).await?;
        if matches!(step.operation, Operation::BeginLogin | Operation::BeginAppLogin) {
            let callback = self.choose(&response, person).await?;
            values.extend(code_in(&callback).map(|code| ("code".to_owned(), code)));
            values.insert("callback".to_owned(), callback);
            return Ok(Ok(()));
        }
        for name in ["access_token", "refresh_token"] {
            let token = response.body[name].as_str();
            values.extend(token.map(|token| (name.to_owned(), token.to_owned())));
        }
        Ok(match response.status {
            200..300 => Ok(()),
            status => Err(format!("{:?} responded {status} {}", step.operation, response.body)),
        })
    }

    /// Signs a person in, and returns the tokens.
    async fn sign_in(&mut self) -> Result<Values, Stop> {
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

    /// Chooses the person on the provider's page that the service has led to, and returns where the provider leads back to.
    async fn choose(&self, response: &Response, person: &Person) -> Result<String, Stop> {
        let location = response.location.as_deref().unwrap_or_default();
        let leads_to = self.service.base.join(location).map_err(|error| error.to_string())?;
        let issuer = self.running()?.base_url();
        if !leads_to.as_str().starts_with(issuer) {
            let status = response.status;
            return Err(Stop::Failed(format!("The login does not lead to {issuer}: {status} {location}")));
        }
        let chosen = format!("{leads_to}&mock_person={}", person.sub);
        let back = self.service.visit(&chosen, &mut Jar::new()).await?;
        back.location.ok_or_else(|| Stop::Failed(format!("The provider responded {}.", back.status)))
    }

    /// A person nobody has seen.
    fn next_person(&mut self) -> Person {
        self.people += 1;
        let name = format!("selftest-{}-{}", uuid::Uuid::new_v4().simple(), self.people);
        Person { sub: name.clone(), ..Person::named(&name) }
    }

    /// What a request of this person may use, whose ID token was issued so many seconds from now.
    fn values(&self, person: &Person, offset: i64) -> Result<Values, Stop> {
        use crate::clock::{Clock, SystemClock};
        let issuer = self.issuer()?;
        let mut values = self.service.values();
        let claims = issuer.claims_of(person, json!({ "iat": SystemClock.now().0 + offset }));
        values.insert("issuer".to_owned(), claims["iss"].as_str().unwrap_or_default().to_owned());
        values.insert("client_id_at_issuer".to_owned(), oidc::CLIENT_ID.to_owned());
        values.insert("id_token".to_owned(), issuer.sign_claims(&claims));
        values.insert("verifier".to_owned(), VERIFIER.to_owned());
        values.insert("challenge".to_owned(), CHALLENGE.to_owned());
        Ok(values)
    }

    fn operation(&self, operation: Operation) -> Result<&Request, Stop> {
        let missing = || Stop::Missing(format!("The profile does not have {operation:?}."));
        self.service.operation(operation).ok_or_else(missing)
    }

    fn running(&self) -> Result<&MockProviders, Stop> {
        self.issuer.as_ref().ok_or_else(|| Stop::Missing("It needs --issuer.".to_owned()))
    }

    fn issuer(&self) -> Result<&Issuer, Stop> {
        Ok(self.running()?.oidc())
    }
}

/// Returns the callback with a parameter changed, or without it.
fn changed(callback: &str, change: Option<&(String, String)>, stolen: &Values) -> Result<String, Stop> {
    let Some((name, value)) = change else { return Ok(callback.to_owned()) };
    let mut url = Url::parse(callback).map_err(|error| error.to_string())?;
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others);
    if !value.is_empty() {
        url.query_pairs_mut().append_pair(name, &fill(value, stolen));
    }
    Ok(url.into())
}

/// Returns the parameter `code` of an address.
fn code_in(location: &str) -> Option<String> {
    let url = Url::parse(location).ok()?;
    url.query_pairs().find(|(key, _)| key == "code").map(|(_, code)| code.into_owned())
}
