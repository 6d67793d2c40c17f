//! `tokenbooth import`: people sign in to the account they had, twice is as good as once, and nobody gets in who could not.

use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};

use super::Ended;
use super::user::user;
use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::process::Tokenbooth;

const ANN: &str = "5b1f0c1e-2d3e-4f40-8a51-6b7c8d9e0f10";
const BEN: &str = "f00dc1e5-2d3e-4f40-8a51-6b7c8d9e0f10";
const CAT: &str = "0a1f0c1e-2d3e-4f40-8a51-6b7c8d9e0f10";
/// `uuid.uuid5(uuid.NAMESPACE_URL, "tokenbooth:firebase:…")`, by Python.
const FIREBASE_ANN: &str = "8d6de979-f432-54d4-ae2a-3324cca89590";

/// `tokenbooth import --from … users … ` with these files in the working directory.
fn import(db: &TestDatabase, from: &str, files: &[(&str, &str)], more: &[&str]) -> Ended {
    let command = Tokenbooth::new(&[&["import", "--from", from, files[0].0], more].concat());
    let command = files.iter().fold(command, |command, (name, text)| command.file(name, text));
    command.set("database.url", &db.url).output().into()
}

/// Exit code 0; answers with stdout, and stderr where problems stand.
#[track_caller]
fn good(ended: Ended) -> (String, String) {
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    (ended.out, ended.err)
}

fn show(db: &TestDatabase, id: &str) -> Value {
    serde_json::from_str(&user(db, &["show", id]).good()).expect("JSON")
}

/// Ann has Google, Ben GitHub and a password, Cat a password alone.
fn supabase_users() -> Value {
    json!([
        {
            "id": ANN, "aud": "authenticated", "role": "authenticated", "email": "ann@example.com", "encrypted_password": "",
            "email_confirmed_at": "2023-05-04T03:02:01.123456+00:00", "last_sign_in_at": "2024-01-31T12:34:56Z",
            "raw_app_meta_data": { "provider": "google", "providers": ["google"] },
            "raw_user_meta_data": { "full_name": "Ann\u{7} Example", "avatar_url": "https://example.com/ann.png" },
            "is_super_admin": true, "created_at": "2023-05-04T03:02:00+00:00", "banned_until": null, "is_anonymous": false
        },
        {
            "id": BEN, "email": "ben@example.com", "encrypted_password": "$2a$10$abc", "email_confirmed_at": null,
            "raw_user_meta_data": "{\"name\": \"Ben\"}", "created_at": "2023-05-05 03:02:00+00", "banned_until": "2999-01-01 00:00:00+00"
        },
        { "id": CAT, "email": "cat@example.com", "encrypted_password": "$2a$10$abc", "email_confirmed_at": "2023-05-04 03:02:01+00" },
        { "id": "7", "email": "dan@example.com" },
        { "id": "1a1f0c1e-2d3e-4f40-8a51-6b7c8d9e0f10", "is_anonymous": true },
        { "id": "2a1f0c1e-2d3e-4f40-8a51-6b7c8d9e0f10", "deleted_at": "2024-01-31T12:34:56Z" },
        "no record"
    ])
}

fn supabase_identities(ann: &str, ben: &str) -> Value {
    json!([
        {
            "id": "9a1f0c1e-2d3e-4f40-8a51-6b7c8d9e0f10", "provider_id": ann, "user_id": ANN, "provider": "google",
            "identity_data": { "sub": ann, "email": "Ann@example.com", "email_verified": true },
            "created_at": "2023-05-04T03:02:00Z", "last_sign_in_at": "2024-01-31T12:34:56Z"
        },
        // Before 2023 the row's id was the provider's, and an address nobody verified is no address.
        { "id": ben, "user_id": BEN, "provider": "github", "identity_data": { "email": "ben@example.com" } },
        { "provider_id": CAT, "user_id": CAT, "provider": "email", "identity_data": {} },
        { "provider_id": "77", "user_id": CAT, "provider": "azure", "identity_data": {} },
        { "provider_id": "78", "user_id": "3a1f0c1e-2d3e-4f40-8a51-6b7c8d9e0f10", "provider": "google", "identity_data": {} },
        { "provider_id": ann, "user_id": CAT, "provider": "google", "identity_data": {} }
    ])
}

