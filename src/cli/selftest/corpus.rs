//! The cases as they are written in `corpus/*.json`.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::CommandError;
use super::service::{Values, fill, fill_json};

/// The files that are built in.
const BUILT_IN: [(&str, &str); 5] = [
    ("id_tokens.json", include_str!("../../../corpus/id_tokens.json")),
    ("access_tokens.json", include_str!("../../../corpus/access_tokens.json")),
    ("requests.json", include_str!("../../../corpus/requests.json")),
    ("redirects.json", include_str!("../../../corpus/redirects.json")),
    ("flows.json", include_str!("../../../corpus/flows.json")),
];
/// The file of a corpus folder that has no cases.
const PROFILE: &str = "profile.json";

/// All cases, in the order of the files and in them.
pub(super) struct Corpus {
    pub(super) cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    cases: Vec<Case>,
}

/// One attack.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// Stable, and unique in the corpus.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) severity: Severity,
    /// What somebody gets whose attack is accepted.
    pub(super) why: String,
    /// A section of a standard, a CVE or a CWE.
    pub(super) source: String,
    pub(super) attack: Attack,
}

/// What somebody gets whose attack is accepted, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What is tried.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Attack {
    /// A sign-in with a forged ID token.
    IdToken(Forgery),
    /// A read with a forged access token.
    AccessToken(Forgery),
    /// A sign-in with these members in its body.
    SignIn(Map<String, Value>),
    /// Any request, which must not be answered with a success.
    Request(Request),
    /// A sign-in in a browser that is to end here.
    RedirectTo(String),
    /// Several requests.
    Flow(Vec<Step>),
}

/// How a token is made from a valid one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Forgery {
    /// Members that replace those of the header; null removes one, and `{"now": n}` is `n` seconds from now.
    pub(super) header: Map<String, Value>,
    /// The same for the claims.
    pub(super) claims: Map<String, Value>,
    /// Members as text, written behind the last of the claims.
    pub(super) append_to_claims: Option<String>,
    pub(super) signature: Signing,
    /// How the parts are put together.
    pub(super) form: Form,
}

/// The parts of a token, put together as `{header}`, `{payload}` and `{signature}` say.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Form(pub(super) String);

impl Default for Form {
    fn default() -> Self {
        Self("{header}.{payload}.{signature}".to_owned())
    }
}

impl Forgery {
    /// Puts values in place of the placeholders.
    pub(super) fn filled(&self, values: &Values) -> Self {
        let filled = |members: &Map<String, Value>| {
            members.iter().map(|(name, value)| (name.clone(), fill_json(value, values))).collect()
        };
        let append_to_claims = self.append_to_claims.as_deref().map(|text| fill(text, values));
        Self { header: filled(&self.header), claims: filled(&self.claims), append_to_claims, ..self.clone() }
    }

    /// Returns whether something is changed that its issuer signs.
    pub(super) fn is_signed_anew(&self) -> bool {
        let is_changed =
            !self.header.is_empty() || !self.claims.is_empty() || self.append_to_claims.is_some();
        is_changed && matches!(self.signature, Signing::Genuine)
    }
}

/// Who signs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Signing {
    /// The issuer, what is changed included.
    #[default]
    Genuine,
    /// The signature of the unchanged token.
    OfUnchanged,
    /// Nobody: the third part is empty.
    None,
    /// Zero bytes.
    Zeros,
    /// The genuine one with a bit changed.
    Flipped,
    /// The first half of the genuine one.
    Truncated,
    /// An RSA key of the attacker.
    Foreign,
    /// The same, with the key in the header's `jwk`.
    Embedded,
    /// HMAC with the issuer's public key as the secret.
    HmacPem,
    HmacDer,
    HmacJwk,
    /// HMAC with this secret.
    HmacText(String),
}

/// A request, as in the profile. Texts may have placeholders in braces.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(super) json: Option<Value>,
    #[serde(default)]
    pub(super) form: Option<Map<String, Value>>,
}

/// A step of a flow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    #[serde(rename = "do")]
    pub(super) operation: Operation,
    /// Under which name its values are kept.
    #[serde(default)]
    pub(super) keep: Option<String>,
    /// Whose values are used.
    #[serde(default)]
    pub(super) with: Option<String>,
    /// Which person signs in; another one for each step if it is absent.
    #[serde(default, rename = "as")]
    pub(super) person: Option<String>,
    /// When the ID token was issued, in seconds from now.
    #[serde(default)]
    pub(super) issued: i64,
    /// In which browser.
    #[serde(default)]
    pub(super) browser: Option<String>,
    /// A parameter of the callback that is changed; to an empty text: removed.
    #[serde(default)]
    pub(super) change: Option<(String, String)>,
    /// A value that is changed.
    #[serde(default)]
    pub(super) set: Option<(String, String)>,
    #[serde(default)]
    pub(super) expect: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    SignIn,
    Read,
    Refresh,
    LogOut,
    LogOutEverywhere,
    DeleteAccount,
    BeginLogin,
    BeginAppLogin,
    FinishLogin,
    RedeemCode,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expected {
    #[default]
    Accepted,
    Rejected,
    Either,
}

impl Corpus {
    /// Reads the built-in corpus, or all files of a folder but the profile.
    ///
    /// # Errors
    /// Returns an error that names the file and the place in it.
    pub(super) fn load(folder: Option<&Path>) -> Result<Self, CommandError> {
        let mut cases = Vec::new();
        let Some(folder) = folder else {
            for (name, text) in BUILT_IN {
                cases.extend(parse(name, text)?);
            }
            return Ok(Self { cases });
        };
        let unreadable =
            |error: std::io::Error| CommandError::Other(format!("{}: {error}", folder.display()));
        let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(unreadable)?.collect();
        let mut paths: Vec<_> = entries.map_err(unreadable)?.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        let is_corpus = |path: &Path| {
            path.extension().is_some_and(|extension| extension == "json")
                && path.file_name().is_some_and(|name| name != PROFILE)
        };
        for path in paths.iter().filter(|path| is_corpus(path)) {
            cases.extend(parse(&path.display().to_string(), &fs::read_to_string(path).map_err(unreadable)?)?);
        }
        Ok(Self { cases })
    }
}

fn parse(name: &str, text: &str) -> Result<Vec<Case>, CommandError> {
    let file: File =
        serde_json::from_str(text).map_err(|error| CommandError::Other(format!("{name}: {error}")))?;
    Ok(file.cases)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_is_readable_and_has_an_id_of_its_own() {
        let corpus = Corpus::load(None).expect("the corpus");
        let ids: BTreeSet<&str> = corpus.cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids.len(), corpus.cases.len());
        assert!(corpus.cases.len() > 100, "{}", corpus.cases.len());
        for case in &corpus.cases {
            assert!(
                !case.title.is_empty() && case.why.ends_with('.') && !case.source.is_empty(),
                "{}",
                case.id
            );
        }
    }
}
