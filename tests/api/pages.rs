//! The pages: what a browser is told with them, whom they are shown to, and that nothing in them is what somebody typed.

mod confirming;

use std::collections::BTreeSet;

use reqwest::header::{ACCEPT, COOKIE, IF_NONE_MATCH};
use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::{Answer, SignedIn, TestApp};

const PAGES: [&str; 6] = ["/", "/sign-in", "/account", "/admin", "/admin/events", "/fragments/navigation"];
const HOSTILE: &str = "<script>alert(1)</script>\"' onerror=alert(1)";

async fn get_with_accept(app: &TestApp, path: &str, jwt: &str, accept: &str) -> Answer {
    let request = app.http.get(format!("{}{path}", app.base)).bearer_auth(jwt).header(ACCEPT, accept);
    Answer::of(request.send().await.expect("an answer")).await
}

async fn get_with_cookie(app: &TestApp, path: &str, jwt: &str) -> Answer {
    let cookie = format!("other=\"; __Host-tokenbooth_session={jwt}");
    let request = app.http.get(format!("{}{path}", app.base)).header(COOKIE, cookie);
    Answer::of(request.send().await.expect("an answer")).await
}

/// Every tag of a page, from `<` to `>`.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect()
}

/// The values of an attribute, still escaped.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    tags(html)
        .into_iter()
        .flat_map(|tag| {
            tag.match_indices(&start).map(|(at, found)| &tag[at + found.len()..]).collect::<Vec<_>>()
        })
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[track_caller]
fn assert_headers_of_a_page(answer: &Answer) {
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "same-origin");
    assert_eq!(answer.header("cache-control"), "no-store");
    let policy = answer.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.split("; ").any(|directive| directive.starts_with(part)), "{part} is not in {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"), "{policy}");
}

/// The tag's name and the names of its attributes: what stands outside of quotes.
fn names(tag: &str) -> Vec<String> {
    let mut quote = None;
    let mut outside = String::new();
    for c in tag.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None => outside.push(c),
        }
    }
    outside.split_whitespace().map(|name| name.trim_end_matches('=').to_owned()).collect()
}

/// Nothing that the policy would keep a browser from doing.
#[track_caller]
fn assert_nothing_inline(html: &str) {
    for tag in tags(html) {
        for name in names(tag) {
            assert!(name != "style" && !name.starts_with("on") && !name.starts_with("hx-on"), "<{tag}>");
        }
    }
    for script in html.split("<script").skip(1) {
        assert!(script.starts_with(" src=\"/"), "<script{script}");
        assert!(
            script.split_once('>').is_some_and(|(_, rest)| rest.starts_with("</script>")),
            "<script{script}"
        );
    }
}

/// A service with an administrator, and a user with a name that means harm.
async fn with_mallory(db: TestDatabase) -> (TestApp, SignedIn, SignedIn) {
    let (app, ada) = TestApp::start_with_ada(db).await;
    let mallory =
        app.sign_in_offline(Person { name: Some(HOSTILE.into()), ..Person::named("mallory") }).await;
    (app, ada, mallory)
}