on_both_databases! {
    async fn people_of_supabase_sign_in_to_the_account_they_had(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (ann, ben) = (Person::named("ann"), GithubUser::named("ben"));
        let users = supabase_users().to_string();
        let identities = supabase_identities(&ann.sub, &ben.id.to_string()).to_string();
        let files = [("users.json", users.as_str()), ("identities.json", identities.as_str())];
        let more = ["--identities", "identities.json"];

        let (told, problems) = good(import(&app.db, "supabase", &files, &[&more[..], &["--dry-run"]].concat()));
        assert!(told.ends_with("Dry run: nothing was written.\n"), "{told}");
        assert_eq!((app.db.count("users"), app.db.count("events")), (0, 0));
        let expected = [
            "record 4: user skipped: its id is not a UUID",
            "record 5: user skipped: it is anonymous: nobody could sign in to it",
            "record 6: user skipped: it was deleted there",
            "record 7: user skipped: it is not an object",
            "record 4: identity skipped: no provider here is known for azure: add --provider azure=<name in our settings>, if its ids are the same",
            "record 5: identity skipped: its user is not here",
            &format!("record 6: identity skipped: google's identity lets user {ANN} in already, not {CAT}"),
        ];
        assert_eq!(problems.lines().collect::<Vec<_>>(), expected);

        let (again, same) = good(import(&app.db, "supabase", &files, &more));
        assert_eq!((format!("{again}Dry run: nothing was written.\n"), same), (told.clone(), problems));
        let lines: Vec<&str> = again.lines().collect();
        assert_eq!(lines[..2], ["users       3 imported, 0 here already, 4 skipped", "identities  2 imported, 0 here already, 3 skipped"]);
        assert!(lines[2].starts_with("2 passwords were NOT taken over"), "{told}");
        assert!(lines[3].starts_with("1 users have NO way in"), "{told}");

        let shown = show(&app.db, ANN);
        assert_eq!(
            shown.as_object().expect("an object").iter().filter(|(name, _)| *name != "identities").map(|(_, value)| value.clone()).collect::<Vec<_>>(),
            json!([false, "https://example.com/ann.png", "2023-05-04T03:02:00Z", false, "ann@example.com", false, ANN, "2024-01-31T12:34:56Z", "Ann Example"])
                .as_array().cloned().expect("a list")
        );
        let hidden = show(&app.db, BEN);
        assert_eq!((&hidden["email"], &hidden["name"], &hidden["disabled"]), (&Value::Null, &json!("Ben"), &json!(true)));
        assert_eq!(show(&app.db, CAT)["email"], "cat@example.com");

        let signed_in = app.sign_in(ann.clone()).await;
        assert_eq!((signed_in.user_id.as_str(), signed_in.created), (ANN, false));
        app.exchange_github(ben.clone()).await.assert_problem(403, "user_disabled");
        // Her address follows the identity that gave it.
        let moved = app.sign_in(Person { email: Some("ann@new.example.com".to_owned()), ..ann }).await;
        assert_eq!(moved.json["user"]["email"], "ann@new.example.com");
        let told = app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'user.imported' AND detail = '{\"by\":\"command_line\",\"from\":\"supabase\"}'");
        assert_eq!((told, app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'identity.linked'")), (3, 2));

        // A third time, and what happened here meanwhile is left as it is.
        let (third, _) = good(import(&app.db, "supabase", &files, &more));
        assert!(third.starts_with("users       0 imported, 3 here already, 4 skipped\nidentities  0 imported, 2 here already, 3 skipped\n"), "{third}");
        assert!(third.contains("\n1 users have NO way in"), "{third}");
        assert_eq!(show(&app.db, ANN)["email"], "ann@new.example.com");
        assert_eq!(import(&app.db, "supabase", &files, &[&more[..], &["--strict"]].concat()).code, Some(1));

        // Named, the provider is known.
        let azure = [&more[..], &["--provider", "azure=acme"]].concat();
        let (fourth, _) = good(import(&app.db, "supabase", &files, &azure));
        assert!(fourth.contains("identities  1 imported, 2 here already, 2 skipped\n") && !fourth.contains("NO way in"), "{fourth}");
        assert_eq!(show(&app.db, CAT)["identities"][0]["provider"], "acme");
    }

    async fn every_form_of_an_export_is_read(db: TestDatabase) {
        let header = "id,email,email_confirmed_at,raw_user_meta_data,created_at,banned_until\n";
        let csv = format!(
            "\u{feff}{header}{ANN},ann@example.com,2023-05-04 03:02:01.5+00,\"{{\"\"full_name\"\": \"\"Ann, \\\"\"the\\\"\"\nfirst\"\"}}\",2023-05-04 03:02:00+00,\n\
             {BEN},ben@example.com\n{CAT},cat@example.com,null,,,NULL\n"
        );
        // A line break in JSON is none of JSON's: the name is lost, and nothing else.
        let (told, problems) = good(import(&db, "supabase", &[("users.csv", &csv)], &[]));
        assert!(told.starts_with("users       2 imported, 0 here already, 1 skipped\n"), "{told}");
        assert_eq!(problems, "record 2: user skipped: it has another number of values than there are names, or is not UTF-8\n");
        assert_eq!((&show(&db, ANN)["email"], &show(&db, CAT)["email"]), (&json!("ann@example.com"), &Value::Null));

        let dump = format!(
            "--\n-- PostgreSQL database dump\n--\nSET standard_conforming_strings = on;\n\
             COPY auth.audit_log_entries (id) FROM stdin;\n1\n\\.\n\n\
             COPY auth.users (instance_id, id, \"email\", email_confirmed_at, raw_user_meta_data) FROM stdin;\n\
             \\N\t{BEN}\tben@example.com\t2023-05-04 03:02:01+00\t{{\"name\": \"B\\\\\"e\\\\\"n\"}}\n\\N\t{ANN}\n\\.\n\n\
             COPY auth.identities (provider_id, user_id, identity_data, provider) FROM stdin;\n\
             123\t{BEN}\t{{\"sub\": \"123\"}}\tgoogle\n\\.\n"
        );
        let (told, problems) = good(import(&db, "supabase", &[("dump.sql", &dump)], &[]));
        assert!(told.starts_with("users       1 imported, 0 here already, 1 skipped\nidentities  1 imported, 0 here already, 0 skipped\n"), "{told}");
        assert_eq!(problems, "line 11: user skipped: it has another number of values than there are columns\n");
        assert_eq!((&show(&db, BEN)["name"], &show(&db, BEN)["identities"][0]["provider_id"]), (&json!("B\"e\"n"), &json!("123")));

        // The administrators' API, whose records have their identities in them; and a record a line.
        let dan = "4a1f0c1e-2d3e-4f40-8a51-6b7c8d9e0f10";
        let wrapped = json!({ "aud": "authenticated", "users": [{
            "id": dan, "email": "dan@example.com", "email_confirmed_at": "2023-05-04T03:02:01Z", "user_metadata": { "name": "Dan" },
            "identities": [{ "identity_id": ANN, "id": "44", "user_id": dan, "provider": "github", "identity_data": { "sub": "44" } }]
        }] });
        let (told, _) = good(import(&db, "supabase", &[("users.json", &format!("{wrapped:#}"))], &[]));
        assert!(told.starts_with("users       1 imported, 0 here already, 0 skipped\nidentities  1 imported,"), "{told}");
        assert_eq!((&show(&db, dan)["name"], &show(&db, dan)["identities"][0]["provider_id"]), (&json!("Dan"), &json!("44")));
        let eve = "6a1f0c1e-2d3e-4f40-8a51-6b7c8d9e0f10";
        let lines = format!("{}\n{}\n", json!({ "id": eve }), json!({ "id": "x" }));
        let (told, _) = good(import(&db, "supabase", &[("users.ndjson", &lines)], &["--without-emails"]));
        assert!(told.starts_with("users       1 imported, 0 here already, 1 skipped\n"), "{told}");
        assert_eq!(good(import(&db, "supabase", &[("nothing.json", " \n")], &[])).1, "");

        let broken = import(&db, "supabase", &[("users.json", "[{\"id\": \"x\"}, {\"id\"")], &[]);
        assert_eq!(broken.code, Some(1));
        assert!(broken.err.contains("users.json cannot be read: EOF while parsing"), "{}", broken.err);
    }

    async fn people_of_firebase_sign_in_to_the_account_they_had(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::named("ann");
        let users = json!({ "users": [
            {
                "localId": "fb0AnnAnnAnnAnnAnnAnnAnnAnn1", "email": "ann@example.com", "emailVerified": true, "displayName": "Ann",
                "photoUrl": "http://example.com/plain.png", "createdAt": "1683169320123", "lastSignedInAt": "1706704496000",
                "passwordHash": "lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC-qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ==", "salt": "42xEC-ixf3L2lw==",
                "providerUserInfo": [
                    { "providerId": "google.com", "rawId": ann.sub, "email": "ann@example.com", "displayName": "Ann", "photoUrl": "x" },
                    { "providerId": "phone", "rawId": "+100" }
                ]
            },
            {
                // Somebody waits in a stranger's address: it is not verified, and not taken over.
                "localId": "fb0BenBenBenBenBenBenBenBen1", "email": "ann@example.com", "emailVerified": false, "disabled": true,
                "createdAt": "1683169320123", "providerUserInfo": [{ "providerId": "github.com", "rawId": "99", "email": "ann@example.com" }]
            },
            { "localId": "fb0Anonymous", "createdAt": "1683169320123", "providerUserInfo": [] },
            { "email": "nobody@example.com" }
        ] });
        let command = Tokenbooth::new(&["import", "--from", "firebase", "users.json", "--map", "map.csv"]);
        let map = command.folder().join("map.csv");
        let mut running = command.file("users.json", &users.to_string()).set("database.url", &app.db.url).start();
        assert_eq!(running.wait().code(), Some(0), "{}", running.stderr());
        assert!(running.stdout().starts_with("users       2 imported, 0 here already, 2 skipped\nidentities  2 imported, 0 here already, 0 skipped\n1 passwords"), "{}", running.stdout());
        assert_eq!(
            running.stderr(),
            "record 3: user skipped: it is anonymous: nobody could sign in to it\nrecord 4: user skipped: it has no id\n"
        );
        let map = std::fs::read_to_string(map).expect("a file");
        let ids: Vec<&str> = map.lines().skip(1).filter_map(|line| line.split_once(',').map(|(_, ours)| ours)).collect();
        assert_eq!(map.lines().next(), Some("firebase,tokenbooth"));
        assert_eq!(ids[0], FIREBASE_ANN);
        let signed_in = app.sign_in(ann).await;
        assert_eq!((signed_in.user_id.as_str(), signed_in.created), (ids[0], false));
        let shown = show(&app.db, ids[0]);
        assert_eq!((&shown["created_at"], &shown["email"]), (&json!("2023-05-04T03:02:00Z"), &json!("ann@example.com")));
        let ben = show(&app.db, ids[1]);
        assert_eq!((&ben["email"], &ben["disabled"], &ben["identities"][0]["email"]), (&Value::Null, &json!(true), &json!("ann@example.com")));
    }

    async fn people_of_pocketbase_sign_in_to_the_account_they_had(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (ann, ben) = (Person::named("ann"), GithubUser::named("ben"));
        let users = json!({ "page": 1, "perPage": 500, "totalItems": 2, "totalPages": 1, "items": [
            { "avatar": "ann.png", "collectionId": "_pb_users_auth_", "collectionName": "users", "created": "2023-05-04 03:02:00.123Z",
              "email": "ann@example.com", "emailVisibility": false, "id": "an5annannannann", "name": "Ann", "verified": true },
            { "created": "2023-05-04 03:02:00.123Z", "email": "ben@example.com", "id": "be5benbenbenben", "name": "", "username": "ben7", "verified": false }
        ] });
        let auths = format!(
            "collectionRef,created,id,provider,providerId,recordRef,updated\n_pb_users_auth_,2023-05-04 03:02:00.123Z,x1,google,{},an5annannannann,\n\
             _pb_users_auth_,,x2,github,{},be5benbenbenben,\n_pb_users_auth_,,x3,google,,be5benbenbenben,\n",
            ann.sub, ben.id
        );
        let files = [("users.json", users.to_string()), ("auths.csv", auths)];
        let files = [(files[0].0, files[0].1.as_str()), (files[1].0, files[1].1.as_str())];
        let (told, problems) = good(import(&app.db, "pocketbase", &files, &["--identities", "auths.csv"]));
        assert_eq!(told, "users       2 imported, 0 here already, 0 skipped\nidentities  2 imported, 0 here already, 1 skipped\n");
        assert_eq!(problems, "record 3: identity skipped: it has no usable id of the provider\n");
        let signed_in = app.sign_in(ann).await;
        assert_eq!((signed_in.created, &signed_in.json["user"]["email"]), (false, &json!("ann@example.com")));
        let signed_in = app.exchange_github(ben).await.assert_signed_in();
        assert!(!signed_in.created);
        assert_eq!(app.db.count("users"), 2);
    }

    async fn whoever_signed_in_before_the_import_keeps_that_account(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::named("ann");
        let before = app.sign_in(ann.clone()).await;
        let users = json!([{ "id": ANN, "email": "ann@example.com", "email_confirmed_at": "2023-05-04T03:02:01Z",
            "identities": [{ "provider": "google", "provider_id": ann.sub }] }]).to_string();
        let (told, problems) = good(import(&app.db, "supabase", &[("users.json", &users)], &[]));
        assert!(told.starts_with("users       1 imported, 0 here already, 0 skipped\nidentities  0 imported, 0 here already, 1 skipped\n"), "{told}");
        assert_eq!(problems, format!("record 1: identity skipped: google's identity lets user {} in already, not {ANN}\n", before.user_id));
        assert_eq!(app.sign_in(ann).await.user_id, before.user_id);
    }

    async fn a_large_export_takes_many_commits_and_is_read_twice_without_harm(db: TestDatabase) {
        use std::fmt::Write as _;
        const MANY: usize = 600;
        let mut users = String::from("{\"users\": [");
        for number in 0..MANY {
            let comma = if number == 0 { "" } else { "," };
            let _ = write!(users, "{comma}{{\"localId\": \"u{number}\", \"email\": \"u{number}@example.com\", \"emailVerified\": true, \
                \"createdAt\": \"1683169320123\", \"providerUserInfo\": [{{\"providerId\": \"google.com\", \"rawId\": \"{number}\"}}]}}");
        }
        users += "]}";
        let (told, _) = good(import(&db, "firebase", &[("users.json", &users)], &[]));
        assert!(told.starts_with("users       600 imported, 0 here already, 0 skipped\nidentities  600 imported,"), "{told}");
        assert_eq!((db.count("users"), db.count("identities")), (600, 600));
        let (told, _) = good(import(&db, "firebase", &[("users.json", &users)], &["--dry-run"]));
        assert!(told.starts_with("users       0 imported, 600 here already, 0 skipped\nidentities  0 imported, 600 here already,"), "{told}");
    }
}

#[test]
fn a_file_that_is_not_there_and_a_provider_without_a_name_are_told() {
    let db = TestDatabase::sqlite();
    let told =
        super::run(&["import", "--from", "firebase", "/no/such.json"], &[("database.url", &db.url)]).bad();
    assert_eq!(told, "/no/such.json cannot be read: No such file or directory (os error 2)");
    let ended = super::run(
        &["import", "--from", "firebase", "x", "--provider", "azure"],
        &[("database.url", &db.url)],
    );
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.err.contains("expected their name, =, and the name in our settings, such as azure=microsoft")
    );
}
