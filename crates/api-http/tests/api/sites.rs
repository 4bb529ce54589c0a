//! Requests to the admin endpoints that a page of another site makes a browser send.

use gaggle_group::Group;

use crate::client::{Client, Reply};
use crate::cluster::{client, group};

/// A node with one value, and whether it still has it.
async fn node() -> (Client, Group) {
    let scores = group("scores", &[]);
    scores.get("Tom").await.unwrap();
    (client([scores.clone()]), scores)
}

fn has(scores: &Group) -> bool {
    scores.cached("Tom").is_some()
}

async fn delete(client: &Client, headers: &[(&str, &str)]) -> Reply {
    let target = "/v1/scores/Tom";
    client.send_with("DELETE", target, headers, "").await
}

#[tokio::test]
async fn a_name_that_a_page_may_have_taken_is_refused() {
    let (client, scores) = node().await;
    for host in [
        "evil.example",
        "evil.example:9990",
        "127.0.0.1.nip.io",
        "x.local:9990",
    ] {
        for (method, target) in [
            ("DELETE", "/v1/scores/Tom"),
            ("DELETE", "/v1/scores"),
            ("POST", "/v1/scores/remove"),
            ("PUT", "/v1/scores/Tom"),
            ("GET", "/status"),
            ("GET", "/metrics"),
            ("GET", "/owner?key=Tom"),
            ("OPTIONS", "/v1/scores/Tom"),
            ("POST", "/livez"),
        ] {
            let body = r#"{"keys":["Tom"]}"#;
            let headers = [("host", host)];
            let answer = client.send_with(method, target, &headers, body).await;
            assert_eq!(answer.status, 421, "{method} {target} at {host}");
            assert!(answer.text().contains("a name that the node is told"));
            assert!(!answer.text().contains("evil"), "nothing is repeated");
        }
        for probe in ["/livez", "/readyz?x"] {
            let answer = client.get_with(probe, &[("host", host)]).await;
            assert!(matches!(answer.status, 200 | 503), "{probe} at {host}");
        }
    }
    assert!(has(&scores));
    for host in [
        "127.0.0.1:9990",
        "gaggle-0",
        "gaggle.default.svc",
        "admin.example.com",
    ] {
        let answer = client.get_with("/status", &[("host", host)]).await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn the_name_in_the_target_counts_as_well() {
    let (client, scores) = node().await;
    for (target, headers, status) in [
        ("http://evil.example/v1/scores/Tom", &[][..], 421),
        (
            "http://evil.example/v1/scores/Tom",
            &[("host", "localhost")][..],
            421,
        ),
        (
            "http://localhost/v1/scores/Tom",
            &[("host", "evil.example")][..],
            421,
        ),
        (
            "/v1/scores/Tom",
            &[("host", "localhost"), ("host", "localhost")][..],
            421,
        ),
        ("/v1/scores/Tom", &[("host", "")][..], 421),
        (
            "http://localhost/v1/scores/Tom",
            &[("host", "LOCALHOST")][..],
            200,
        ),
    ] {
        let answer = client.send_with("DELETE", target, headers, "").await;
        assert_eq!(answer.status, status, "{target} {headers:?}");
        assert_eq!(has(&scores), status != 200);
    }
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_and_one_of_this_port_is_not() {
    let (client, scores) = node().await;
    let host = ("host", "localhost:9990");
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", ""),
        ("origin", "http://localhost:9999"),
        ("origin", "http://localhost"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "whatever"),
    ] {
        let headers = [host, (name, value)];
        let refused = delete(&client, &headers).await;
        let line = "a page of another site may not ask this port";
        assert_eq!(
            (refused.status, refused.text()),
            (403, line),
            "{name}: {value}"
        );
        assert_eq!(client.get_with("/status", &headers).await.status, 403);
        assert_eq!(client.get_with("/livez", &headers).await.status, 200);
    }
    // Without a host, no page can be of the same origin.
    let lone = delete(&client, &[("origin", "http://localhost:9990")]).await;
    assert_eq!(lone.status, 403);
    assert!(has(&scores));

    let typed = [host, ("sec-fetch-site", "none")];
    assert_eq!(client.get_with("/status", &typed).await.status, 200);
    let ours = [
        host,
        ("origin", "http://localhost:9990"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(delete(&client, &ours).await.status, 200);
    assert!(!has(&scores));
}
