//! The mock providers' own redirect flow and device flow: what the service's flows are tested against must itself refuse
//! what the real providers refuse, and look like them.

use std::collections::HashMap;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault, GithubUser, Grant, MockProviders, Person};
use tokenbooth::mock::{github, google, oidc};

use crate::databases::TestDatabase;
use crate::support::app::{Answer, TestApp, client};

/// With a query of its own, which must stay.
const REDIRECT_URI: &str = "http://127.0.0.1:9/callback?from=a%20b";
/// Everything that a URL, a form and a page would want escaped.
const STATE: &str = "s &=+#%\"'<>/ä";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What tells the three providers apart for a client.
#[derive(Clone, Copy)]
struct Provider {
    authorize: Endpoint,
    token: Endpoint,
    client_id: &'static str,
    client_secret: &'static str,
}

const GOOGLE: Provider = Provider {
    authorize: Endpoint::GoogleAuthorize,
    token: Endpoint::GoogleToken,
    client_id: google::WEB_CLIENT_ID,
    client_secret: google::CLIENT_SECRET,
};
const OIDC: Provider = Provider {
    authorize: Endpoint::OidcAuthorize,
    token: Endpoint::OidcToken,
    client_id: oidc::CLIENT_ID,
    client_secret: oidc::CLIENT_SECRET,
};
const GITHUB: Provider = Provider {
    authorize: Endpoint::GithubAuthorize,
    token: Endpoint::GithubToken,
    client_id: github::CLIENT_ID,
    client_secret: github::CLIENT_SECRET,
};
const ALL: [Provider; 3] = [GOOGLE, OIDC, GITHUB];

