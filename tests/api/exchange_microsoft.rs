//! `POST /auth/{name}` with `kind = "microsoft"`: an issuer for each tenant, and addresses that are nobody's word.

use serde_json::{Value, json};
use tokenbooth::mock::microsoft::{CLIENT_ID, PERSONAL_TENANT, TENANT, jwk};
use tokenbooth::mock::{Endpoint, Person};

use crate::databases::TestDatabase;
use crate::support::browser::Browser;
use crate::support::{Answer, TestApp};

/// Another organization's, perhaps made this morning by somebody with bad intentions.
const FOREIGN: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";

async fn start(change: &[(&str, &str)]) -> TestApp {
    TestApp::start_with_further_providers(TestDatabase::sqlite(), |sources| {
        change.iter().fold(sources, |sources, (key, value)| sources.with(key, *value))
    })
    .await
}

/// The issuer of a tenant's tokens.
fn issuer(app: &TestApp, tenant: &str) -> String {
    format!("{}/microsoft/{tenant}/v2.0", app.mock.base_url())
}

/// A token of this tenant.
fn of(app: &TestApp, tenant: &str) -> String {
    app.mock.microsoft().id_token(json!({ "iss": issuer(app, tenant), "tid": tenant }))
}

async fn exchange(app: &TestApp, token: &str) -> Answer {
    app.exchange("microsoft", &json!({ "id_token": token })).await
}

on_both_databases! {
    async fn people_of_any_tenant_sign_in_and_a_subject_is_good_in_its_tenant(db: TestDatabase) {
        let app = TestApp::start_with_further_providers(db, |sources| sources).await;
        let first = exchange(&app, &of(&app, TENANT)).await.assert_signed_in();
        assert_eq!((first.created, first.json["user"]["name"].as_str()), (true, Some("Alice Example")));
        assert_eq!(first.json["user"]["email"], Value::Null);
        let identities = app.get_as("/api/me/identities", &first.jwt).await.json;
        let subject = format!("{TENANT}:{}", Person::named("alice").sub);
        assert_eq!(identities["items"][0]["provider_id"], subject.as_str());
        assert_eq!(identities["items"][0]["email"], Value::Null);
        let again = exchange(&app, &of(&app, TENANT)).await.assert_signed_in();
        assert_eq!((again.user_id.as_str(), again.created), (first.user_id.as_str(), false));
        // The same `sub` in another tenant is another issuer's, and so another person.
        let other = exchange(&app, &of(&app, FOREIGN)).await.assert_signed_in();
        assert_ne!(other.user_id, first.user_id);
        let personal = exchange(&app, &of(&app, PERSONAL_TENANT)).await.assert_signed_in();
        assert!(personal.created);
    }

    async fn an_address_that_a_tenant_wrote_is_nobodys(db: TestDatabase) {
        // nOAuth: the administrator of any tenant writes the victim's address into a token of his own.
        let app = TestApp::start_with_further_providers(db, |sources| {
            sources.with("accounts.link_verified_email", "true").with("admin.emails", "google:boss@example.com, microsoft:alice@example.com, microsoft:boss@example.com")
        }).await;
        let victim = app.sign_in(Person::named("alice")).await;
        let (foreign, claims) = (issuer(&app, FOREIGN), json!([
            {},
            { "email_verified": true },
            { "email_verified": "true" },
            { "xms_edov": true },
            { "xms_edov": "1", "email_verified": true, "verified_primary_email": ["alice@example.com"] },
            { "email": "boss@example.com", "email_verified": true, "upn": "boss@example.com" },
        ]));
        for (number, mut claims) in claims.as_array().expect("a list").clone().into_iter().enumerate() {
            claims["iss"] = foreign.as_str().into();
            claims["tid"] = FOREIGN.into();
            claims["sub"] = format!("mallory-{number}").into();
            let answer = exchange(&app, &app.mock.microsoft().id_token(claims.clone())).await.assert_signed_in();
            assert!(answer.created && answer.user_id != victim.user_id, "{claims}");
            assert_eq!(answer.json["user"]["email"], Value::Null, "{claims}");
            assert_eq!(app.me(&answer.jwt).await.json["admin"], false, "{claims}");
        }
    }
}

