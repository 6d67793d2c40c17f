//! What arrives at each redirect URI: our cookie, or a code.

use std::io;

use url::Url;

use super::finding::Findings;
use crate::settings::Settings;

pub(super) fn check(findings: &mut Findings, settings: &Settings) -> io::Result<()> {
    let sign_in = &settings.sign_in;
    let (pages, apps): (Vec<&str>, Vec<&str>) =
        sign_in.redirect_uris.iter().map(String::as_str).partition(|uri| uri.starts_with("https://"));
    if !pages.is_empty() {
        let found = format!("the browser arrives with our cookie and without a code at {}", pages.join(", "));
        findings.good("sign_in.redirect_uris", &found)?;
    }
    if !apps.is_empty() {
        let found = format!("an app gets a code at {}", apps.join(", "));
        findings.good("sign_in.redirect_uris", &found)?;
    }
    if !sign_in.code_redirect_uris.is_empty() {
        let found = format!("an app or a server gets a code at {}", sign_in.code_redirect_uris.join(", "));
        findings.good("sign_in.code_redirect_uris", &found)?;
    }
    let host = |text: &str| Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned));
    let ours = host(&settings.public_url());
    for page in pages.into_iter().filter(|page| host(page) != ours) {
        let found = format!(
            "{page} is on another host than server.public_url, and browsers do not send our cookie there"
        );
        let remedy = "If an app or a server exchanges codes there, move it to sign_in.code_redirect_uris";
        findings.warn("sign_in.redirect_uris", &found, remedy)?;
    }
    Ok(())
}
