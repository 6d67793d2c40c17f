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

/// So many people called "Broad …", every second of whom has an address that begins so, too. Written by SQL.
fn crowd(db: &TestDatabase, size: usize) {
    let numbers = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {size})"
    );
    let id = "'0192f0c1-0000-7000-8000-' || substr('00000000000' || n, -12)";
    let id = if db.url.starts_with("postgres") {
        "'0192f0c1-0000-7000-8000-' || lpad(n::text, 12, '0')"
    } else {
        id
    };
    db.execute(&format!(
        "INSERT INTO users (id, email, email_lower, name, name_lower, admin, disabled, token_version, created_at, updated_at) \
         {numbers} SELECT {id}, NULL, CASE WHEN n % 2 = 0 THEN 'broad-' || n || '@example.com' END, \
         'Broad ' || n, 'broad ' || n, FALSE, FALSE, 0, 1, 1 FROM numbers"
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
        crowd(&db, 20_100);
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
}
