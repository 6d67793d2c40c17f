//! `tokenbooth selftest`: tries the attacks of `corpus/` against a running service, this one or any other that is described by a
//! profile, and says which of them it accepts.

mod attack;
mod corpus;
mod flow;
mod forge;
mod key_server;
mod service;

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use self::attack::{Attacker, Outcome};
use self::corpus::{Case, Corpus, Severity};
use self::service::Service;
use super::CommandError;
use crate::mock::MockProviders;

#[derive(Args)]
pub(super) struct Selftest {
    /// The service to try, with its public address
    #[arg(long, value_name = "URL")]
    url: String,
    /// Run an OpenID provider at this address, which the service has to trust; without it, cases that need a sign-in are skipped
    #[arg(long, value_name = "ADDRESS:PORT")]
    issuer: Option<SocketAddr>,
    /// The name of that provider in the service's settings
    #[arg(long, value_name = "NAME", default_value = "selftest")]
    provider: String,
    /// Print the settings that make tokenbooth trust that provider, and end
    #[arg(long, requires = "issuer")]
    print_settings: bool,
    /// The secret with which the service signs access tokens (HS256), in a file; without it, cases with an access token that is changed
    /// and signed anew are skipped
    #[arg(long, value_name = "FILE")]
    token_secret_file: Option<PathBuf>,
    /// How the service is asked, as in corpus/profile.json (that of tokenbooth when absent)
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Cases from this folder in place of the built-in ones
    #[arg(long, value_name = "FOLDER")]
    corpus: Option<PathBuf>,
    /// Only cases whose id begins so
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Print one JSON object for each case
    #[arg(long)]
    json: bool,
}

/// Tries all cases. Fails if one of severity `high` or `critical` is accepted, or one could not be tried.
///
/// # Errors
/// Returns an error if the corpus, the profile or the address is unusable, and after it has printed the result if that is bad.
pub(super) async fn run(options: &Selftest) -> Result<(), CommandError> {
    let issuer = match options.issuer {
        Some(address) => Some(MockProviders::start_on(address).await?),
        None => None,
    };
    if let Some(issuer) = issuer.as_ref().filter(|_| options.print_settings) {
        return print_settings(issuer, &options.provider);
    }
    let corpus = Corpus::load(options.corpus.as_deref())?;
    let service = Service::new(&options.url, &options.provider, options.profile.as_deref())?;
    let secret = options.token_secret_file.as_deref().map(read_secret).transpose()?;
    let mut attacker = Attacker::new(service, issuer, secret)?;
    attacker.begin().await.map_err(|reason| CommandError::Other(format!("{}: {reason}", options.url)))?;
    let mut summary = Summary::default();
    for case in corpus.cases.iter().filter(|case| case.id.starts_with(&options.only)) {
        let outcome = attacker.try_case(case).await;
        summary.add(case, &outcome);
        print_case(case, &outcome, options.json)?;
    }
    summary.print(options.json)?;
    if summary.is_good() { Ok(()) } else { Err(CommandError::Told) }
}

fn read_secret(path: &Path) -> Result<SecretString, CommandError> {
    let text = fs::read_to_string(path)
        .map_err(|error| CommandError::Other(format!("--token-secret-file {}: {error}", path.display())))?;
    Ok(text.trim().to_owned().into())
}

fn print_settings(issuer: &MockProviders, provider: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    for (key, value) in issuer.oidc_settings(provider) {
        let variable = key.to_uppercase().replace('.', "__");
        writeln!(out, "TOKENBOOTH__{variable}={value}")?;
    }
    // Where apps get codes, as in the profile; everything comes from one address; and an unknown key is asked for at once.
    writeln!(out, "TOKENBOOTH__SIGN_IN__REDIRECT_URIS=http://127.0.0.1/callback")?;
    writeln!(out, "TOKENBOOTH__RATE_LIMIT__ENABLED=false")?;
    Ok(writeln!(out, "TOKENBOOTH__JWKS__COOLDOWN=1s")?)
}

fn print_case(case: &Case, outcome: &Outcome, as_json: bool) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let Case { id, title, severity, why, source, .. } = case;
    if as_json {
        let line = json!({
            "id": id, "title": title, "severity": severity.as_str(), "outcome": outcome.as_str(), "detail": outcome.detail(),
            "why": why, "source": source,
        });
        return Ok(writeln!(out, "{line}")?);
    }
    match outcome {
        Outcome::Accepted(detail) => writeln!(
            out,
            "ACCEPTED {id} ({}): {title}\n    {detail}\n    Why it matters: {why}\n    Source: {source}",
            severity.as_str()
        )?,
        Outcome::NotTried(reason) => writeln!(out, "NOT TRIED {id}: {title}\n    {reason}")?,
        Outcome::Rejected | Outcome::Skipped(_) => {}
    }
    Ok(())
}

/// How many cases ended how.
#[derive(Debug, Default)]
struct Summary {
    rejected: usize,
    accepted: usize,
    /// Of those accepted, the ones of severity `high` or `critical`.
    severe: usize,
    not_tried: usize,
    skipped: usize,
}

impl Summary {
    fn add(&mut self, case: &Case, outcome: &Outcome) {
        match outcome {
            Outcome::Rejected => self.rejected += 1,
            Outcome::Accepted(_) => {
                self.accepted += 1;
                self.severe += usize::from(case.severity >= Severity::High);
            }
            Outcome::NotTried(_) => self.not_tried += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }

    fn is_good(&self) -> bool {
        self.severe == 0 && self.not_tried == 0 && self.rejected > 0
    }

    fn print(&self, as_json: bool) -> Result<(), CommandError> {
        let Self { rejected, accepted, severe, not_tried, skipped } = self;
        let mut out = io::stdout().lock();
        if as_json {
            let line = json!({
                "rejected": rejected, "accepted": accepted, "severe": severe, "not_tried": not_tried, "skipped": skipped,
            });
            return Ok(writeln!(out, "{line}")?);
        }
        writeln!(
            out,
            "{rejected} attacks rejected, {accepted} accepted ({severe} of them high or critical), {not_tried} not tried, {skipped} skipped"
        )?;
        if *skipped > 0 {
            writeln!(
                out,
                "Skipped cases need --issuer, --token-secret-file, or an operation that the profile does not have."
            )?;
        }
        Ok(())
    }
}