on_both_databases! {
    async fn every_page_has_the_headers_of_a_page_and_nothing_inline(db: TestDatabase) {
        let (app, ada, mallory) = with_mallory(db).await;
        for path in PAGES.into_iter().filter(|path| *path != "/sign-in") {
            let answer = app.get_as(path, &ada.jwt).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_headers_of_a_page(&answer);
            assert_nothing_inline(&answer.text);
        }
        for path in ["/", "/sign-in", "/fragments/navigation"] {
            let answer = app.get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_headers_of_a_page(&answer);
            assert_nothing_inline(&answer.text);
        }
        let refused = app.get_as("/admin", &mallory.jwt).await;
        assert_eq!(refused.status, 403);
        assert_headers_of_a_page(&refused);
        assert_nothing_inline(&refused.text);
        let head = app.http.head(format!("{}/", app.base)).send().await.expect("an answer");
        assert_eq!(head.status(), 200);
        assert_headers_of_a_page(&Answer::of(head).await);
        app.post("/account", &Value::Null).await.assert_problem(405, "method_not_allowed");
    }

    async fn every_page_has_one_title_one_main_part_and_a_label_for_every_field(db: TestDatabase) {
        let (app, ada, _) = with_mallory(db).await;
        let sign_in = app.get("/sign-in").await.text;
        let mut pages = vec![sign_in];
        for path in ["/", "/account", "/admin", "/admin/events", "/account?devices_after=x"] {
            pages.push(app.get_as(path, &ada.jwt).await.text);
        }
        for page in pages {
            for element in ["<h1", "<main", "<header", "<nav", "id=\"message\"", "lang=\"en\"", "<title"] {
                assert_eq!(page.matches(element).count(), 1, "{element}:\n{page}");
            }
            let ids = values(&page, "id");
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id is there twice: {ids:?}");
            let labelled: BTreeSet<&str> = values(&page, "for").into_iter().collect();
            for field in tags(&page).into_iter().filter(|tag| tag.starts_with("input") || tag.starts_with("select")) {
                let id = field.split(" id=\"").nth(1).and_then(|rest| rest.split('"').next());
                // For password managers only.
                let unseen = field.ends_with(" tabindex=\"-1\" aria-hidden=\"true\"");
                assert!(unseen || id.is_some_and(|id| labelled.contains(id)), "<{field}>");
            }
        }
    }

    async fn who_is_not_signed_in_is_sent_to_the_sign_in_page_and_comes_back(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (path, location) in [
            ("/account", "/sign-in?redirect_to=%2Faccount"),
            ("/admin?q=a%20b&after=c", "/sign-in?redirect_to=%2Fadmin%3Fq%3Da%2520b%26after%3Dc"),
            ("/admin/events?kind=%0d%0aSet-Cookie:x", "/sign-in?redirect_to=%2Fadmin%2Fevents%3Fkind%3D%250d%250aSet%2DCookie%3Ax"),
        ] {
            let answer = app.get(path).await;
            assert_eq!((answer.status, answer.header("location")), (303, location));
            assert_eq!(answer.header("cache-control"), "no-store");
            let broken = app.get_as(path, "x.y.z").await;
            assert_eq!((broken.status, broken.header("location")), (303, location));
            get_with_accept(&app, path, "x.y.z", "application/json").await.assert_problem(401, "invalid_token");
        }
        let page = app.get("/sign-in?redirect_to=%2Fadmin%3Fq%3Da%2520b").await.text;
        assert_eq!(values(&page, "data-then"), ["/admin?q=a%20b", "/admin?q=a%20b"], "{page}");
    }

    async fn the_sign_in_page_leads_only_to_our_own_paths(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        for (wanted, expected) in [
            ("", "/"),
            ("?redirect_to=%2Faccount", "/account"),
            ("?redirect_to=%2Faccount%3Fa%3D1", "/account?a=1"),
            ("?redirect_to=%2F%2Fevil.example", "/"),
            ("?redirect_to=%2F%5Cevil.example", "/"),
            ("?redirect_to=https%3A%2F%2Fevil.example", "/"),
            ("?redirect_to=javascript%3Aalert(1)", "/"),
            ("?redirect_to=%2Fa%0d%0aSet-Cookie:x", "/"),
            ("?redirect_to=%2Fa%250d%250ab", "/"),
            ("?redirect_to=", "/"),
        ] {
            let answer = app.get_as(&format!("/sign-in{wanted}"), &alice.jwt).await;
            assert_eq!((answer.status, answer.header("location")), (303, expected), "{wanted}");
            let page = app.get(&format!("/sign-in{wanted}")).await.text;
            let targets: BTreeSet<&str> = values(&page, "data-then").into_iter().collect();
            assert_eq!(targets, BTreeSet::from([expected]), "{wanted}");
        }
        let twice = app.get("/sign-in?redirect_to=%2F&redirect_to=%2F").await;
        assert_eq!(twice.status, 400);
        assert_headers_of_a_page(&twice);
    }

    async fn administration_is_for_administrators(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        for path in ["/admin", "/admin/events"] {
            assert_eq!(app.get_as(path, &ada.jwt).await.status, 200);
            let refused = app.get_as(path, &bob.jwt).await;
            assert_eq!(refused.status, 403);
            assert_headers_of_a_page(&refused);
            assert!(refused.text.contains("<code>admin_required</code>"), "{}", refused.text);
            assert!(refused.text.contains(refused.header("x-request-id")), "{}", refused.text);
            assert!(!refused.text.contains("ada@example.com"));
            get_with_accept(&app, path, &bob.jwt, "application/json").await.assert_problem(403, "admin_required");
        }
    }

    async fn what_people_call_themselves_is_text_and_nothing_else(db: TestDatabase) {
        let (app, ada, mallory) = with_mallory(db).await;
        let picture = json!({ "avatar_url": "https://example.com/\"onerror=alert(1)" });
        app.send_as("PATCH", "/api/me", &mallory.jwt, &picture).await;
        let search = format!("/admin?q={}", percent_encoding::utf8_percent_encode(HOSTILE, percent_encoding::NON_ALPHANUMERIC));
        let own = ["/", "/account", "/fragments/navigation"].map(|path| (path.to_owned(), &mallory));
        for (path, viewer) in own.into_iter().chain([("/admin".to_owned(), &ada), (search, &ada)]) {
            let answer = app.get_as(&path, &viewer.jwt).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.text.contains("alert(1)"), "{path}: the name is not shown");
            assert!(!answer.text.contains("<script>"), "{path}:\n{}", answer.text);
            assert_nothing_inline(&answer.text);
        }
        for (path, viewer) in [("/admin/events?kind=<script>", &ada), ("/account?devices_after=<script>", &mallory)] {
            let refused = app.get_as(path, &viewer.jwt).await;
            assert_eq!(refused.status, 400);
            assert_nothing_inline(&refused.text);
        }
    }

    async fn the_bar_knows_who_is_signed_in(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        for path in ["/fragments/navigation", "/"] {
            let stranger = app.get(path).await.text;
            assert!(stranger.contains("href=\"/sign-in\"") && !stranger.contains("id=\"sign-out\""), "{stranger}");
            let user = get_with_cookie(&app, path, &bob.jwt).await.text;
            assert!(user.contains("Bob Example") && user.contains("id=\"sign-out\""), "{user}");
            assert!(user.contains("method=\"post\" action=\"/auth/logout\""), "{user}");
            assert!(!user.contains("href=\"/admin\"") && !user.contains("href=\"/sign-in\""), "{user}");
            let administrator = app.get_as(path, &ada.jwt).await.text;
            assert!(administrator.contains("href=\"/admin\""), "{administrator}");
        }
        let fragment = app.get("/fragments/navigation").await.text;
        assert!(!fragment.contains("<html") && !fragment.contains("<nav"), "{fragment}");
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true })).await;
        assert!(get_with_cookie(&app, "/", &bob.jwt).await.text.contains("href=\"/sign-in\""));
    }

    async fn a_page_knows_how_long_the_session_in_the_cookie_lives(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        app.clock.advance(600);
        let page = get_with_cookie(&app, "/", &alice.jwt).await.text;
        assert_eq!(values(&page, "data-session-life"), ["1800"]);
        let left: i64 = values(&page, "data-session-left")[0].parse().expect("a number");
        assert!((1190..=1200).contains(&left), "{left}");
        // A program has its token itself.
        assert!(values(&app.get_as("/", &alice.jwt).await.text, "data-session-left").is_empty());
        app.clock.advance(1201);
        assert!(values(&get_with_cookie(&app, "/", &alice.jwt).await.text, "data-session-left").is_empty());
    }

    async fn the_account_shows_its_ways_in_and_explains_why_the_last_one_stays(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let page = app.get_as("/account", &alice.jwt).await.text;
        assert!(page.contains("The only way in"), "{page}");
        assert!(!page.contains("data-action=\"unlink\""), "{page}");
        assert!(page.contains("This device"), "{page}");
        assert_eq!(values(&page, "value").iter().filter(|value| **value == "Alice Example").count(), 1);

        let linked = app.link_github(&alice.jwt, GithubUser::named("alice-on-github")).await.json;
        let page = app.get_as("/account", &alice.jwt).await.text;
        let id = linked["id"].as_str().expect("an id");
        assert!(page.contains(&format!("id=\"identity-{id}\"")), "{page}");
        assert!(page.contains(&format!("data-method=\"DELETE\" data-path=\"/api/me/identities/{id}\"")), "{page}");
        assert_eq!(page.matches("data-action=\"unlink\"").count(), 2);
        app.delete(&format!("/api/me/identities/{id}"), &alice.jwt).await;
        let alice = app.sign_in(Person::named("alice")).await;

        let new = json!({ "new_password": "a horse and a battery" });
        assert_eq!(app.send_as("PUT", "/api/me/password", &alice.jwt, &new).await.status, 204);
        let page = app.get_as("/account", &alice.jwt).await.text;
        assert_eq!(page.matches("data-action=\"unlink\"").count(), 1);
        // Google has just authenticated her, which replaces the current password.
        assert!(page.contains("id=\"proved-by-provider\"") && page.contains("id=\"remove-password\""), "{page}");
        assert!(!page.contains("name=\"current_password\"") && !page.contains("id=\"confirm-for-password\""), "{page}");
        assert!(page.contains("A password is set.") && !page.contains("No password is set."), "{page}");
        app.clock.advance(601);
        let page = app.get_as("/account", &alice.jwt).await.text;
        assert_eq!(page.matches("name=\"current_password\"").count(), 2);
        assert!(!page.contains("id=\"proved-by-provider\""), "{page}");
        let confirm = "href=\"/sign-in?redirect_to=%2Faccount%23password%2Dsection&#38;reauthenticate=1\"";
        assert!(page.contains(confirm) && page.contains("sign in again with Google<"), "{page}");
        // A password proves the person, and not that the person knows it from before.
        let body = json!({ "email": "alice@example.com", "password": "a horse and a battery" });
        let by_password = app.post("/auth/password", &body).await.assert_signed_in();
        let page = app.get_as("/account", &by_password.jwt).await.text;
        assert_eq!(page.matches("name=\"current_password\"").count(), 2);
    }

    async fn a_page_says_whether_the_sign_in_is_recent(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        for path in ["/account", "/admin"] {
            let page = app.get_as(path, &ada.jwt).await.text;
            assert_eq!((values(&page, "data-recent"), values(&page, "data-user")), (vec!["true"], vec![&*ada.user_id]));
        }
        app.clock.advance(601);
        for path in ["/account", "/admin"] {
            let page = app.get_as(path, &ada.jwt).await.text;
            assert_eq!((values(&page, "data-recent"), values(&page, "data-user")), (vec![], vec![&*ada.user_id]));
        }
        assert!(values(&app.get("/sign-in").await.text, "data-user").is_empty());
    }

    async fn administrators_see_the_sign_in_methods_of_a_user_and_can_remove_each(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let github = app.link_github(&bob.jwt, GithubUser::named("bob-on-github")).await.json;
        let path = format!("/admin?q={}", "bob%40");
        assert!(app.get_as(&path, &ada.jwt).await.text.contains("No password"));
        let new = json!({ "new_password": "a horse and a battery" });
        assert_eq!(app.send_as("PUT", "/api/me/password", &bob.jwt, &new).await.status, 204);
        let page = app.get_as(&path, &ada.jwt).await.text;
        let actions = ["unlink", "unlink", "remove-password", "disable", "promote", "revoke", "delete"];
        assert_eq!(values(&page, "data-action"), actions);
        let id = github["id"].as_str().expect("an id");
        let paths = values(&page, "data-path");
        for wanted in [format!("/api/admin/users/{}/identities/{id}", bob.user_id), format!("/api/admin/users/{}/password", bob.user_id)] {
            assert!(paths.contains(&wanted.as_str()), "{paths:?}");
        }
        assert!(!page.contains("No password"), "{page}");
    }

    async fn without_passwords_no_page_speaks_of_them(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("password.enabled", "false")).await;
        let alice = app.sign_in(Person::named("alice")).await;
        assert!(!app.get("/sign-in").await.text.contains("type=\"password\""));
        let page = app.get_as("/account", &alice.jwt).await.text;
        assert!(!page.contains("type=\"password\"") && !page.contains("set a password"), "{page}");
    }

    async fn long_lists_go_on_where_they_were_left(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let mut ids = BTreeSet::from([ada.user_id.clone()]);
        for number in 0..50 {
            ids.insert(app.sign_in(Person::named(&format!("user{number}"))).await.user_id);
        }
        let mut found = BTreeSet::new();
        let mut path = "/admin?q=".to_owned();
        for rows in [50, 1] {
            let page = app.get_as(&path, &ada.jwt).await.text;
            let shown: Vec<&str> = values(&page, "id").into_iter().filter_map(|id| id.strip_prefix("user-")).collect();
            assert_eq!(shown.len(), rows);
            found.extend(shown.into_iter().map(str::to_owned));
            let next = page.split("id=\"next-page\"").nth(1).and_then(|rest| rest.split("href=\"").nth(1)?.split('"').next());
            assert_eq!(next.is_some(), rows == 50);
            path = next.unwrap_or_default().replace("&#38;", "&").replace("&amp;", "&");
        }
        assert_eq!(found, ids);

        let page = app.get_as("/admin?q=user7%40", &ada.jwt).await.text;
        assert_eq!(values(&page, "data-action"), ["unlink", "disable", "promote", "revoke", "delete"]);
        assert!(app.get_as("/admin?q=nobody-of-that-name", &ada.jwt).await.text.contains("Nobody is found"));
        let page = app.get_as("/admin/events?kind=&user_id=", &ada.jwt).await.text;
        assert!(page.contains("sign_in.first") && page.contains("id=\"next-page\""), "{page}");
        let path = format!("/admin/events?kind=user.promoted&user_id={}", ada.user_id);
        let page = app.get_as(&path, &ada.jwt).await.text;
        assert_eq!(page.matches("data-label=\"When\"").count(), 1);
        assert!(page.contains("<option value=\"user.promoted\" selected>"), "{page}");
        assert_eq!(app.get_as("/admin/events?user_id=x", &ada.jwt).await.status, 400);
    }

    async fn every_url_of_a_page_begins_with_the_path_of_public_url(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            sources.with("server.public_url", "https://mail.example/booth").with("admin.emails", "google:ada@example.com")
        })
        .await;
        let ada = app.sign_in_offline(Person::named("ada")).await;
        let mut pages = vec![app.get("/sign-in").await.text];
        for path in ["/", "/account", "/admin", "/admin/events", "/account?devices_after=x"] {
            pages.push(app.get_as(path, &ada.jwt).await.text);
        }
        for page in &pages {
            for attribute in ["href", "src", "action", "hx-get", "data-then"] {
                for value in values(page, attribute) {
                    let ours = value.starts_with("/booth/") || value.starts_with('#');
                    assert!(ours || value.starts_with("https://"), "{attribute}=\"{value}\"");
                }
            }
            assert_eq!(values(page, "data-base"), ["/booth"]);
            assert!(values(page, "data-path").iter().all(|path| !path.starts_with("/booth")));
        }
        let sent = app.get("/account").await;
        assert_eq!(sent.header("location"), "/booth/sign-in?redirect_to=%2Fbooth%2Faccount");
        let there = app.get_as("/sign-in", &ada.jwt).await;
        assert_eq!(there.header("location"), "/booth/");
    }

    async fn files_of_pages_are_kept_for_ever_under_the_url_that_pages_name(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let page = app.get("/").await.text;
        let named = [values(&page, "src"), values(&page, "href")].concat();
        let files: Vec<&str> = named.into_iter().filter(|path| path.starts_with("/assets/")).collect();
        assert_eq!(files.len(), 4, "{files:?}");
        for path in files {
            let kept = app.get(path).await;
            assert_eq!((kept.status, kept.header("cache-control")), (200, "public, max-age=31536000, immutable"), "{path}");
            assert_eq!(kept.header("x-content-type-options"), "nosniff");
            let (bare, _) = path.split_once('?').expect("a version");
            let expected = match bare.rsplit('.').next() {
                Some("css") => "text/css; charset=utf-8",
                Some("js") => "text/javascript; charset=utf-8",
                _ => "image/svg+xml",
            };
            assert_eq!(kept.header("content-type"), expected);
            for other in [bare.to_owned(), format!("{bare}?v=0123456789abcdef"), format!("{bare}?v=")] {
                let asked = app.get(&other).await;
                assert_eq!((asked.status, asked.header("cache-control")), (200, "no-cache"), "{other}");
                assert_eq!(asked.text, kept.text);
                let tag = asked.header("etag");
                for (known, status) in [(tag.to_owned(), 304), (format!("\"x\", W/{tag}"), 304), ("\"x\"".to_owned(), 200)] {
                    let request = app.http.get(format!("{}{other}", app.base)).header(IF_NONE_MATCH, known);
                    assert_eq!(request.send().await.expect("an answer").status(), status);
                }
            }
        }
        for path in ["/assets/no-such-file.js", "/assets/..%2FCargo.toml", "/assets/htmx-LICENSE", "/assets/"] {
            app.get(path).await.assert_problem(404, "not_found");
        }
    }
}
