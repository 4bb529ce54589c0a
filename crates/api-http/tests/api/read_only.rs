//! The front door can only read, and no spelling of a path leads anywhere else, on either port.

use gaggle_api_http::FrontOptions;

use crate::client::Client;
use crate::cluster::client as admin_of;
use crate::support::{client_of, echo};

const METHODS: [&str; 14] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "PURGE",
    "REMOVE",
    "COPY",
    "MOVE",
    "PROPPATCH",
    "delete",
];

#[tokio::test]
async fn no_request_at_the_front_door_changes_or_removes_anything() {
    let scores = echo("scores");
    scores.get("Tom").await.unwrap();
    let before = scores.stats();
    let front = client_of([scores.clone()], FrontOptions::default());
    let (put, keys) = ("631", r#"{"keys":["Tom"]}"#);
    for method in METHODS {
        for target in [
            "/v1/scores/Tom",
            "/v1/scores/Tom?",
            "/v1/scores",
            "/v1/scores/",
            "/v1/scores/remove",
            "/api?key=Tom",
            "/api",
            "/v1/scores/Tom?_method=DELETE",
        ] {
            for header in [
                ("x-http-method-override", "DELETE"),
                ("x-http-method", "PUT"),
                ("gaggle-control", "1"),
                ("gaggle-removal", "1-1"),
                ("cache-control", "no-cache, max-age=0"),
                ("expect", "100-continue"),
            ] {
                for body in ["", put, keys] {
                    let answer = front.send_with(method, target, &[header], body).await;
                    let asked = format!("{method} {target} {header:?} {body}");
                    let reads = match method {
                        "GET" | "HEAD" => true,
                        "POST" => target == "/v1/scores",
                        _ => false,
                    };
                    if !reads {
                        let allow = answer.header("allow");
                        let methods = ["GET, HEAD", "GET, HEAD, OPTIONS", "OPTIONS, POST"];
                        assert!(
                            allow.is_some_and(|allow| methods.contains(&allow)),
                            "{asked}"
                        );
                        let tells = method == "OPTIONS" && !target.starts_with("/api");
                        let status = if tells { 204 } else { 405 };
                        assert_eq!(answer.status, status, "{asked}");
                    }
                }
            }
        }
    }
    let kept = scores.cached("Tom").unwrap();
    assert_eq!(kept.value.as_deref(), Some(&b"630"[..]));
    let after = scores.stats();
    assert_eq!((after.removals, before.removals), (0, 0));
    assert_eq!(
        after.main.store.evicted_capacity,
        before.main.store.evicted_capacity
    );
}

/// Paths that a careless server would read as another one, and the key that each names.
const SPELLINGS: [(&str, &str); 12] = [
    ("/v1/scores/..", ".."),
    ("/v1/scores/%2e%2e", ".."),
    ("/v1/scores/%2E%2E/%2e%2e/etc/passwd", "../../etc/passwd"),
    ("/v1/scores/..%2f..%2fetc%2fpasswd", "../../etc/passwd"),
    ("/v1/scores/%252e%252e", "%2e%2e"),
    ("/v1/scores//", "/"),
    ("/v1/scores//a//b", "/a//b"),
    ("/v1/scores/a%2fb", "a/b"),
    ("/v1/scores/a%5c..%5cb", "a\\..\\b"),
    ("/v1/scores/a%00b", "a\0b"),
    ("/v1/scores/../users/Tom", "../users/Tom"),
    ("/v1/scores/;/..;/x", ";/..;/x"),
];

/// Paths that name nothing, with the status of a `GET`.
const NOWHERE: [(&str, u16); 13] = [
    ("/", 404),
    ("//", 404),
    ("/v1", 404),
    ("/v1/..", 404),
    ("//v1/scores/Tom", 404),
    ("/v1//scores/Tom", 404),
    ("/v1/scores%2fTom", 404),
    ("/v1%2fscores/Tom", 404),
    ("/../v1/scores/Tom", 404),
    ("/%2e%2e/v1/scores/Tom", 404),
    ("/v1/%2e%2e/Tom", 404),
    ("/v1/scores/%2", 400),
    ("/v1/scores/%zz", 400),
];

#[tokio::test]
async fn a_path_is_decoded_once_and_means_what_it_says() {
    let front = client_of([echo("scores"), echo("users")], FrontOptions::default());
    for (path, key) in SPELLINGS {
        let answer = front.get(path).await;
        assert_eq!((answer.status, answer.text()), (200, key), "{path}");
    }
    let scores = echo("scores");
    let admin = admin_of([scores.clone()]);
    for (path, key) in SPELLINGS {
        scores.get(key).await.unwrap();
        scores.get("other").await.unwrap();
        let answer = admin.send("DELETE", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(scores.cached(key).is_none(), "{path}");
        assert!(scores.cached("other").is_some(), "{path} removed more");
    }
}

#[tokio::test]
async fn a_path_that_names_nothing_is_said_to() {
    let front = client_of([echo("scores")], FrontOptions::default());
    let scores = echo("scores");
    scores.get("Tom").await.unwrap();
    let admin = admin_of([scores.clone()]);
    let check = async |client: &Client, method: &str, path, status| {
        let answer = client.send(method, path, "").await;
        // Under /v1/ a group and a key take different methods.
        let is_expected = answer.status == status || answer.status == 405;
        assert!(is_expected, "{method} {path}: {}", answer.status);
    };
    for (path, status) in NOWHERE {
        check(&front, "GET", path, status).await;
        check(&admin, "DELETE", path, status).await;
    }
    for path in [
        "//livez",
        "/livez/",
        "/%6civez",
        "/livez/..",
        "/status/../livez",
    ] {
        assert_eq!(admin.get(path).await.status, 404, "{path}");
    }
    assert!(scores.cached("Tom").is_some());
}
