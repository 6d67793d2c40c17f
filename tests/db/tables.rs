//! The queries, one table after the other.

use std::collections::HashMap;

use tokenbooth::client::{Audiences, Client, ClientId, Scopes};
use tokenbooth::clock::Timestamp;
use tokenbooth::db::{self, clients, ended_sessions, identities, sessions, users};
use tokenbooth::session::HashedToken;
use tokenbooth::user::{BearerKey, IdentityKey, UserId};
use uuid::Uuid;

use crate::databases::TestDatabase;
use crate::{identity_of, session_of, somebody};

fn key(provider: &str, provider_id: &str) -> IdentityKey {
    IdentityKey { provider: provider.to_owned(), provider_id: provider_id.to_owned() }
}

on_both_databases! {
    async fn a_user_comes_back_as_it_was_written(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let plain = somebody();
        let mut full = somebody();
        full.email = Some("Zo\u{eb}.O'Neil@Example.com".to_owned());
        full.name = Some("\u{1f600} \u{202e}x\"; DROP TABLE users; --".to_owned());
        full.avatar_url = Some("https://example.com/a.png".to_owned());
        (full.admin, full.disabled, full.token_version) = (true, true, i64::MAX);
        (full.created_at, full.last_login_at) = (Timestamp(i64::MIN), Some(Timestamp(0)));
        let mut bare = somebody();
        (bare.email, bare.name, bare.last_login_at) = (None, None, None);
        for user in [&plain, &full, &bare] {
            users::insert(&mut conn, user).expect("a user");
            assert_eq!(users::find(&mut conn, user.id), Ok(Some(user.clone())));
        }
        assert_eq!(users::find(&mut conn, UserId::generate()), Ok(None));
    }

    async fn bearers_are_read_with_their_sessions(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let (alice, bob, nobody) = (somebody(), somebody(), UserId::generate());
        for user in [&alice, &bob] {
            users::insert(&mut conn, user).expect("a user");
        }
        let [phone, laptop, ended, of_bob] = [&alice, &alice, &alice, &bob].map(|user| {
            let session = session_of(user);
            sessions::insert(&mut conn, &session).expect("a session");
            session.id
        });
        assert_eq!(sessions::delete(&mut conn, ended, None, Timestamp(1)), Ok(Some(alice.id)));
        let key = |user_id: UserId, session_id: Option<Uuid>| BearerKey { user_id, session_id };
        let expected = HashMap::from([
            (key(alice.id, None), Some((&alice, false))),
            (key(alice.id, Some(phone)), Some((&alice, true))),
            (key(alice.id, Some(laptop)), Some((&alice, true))),
            (key(alice.id, Some(ended)), Some((&alice, false))),
            // Another user's session is none of hers.
            (key(alice.id, Some(of_bob)), Some((&alice, false))),
            (key(bob.id, Some(of_bob)), Some((&bob, true))),
            (key(bob.id, Some(Uuid::now_v7())), Some((&bob, false))),
            (key(nobody, Some(phone)), None),
            (key(nobody, None), None),
        ]);
        let keys: Vec<BearerKey> = expected.keys().copied().collect();
        for keys in std::iter::once(&keys[..]).chain(keys.chunks(1)).chain(keys.chunks(2)).chain([&[][..]]) {
            let found = users::find_bearers(&mut conn, keys).expect("bearers");
            let found: HashMap<_, _> = found.into_iter().collect();
            for key in keys {
                let found = found.get(key).map(|bearer| (&bearer.user, bearer.session_alive));
                assert_eq!(found, expected[key], "{key:?}");
            }
        }
        assert_eq!(ended_sessions::list_since(&mut conn, Timestamp(1)).expect("ended").len(), 1);
    }

    async fn users_are_listed_in_pages_by_key(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        assert_eq!(users::list(&mut conn, None, 10), Ok(vec![]));
        let mut written: Vec<_> = (0..25).map(|_| somebody()).collect();
        for user in written.iter().rev() {
            users::insert(&mut conn, user).expect("a user");
        }
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let page = users::list(&mut conn, after, 10).expect("a page");
            assert!(page.len() <= 10);
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            if read.is_empty() {
                // Who comes meanwhile comes last, and a page is not shifted by who goes.
                let newcomer = somebody();
                users::insert(&mut conn, &newcomer).expect("a user");
                written.push(newcomer);
                assert_eq!(users::delete(&mut conn, page[3].id, Timestamp(5)), Ok(true));
            }
            read.extend(page);
        }
        assert_eq!(read, written);
        assert_eq!(users::list(&mut conn, Some(written[25].id), 10), Ok(vec![]));
        assert_eq!(users::list(&mut conn, None, 0), Ok(vec![]));
    }

    async fn an_address_is_found_whatever_the_case_of_its_ascii_letters(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        for local in ["Ann@Example", "ann@EXAMPLE", "\u{c4}nn@example", "\u{e4}nn@example", "a_n@example"] {
            let address = format!("{local}.com");
            let mut user = somebody();
            user.email = Some(address);
            users::insert(&mut conn, &user).expect("a user");
        }
        let found = |conn: &mut _, address: &str, limit| {
            users::find_by_email(conn, address, limit).expect("users").len()
        };
        assert_eq!(found(&mut conn, "ANN@EXAMPLE.COM", 10), 2);
        assert_eq!(found(&mut conn, "ANN@EXAMPLE.COM", 1), 1);
        assert_eq!(found(&mut conn, "\u{c4}NN@example.com", 10), 1);
        assert_eq!(found(&mut conn, "%@example.com", 10), 0);
        assert_eq!(found(&mut conn, "", 10), 0);
        // After a change the old address finds nobody.
        let mut user = users::find_by_email(&mut conn, "a_n@example.com", 1).expect("users").remove(0);
        user.email = None;
        users::update_profile(&mut conn, &user, Timestamp(5)).expect("written");
        assert_eq!(found(&mut conn, "a_n@example.com", 10), 0);
    }

    async fn a_sign_in_does_not_undo_what_an_administrator_does_meanwhile(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let mut user = somebody();
        users::insert(&mut conn, &user).expect("a user");
        assert_eq!(users::set_disabled(&mut conn, user.id, true, Timestamp(5)), Ok(true));
        assert_eq!(users::set_admin(&mut conn, user.id, true, Timestamp(5)), Ok(true));
        user.name = Some("Newer".to_owned());
        users::update_profile(&mut conn, &user, Timestamp(6)).expect("written");
        users::update_last_login(&mut conn, user.id, Timestamp(7)).expect("written");
        let stored = users::find(&mut conn, user.id).expect("an answer").expect("a user");
        assert_eq!((stored.disabled, stored.admin, stored.token_version), (true, true, 1));
        assert_eq!((stored.name.as_deref(), stored.last_login_at), (Some("Newer"), Some(Timestamp(7))));
        assert_eq!(db.number("SELECT updated_at AS number FROM users"), 6);
    }

    async fn disabling_ends_every_token_and_enabling_revives_none(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let user = somebody();
        users::insert(&mut conn, &user).expect("a user");
        let mut state = |disabled| {
            assert_eq!(users::set_disabled(&mut conn, user.id, disabled, Timestamp(5)), Ok(true));
            let stored = users::find(&mut conn, user.id).expect("an answer").expect("a user");
            (stored.disabled, stored.token_version)
        };
        assert_eq!([state(true), state(false), state(true)], [(true, 1), (false, 1), (true, 2)]);
        assert_eq!(users::set_disabled(&mut conn, UserId::generate(), true, Timestamp(5)), Ok(false));
        assert_eq!(users::set_admin(&mut conn, UserId::generate(), true, Timestamp(5)), Ok(false));
    }

    async fn a_user_who_goes_takes_the_identities_along(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let (ann, ben) = (somebody(), somebody());
        for user in [&ann, &ben] {
            users::insert(&mut conn, user).expect("a user");
        }
        let ways = [(&ann, "google", "1"), (&ann, "github", "1"), (&ben, "google", "2")]
            .map(|(user, provider, id)| identity_of(user, provider, id));
        for way in &ways {
            identities::insert(&mut conn, way).expect("an identity");
        }
        assert_eq!(identities::list(&mut conn, ann.id), Ok(ways[..2].to_vec()));
        assert_eq!(users::delete(&mut conn, ann.id, Timestamp(5)), Ok(true));
        assert_eq!(users::delete(&mut conn, ann.id, Timestamp(5)), Ok(false));
        assert_eq!(identities::list(&mut conn, ann.id), Ok(vec![]));
        assert_eq!(identities::find_with_user(&mut conn, &key("google", "1")), Ok(None));
        assert_eq!(identities::find_with_user(&mut conn, &key("google", "2")), Ok(Some((ways[2].clone(), ben))));
        // The way in is free again.
        let cat = somebody();
        users::insert(&mut conn, &cat).expect("a user");
        identities::insert(&mut conn, &identity_of(&cat, "google", "1")).expect("an identity");
    }

    async fn an_identity_comes_back_as_it_was_written_with_its_user(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let user = somebody();
        users::insert(&mut conn, &user).expect("a user");
        let mut way = identity_of(&user, "acme", "s\u{fc}b '1'");
        identities::insert(&mut conn, &way).expect("an identity");
        let found = |conn: &mut _| identities::find_with_user(conn, &key("acme", "s\u{fc}b '1'"));
        assert_eq!(found(&mut conn), Ok(Some((way.clone(), user.clone()))));
        (way.email, way.verified_email, way.gives_email, way.last_used_at) = (None, None, false, Timestamp(9));
        way.recent_sign_ins.record(way.id, None, Timestamp(9));
        identities::update_at_sign_in(&mut conn, &way).expect("written");
        assert_eq!(found(&mut conn), Ok(Some((way, user))));
        assert_eq!(identities::find_with_user(&mut conn, &key("ACME", "s\u{fc}b '1'")), Ok(None));
    }

    async fn a_client_comes_back_as_it_was_written(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let client = |number: i64| Client {
            id: ClientId::generate(),
            name: "Night \u{1f600} 'job\"".parse().expect("a name"),
            scopes: "b a".parse().expect("scopes"),
            secret: HashedToken::of(&number.to_be_bytes()),
            previous_secret: None,
            disabled: false,
            created_at: Timestamp(number),
            rotated_at: None,
            audiences: Audiences::default(),
            tokens_from: None,
        };
        let (first, mut second, third) = (client(1), client(2), client(3));
        second.scopes = Scopes::default();
        second.audiences = "tokenbooth https://api.mail.com".parse().expect("audiences");
        (second.disabled, second.previous_secret, second.rotated_at) = (true, Some(first.secret.clone()), Some(Timestamp(9)));
        for client in [&second, &first, &third] {
            clients::insert(&mut conn, client).expect("a client");
            assert_eq!(clients::find(&mut conn, &client.id), Ok(Some(client.clone())));
        }
        let nobody = ClientId::generate();
        assert_eq!(clients::find(&mut conn, &nobody), Ok(None));
        assert_eq!(clients::list(&mut conn), Ok(vec![first.clone(), second.clone(), third.clone()]));
        let found = clients::find_all(&mut conn, &[first.id.clone(), second.id.clone(), nobody.clone()]);
        assert_eq!(found.map(HashMap::from_iter), Ok(HashMap::from([(first.id.clone(), first.clone()), (second.id.clone(), second)])));
        assert_eq!(clients::find_all(&mut conn, &[]), Ok(Vec::new()));

        let next = HashedToken::of(b"next");
        let rotated = Client { previous_secret: Some(first.secret.clone()), secret: next, rotated_at: Some(Timestamp(5)), ..first };
        clients::update_secrets(&mut conn, &rotated).expect("written");
        assert_eq!(clients::lock(&mut conn, &rotated.id), Ok(Some(rotated.clone())));
        clients::disable(&mut conn, &rotated.id, Timestamp(6)).expect("written");
        assert_eq!(clients::find(&mut conn, &rotated.id), Ok(Some(Client { disabled: true, ..rotated.clone() })));
        clients::enable(&mut conn, &rotated.id, Timestamp(7)).expect("written");
        assert_eq!(clients::find(&mut conn, &rotated.id), Ok(Some(Client { tokens_from: Some(Timestamp(7)), ..rotated })));
        assert_eq!(clients::find(&mut conn, &third.id), Ok(Some(third)), "nobody else was touched");
        assert_eq!(clients::lock(&mut conn, &nobody), Ok(None));
    }

    async fn many_identities_come_back_each_with_its_user(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let mut expected = HashMap::new();
        // The same ids at two providers are different people.
        for (provider, id) in [("github", "1"), ("google", "1"), ("google", "2"), ("google", "3")] {
            let user = somebody();
            users::insert(&mut conn, &user).expect("a user");
            let identity = identity_of(&user, provider, id);
            identities::insert(&mut conn, &identity).expect("an identity");
            expected.insert(identity.key(), (identity, user));
        }
        expected.remove(&key("google", "3"));
        let asked = [("github", "1"), ("github", "2"), ("google", "1"), ("google", "2")].map(|(provider, id)| key(provider, id));
        assert_eq!(identities::find_all_with_users(&mut conn, &asked).map(HashMap::from_iter), Ok(expected));
        assert_eq!(identities::find_all_with_users(&mut conn, &[]), Ok(Vec::new()));
    }
}
