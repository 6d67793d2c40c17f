//! docs/ACCOUNT-TAKEOVER.md, followed word by word: what it says is typed into a shell, while a thief tries everything they have.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::{SignedIn, TestApp};

const GUIDE: &str = include_str!("../../docs/ACCOUNT-TAKEOVER.md");
const ALICE: &str = "alice@example.com";
const PASSWORD: &str = "a password that mallory chose";

/// The commands of a section of the guide, in order.
fn commands(section: &str) -> Vec<String> {
    let begins = GUIDE.find(&format!("## {section}\n")).expect("the section");
    let text = &GUIDE[begins + 3..];
    let text = &text[..text.find("\n## ").unwrap_or(text.len())];
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

/// Types a command of the guide into a shell, and returns what it prints.
fn typed(app: &TestApp, command: &str, token: &str, identity: &str) -> String {
    let command = command
        .replace("https://auth.mail.com", &app.base)
        .replace("alice@mail.com", ALICE)
        .replace("IDENTITY_ID", identity)
        .replace("curl ", "curl --silent --show-error --fail-with-body --noproxy '*' ");
    let program = Path::new(env!("CARGO_BIN_EXE_tokenbooth")).parent().expect("a folder");
    let path = format!("{}:/usr/bin:/bin", program.display());
    let output = Command::new("sh")
        .args(["-euc", &command])
        .env_clear()
        .env("PATH", path)
        .env("TOKEN", token)
        .env("TOKENBOOTH__DATABASE__URL", &app.db.url)
        .env("TOKENBOOTH_CONFIG_DIR", program)
        .output()
        .expect("a shell");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}: {told} {}", String::from_utf8_lossy(&output.stderr));
    told
}

/// What the thief has of Alice's account.
struct Loot {
    stolen: SignedIn,
    by_password: SignedIn,
    by_github: SignedIn,
    id_token: String,
}

/// The thief has Alice's tokens of a moment ago, sets a first password, links an own GitHub account, and signs in by both.
async fn take_over(app: &TestApp) -> Loot {
    let id_token = app.mock.google().id_token_of(&Person::named("alice"), json!({ "iat": now(app) - 60 }));
    let stolen = app.sign_in_offline(Person::named("alice")).await;
    let password = json!({ "new_password": PASSWORD });
    assert_eq!(app.send_as("PUT", "/api/me/password", &stolen.jwt, &password).await.status, 204);
    assert_eq!(app.link_github(&stolen.jwt, GithubUser::named("mallory")).await.status, 201);
    let body = json!({ "email": ALICE, "password": PASSWORD, "scope": "offline_access" });
    let by_password = app.post("/auth/password", &body).await.assert_signed_in();
    let token = app.mock.github().access_token(GithubUser::named("mallory"));
    let body = json!({ "access_token": token, "scope": "offline_access" });
    let by_github = app.exchange("github", &body).await.assert_signed_in();
    assert_eq!(by_github.user_id, stolen.user_id);
    Loot { stolen, by_password, by_github, id_token }
}

fn now(app: &TestApp) -> i64 {
    use tokenbooth::clock::Clock;
    app.clock.now().0
}

/// Asserts that none of it opens Alice's account.
async fn assert_shut_out(app: &TestApp, loot: &Loot) {
    for tokens in [&loot.stolen, &loot.by_password, &loot.by_github] {
        app.me(&tokens.jwt).await.assert_problem(401, "invalid_token");
        app.get_as("/auth/verify", &tokens.jwt).await.assert_problem(401, "invalid_token");
        app.refresh(tokens.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
    }
    app.sign_in_with_password(ALICE, PASSWORD).await.assert_problem(401, "invalid_credentials");
    app.exchange_id_token(&loot.id_token).await.assert_problem(401, "invalid_token");
    let stranger = app.exchange_github(GithubUser::named("mallory")).await.assert_signed_in();
    assert_ne!(stranger.user_id, loot.stolen.user_id);
}

fn github_of(identities: &[Value]) -> String {
    let github =
        identities.iter().find(|identity| identity["provider"] == "github").expect("the thief's GitHub");
    github["id"].as_str().expect("an id").to_owned()
}

on_both_databases! {
    async fn the_owner_shuts_the_thief_out(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let loot = take_over(&app).await;
        let commands = commands("The owner can still sign in");
        let [end_everything, remove_password, list, unlink] = commands.as_slice() else { panic!("{commands:?}") };
        let owner = app.sign_in(Person::named("alice")).await;
        assert_eq!(owner.user_id, loot.stolen.user_id);
        typed(&app, end_everything, &owner.jwt, "");
        let owner = app.sign_in(Person::named("alice")).await;
        typed(&app, remove_password, &owner.jwt, "");
        // The thief comes back with what is still linked.
        let token = app.mock.github().access_token(GithubUser::named("mallory"));
        let body = json!({ "access_token": token, "scope": "offline_access" });
        let by_github = app.exchange("github", &body).await.assert_signed_in();
        assert_eq!(by_github.user_id, owner.user_id);
        let owner = app.sign_in(Person::named("alice")).await;
        let listed: Value = serde_json::from_str(&typed(&app, list, &owner.jwt, "")).expect("JSON");
        typed(&app, unlink, &owner.jwt, &github_of(listed["items"].as_array().expect("items")));
        assert_shut_out(&app, &loot).await;
        assert_shut_out(&app, &Loot { by_github, ..loot }).await;
        assert_eq!(app.me(&app.sign_in(Person::named("alice")).await.jwt).await.json["has_password"], false);
    }

    async fn an_administrator_shuts_the_thief_out(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let loot = take_over(&app).await;
        let mut identity = String::new();
        for command in commands("The owner cannot sign in any more") {
            let told = typed(&app, &command, "", &identity);
            if command.starts_with("tokenbooth user disable") {
                app.me(&loot.by_password.jwt).await.assert_problem(401, "invalid_token");
                app.sign_in_with_password(ALICE, PASSWORD).await.assert_problem(403, "user_disabled");
            }
            if command.starts_with("tokenbooth user identities") {
                let listed: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
                identity = github_of(&listed);
            }
            if command.starts_with("tokenbooth events list --user") {
                // What the thief did is there to be seen.
                for kind in ["password.set", "identity.linked", "sign_in.succeeded"] {
                    assert!(told.contains(kind), "{kind}: {told}");
                }
            }
        }
        assert!(!identity.is_empty());
        assert_shut_out(&app, &loot).await;
        assert_eq!(app.sign_in(Person::named("alice")).await.user_id, loot.stolen.user_id);
    }
}
