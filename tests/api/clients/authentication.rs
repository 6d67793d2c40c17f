//! How a client proves itself (RFC 6749 §2.3.1), and what it gets for it (§4.4).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{GRANT, sign_in};
use crate::databases::TestDatabase;
use crate::support::oauth::Service;
use crate::support::{Answer, TestApp, both_doors};

/// `client_credentials` with these values of `Authorization`, and these parameters beside the grant.
async fn send(app: &TestApp, authorization: &[&str], form: &[(&str, &str)]) -> Answer {
    let form: Vec<_> = [&[GRANT], form].concat();
    let mut request = app.http.post(format!("{}/oauth/token", app.base)).form(&form);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    Answer::of(request.send().await.expect("an answer")).await
}

fn basic(text: impl AsRef<[u8]>) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(text))
}

/// Every character as `%XX`, which a client may write for any of them.
fn all_encoded(text: &str) -> String {
    text.bytes().map(percent_encoding::percent_encode_byte).collect()
}

on_both_databases! {
    async fn a_client_gets_a_token_of_its_own(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let service = app.create_client("Reports", "reports.read mail.send");
        let answer = sign_in(&app, &service).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text);
        let names: Vec<&str> = answer.json.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(names, ["access_token", "expires_in", "scope", "token_type"], "no refresh token");
        assert_eq!(
            (&answer.json["token_type"], &answer.json["expires_in"], &answer.json["scope"]),
            (&json!("Bearer"), &json!(1800), &json!("reports.read mail.send"))
        );
        let claims = claims(&answer);
        assert_eq!(
            (&claims["sub"], &claims["client_id"], &claims["scope"]),
            (&json!(format!("client:{}", service.id)), &json!(service.id), &json!("reports.read mail.send"))
        );
        assert_eq!((claims.get("ver"), claims.get("sid")), (None, None));
        assert_eq!((app.db.count("users"), app.db.count("sessions")), (0, 0));
        // Whatever it asks for, it is no user.
        let token = answer.json["access_token"].as_str().expect("a token");
        for path in ["/api/me", "/api/me/sessions", "/api/admin/users"] {
            app.get_as(path, token).await.assert_problem(401, "invalid_token");
        }
    }

    async fn a_client_may_ask_for_less_and_not_for_more(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let service = app.create_client("Reports", "reports.read mail.send");
        for (wanted, got) in [("mail.send", "mail.send"), ("mail.send reports.read mail.send", "mail.send reports.read"), ("", "reports.read mail.send")] {
            let answer = app.post_form_as("/oauth/token", &service, &[GRANT, ("scope", wanted)]).await;
            assert_eq!((answer.status, &answer.json["scope"]), (200, &json!(got)), "{}", answer.text);
            assert_eq!(claims(&answer)["scope"], got);
        }
        for wanted in ["mail", "mail.send admin", "MAIL.SEND", "offline_access", "mail.send  reports.read", " ", "mail.send\t", "\"", "m\u{e4}il"] {
            let answer = app.post_form_as("/oauth/token", &service, &[GRANT, ("scope", wanted)]).await;
            let told = answer.assert_oauth_refusal(400, "invalid_scope");
            assert!(told.starts_with("invalid_request: scope"), "{told}");
        }
        let bare = app.create_client("Bare", "");
        assert_eq!(sign_in(&app, &bare).await.json["scope"], "");
        app.post_form_as("/oauth/token", &bare, &[GRANT, ("scope", "a")]).await.assert_oauth_refusal(400, "invalid_scope");
    }

    async fn a_client_proves_itself_in_the_header_or_in_the_form(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let service = app.create_client("Reports", "reports.read");
        let Service { id, secret } = &service;
        for authorization in [
            basic(format!("{id}:{secret}")),
            basic(format!("{}:{}", all_encoded(id), all_encoded(secret))),
            basic(format!("{id}:{secret}")).replace("Basic", "bAsIc"),
            basic(format!("{id}:{secret}")).replace("Basic ", "Basic   "),
        ] {
            assert_eq!(send(&app, &[&authorization], &[]).await.status, 200, "{authorization}");
            // RFC 6749 §3.2.1 lets it say its id twice.
            assert_eq!(send(&app, &[&authorization], &[("client_id", id)]).await.status, 200);
        }
        assert_eq!(send(&app, &[], &[("client_id", id), ("client_secret", secret)]).await.status, 200);
    }

    async fn who_is_not_the_client_is_told_one_thing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let service = app.create_client("Reports", "reports.read");
        let other = app.create_client("Other", "reports.read");
        let disabled = app.create_client("Disabled", "reports.read");
        app.disable_client(&disabled);
        let Service { id, secret } = &service;
        let (last, shorter) = (secret.len() - 1, &secret[..secret.len() - 1]);
        let changed = format!("{shorter}{}", if secret.as_bytes()[last] == b'A' { "B" } else { "A" });
        let mut texts = std::collections::BTreeSet::new();
        for (id, secret) in [
            (id.as_str(), changed.as_str()),
            (id, shorter),
            (id, &format!("{secret}A")),
            (id, &format!(" {secret}")),
            (id, &secret.to_uppercase()),
            (id, &other.secret),
            (&other.id, secret),
            (&disabled.id, &disabled.secret),
            ("nobody", secret),
            ("a b", secret),
            (&id.to_uppercase(), secret),
            (&format!("{id}%00"), secret),
            (id, id),
            (id, "\u{0}"),
            (id, &"x".repeat(20_000)),
        ] {
            let answer = send(&app, &[], &[("client_id", id), ("client_secret", secret)]).await;
            texts.insert(answer.assert_oauth_refusal(401, "invalid_client").to_owned());
            assert_eq!(answer.header("www-authenticate"), "", "no header was used");
            if secret.len() < 1000 {
                let answer = send(&app, &[&basic(format!("{id}:{secret}"))], &[]).await;
                texts.insert(answer.assert_oauth_refusal(401, "invalid_client").to_owned());
                assert_eq!(answer.header("www-authenticate"), "Basic realm=\"tokenbooth\"");
            }
        }
        for authorization in [
            basic(id),
            basic(""),
            basic(":"),
            basic(format!("{id}:")),
            basic(format!(":{secret}")),
            basic(format!("{secret}:{id}")),
            basic(format!("{id}:{secret}:{secret}")),
            basic([id.as_bytes(), b":\xff\xfe"].concat()),
            basic(format!("{id}:%ff%fe")),
            format!("Bearer {secret}"),
            format!("Basic {id}:{secret}"),
            basic(format!("{id}:{secret}")).replace(' ', ""),
            format!("{}!", basic(format!("{id}:{secret}"))),
            format!("Digest {}", &basic(format!("{id}:{secret}"))[6..]),
            "Basic".to_owned(),
            "Basic ".to_owned(),
        ] {
            let answer = send(&app, &[&authorization], &[]).await;
            texts.insert(answer.assert_oauth_refusal(401, "invalid_client").to_owned());
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"tokenbooth\"", "{authorization}");
        }
        let good = basic(format!("{id}:{secret}"));
        let answer = send(&app, &[&good, &good], &[]).await;
        texts.insert(answer.assert_oauth_refusal(401, "invalid_client").to_owned());
        // Nothing at all, or no secret.
        for form in [&[][..], &[("client_id", id.as_str())], &[("client_id", id), ("client_secret", "")]] {
            let answer = send(&app, &[], form).await;
            texts.insert(answer.assert_oauth_refusal(401, "invalid_client").to_owned());
        }
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts.iter().all(|text| text.starts_with("invalid_client: ")), "{texts:?}");
    }

    async fn two_methods_at_once_and_half_of_one_are_malformed(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let service = app.create_client("Reports", "reports.read");
        let Service { id, secret } = &service;
        let good = basic(format!("{id}:{secret}"));
        for form in [&[("client_id", id.as_str()), ("client_secret", secret)][..], &[("client_secret", secret)], &[("client_id", id), ("client_secret", "wrong")]] {
            let told = send(&app, &[&good], form).await;
            assert!(told.assert_oauth_refusal(400, "invalid_request").contains("send one of them"));
            send(&app, &["Bearer x"], form).await.assert_oauth_refusal(400, "invalid_request");
        }
        let told = send(&app, &[&good], &[("client_id", "another")]).await;
        assert!(told.assert_oauth_refusal(400, "invalid_request").contains("client_id"));
        let told = send(&app, &[], &[("client_secret", secret)]).await;
        assert!(told.assert_oauth_refusal(400, "invalid_request").contains("client_id is missing"));
        for name in ["client_id", "client_secret", "scope", "grant_type"] {
            let twice = [("client_id", id.as_str()), ("client_secret", secret), (name, "client_credentials"), (name, "client_credentials")];
            send(&app, &[], &twice).await.assert_oauth_refusal(400, "invalid_request");
        }
    }

    async fn a_refused_client_is_in_the_audit_trail_and_in_the_metrics(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let service = app.create_client("Reports", "reports.read");
        let wrong = Service { secret: format!("{}x", service.secret), ..service.clone() };
        sign_in(&app, &wrong).await.assert_oauth_refusal(401, "invalid_client");
        assert_eq!(sign_in(&app, &service).await.status, 200);
        app.post_form_as("/oauth/token", &service, &[GRANT, ("scope", "more")]).await.assert_oauth_refusal(400, "invalid_scope");
        let events = app.events("sign_in.refused", &ada.jwt).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["detail"], json!({ "method": "client_credentials", "code": "invalid_client", "count": 1 }));
        assert_eq!(events[0]["user_id"], Value::Null);
        let metrics = app.get("/metrics").await.text;
        for (result, count) in [("ok", 1), ("invalid_client", 1), ("invalid_request", 1)] {
            let line = format!("tokenbooth_exchanges_total{{provider=\"client_credentials\",result=\"{result}\"}} {count}");
            assert!(metrics.lines().any(|one| one == line), "{line} in {metrics}");
        }
    }
}

fn claims(answer: &Answer) -> Value {
    both_doors::claims(answer.json["access_token"].as_str().expect("a token"))
}
