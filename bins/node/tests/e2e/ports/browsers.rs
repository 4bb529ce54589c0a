//! Requests that a page of another site makes a browser send.

use super::{FIRST, Scene, TOM};
use crate::support::Caller;

#[tokio::test]
async fn a_page_of_another_site_is_refused_with_the_token_and_without() {
    let scene = Scene::start(1, "").await;
    let node = &scene.nodes[0];
    scene.warm().await;
    let own = Caller::plain().token(FIRST);
    let rebound = [
        "evil.example",
        "evil.example:9990",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "printer.local",
    ];
    let requests = [
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("GET", "/owner?group=scores&key=Tom"),
        ("DELETE", "/v1/scores/Tom"),
        ("DELETE", "/v1/scores"),
        ("PUT", "/v1/scores/Tom"),
        ("POST", "/v1/scores/remove"),
        ("POST", "/reload"),
    ];
    for (method, target) in requests {
        for host in rebound {
            let page = own.clone().header("Host", host);
            let answer = page.send(node.admin, method, target, "").await.unwrap();
            assert_eq!(answer.status, 421, "{host}: {method} {target}");
            assert_eq!(answer.text().lines().count(), 1);
            assert!(!answer.text().contains(host), "{}", answer.text());
        }
        for (name, value) in [
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            // Another port is another program.
            ("Origin", &format!("http://{}", node.api)),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            let page = own.clone().header(name, value);
            let answer = page.send(node.admin, method, target, "").await.unwrap();
            assert_eq!(answer.status, 403, "{name}: {value}: {method} {target}");
            // The answer gives a browser no right to read it, either.
            let allowed = answer
                .headers
                .keys()
                .any(|header| header.as_str().starts_with("access-control-"));
            assert!(!allowed);
            // Without the token, not even that is shown.
            let page = Caller::plain().header(name, value);
            assert_eq!(page.status(node.admin, method, target).await, 401);
        }
    }
    // The form of a request to a proxy is refused as well.
    for target in [
        "http://evil.example/status",
        "http://evil.example:9990/livez/../status",
    ] {
        let answer = own.get(node.admin, target).await.unwrap();
        assert_eq!(answer.status, 421, "{target}");
        let both = own.clone().header("Host", "evil.example");
        assert_eq!(both.status(node.admin, "GET", target).await, 421);
    }
    // The answer to a preflight request does not allow the browser to continue.
    let asks = own.clone().header("Origin", "https://evil.example");
    let asks = asks.header("Access-Control-Request-Method", "DELETE");
    let answer = asks.send(node.admin, "OPTIONS", "/v1/scores/Tom", "").await;
    assert_eq!(answer.unwrap().status, 403);

    // The port for peers is not for pages at all.
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", &format!("http://{}", node.peer)),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "none"),
    ] {
        let page = own.clone().header(name, value);
        for (method, target) in [("GET", TOM), ("DELETE", TOM), ("POST", "/_groupcache/")] {
            let status = page.status(node.peer, method, target).await;
            assert_eq!(status, 403, "{name}: {value}: {method} {target}");
        }
    }
    scene.is_still_warm().await;

    // Names that no site on the web can have, and this very port.
    for host in [
        "localhost",
        "gaggle-0:9990",
        "gaggle.default.svc",
        "[::1]:9990",
    ] {
        let caller = own.clone().header("Host", host);
        assert_eq!(
            caller.status(node.admin, "GET", "/status").await,
            200,
            "{host}"
        );
    }
    let same = own.header("Origin", &format!("http://{}", node.admin));
    assert_eq!(same.status(node.admin, "GET", "/status").await, 200);
    for page in ["/livez", "/readyz"] {
        let probe = Caller::plain().header("Host", "gaggle.example");
        assert_eq!(probe.status(node.admin, "GET", page).await, 200, "{page}");
    }
}
