//! Each kind of token that there is, at each place that takes one: it opens its own and no other.

use std::cell::RefCell;

use serde_json::{Value, json};
use tokenbooth::mock::Person;

use crate::databases::TestDatabase;
use crate::native;
use crate::support::both_doors::{ACCESS_TOKEN, ID_TOKEN};
use crate::support::browser::Browser;
use crate::support::oauth::Service;
use crate::support::{Answer, TestApp};

/// What somebody may have in hand.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    UserToken,
    ClientToken,
    RefreshToken,
    Code,
    ClientSecret,
    /// The sealed cookie of a sign-in under way.
    Attempt,
    /// The cookie that scripts may read.
    CsrfToken,
    /// The cookie that names the session of a browser's refresh token.
    DeviceCookie,
    GoogleIdToken,
    GoogleAccessToken,
}

const KINDS: [Kind; 10] = [
    Kind::UserToken,
    Kind::ClientToken,
    Kind::RefreshToken,
    Kind::Code,
    Kind::ClientSecret,
    Kind::Attempt,
    Kind::CsrfToken,
    Kind::DeviceCookie,
    Kind::GoogleIdToken,
    Kind::GoogleAccessToken,
];

/// Where a token is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Bearer,
    SessionCookie,
    RefreshCookie,
    RefreshBody,
    RefreshGrant,
    CodeGrant,
    ClientSecretPost,
    ClientSecretBasic,
    GoogleIdToken,
    GoogleAccessToken,
    SubjectIdToken,
    SubjectAccessToken,
    Link,
}

const PLACES: [Place; 13] = [
    Place::Bearer,
    Place::SessionCookie,
    Place::RefreshCookie,
    Place::RefreshBody,
    Place::RefreshGrant,
    Place::CodeGrant,
    Place::ClientSecretPost,
    Place::ClientSecretBasic,
    Place::GoogleIdToken,
    Place::GoogleAccessToken,
    Place::SubjectIdToken,
    Place::SubjectAccessToken,
    Place::Link,
];

impl Place {
    fn takes(self) -> Kind {
        match self {
            Self::Bearer | Self::SessionCookie => Kind::UserToken,
            Self::RefreshCookie | Self::RefreshBody | Self::RefreshGrant => Kind::RefreshToken,
            Self::CodeGrant => Kind::Code,
            Self::ClientSecretPost | Self::ClientSecretBasic => Kind::ClientSecret,
            Self::GoogleIdToken | Self::SubjectIdToken | Self::Link => Kind::GoogleIdToken,
            Self::GoogleAccessToken | Self::SubjectAccessToken => Kind::GoogleAccessToken,
        }
    }
}

/// A fresh token of each kind.
struct Hand<'a> {
    app: &'a TestApp,
    service: Service,
    user_token: String,
    /// The device cookie of the last refresh token.
    device: RefCell<String>,
}

