//! Several replicas behind nginx, as docs/REPLICAS.md has it.

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::{Answer, client};
use crate::support::nginx::Nginx;

/// `examples/replicas/nginx.conf` for replicas on these addresses, without TLS.
fn site(port: u16, replicas: [&str; 2]) -> String {
    let example = include_str!("../../examples/replicas/nginx.conf");
    let example = example
        .lines()
        .filter(|line| !line.trim_start().starts_with("ssl_"))
        .fold(String::new(), |all, line| all + line + "\n");
    let mut site = example;
    for (theirs, ours) in [
        ("listen 443 ssl http2;", format!("listen 127.0.0.1:{port};")),
        ("server 10.0.0.11:8080 ", format!("server {} ", replicas[0])),
        ("server 10.0.0.12:8080 ", format!("server {} ", replicas[1])),
    ] {
        assert!(site.contains(theirs), "the example has no {theirs:?}");
        site = site.replace(theirs, &ours);
    }
    site
}

#[actix_web::test]
async fn the_site_of_the_guide_leads_to_the_service_and_keeps_the_metrics_to_itself() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let address = app.base.strip_prefix("http://").expect("a URL").to_owned();
    let Some(nginx) = Nginx::start(|port| site(port, [&address, &address])) else { return };
    let get = async |path: &str| {
        Answer::of(client().get(format!("{}{path}", nginx.base)).send().await.expect("an answer")).await
    };
    assert_eq!(get("/healthz").await.status, 200, "{}", nginx.log());
    assert_eq!(get("/metrics").await.status, 404);
    assert_eq!(app.get("/metrics").await.status, 200);
    assert!(nginx.access_log().contains("GET /healthz"));
}
