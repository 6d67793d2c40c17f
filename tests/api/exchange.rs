//! `POST /auth/{provider}`: what every provider's exchange has in common.

use serde_json::json;

use crate::databases::TestDatabase;
use crate::support::TestApp;

on_both_databases! {
    async fn a_google_id_token_is_exchanged_for_our_jwt(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let answer = app.exchange_id_token(&app.mock.google().id_token(json!({}))).await;
        let signed_in = answer.assert_signed_in();
        assert!(signed_in.created);
        assert_eq!(app.me(&signed_in.jwt).await.status, 200);
    }
}
