//! The people who sign in, as OpenID Connect issuers know them and as GitHub does. Alice is the
//! default everywhere.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::values::sha256_hex;

/// A person as Google and other OpenID Connect issuers describe one (OpenID Connect Core §5.1).
///
/// A member that is `None` is left out of tokens and of the userinfo answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Person {
    /// The issuer's id for the person; Google's have 21 digits.
    pub sub: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the issuer verified the address: a boolean by the standard, a string at some
    /// issuers (and in Google's tokeninfo), hence any value.
    pub email_verified: Option<Value>,
    /// Full name.
    pub name: Option<String>,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// URL of a portrait.
    pub picture: Option<String>,
}

impl Person {
    /// The person of that first name: always the same `sub`, `<name>@example.com`, verified.
    pub fn named(name: &str) -> Self {
        let given = capitalised(name);
        Self {
            sub: format!("1{:020}", number_of(name)),
            email: Some(format!("{}@example.com", name.to_lowercase())),
            email_verified: Some(json!(true)),
            name: Some(format!("{given} Example")),
            given_name: Some(given),
            family_name: Some("Example".into()),
            picture: Some(format!("https://lh3.googleusercontent.com/a/{name}=s96-c")),
        }
    }

    /// The person's members as claims; `null` where one is `None`, so that
    /// `issuer.id_token(person.claims())` leaves it out.
    pub fn claims(&self) -> Value {
        json!(self)
    }
}

impl Default for Person {
    fn default() -> Self {
        Self::named("alice")
    }
}

/// A GitHub account.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct GithubUser {
    /// The account's number, which never changes and is never given again.
    pub id: u64,
    /// The account's name, which its owner may change and another may then take.
    pub login: String,
    /// The name shown; `None` is `null` in the answer.
    pub name: Option<String>,
    /// The address on the public profile; `None`, the usual case, is `null` in the answer.
    pub email: Option<String>,
    /// What `GET /user/emails` lists.
    pub emails: Vec<GithubEmail>,
}

/// One entry of `GET /user/emails`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GithubEmail {
    /// The address.
    pub email: String,
    /// Whether it is the account's main address.
    pub primary: bool,
    /// Whether its owner followed the link that GitHub sent.
    pub verified: bool,
    /// `public`, `private`, or `null` for addresses that are not primary.
    pub visibility: Option<String>,
}

impl GithubEmail {
    /// An address with these two properties.
    pub fn new(email: impl Into<String>, primary: bool, verified: bool) -> Self {
        Self { email: email.into(), primary, verified, visibility: primary.then(|| "private".to_owned()) }
    }
}

impl GithubUser {
    /// The user of that login: always the same `id`; a primary verified address
    /// `<login>@example.com`, listed after an older one that was never verified.
    pub fn named(login: &str) -> Self {
        Self {
            id: number_of(login) % 200_000_000 + 1,
            login: login.to_owned(),
            name: Some(format!("{} Example", capitalised(login))),
            email: None,
            emails: vec![
                GithubEmail::new(format!("{login}@old.example.com"), false, false),
                GithubEmail::new(format!("{login}@example.com"), true, true),
            ],
        }
    }
}

impl Default for GithubUser {
    fn default() -> Self {
        Self::named("alice")
    }
}

/// A number that is always the same for the same name.
fn number_of(name: &str) -> u64 {
    u64::from_str_radix(&sha256_hex(name)[..16], 16).unwrap_or_default()
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}
