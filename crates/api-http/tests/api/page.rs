//! The page at the root of the admin port, as it is sent.

use crate::client::Client;
use crate::cluster::{client, group};

fn node() -> Client {
    client([group("scores", &[])])
}

#[tokio::test]
async fn the_page_is_one_document_under_a_strict_policy() {
    let client = node();
    let answer = client.get("/").await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let policy = answer.header("content-security-policy").unwrap();
    let rules: Vec<_> = policy.split("; ").collect();
    for rule in [
        "default-src 'none'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(rules.contains(&rule), "{rule}: {policy}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains('*'),
        "{policy}"
    );
    let text = answer.text();
    assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>\n"));
    assert_eq!(text.matches("<script>").count(), 1);
    assert_eq!(client.send("POST", "/", "").await.status, 405);
    assert_eq!(client.send("HEAD", "/", "").await.status, 200);
    assert_eq!(client.get("//").await.status, 404);
}

#[tokio::test]
async fn a_link_on_another_site_opens_the_page_and_nothing_else() {
    let client = node();
    let link = [
        ("host", "localhost:9990"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    assert_eq!(client.get_with("/", &link).await.status, 200);
    assert_eq!(client.get_with("/status", &link).await.status, 403);
    assert_eq!(client.send_with("POST", "/", &link, "").await.status, 403);
    // Under a name that a page may control, its requests would be same-site.
    let rebound = [("host", "evil.example")];
    assert_eq!(client.get_with("/", &rebound).await.status, 421);
}
