//! Attacks of several steps: sign-ins in browsers, codes, refresh tokens, and what is done with them afterwards.

use std::collections::BTreeMap;

use url::Url;

use super::attack::{Attacker, Outcome, Stop};
use super::corpus::{Expected, Operation, Step};
use super::service::{Jar, Response, Values, fill};
use crate::mock::Person;

/// How the service rejected a step.
struct Rejection {
    status: u16,
    reason: String,
}

impl Attacker {
    pub(super) async fn with_flow(&mut self, steps: &[Step]) -> Result<Outcome, Stop> {
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
                (Expected::Accepted, Err(rejection)) => {
                    return Err(Stop::Failed(format!("Step {}: {}", number + 1, rejection.reason)));
                }
                (Expected::Rejected, Err(rejection)) if rejection.status >= 500 => {
                    return Ok(Outcome::Accepted(format!(
                        "The service failed with {} at step {}.",
                        rejection.status,
                        number + 1
                    )));
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
    ) -> Result<Result<(), Rejection>, Stop> {
        if step.operation == Operation::FinishLogin {
            let callback = changed(&values["callback"], step.change.as_ref(), stolen)?;
            let response = self.service.visit(&callback, jar).await?;
            let code = response.location.as_deref().and_then(|location| parameter(location, "code"));
            let is_accepted = response.status < 400 && (response.sets_cookie || code.is_some());
            values.extend(code.map(|code| ("code".to_owned(), code)));
            let status = response.status;
            let reason = format!("The callback responded {status}.");
            return Ok(if is_accepted { Ok(()) } else { Err(Rejection { status, reason }) });
        }
        let response = self.service.send(self.operation(step.operation)?, values, Some(jar)).await?;
        let status = response.status;
        let reason = format!("{:?} responded {status} {}.", step.operation, response.body);
        let begins = matches!(step.operation, Operation::BeginLogin | Operation::BeginAppLogin);
        if begins && status < 400 {
            let callback = match self.choose(&response, person).await {
                Err(Stop::Failed(reason)) => return Ok(Err(Rejection { status, reason })),
                chosen => chosen?,
            };
            for name in ["code", "state"] {
                values.extend(parameter(&callback, name).map(|value| (name.to_owned(), value)));
            }
            values.insert("callback".to_owned(), callback);
            return Ok(Ok(()));
        }
        for name in ["access_token", "refresh_token"] {
            let token = response.body[name].as_str();
            values.extend(token.map(|token| (name.to_owned(), token.to_owned())));
        }
        Ok(if (200..300).contains(&status) { Ok(()) } else { Err(Rejection { status, reason }) })
    }

    /// Chooses the person on the provider's page that the service has led to, and returns where the provider leads back to.
    pub(super) async fn choose(&self, response: &Response, person: &Person) -> Result<String, Stop> {
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

/// Returns a parameter of an address.
fn parameter(location: &str, name: &str) -> Option<String> {
    let url = Url::parse(location).ok()?;
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