#[actix_web::test]
async fn a_token_whose_issuer_is_not_that_of_its_own_tenant_is_refused() {
    let app = start(&[]).await;
    app.warm().await;
    let ours = issuer(&app, TENANT);
    let (upper, trick) = (TENANT.to_uppercase(), format!("{TENANT}/../{FOREIGN}"));
    for claims in [
        json!({ "tid": FOREIGN }),
        json!({ "iss": issuer(&app, FOREIGN) }),
        json!({ "tid": null }),
        json!({ "tid": "" }),
        json!({ "tid": [TENANT] }),
        json!({ "tid": 5 }),
        json!({ "tid": upper, "iss": issuer(&app, &upper) }),
        json!({ "tid": "common", "iss": issuer(&app, "common") }),
        json!({ "tid": "{tenantid}", "iss": issuer(&app, "{tenantid}") }),
        json!({ "tid": trick, "iss": issuer(&app, &trick) }),
        json!({ "tid": "../../evil", "iss": issuer(&app, "../../evil") }),
        json!({ "tid": "contoso.onmicrosoft.com", "iss": issuer(&app, "contoso.onmicrosoft.com") }),
        json!({ "iss": format!("{ours}/") }),
        json!({ "iss": ours.to_uppercase() }),
        json!({ "iss": ours.replace("/v2.0", "") }),
        json!({ "iss": format!("https://sts.windows.net/{TENANT}/") }),
        json!({ "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0") }),
        json!({ "iss": format!("{ours}.evil.example") }),
        json!({ "iss": [ours] }),
        json!({ "iss": null }),
    ] {
        let answer = exchange(&app, &app.mock.microsoft().id_token(claims.clone())).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some("issuer_mismatch")), "{claims}");
    }
    let told =
        exchange(&app, &app.mock.microsoft().id_token(json!({ "iss": "https://sts.windows.net/x/" }))).await;
    let detail = told.assert_problem(401, "issuer_mismatch");
    assert!(detail.ends_with("/microsoft/{tenantid}/v2.0\" of the token's own tid"), "{detail}");
    // Another provider's, and for another app.
    let google = app.mock.google().id_token(json!({}));
    assert!(
        exchange(&app, &google).await.assert_problem(401, "issuer_mismatch").contains("accounts.google.com")
    );
    let foreign = app.mock.microsoft().id_token(json!({ "aud": FOREIGN }));
    let answer = exchange(&app, &foreign).await;
    let detail = answer.assert_problem(401, "audience_mismatch");
    assert!(detail.contains("providers.microsoft.client_ids"), "{detail}");
    assert_eq!(app.db.count("users"), 0);
}

#[actix_web::test]
async fn only_listed_tenants_may_come_when_there_is_a_list() {
    let list = format!("{PERSONAL_TENANT},{TENANT}");
    let app = start(&[("providers.microsoft.tenants", &list)]).await;
    exchange(&app, &of(&app, TENANT)).await.assert_signed_in();
    exchange(&app, &of(&app, PERSONAL_TENANT)).await.assert_signed_in();
    let answer = exchange(&app, &of(&app, FOREIGN)).await;
    let detail = answer.assert_problem(401, "issuer_mismatch");
    assert_eq!(detail, format!("token tenant \"{FOREIGN}\" is not in providers.microsoft.tenants"));
    // A tenant that is listed is no help to a token that is another's.
    let token = app.mock.microsoft().id_token(json!({ "iss": issuer(&app, FOREIGN) }));
    exchange(&app, &token).await.assert_problem(401, "issuer_mismatch");
    assert_eq!(app.db.count("users"), 2);
}

#[actix_web::test]
async fn the_discovery_url_says_whose_people_may_come() {
    let none: [&str; 0] = [];
    for (segment, welcome, others) in [
        ("common", &[TENANT, PERSONAL_TENANT, FOREIGN][..], &none[..]),
        ("organizations", &[TENANT, FOREIGN], &[PERSONAL_TENANT]),
        ("consumers", &[PERSONAL_TENANT], &[TENANT]),
        (TENANT, &[TENANT], &[FOREIGN, PERSONAL_TENANT]),
    ] {
        let mock = tokenbooth::mock::MockProviders::start().await.expect("the mock starts");
        let url = Endpoint::MicrosoftDiscovery.path().replace("{tenant}", segment);
        let url = format!("{}{url}", mock.base_url());
        let settings = mock.microsoft_settings("work");
        let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| {
            settings
                .into_iter()
                .fold(sources, |sources, (key, value)| sources.with(&key, value))
                .with("providers.work.discovery_url", &url)
        })
        .await;
        for tenant in welcome {
            app.exchange("work", &json!({ "id_token": of(&app, tenant) })).await.assert_signed_in();
        }
        for tenant in others {
            let answer = app.exchange("work", &json!({ "id_token": of(&app, tenant) })).await;
            let detail = answer.assert_problem(401, "issuer_mismatch");
            assert!(detail.contains("providers.work.discovery_url"), "{segment}: {detail}");
        }
    }
}

