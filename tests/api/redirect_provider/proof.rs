//! What the answer of the token endpoint must prove before anybody is signed in by it.

use aws_lc_rs::digest;
use serde_json::json;
use tokenbooth::mock::{Endpoint, Fault, GithubEmail, GithubUser, Person, google, oidc};
use tokenbooth::provider::{OutageKind, Refusal};

use super::{Booth, NONCE, Returned, assert_outage};

#[actix_web::test]
async fn the_id_token_must_answer_this_request_of_this_client() {
    let ios = google::IOS_CLIENT_ID;
    let hash = hex::encode(digest::digest(&digest::SHA256, NONCE.as_bytes()));
    let booth = Booth::start_with(|sources| {
        sources.with("providers.acme.client_ids", format!("{},second", oidc::CLIENT_ID))
    })
    .await;
    for (name, claims, kind) in [
        ("google", json!({ "nonce": "another" }), "nonce"),
        ("google", json!({ "nonce": null }), "nonce"),
        ("acme", json!({ "nonce": "another" }), "nonce"),
        ("acme", json!({ "nonce": null }), "nonce"),
        // A hash will do where a client cannot help it; here we asked ourselves.
        ("acme", json!({ "nonce": hash }), "nonce"),
        ("acme", json!({ "aud": "somebody-else" }), "audience"),
        // One of ours, but not the one that asked.
        ("acme", json!({ "aud": "second" }), "audience"),
        ("acme", json!({ "aud": "second", "azp": null }), "audience"),
        ("acme", json!({ "aud": [oidc::CLIENT_ID, "second"], "azp": "second" }), "audience"),
        ("google", json!({ "aud": ios, "azp": ios }), "audience"),
        ("google", json!({ "azp": ios }), "audience"),
        ("google", json!({ "iss": "https://id.example.com" }), "issuer"),
        ("acme", json!({ "iat": 1_000_000_000 }), "expired"),
    ] {
        let issuer = if name == "google" { booth.mock.google() } else { booth.mock.oidc() };
        issuer.set_token_claims(claims.clone());
        let result = booth.sign_in(name).await;
        let refused = match &result {
            Err(Refusal::NonceMismatch(_)) => "nonce",
            Err(Refusal::AudienceMismatch(_)) => "audience",
            Err(Refusal::IssuerMismatch(_)) => "issuer",
            Err(Refusal::TokenExpired(_)) => "expired",
            _ => "",
        };
        assert_eq!(refused, kind, "{name} {claims}: {result:?}");
        issuer.set_token_claims(json!({}));
        booth.sign_in(name).await.expect("an identity");
    }
    booth.mock.oidc().set_token_claims(json!({ "aud": "second", "azp": null }));
    let told = booth.sign_in("acme").await.expect_err("a refusal").to_string();
    assert_eq!(told, "token audience \"second\" is not the first of providers.acme.client_ids");
    // An empty nonce would be met by a token without any.
    let code = booth.code_of("google", "alice").await;
    booth.mock.google().set_token_claims(json!({ "nonce": "" }));
    let shown = Returned { nonce: "", ..Returned::to("google") };
    let result = booth.redeem_as("google", &code, shown).await;
    assert!(matches!(result, Err(Refusal::NonceMismatch(_))), "{result:?}");
}

#[actix_web::test]
async fn an_address_that_is_not_in_the_id_token_is_asked_for() {
    let booth = Booth::start().await;
    booth.sign_in("acme").await.expect("an identity");
    assert_eq!(booth.mock.requests(Endpoint::OidcUserinfo), 0, "nothing is asked that is known");

    booth.mock.oidc().set_token_claims(
        json!({ "email": null, "email_verified": null, "name": "Of The Token", "picture": null }),
    );
    let identity = booth.sign_in("acme").await.expect("an identity");
    assert_eq!(identity.verified_email(), Some("alice@example.com"));
    assert_eq!(
        (identity.name, identity.avatar_url),
        (Person::named("alice").name, Person::named("alice").picture)
    );
    assert_eq!(booth.mock.requests(Endpoint::OidcUserinfo), 1);

    // What is not said there stays as it was said before; an address that is nowhere is none.
    booth
        .mock
        .oidc()
        .introduce("bob", Person { email: None, email_verified: None, name: None, ..Person::named("bob") });
    let identity = booth.redeem("acme", &booth.code_of("acme", "bob").await).await.expect("an identity");
    assert_eq!((identity.name.as_deref(), identity.email), (Some("Of The Token"), None));

    // Somebody else's access token beside Alice's ID token.
    let bobs = booth.mock.oidc().access_token(Person::named("bob"));
    booth.mock.oidc().set_token_answer(json!({ "access_token": bobs }));
    match booth.sign_in("acme").await {
        Err(Refusal::InvalidToken(detail)) => assert!(detail.contains("different people"), "{detail}"),
        other => panic!("{other:?}"),
    }
    booth.mock.oidc().set_token_answer(json!({}));
    booth.mock.set_fault(Endpoint::OidcUserinfo, Fault::Status(503));
    assert_outage(booth.sign_in("acme").await, OutageKind::BadAnswer, "status 503", "userinfo");
}

#[actix_web::test]
async fn a_signature_that_is_wrong_is_refused_although_it_came_straight_from_the_provider() {
    let booth = Booth::start().await;
    let mut token = booth.mock.oidc().id_token(json!({ "nonce": NONCE }));
    let last = token.pop();
    // The last character but one: the last has bits that do not count.
    let changed = if token.ends_with('A') { 'B' } else { 'A' };
    token.pop();
    token.push(changed);
    token.extend(last);
    booth.mock.oidc().set_token_answer(json!({ "id_token": token }));
    let result = booth.sign_in("acme").await;
    assert!(matches!(result, Err(Refusal::InvalidToken(_))), "{result:?}");
}

#[actix_web::test]
async fn an_address_that_github_did_not_verify_is_none() {
    let booth = Booth::start().await;
    let emails = vec![GithubEmail::new("greta@example.com", true, false)];
    booth.mock.github().introduce("greta", GithubUser { emails, ..GithubUser::named("greta") });
    let code = booth.code_of("github", "greta").await;
    let identity = booth.redeem("github", &code).await.expect("an identity");
    assert_eq!(identity.verified_email(), None);
}
