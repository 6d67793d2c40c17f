//! nginx, with examples/proxies/nginx.conf.

use tokenbooth::mock::Person;

use super::{Scene, protection, send};
use crate::databases::TestDatabase;
use crate::support::browser::HTML;
use crate::support::nginx::Nginx;

const SITE: &str = include_str!("../../../examples/proxies/nginx.conf");

fn start(scene: &Scene, change: impl Fn(String) -> String) -> Option<Nginx> {
    Nginx::start(|port| change(scene.file(SITE, port)))
}

on_both_databases! {
    async fn protects_a_service_that_knows_nothing_of_tokens(db: TestDatabase) {
        let scene = Scene::set(db).await;
        let Some(nginx) = start(&scene, |site| site) else { return };
        protection::is_whole(&scene, &nginx.base).await;
        let jwt = scene.app.sign_in(Person::named("ada")).await.jwt;
        let Scene { app, backend, http } = scene;
        let other = Scene { app: crate::support::TestApp::start(TestDatabase::sqlite()).await, backend, http };
        drop(app);
        protection::stays_without_the_service(&other, &nginx.base, &jwt).await;
    }
}

#[actix_web::test]
async fn a_browser_signs_in_and_comes_back_to_the_page_it_wanted() {
    let scene = Scene::set(TestDatabase::sqlite()).await;
    let Some(nginx) = start(&scene, |site| site) else { return };
    let page = "/orders/7?page=2&by=name";
    let answer = send(scene.request(&nginx.base, "GET", page).header("accept", HTML)).await;
    let sign_in = "/booth/sign-in?redirect_to=%2Forders%2F7%3Fpage%3D2%26by%3Dname";
    assert_eq!((answer.status, answer.header("location")), (303, sign_in));
    scene.backend.assert_untouched("a browser");
    // Signed in already, as after the sign-in there, it goes on at once.
    let jwt = scene.app.sign_in(Person::named("ada")).await.jwt;
    let cookie = format!("__Host-tokenbooth_session={jwt}");
    let back =
        send(scene.request(&nginx.base, "GET", sign_in).header("accept", HTML).header("cookie", &cookie))
            .await;
    assert_eq!((back.status, back.header("location")), (303, page));
    let there =
        send(scene.request(&nginx.base, "GET", page).header("accept", HTML).header("cookie", &cookie)).await;
    assert_eq!((there.status, there.text.as_str()), (200, "from the backend"));
    assert_eq!(scene.backend.take_one().path, page);
    // A foreign form is refused, and not sent to sign in.
    let form = scene.request(&nginx.base, "POST", page).header("accept", HTML).header("cookie", &cookie);
    assert_eq!(send(form.header("origin", "https://evil.com")).await.status, 403);
    scene.backend.assert_untouched("a foreign form");
}

#[actix_web::test]
async fn the_line_of_the_question_says_who_may_pass() {
    let scene = Scene::set(TestDatabase::sqlite()).await;
    let (ada, bob) = (
        scene.app.sign_in(Person::named("ada")).await.jwt,
        scene.app.sign_in(Person::named("bob")).await.jwt,
    );
    let clients = scene.app.client_token(&scene.app.create_client("Reports", "")).await;
    for (who, statuses) in [
        ("", [200, 200, 200]),
        ("/user", [200, 200, 401]),
        ("/admin", [200, 403, 401]),
        ("/client", [401, 401, 200]),
        ("/admins", [500; 3]),
    ] {
        let question = "proxy_pass http://tokenbooth/auth/verify";
        assert!(SITE.contains(&format!("{question};")));
        let nginx = start(&scene, |site| site.replace(&format!("{question};"), &format!("{question}{who};")));
        let Some(nginx) = nginx else { return };
        for (token, status) in [&ada, &bob, &clients].into_iter().zip(statuses) {
            let answer =
                send(scene.request(&nginx.base, "GET", "/orders?admin=true").bearer_auth(token)).await;
            assert_eq!(answer.status, status, "{who}");
            assert_eq!(scene.backend.take().len(), usize::from(status == 200), "{who}");
        }
    }
}