impl Hand<'_> {
    async fn signed_in(&self) -> Browser {
        let mut browser = Browser::at(self.app);
        browser.sign_in("google", "alice").await;
        let device = browser.cookie("__Host-tokenbooth_device").expect("a cookie");
        device.clone_into(&mut self.device.borrow_mut());
        browser
    }

    async fn token(&self, kind: Kind) -> String {
        let app = self.app;
        let person = || Person::named("alice");
        match kind {
            Kind::UserToken => self.user_token.clone(),
            Kind::ClientToken => app.client_token(&self.service).await,
            Kind::RefreshToken => {
                self.signed_in().await.cookie("__Secure-tokenbooth_refresh").expect("a cookie").to_owned()
            }
            Kind::DeviceCookie => {
                self.signed_in().await;
                self.device.borrow().clone()
            }
            Kind::Code => native::code(app, "alice").await,
            Kind::ClientSecret => self.service.secret.clone(),
            Kind::Attempt => {
                let mut browser = Browser::at(app);
                browser.visit("/auth/google/login").await;
                let name = browser.attempts().remove(0);
                browser.cookie(&name).expect("a cookie").to_owned()
            }
            Kind::CsrfToken => {
                let mut browser = Browser::at(app);
                browser.sign_in("google", "alice").await;
                browser.cookie("__Host-tokenbooth_csrf").expect("a cookie").to_owned()
            }
            Kind::GoogleIdToken => app.mock.google().id_token(person().claims()),
            Kind::GoogleAccessToken => app.mock.google().access_token(person()),
        }
    }

    async fn send(&self, place: Place, token: &str) -> Answer {
        let app = self.app;
        let id = self.service.id.as_str();
        match place {
            Place::Bearer => app.me(token).await,
            Place::SessionCookie => {
                with_cookie(app, "GET", "/api/me", "__Host-tokenbooth_session", token).await
            }
            Place::RefreshCookie => {
                let cookies = format!("{token}; __Host-tokenbooth_device={}", self.device.borrow());
                with_cookie(app, "POST", "/auth/refresh", "__Secure-tokenbooth_refresh", &cookies).await
            }
            Place::RefreshBody => app.refresh(token).await,
            Place::RefreshGrant => {
                grant(app, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
            }
            Place::CodeGrant => native::redeem_at_home(app, token).await,
            Place::ClientSecretPost => {
                let form =
                    [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", token)];
                grant(app, &form).await
            }
            Place::ClientSecretBasic => {
                let service = Service { id: id.to_owned(), secret: token.to_owned() };
                app.post_form_as("/oauth/token", &service, &[("grant_type", "client_credentials")]).await
            }
            Place::GoogleIdToken => app.exchange("google", &json!({ "id_token": token })).await,
            Place::GoogleAccessToken => app.exchange("google", &json!({ "access_token": token })).await,
            Place::SubjectIdToken => app.token_exchange("google", ID_TOKEN, token, &[]).await,
            Place::SubjectAccessToken => app.token_exchange("google", ACCESS_TOKEN, token, &[]).await,
            Place::Link => {
                let body = json!({ "id_token": token });
                app.send_as("POST", "/api/me/identities/google", &self.user_token, &body).await
            }
        }
    }
}

async fn grant(app: &TestApp, form: &[(&str, &str)]) -> Answer {
    app.post_form("/oauth/token", form).await
}

/// From our own page, so that it is the cookie that is refused.
async fn with_cookie(app: &TestApp, method: &str, path: &str, name: &str, token: &str) -> Answer {
    let method = method.parse().expect("a method");
    let request = app.http.request(method, format!("{}{path}", app.base)).header("origin", &app.base);
    let request = request.header("cookie", format!("{name}={token}"));
    Answer::of(request.send().await.expect("an answer")).await
}

on_both_databases! {
    async fn each_kind_of_token_opens_its_own_place_only(db: TestDatabase) {
        let app = TestApp::start_with(db, native::with_apps).await;
        app.warm().await;
        let service = app.create_client("Reports", "reports.read");
        let user_token = app.sign_in(Person::named("alice")).await.jwt;
        let hand = Hand { app: &app, service, user_token, device: RefCell::default() };
        for place in PLACES {
            for kind in KINDS {
                let token = hand.token(kind).await;
                let asked = app.mock.total_requests();
                let answer = hand.send(place, &token).await;
                let what = format!("{kind:?} at {place:?}: {} {}", answer.status, answer.text);
                if kind == place.takes() {
                    assert_eq!(answer.status, 200, "{what}");
                    continue;
                }
                assert!(matches!(answer.status, 400 | 401), "{what}");
                assert_eq!(answer.json.get("access_token"), None, "{what}");
                assert!(!answer.text.contains(&token), "{what}");
                // A code, and what is sealed, look like nothing; what can be told to be ours is shown to nobody.
                if !matches!(kind, Kind::Code | Kind::Attempt | Kind::CsrfToken | Kind::DeviceCookie) {
                    assert_eq!(app.mock.total_requests(), asked, "somebody was asked about {what}");
                }
            }
        }
        assert_eq!(app.db.count("users"), 1);
        assert_eq!(Value::Null, app.me("x").await.json["id"]);
    }
}
