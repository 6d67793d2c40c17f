//! A database that a later version of the program has migrated: an older replica says so, and serves on.

use tokenbooth::mock::MockProviders;

use crate::databases::TestDatabase;
use crate::support::app::client;
use crate::support::process::Tokenbooth;

const NEWER: &str = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000000')";
const TOLD: &str = "The database has 1 migrations that this version of the program does not know";

on_both_databases! {
    async fn a_schema_that_gets_newer_is_told_within_seconds_and_at_start(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        let mut serving = Tokenbooth::serving(&mock, &db.url).start();
        let url = serving.url();
        let ready = async |url: &str| client().get(format!("{url}/readyz")).send().await.expect("an answer").status();
        while ready(&url).await != 200 {}
        assert!(!serving.stderr().contains("does not know"), "{}", serving.stderr());
        db.execute(NEWER);
        serving.wait_for(TOLD);
        // A rolling upgrade is no outage.
        assert_eq!(ready(&url).await, 200);
        let mut another = Tokenbooth::serving(&mock, &db.url).start();
        another.url();
        another.wait_for(TOLD);
        db.execute("DELETE FROM __diesel_schema_migrations WHERE version = '20991231000000'");
    }
}
