//! The whole service through a PgBouncer that gives each transaction another session of PostgreSQL.

use futures_util::future::{join, join_all};
use serde_json::json;
use tokenbooth::db::{self, DatabaseUrl};
use tokenbooth::mock::{GithubUser, MockProviders, Person};

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::{Answer, client};
use crate::support::process::Tokenbooth;

/// Fewer than one replica has connections.
const SESSIONS: u32 = 3;

#[actix_web::test]
async fn everything_at_once_through_a_few_sessions() {
    let Some(db) = TestDatabase::behind_pgbouncer(SESSIONS) else { return };
    let app = TestApp::start(db).await;
    app.warm().await;
    join_all((0..24).map(|number| life_of(&app, format!("person-{number}")))).await;
    assert_eq!(app.db.count("users"), 24, "one each, however many signed in for the first time at once");
}

/// All that one person can do, while others do it too.
async fn life_of(app: &TestApp, name: String) {
    let id_token = app.mock.google().id_token(Person::named(&name).claims());
    let first = join_all((0..4).map(|_| app.exchange_id_token(&id_token))).await;
    let ids: Vec<_> = first.iter().map(|answer| answer.assert_signed_in().user_id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(first.iter().filter(|answer| answer.json["created"] == true).count(), 1);

    // The same refresh token from two tabs: one successor.
    let mut signed_in = app.sign_in_offline(Person::named(&name)).await;
    for _ in 0..3 {
        let token = signed_in.refresh_token().to_owned();
        let (one, other) = join(app.refresh(&token), app.refresh(&token)).await;
        signed_in = one.assert_signed_in();
        assert_eq!(signed_in.refresh_token(), other.assert_signed_in().refresh_token());
    }

    let linked = app.link_github(&signed_in.jwt, GithubUser::named(&name)).await;
    assert_eq!(linked.status, 201, "{}", linked.text);
    let reads = ["/api/me", "/api/me/identities", "/api/me/sessions", "/api/me"];
    for answer in join_all(reads.map(|path| app.get_as(path, &signed_in.jwt))).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let new_name = json!({ "name": name });
    let changed = app.send_as("PATCH", "/api/me", &signed_in.jwt, &new_name).await;
    assert_eq!((changed.status, &changed.json["name"]), (200, &new_name["name"]));

    // Out everywhere, at the next request.
    let out = app.send_as("POST", "/auth/logout-all", &signed_in.jwt, &json!(null)).await;
    assert_eq!(out.status, 204, "{}", out.text);
    app.me(&signed_in.jwt).await.assert_problem(401, "invalid_token");
    app.refresh(signed_in.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
}

#[actix_web::test]
async fn two_replicas_that_start_at_once_migrate_and_the_commands_work() {
    let Some(db) = TestDatabase::behind_pgbouncer(SESSIONS) else { return };
    let url = DatabaseUrl::parse(&db.url).expect("a good URL");
    db::revert_all(&url).expect("every migration goes down");
    let mock = MockProviders::start().await.expect("the mock starts");
    let mut replicas: Vec<_> = (0..2).map(|_| Tokenbooth::serving(&mock, &db.url).start()).collect();
    for replica in &mut replicas {
        replica.wait_for("connections share sessions of PostgreSQL: statements are not prepared");
        replica.url();
    }
    assert_eq!(db::pending_migrations(&url), Ok(vec![]));
    let run = |arguments: &[&str]| {
        let output = Tokenbooth::new(arguments).set("database.url", &db.url).output();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let id_token = json!({ "id_token": mock.google().id_token(json!({})) });
    let exchange = client().post(format!("{}/auth/google", replicas[0].url())).json(&id_token).send().await;
    let user_id = Answer::of(exchange.expect("an answer")).await.assert_signed_in().user_id;
    for command in ["show", "disable", "enable", "revoke"] {
        let (success, text) = run(&["user", command, &user_id]);
        assert!(success, "user {command}: {text}");
    }
    let (_, text) = run(&["check"]);
    assert!(
        text.contains("ok       database: PostgreSQL ") && text.contains(", schema up to date"),
        "{text}"
    );
    assert!(text.contains("ok       database.prepared_statements: a pooler gives"), "{text}");
}
