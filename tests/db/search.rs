//! Search: by how an e-mail or a name begins, or a provider's id; narrow or broad, the same answer.

use tokenbooth::db::{self, DbConn, identities, user_search, users};
use tokenbooth::user::{User, UserId};

use crate::databases::TestDatabase;
use crate::{identity_of, somebody};

/// What `text` finds, in pages of `limit`.
fn search(conn: &mut DbConn, text: &str, limit: usize) -> Vec<UserId> {
    let mut found: Vec<UserId> = Vec::new();
    loop {
        let rows = i64::try_from(limit).expect("a small number");
        let page = user_search::search(conn, text, found.last().copied(), rows).expect("a page");
        assert!(page.len() <= limit);
        found.extend(page.iter().map(|user| user.id));
        if page.len() < limit {
            return found;
        }
    }
}

fn named(email: &str, name: &str) -> User {
    User { email: Some(email.to_owned()), name: Some(name.to_owned()), ..somebody() }
}

/// So many people called "<name> …" with ids that begin so, every second of whom has an address that does, too. Written by
/// SQL.
fn crowd(db: &TestDatabase, ids: &str, name: &str, size: usize) {
    let numbers = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {size})"
    );
    let number = if db.url.starts_with("postgres") { "lpad(n::text, 12, '0')" } else { "printf('%012d', n)" };
    db.execute(&format!(
        "INSERT INTO users (id, email, email_lower, name, name_lower, admin, disabled, token_version, created_at, updated_at) \
         {numbers} SELECT '{ids}-0000-7000-8000-' || {number}, NULL, \
         CASE WHEN n % 2 = 0 THEN '{name}-' || n || '@example.com' END, '{name} ' || n, '{name} ' || n, \
         FALSE, FALSE, 0, 1, 1 FROM numbers"
    ));
}

on_both_databases! {
    async fn a_prefix_finds_by_email_and_by_name_and_nothing_else_does(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let people = [
            named("Ann@Example.com", "Zed"),
            named("zed@example.com", "ANNA"),
            named("an%n@example.com", "An_n"),
            named("b@example.com", "Joann"),
            named("anm@example.com", "ano"),
            named("\u{c4}nn@example.com", "\u{1f600} smile"),
            named("\u{10ffff}\u{10ffff}x@example.com", "\u{10ffff}"),
            User { email: None, name: None, ..somebody() },
        ];
        for user in &people {
            users::insert(&mut conn, user).expect("a user");
        }
        let mut finds = |text: &str| {
            let found = search(&mut conn, text, 3);
            people.iter().enumerate().filter(|(_, user)| found.contains(&user.id)).map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!(finds("ann"), [0, 1]);
        assert_eq!(finds("ANN"), [0, 1]);
        assert_eq!(finds("ann@example.com"), [0]);
        assert_eq!(finds("an%"), [2]);
        assert_eq!(finds("an_"), [2]);
        assert_eq!(finds("%"), [] as [usize; 0]);
        assert_eq!(finds("_"), [] as [usize; 0]);
        assert_eq!(finds("nn"), [] as [usize; 0]);
        assert_eq!(finds("an"), [0, 1, 2, 4]);
        // Only ASCII letters have a case here.
        assert_eq!(finds("\u{c4}N"), [5]);
        assert_eq!(finds("\u{e4}n"), [] as [usize; 0]);
        assert_eq!(finds("\u{1f600}"), [5]);
        assert_eq!(finds("\u{10ffff}"), [6]);
        assert_eq!(finds("\u{10ffff}\u{10ffff}"), [6]);
        assert_eq!(finds("\0"), [] as [usize; 0]);
        assert_eq!(finds("ann\0"), [] as [usize; 0]);
        assert_eq!(finds("' OR 1=1 --"), [] as [usize; 0]);
    }

    async fn a_provider_id_finds_its_user_exactly_and_once(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let (one, other) = (named("11@example.com", "111"), named("x@example.com", "X"));
        for user in [&one, &other] {
            users::insert(&mut conn, user).expect("a user");
        }
        for (user, provider, id) in [(&one, "google", "111"), (&one, "acme", "111"), (&other, "github", "111"), (&other, "acme", "AbC")] {
            identities::insert(&mut conn, &identity_of(user, provider, id)).expect("an identity");
        }
        assert_eq!(search(&mut conn, "111", 10), [one.id, other.id]);
        assert_eq!(search(&mut conn, "111", 1), [one.id, other.id]);
        assert_eq!(search(&mut conn, "11", 10), [one.id]);
        assert_eq!(search(&mut conn, "AbC", 10), [other.id]);
        assert_eq!(search(&mut conn, "abc", 10), []);
    }

    async fn a_broad_search_finds_everybody_once_in_the_order_of_ids(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        // Broad and narrow at once: more names than are few, and half as many addresses.
        crowd(&db, "0192f0c1", "broad", 20_100);
        let late = named("broad@example.com", "Late");
        let with_provider_id = named("x@example.com", "X");
        for user in [&late, &with_provider_id] {
            users::insert(&mut conn, user).expect("a user");
        }
        identities::insert(&mut conn, &identity_of(&with_provider_id, "acme", "broad")).expect("an identity");
        let broad = search(&mut conn, "BROAD", 400);
        assert_eq!(broad.len(), 20_101);
        assert!(broad.is_sorted(), "in the order of ids");
        assert_eq!(broad.last(), Some(&late.id));
        let exact = search(&mut conn, "broad", 400);
        assert_eq!((exact.len(), exact.last()), (20_102, Some(&with_provider_id.id)));
        assert!(exact.is_sorted());
        assert_eq!(search(&mut conn, "broad-", 400).len(), 10_050);
        assert_eq!(search(&mut conn, "broad 200", 400).len(), 111);
    }

    async fn a_crowd_that_came_long_after_the_cursor_is_found_all_the_same(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        crowd(&db, "0192f0c0", "other", 50_100);
        crowd(&db, "0192f0c1", "broad", 20_100);
        let id = |crowd: &str, number: usize| format!("{crowd}-0000-7000-8000-{number:012}").parse().expect("an id");
        let mut page = |text: &str, after: Option<UserId>| -> Vec<UserId> {
            let page = user_search::search(&mut conn, text, after, 10).expect("a page");
            page.iter().map(|user| user.id).collect()
        };
        let first_ten: Vec<UserId> = (0..10).map(|number| id("0192f0c1", number)).collect();
        for after in [None, Some(id("0192f0c0", 0)), Some(id("0192f0c0", 99)), Some(id("0192f0c0", 100)), Some(id("0192f0c0", 50_099))] {
            assert_eq!(page("broad", after), first_ten, "{after:?}");
        }
        let last_four: Vec<UserId> = (50_096..50_100).map(|number| id("0192f0c0", number)).collect();
        assert_eq!(page("other", Some(id("0192f0c0", 50_095))), last_four);
        assert_eq!(page("broad", Some(id("0192f0c1", 20_099))), []);
    }
}