type Form = Vec<(&'static str, String)>;

/// The parameters with some replaced, or left out when they are replaced by nothing.
fn with(mut params: Form, changes: &[(&'static str, &str)]) -> Form {
    for (name, value) in changes {
        params.retain(|(known, _)| known != name);
        if !value.is_empty() {
            params.push((name, (*value).to_owned()));
        }
    }
    params
}

impl Provider {
    /// A good authorization request.
    fn request(self) -> Form {
        let challenge = digest::digest(&digest::SHA256, VERIFIER.as_bytes());
        [
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", REDIRECT_URI),
            (
                "scope",
                if self.token == Endpoint::GithubToken {
                    "read:user user:email"
                } else {
                    "openid email profile"
                },
            ),
            ("state", STATE),
            ("nonce", "n-1"),
            ("code_challenge", &BASE64_URL_SAFE_NO_PAD.encode(challenge)),
            ("code_challenge_method", "S256"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    async fn authorize(self, mock: &MockProviders, changes: &[(&'static str, &str)]) -> Answer {
        let url = Url::parse_with_params(&url_of(mock, self.authorize), with(self.request(), changes));
        Answer::of(client().get(url.expect("a URL")).send().await.expect("an answer")).await
    }

    /// The code that Alice's agreement gives.
    async fn code(self, mock: &MockProviders) -> String {
        returned(&self.authorize(mock, &[("mock_person", "alice")]).await)["code"].clone()
    }

    /// A good token request for the code.
    fn redemption(self, code: &str) -> Form {
        [
            ("grant_type", "authorization_code"),
            ("client_id", self.client_id),
            ("client_secret", self.client_secret),
            ("code", code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    async fn redeem(self, mock: &MockProviders, code: &str, changes: &[(&'static str, &str)]) -> Answer {
        post(mock, self.token, &with(self.redemption(code), changes)).await
    }

    /// Asserts that the code was not redeemed, in the provider's own words.
    #[track_caller]
    fn assert_bad_code(self, answer: &Answer, github_says: &str) {
        assert!(answer.json["access_token"].is_null(), "{}", answer.text);
        if self.token == Endpoint::GithubToken {
            assert_eq!((answer.status, answer.json["error"].as_str()), (200, Some(github_says)));
            assert!(
                answer.json["error_uri"]
                    .as_str()
                    .is_some_and(|uri| uri.starts_with("https://docs.github.com/"))
            );
        } else {
            assert_eq!(answer.status, 400, "{}", answer.text);
            assert_eq!(answer.json, json!({ "error": "invalid_grant", "error_description": "Bad Request" }));
        }
    }
}

fn url_of(mock: &MockProviders, endpoint: Endpoint) -> String {
    format!("{}{}", mock.base_url(), endpoint.path())
}

/// Posts a form, asks for JSON.
async fn post(mock: &MockProviders, endpoint: Endpoint, form: &Form) -> Answer {
    let request = client().post(url_of(mock, endpoint)).header(ACCEPT, "application/json").form(form);
    Answer::of(request.send().await.expect("an answer")).await
}

/// What a redirect back to the application carries.
#[track_caller]
fn returned(answer: &Answer) -> HashMap<String, String> {
    assert_eq!(answer.status, 302, "{}", answer.text);
    let location = Url::parse(answer.header("location")).expect("a URL");
    assert!(location.as_str().starts_with("http://127.0.0.1:9/callback?from=a%20b&"), "{location}");
    let pairs: Vec<_> = location.query_pairs().into_owned().collect();
    let members: HashMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(members.len(), pairs.len(), "nothing twice: {location}");
    members
}

fn claims(id_token: &Value) -> Value {
    let payload = id_token.as_str().and_then(|token| token.split('.').nth(1)).expect("a token");
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&payload).expect("claims")
}

async fn mock() -> MockProviders {
    MockProviders::start().await.expect("the mock starts")
}

#[actix_web::test]
async fn an_openid_connect_code_becomes_tokens_of_the_person_who_agreed() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for (provider, name) in [(GOOGLE, "google"), (OIDC, "acme")] {
        let back = returned(&provider.authorize(&app.mock, &[("mock_person", "bob")]).await);
        assert_eq!(back["state"], STATE);
        let answer = provider.redeem(&app.mock, &back["code"], &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.header("cache-control").starts_with("no-cache, no-store"));
        assert_eq!(
            (&answer.json["expires_in"], &answer.json["token_type"]),
            (&json!(3599), &json!("Bearer"))
        );

        let access_token = answer.json["access_token"].as_str().expect("an access token");
        let digest = digest::digest(&digest::SHA256, access_token.as_bytes());
        let claims = claims(&answer.json["id_token"]);
        assert_eq!(claims["sub"], Person::named("bob").sub);
        assert_eq!(
            (&claims["aud"], &claims["azp"]),
            (&json!(provider.client_id), &json!(provider.client_id))
        );
        assert_eq!(claims["nonce"], "n-1");
        assert_eq!(claims["at_hash"], BASE64_URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]));

        let body = json!({ "id_token": answer.json["id_token"], "nonce": "n-1" });
        let signed_in = app.exchange(name, &body).await.assert_signed_in();
        assert_eq!(signed_in.json["user"]["name"], "Bob Example");
        if name == "google" {
            let again = app.exchange(name, &json!({ "access_token": access_token })).await.assert_signed_in();
            assert_eq!(again.user_id, signed_in.user_id);
        }
    }
}

#[actix_web::test]
async fn google_sends_back_what_only_google_sends() {
    let mock = mock().await;
    let back = returned(&GOOGLE.authorize(&mock, &[("mock_person", "alice")]).await);
    let granted = Grant::default().scope;
    for (member, value) in
        [("iss", google::ISSUER), ("scope", &granted), ("authuser", "0"), ("prompt", "consent")]
    {
        assert_eq!(back[member], value);
    }
    assert!(back["code"].starts_with("4/0A"), "a code that wants encoding: {}", back["code"]);
    let answer = GOOGLE.redeem(&mock, &back["code"], &[]).await;
    assert_eq!(answer.json["scope"], granted);
    assert!(!returned(&OIDC.authorize(&mock, &[("mock_person", "alice")]).await).contains_key("iss"));
    mock.oidc().set_discovery(json!({ "authorization_response_iss_parameter_supported": true }));
    let back = returned(&OIDC.authorize(&mock, &[("mock_person", "alice")]).await);
    assert_eq!(back["iss"], format!("{}/oidc", mock.base_url()));
}

#[actix_web::test]
async fn scopes_decide_what_an_id_token_says() {
    let mock = mock().await;
    let asked = async |scope: &str| {
        let back = returned(&OIDC.authorize(&mock, &[("scope", scope), ("mock_person", "alice")]).await);
        OIDC.redeem(&mock, &back["code"], &[]).await.json
    };
    let claims_of = claims(&asked("openid email").await["id_token"]);
    assert_eq!((&claims_of["email"], &claims_of["name"]), (&json!("alice@example.com"), &Value::Null));
    let claims_of = claims(&asked("openid").await["id_token"]);
    assert_eq!((claims_of.get("email"), claims_of.get("email_verified")), (None, None));
    assert!(asked("email").await["id_token"].is_null(), "without openid it is no sign-in");
}

#[actix_web::test]
async fn a_test_may_say_who_signs_in_and_what_the_token_endpoint_answers() {
    let mock = mock().await;
    mock.oidc().introduce("alice", Person { sub: "another".into(), email: None, ..Person::default() });
    mock.oidc().set_token_claims(json!({ "nonce": "other", "at_hash": null }));
    let answer = OIDC.redeem(&mock, &OIDC.code(&mock).await, &[]).await;
    let claims = claims(&answer.json["id_token"]);
    assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("another"), &json!("other")));
    assert_eq!((claims.get("email"), claims.get("at_hash")), (None, None));
    mock.oidc().set_token_answer(json!({ "id_token": null }));
    let answer = OIDC.redeem(&mock, &OIDC.code(&mock).await, &[]).await;
    assert!(answer.json["access_token"].is_string() && answer.json["id_token"].is_null(), "{}", answer.text);
}

#[actix_web::test]
async fn a_github_code_becomes_a_token_with_the_scopes_that_were_asked() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let back = returned(&GITHUB.authorize(&app.mock, &[("mock_person", "greta")]).await);
    assert_eq!(back["state"], STATE);
    let answer = GITHUB.redeem(&app.mock, &back["code"], &[]).await;
    let token = answer.json["access_token"].as_str().expect("a token");
    assert!(token.starts_with("gho_"));
    assert_eq!(
        answer.json,
        json!({ "access_token": token, "scope": "read:user,user:email", "token_type": "bearer" })
    );
    let signed_in = app.exchange("github", &json!({ "access_token": token })).await.assert_signed_in();
    assert_eq!(signed_in.json["user"]["email"], "greta@example.com");

    // Without the scope there is no address.
    let back = returned(&GITHUB.authorize(&app.mock, &[("scope", "gist"), ("mock_person", "gus")]).await);
    let token = GITHUB.redeem(&app.mock, &back["code"], &[]).await.json["access_token"].clone();
    let emails = client()
        .get(url_of(&app.mock, Endpoint::GithubEmails))
        .bearer_auth(token.as_str().expect("a token"))
        .header("user-agent", "test");
    assert_eq!(emails.send().await.expect("an answer").status().as_u16(), 404);
}

#[actix_web::test]
async fn github_answers_with_a_form_unless_asked_for_json() {
    let mock = mock().await;
    let code = GITHUB.code(&mock).await;
    let url = url_of(&mock, Endpoint::GithubToken);
    let send =
        async |form: &Form| Answer::of(client().post(&url).form(form).send().await.expect("an answer")).await;
    let refused = send(&GITHUB.redemption("wrong")).await;
    assert_eq!(refused.status, 200);
    assert!(refused.text.contains("error=bad_verification_code&"), "{}", refused.text);
    let answer = send(&GITHUB.redemption(&code)).await;
    assert_eq!(answer.header("content-type"), "application/x-www-form-urlencoded; charset=utf-8");
    let (token, rest) = answer.text.split_once('&').expect("members");
    assert!(token.starts_with("access_token=gho_"), "{token}");
    assert_eq!(rest, "scope=read%3Auser%2Cuser%3Aemail&token_type=bearer");

    mock.github().always_answer_forms(true);
    let answer = GITHUB.redeem(&mock, &GITHUB.code(&mock).await, &[]).await;
    assert!(answer.text.starts_with("access_token=gho_"), "asked for JSON all the same: {}", answer.text);
}

#[actix_web::test]
async fn of_fifty_who_redeem_one_code_at_once_one_succeeds() {
    let mock = mock().await;
    for provider in ALL {
        let code = provider.code(&mock).await;
        let answers = join_all((0..50).map(|_| provider.redeem(&mock, &code, &[]))).await;
        let (good, bad): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.json["access_token"].is_string());
        assert_eq!((good.len(), bad.len()), (1, 49));
        for answer in bad {
            provider.assert_bad_code(answer, "bad_verification_code");
        }
    }
}

#[actix_web::test]
async fn a_code_is_good_only_with_its_own_redirect_uri_and_verifier_and_before_it_expires() {
    let mock = mock().await;
    for provider in ALL {
        let code = provider.code(&mock).await;
        for redirect_uri in ["http://127.0.0.1:9/callback", "http://127.0.0.1:9/callback?from=a+b"] {
            let answer = provider.redeem(&mock, &code, &[("redirect_uri", redirect_uri)]).await;
            provider.assert_bad_code(&answer, "redirect_uri_mismatch");
        }
        let other = "a".repeat(43);
        for verifier in ["", "short", &other] {
            let answer = provider.redeem(&mock, &code, &[("code_verifier", verifier)]).await;
            provider.assert_bad_code(&answer, "bad_verification_code");
        }
        assert!(provider.redeem(&mock, &code, &[]).await.json["access_token"].is_string());

        // A verifier for a code without a challenge: somebody took the challenge away.
        let stripped = [("code_challenge", ""), ("code_challenge_method", ""), ("mock_person", "alice")];
        let back = returned(&provider.authorize(&mock, &stripped).await);
        let answer = provider.redeem(&mock, &back["code"], &[]).await;
        provider.assert_bad_code(&answer, "bad_verification_code");

        let code = provider.code(&mock).await;
        mock.google().expire_codes();
        mock.oidc().expire_codes();
        mock.github().expire_codes();
        provider.assert_bad_code(&provider.redeem(&mock, &code, &[]).await, "bad_verification_code");
    }
}

#[actix_web::test]
async fn a_client_proves_who_it_is() {
    let mock = mock().await;
    for provider in ALL {
        let code = provider.code(&mock).await;
        for wrong in
            [("client_secret", "wrong"), ("client_secret", ""), ("client_id", "wrong"), ("client_id", "")]
        {
            let answer = provider.redeem(&mock, &code, &[wrong]).await;
            let (status, error) = if provider.token == Endpoint::GithubToken {
                (200, "incorrect_client_credentials")
            } else {
                (401, "invalid_client")
            };
            assert_eq!((answer.status, answer.json["error"].as_str()), (status, Some(error)), "{wrong:?}");
            assert_eq!(answer.header("www-authenticate"), "");
        }
        assert!(provider.redeem(&mock, &code, &[]).await.json["access_token"].is_string());
    }
}

#[actix_web::test]
async fn http_basic_has_id_and_secret_encoded_as_in_a_form() {
    let mock = mock().await;
    for provider in [GOOGLE, OIDC] {
        let code = provider.code(&mock).await;
        let send = async |credentials: String, changes: &[(&'static str, &str)]| {
            let request = client()
                .post(url_of(&mock, provider.token))
                .header(AUTHORIZATION, format!("Basic {}", BASE64_STANDARD.encode(credentials)))
                .form(&with(provider.redemption(&code), changes));
            Answer::of(request.send().await.expect("an answer")).await
        };
        let none = [("client_id", ""), ("client_secret", "")];
        let encode =
            |text: &str| text.replace('%', "%25").replace(':', "%3A").replace('/', "%2F").replace('+', "%2B");
        let good = format!("{}:{}", encode(provider.client_id), encode(provider.client_secret));
        let wrong = send(format!("{}:wrong", provider.client_id), &none).await;
        assert_eq!((wrong.status, wrong.json["error"].as_str()), (401, Some("invalid_client")));
        assert!(wrong.header("www-authenticate").starts_with("Basic "), "{:?}", wrong.headers);
        let both = send(good.clone(), &[("client_id", "")]).await;
        assert_eq!((both.status, both.json["error"].as_str()), (400, Some("invalid_request")));
        assert_eq!(send(good, &none).await.status, 200);
    }
    let code = OIDC.code(&mock).await;
    let bare = client()
        .post(url_of(&mock, Endpoint::OidcToken))
        .basic_auth(oidc::CLIENT_ID, Some(oidc::CLIENT_SECRET))
        .form(&with(OIDC.redemption(&code), &[("client_id", ""), ("client_secret", "")]));
    assert_eq!(bare.send().await.expect("an answer").status().as_u16(), 401, "its secret must be encoded");
}

#[actix_web::test]
async fn a_person_may_deny() {
    let mock = mock().await;
    for provider in ALL {
        let back = returned(&provider.authorize(&mock, &[("mock_deny", "1")]).await);
        assert_eq!((back["error"].as_str(), back["state"].as_str()), ("access_denied", STATE));
        assert!(!back["error_description"].is_empty() && !back.contains_key("code"), "{back:?}");
        if provider.token == Endpoint::GithubToken {
            assert_eq!(back["error_description"], "The user has denied your application access.");
            assert!(back["error_uri"].starts_with("https://docs.github.com/"));
        }
    }
}

#[actix_web::test]
async fn a_program_that_asks_for_json_is_told_where_it_would_be_sent() {
    let mock = mock().await;
    for provider in ALL {
        let ask = async |changes: &[(&'static str, &str)]| {
            let url =
                Url::parse_with_params(&url_of(&mock, provider.authorize), with(provider.request(), changes));
            let url = url.expect("a URL");
            let request = client().get(url.clone()).header(ACCEPT, "application/json");
            let answer = Answer::of(request.send().await.expect("an answer")).await;
            (answer.status, answer.header("location").to_owned(), answer.json, url)
        };
        let (status, sent, json, url) = ask(&[]).await;
        assert_eq!((status, sent, json), (200, String::new(), json!({ "page": url.as_str() })));
        let (status, sent, json, _) = ask(&[("mock_person", "alice")]).await;
        assert_eq!((status, sent), (200, String::new()), "{json}");
        let location = Url::parse(json["location"].as_str().expect("a location")).expect("a URL");
        assert!(location.as_str().starts_with(REDIRECT_URI), "{location}");
        let code = location.query_pairs().find(|(name, _)| name == "code").expect("a code").1;
        assert!(provider.redeem(&mock, &code, &[]).await.json["access_token"].is_string());
        let (status, _, json, url) = ask(&[("client_id", "another")]).await;
        assert_eq!((status, json), (400, json!({ "page": url.as_str() })));
    }
}

#[actix_web::test]
async fn an_app_on_loopback_shows_what_it_was_sent() {
    let mock = mock().await;
    let answer = client().get(format!("{}/callback?code=a%20b&state=%C3%A4", mock.base_url())).send().await;
    assert_eq!(Answer::of(answer.expect("an answer")).await.json, json!({ "code": "a b", "state": "ä" }));
}

#[actix_web::test]
async fn a_bad_request_is_never_answered_with_a_redirect() {
    let mock = mock().await;
    for provider in ALL {
        let mut wrong = vec![
            ("client_id", ""),
            ("client_id", "<b>somebody</b>"),
            ("redirect_uri", ""),
            ("redirect_uri", "/callback"),
            ("redirect_uri", "javascript:alert(1)"),
            ("redirect_uri", "http://127.0.0.1:9/#fragment"),
            ("response_mode", "form_post"),
        ];
        if provider.token != Endpoint::GithubToken {
            wrong.extend([("response_type", ""), ("response_type", "token"), ("scope", "")]);
        }
        for change in wrong {
            let answer = provider.authorize(&mock, &[change, ("mock_person", "alice")]).await;
            assert_eq!((answer.status, answer.header("location")), (400, ""), "{change:?}");
            assert!(answer.text.starts_with("<!DOCTYPE html>"), "{change:?}");
        }
        let twice = format!("{}?client_id=a&client_id=b", url_of(&mock, provider.authorize));
        assert_eq!(client().get(twice).send().await.expect("an answer").status().as_u16(), 400);
        for method in ["plain", ""] {
            let changes = [("code_challenge_method", method), ("mock_person", "alice")];
            let back = returned(&provider.authorize(&mock, &changes).await);
            assert_eq!((back["error"].as_str(), back["state"].as_str()), ("invalid_request", STATE));
        }
    }
}

#[actix_web::test]
async fn the_page_asks_who_to_be_and_its_forms_lead_back() {
    let mock = mock().await;
    for (provider, title) in [(GOOGLE, "Mock Google"), (OIDC, "Mock OpenID Connect"), (GITHUB, "Mock GitHub")]
    {
        let page = provider.authorize(&mock, &[("scope", "openid <i>\"")]).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(page.text.contains(&format!("<title>{title}</title>")), "{}", page.text);
        assert!(page.text.contains("openid &lt;i&gt;&quot;") && !page.text.contains("<i>"), "{}", page.text);
        assert!(!page.text.contains("<script"), "{}", page.text);
        for id in ["as-alice", "as-bob", "as-carol", "name", "as-name", "deny"] {
            assert_eq!(page.text.matches(&format!("id=\"{id}\"")).count(), 1, "{id}: {}", page.text);
        }
        let (_, action) = page.text.split_once("action=\"").expect("a form");
        let action = action.split('"').next().expect("its end").replace("&amp;", "&").replace("&#39;", "'");
        let url = format!("{}{action}", url_of(&mock, provider.authorize));
        let press = async |form: &[(&str, &str)]| {
            Answer::of(client().post(&url).form(form).send().await.expect("an answer")).await
        };
        let back = returned(&press(&[("mock_person", "carol")]).await);
        assert_eq!(back["state"], STATE);
        assert!(provider.redeem(&mock, &back["code"], &[]).await.json["access_token"].is_string());
        assert_eq!(returned(&press(&[("mock_deny", "1")]).await)["error"], "access_denied");
        assert_eq!(press(&[("mock_person", " ")]).await.status, 200, "the page again");
    }
}

#[actix_web::test]
async fn the_sign_in_endpoints_misbehave_on_order_and_the_journal_keeps_no_codes() {
    let mock = mock().await;
    let code = GOOGLE.code(&mock).await;
    mock.set_fault_times(Endpoint::GoogleToken, Fault::Status(503), 1);
    assert_eq!(GOOGLE.redeem(&mock, &code, &[]).await.status, 503);
    let answer = GOOGLE.redeem(&mock, &code, &[]).await;
    assert_eq!((mock.requests(Endpoint::GoogleAuthorize), mock.requests(Endpoint::GoogleToken)), (1, 2));
    let seen = serde_json::to_string(&mock.seen()).expect("JSON");
    for secret in [code.as_str(), answer.json["access_token"].as_str().expect("a token"), VERIFIER] {
        assert!(!seen.contains(secret), "{seen}");
    }
}

/// Begins a device flow; answers with device code and user code.
async fn begin(mock: &MockProviders) -> (String, String) {
    let form =
        vec![("client_id", github::CLIENT_ID.to_owned()), ("scope", "read:user user:email".to_owned())];
    let answer = post(mock, Endpoint::GithubDeviceCode, &form).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json["verification_uri"], url_of(mock, Endpoint::GithubDevice));
    assert_eq!(answer.json["expires_in"], 900);
    let text = |name: &str| answer.json[name].as_str().expect("a text").to_owned();
    let (device_code, user_code) = (text("device_code"), text("user_code"));
    assert_eq!((device_code.len(), user_code.len(), user_code.find('-')), (40, 9, Some(4)));
    (device_code, user_code)
}

async fn poll(mock: &MockProviders, device_code: &str) -> Answer {
    let form = [("grant_type", DEVICE_GRANT), ("client_id", github::CLIENT_ID), ("device_code", device_code)];
    let answer =
        post(mock, Endpoint::GithubToken, &form.map(|(name, value)| (name, value.to_owned())).into()).await;
    assert_eq!(answer.status, 200, "errors, too: {}", answer.text);
    answer
}

#[actix_web::test]
async fn a_device_waits_for_its_person_and_slows_down_when_told() {
    let mock = mock().await;
    let (device_code, user_code) = begin(&mock).await;
    assert_eq!(poll(&mock, &device_code).await.json["error"], "authorization_pending");
    for interval in [10, 15] {
        let answer = poll(&mock, &device_code).await;
        assert_eq!(
            (&answer.json["error"], &answer.json["interval"]),
            (&json!("slow_down"), &json!(interval))
        );
    }
    mock.github().set_device_interval(0);
    assert_eq!(poll(&mock, &device_code).await.json["error"], "authorization_pending");
    assert!(mock.github().approve_device(&user_code, GithubUser::named("greta")));
    assert!(!mock.github().approve_device(&user_code, GithubUser::named("gus")), "decided already");
    let answers = join_all((0..20).map(|_| poll(&mock, &device_code))).await;
    let tokens: Vec<_> = answers.iter().filter_map(|answer| answer.json["access_token"].as_str()).collect();
    let [token] = tokens[..] else { panic!("one token: {tokens:?}") };
    assert_eq!(poll(&mock, &device_code).await.json["error"], "incorrect_device_code");

    let user =
        client().get(url_of(&mock, Endpoint::GithubUser)).bearer_auth(token).header("user-agent", "test");
    let user = Answer::of(user.send().await.expect("an answer")).await;
    assert_eq!(
        (&user.json["login"], user.header("x-oauth-scopes")),
        (&json!("greta"), "read:user, user:email")
    );
}

#[actix_web::test]
async fn a_device_is_connected_on_the_page() {
    let mock = mock().await;
    mock.github().set_device_interval(0);
    let url = url_of(&mock, Endpoint::GithubDevice);
    let get = async |query: &[(&str, &str)]| {
        let url = Url::parse_with_params(&url, query).expect("a URL");
        Answer::of(client().get(url).send().await.expect("an answer")).await
    };
    let page = get(&[]).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("id=\"user_code\"") && page.text.contains("id=\"continue\""), "{}", page.text);
    let unknown = get(&[("user_code", "<b>")]).await;
    assert!(unknown.status == 400 && unknown.text.contains("id=\"error\""), "{}", unknown.text);

    let (device_code, user_code) = begin(&mock).await;
    let page = get(&[("user_code", &user_code.to_lowercase())]).await;
    assert!(page.status == 200 && page.text.contains("id=\"as-bob\""), "{}", page.text);
    let press = client().post(format!("{url}?user_code={user_code}")).form(&[("mock_person", "bob")]);
    let done = Answer::of(press.send().await.expect("an answer")).await;
    assert!(done.status == 200 && done.text.contains("id=\"done\""), "{}", done.text);
    assert!(poll(&mock, &device_code).await.json["access_token"].is_string());

    let (device_code, user_code) = begin(&mock).await;
    assert_eq!(get(&[("user_code", &user_code), ("mock_person", "carol")]).await.status, 200);
    assert!(poll(&mock, &device_code).await.json["access_token"].is_string());
    let (device_code, user_code) = begin(&mock).await;
    assert_eq!(get(&[("user_code", &user_code), ("mock_deny", "1")]).await.status, 200);
    assert_eq!(poll(&mock, &device_code).await.json["error"], "access_denied");
}

#[actix_web::test]
async fn a_device_code_that_is_unknown_denied_or_old_gets_no_token() {
    let mock = mock().await;
    mock.github().set_device_interval(0);
    assert_eq!(poll(&mock, &"0".repeat(40)).await.json["error"], "incorrect_device_code");
    let (device_code, user_code) = begin(&mock).await;
    assert!(mock.github().deny_device(&user_code));
    assert_eq!(poll(&mock, &device_code).await.json["error"], "access_denied");
    let (device_code, user_code) = begin(&mock).await;
    mock.github().expire_devices();
    assert_eq!(poll(&mock, &device_code).await.json["error"], "expired_token");
    assert!(!mock.github().approve_device(&user_code, GithubUser::default()));

    let stranger = vec![("client_id", "somebody".to_owned())];
    let answer = post(&mock, Endpoint::GithubDeviceCode, &stranger).await;
    assert_eq!(answer.json["error"], "incorrect_client_credentials");
    let form = vec![("client_id", github::CLIENT_ID.to_owned())];
    let answer = client().post(url_of(&mock, Endpoint::GithubDeviceCode)).form(&form);
    let answer = Answer::of(answer.send().await.expect("an answer")).await;
    assert_eq!(answer.header("content-type"), "application/x-www-form-urlencoded; charset=utf-8");
    assert!(answer.text.contains("&user_code=") && answer.text.contains("&interval=0"), "{}", answer.text);
}