#[actix_web::test]
async fn a_key_signs_only_for_the_issuer_that_stands_beside_it() {
    let app = start(&[("jwks.cooldown", "1ms")]).await;
    let keys = app.mock.microsoft().keys();
    let base = app.mock.base_url().to_owned();
    let personal = issuer(&app, PERSONAL_TENANT);
    for (beside, good) in [
        (Some(format!("{base}/microsoft/{{tenantid}}/v2.0")), &[TENANT, PERSONAL_TENANT][..]),
        (Some(issuer(&app, TENANT)), &[TENANT]),
        (Some(personal), &[PERSONAL_TENANT]),
        (Some("https://sts.windows.net/{tenantid}/".to_owned()), &[]),
        (Some(format!("{base}/microsoft/{{tenantid}}/v2.0/")), &[]),
        (Some("{tenantid}".to_owned()), &[]),
        (Some(String::new()), &[]),
        (None, &[]),
    ] {
        let key = keys.next().expect("a key");
        let mut published = jwk(&key, beside.as_deref().unwrap_or_default());
        if beside.is_none() {
            published.as_object_mut().expect("an object").remove("issuer");
        }
        keys.publish(published);
        keys.sign_with(&key);
        for tenant in [TENANT, PERSONAL_TENANT] {
            let answer = exchange(&app, &of(&app, tenant)).await;
            if good.contains(&tenant) {
                answer.assert_signed_in();
            } else {
                let detail = answer.assert_problem(401, "issuer_mismatch");
                assert_eq!(detail, format!("the token is of tenant \"{tenant}\", its key is not"));
            }
        }
    }
}

#[actix_web::test]
async fn a_discovery_document_of_other_tenants_is_not_used() {
    for issuer in [json!("https://evil.example/{tenantid}/v2.0"), json!("{tenantid}"), json!(null)] {
        let mock = tokenbooth::mock::MockProviders::start().await.expect("the mock starts");
        mock.microsoft().set_discovery(json!({ "issuer": issuer }));
        let settings = mock.microsoft_settings("microsoft");
        let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| {
            settings.into_iter().fold(sources, |sources, (key, value)| sources.with(&key, value))
        })
        .await;
        let answer = exchange(&app, &of(&app, TENANT)).await;
        assert_eq!(answer.status, 502, "{issuer}: {}", answer.text);
        answer.assert_provider_unavailable();
        assert_eq!(app.mock.requests(Endpoint::MicrosoftJwks), 0);
    }
}

#[actix_web::test]
async fn a_browser_signs_in_without_being_asked_for_an_address() {
    let app = start(&[]).await;
    let mut browser = Browser::at(&app);
    let there = browser.visit("/auth/microsoft/login").await;
    let url = url::Url::parse(there.header("location")).expect("a URL");
    let asked: Vec<_> = url.query_pairs().into_owned().collect();
    assert!(url.path().ends_with("/common/oauth2/v2.0/authorize"), "{url}");
    for (name, value) in
        [("client_id", CLIENT_ID), ("scope", "openid profile"), ("code_challenge_method", "S256")]
    {
        assert!(asked.contains(&(name.to_owned(), value.to_owned())), "{url}");
    }
    let home = browser.sign_in("microsoft", "alice").await;
    assert_eq!(home.status, 302, "{}", home.text);
    let me = browser.call("GET", "/api/me").await.json;
    assert_eq!((me["name"].as_str(), &me["email"]), (Some("Alice Example"), &Value::Null));
    assert_eq!(app.mock.requests(Endpoint::MicrosoftUserinfo), 0);
    let seen = app.mock.seen();
    let token =
        seen.iter().find(|request| request.path == Endpoint::MicrosoftToken.path()).expect("a request");
    // Its documentation has the secret in the body.
    assert_eq!(token.authorization, None);
    // The code's token must be of a tenant that may come, too.
    app.mock.microsoft().set_token_claims(json!({ "tid": FOREIGN }));
    assert_eq!(Browser::at(&app).sign_in("microsoft", "alice").await.status, 401);
}
