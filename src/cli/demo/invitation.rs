//! What to do with a running demo.

use std::io::{self, Write};

use serde_json::json;

use super::{ACME, ADMINISTRATOR};
use crate::mock::{Person, github};

/// Complete shell lines: what the mock mints is already the body that an exchange takes. `service` is a client's id and secret, with
/// a colon between.
pub(super) fn write(out: &mut impl Write, base: &str, mock: &str, service: &str) -> io::Result<()> {
    let json = "-H 'Content-Type: application/json' --data-binary @-";
    writeln!(out, "\nDo it again:\n")?;
    for (path, provider) in [
        ("google/id_token", "google"),
        ("google/access_token", "google"),
        ("github/access_token", "github"),
        ("oidc/id_token", ACME),
    ] {
        writeln!(out, "  curl -s {mock}/mock/{path} | curl -s {json} {base}/auth/{provider}")?;
    }
    let bearer = |claims: &str| {
        format!(
            "-H \"Authorization: Bearer $(curl -s {claims}{mock}/mock/google/id_token | curl -s {json} {base}/auth/google | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')\""
        )
    };
    writeln!(out, "  curl -s {base}/api/me {}", bearer(""))?;
    let ada = json!({ "sub": Person::named("ada").sub, "email": ADMINISTRATOR, "name": "Ada Example" });
    writeln!(
        out,
        "\nAs an administrator:\n\n  curl -s {base}/api/admin/users {}",
        bearer(&format!("-d '{ada}' "))
    )?;
    writeln!(
        out,
        "\nAs a service, by its own id and secret:\n\n  \
         curl -s -u {service} -d grant_type=client_credentials {base}/oauth/token"
    )?;
    writeln!(
        out,
        "\nWith GitHub, from a terminal (the code is to be entered at the mock, by anybody's name):\n\n  \
         TOKENBOOTH__PROVIDERS__GITHUB__WEB_URL={mock}/github {} login --server {base} --client-id {}",
        program(),
        github::CLIENT_ID
    )?;
    writeln!(out, "\nThe sign-in page, where Google's \"ada\" is the administrator:  {base}/sign-in")?;
    writeln!(out, "The API, to try in the browser:                    {base}/docs")?;
    writeln!(out, "\nServing until Ctrl-C; nothing is kept.")?;
    out.flush()
}

/// As it was called, which is how it can be called again.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "tokenbooth".to_owned())
}
