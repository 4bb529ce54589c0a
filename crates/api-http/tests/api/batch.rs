//! `POST /v1/{group}` as a client sees it.

use gaggle_api_http::FrontOptions;
use serde_json::{Value, json};

use crate::client::{base64, stuck};
use crate::support::{client, client_of, echo};

#[tokio::test]
async fn a_batch_answers_in_order_and_to_the_letter() {
    let client = client();
    let answer = client
        .post("/v1/scores", &json!({"keys": ["Tom", "Nobody"]}))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.text(),
        r#"{"results":[{"key":"Tom","status":200,"value":"NjMw"},{"key":"Nobody","status":404}]}"#
    );
    let empty = client.post("/v1/scores", &json!({"keys": []})).await;
    assert_eq!((empty.status, empty.text()), (200, r#"{"results":[]}"#));
}

#[tokio::test]
async fn each_key_of_a_batch_fails_by_itself() {
    let long = "k".repeat(65);
    let keys = ["a", "fails", &long, "large", "a", "panics"];
    let answer = client()
        .post("/v1/scores", &json!({"keys": keys}))
        .await
        .json();
    let rows = answer["results"].as_array().unwrap();
    let statuses: Vec<_> = rows
        .iter()
        .map(|row| row["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [200, 502, 414, 413, 200, 502]);
    assert_eq!(
        rows[1]["error"],
        "group scores: the origin failed: the reason is in the log of the node that asked it"
    );
    assert_eq!(rows[2]["key"], long.as_str());
    assert_eq!(rows[0], json!({"key": "a", "status": 200, "value": "YQ=="}));
}

#[tokio::test]
async fn a_batch_is_larger_than_one_step_of_loads() {
    let options = FrontOptions {
        batch_loads: 7,
        ..FrontOptions::default()
    };
    let keys: Vec<String> = (0..100).map(|i| format!("key-{i}")).collect();
    let answer = client_of([echo("scores")], options)
        .post("/v1/scores", &json!({"keys": keys}))
        .await;
    let expected: Vec<Value> = keys
        .iter()
        .map(|key| json!({"key": key, "status": 200, "value": base64(key.as_bytes())}))
        .collect();
    assert_eq!(answer.json(), json!({"results": expected}));
}

#[tokio::test]
async fn bad_batches_are_refused_with_the_reason() {
    let options = FrontOptions {
        max_batch_keys: 3,
        max_body: 200,
        ..FrontOptions::default()
    };
    let client = client_of([echo("scores")], options);
    for (body, status, part) in [
        ("", 400, "bad JSON: EOF"),
        ("{\"keys\":[\"Tom\"]", 400, "bad JSON"),
        ("[]", 400, "bad JSON"),
        ("{\"keys\":[1]}", 400, "bad JSON"),
        ("{\"keys\":[\"\\ud800\"]}", 400, "bad JSON"),
        ("{\"keys\":[],\"ttl\":1}", 400, "unknown field `ttl`"),
        ("{\"keys\":[],\"keys\":[]}", 400, "duplicate field"),
        ("{}", 400, "exactly one of the fields keys and keys64"),
        (
            "{\"keys\":[],\"keys64\":[]}",
            400,
            "exactly one of the fields keys and keys64",
        ),
        (
            "{\"keys64\":[\"VG9t\",\"VG9\"]}",
            400,
            "keys64[1] is not base64",
        ),
        (
            "{\"keys\":[\"1\",\"2\",\"3\",\"4\"]}",
            400,
            "4 keys are over the limit of 3",
        ),
    ] {
        let answer = client.send("POST", "/v1/scores", body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
        assert!(!answer.text().contains('\n'));
    }
    let full = client
        .post("/v1/scores", &json!({"keys": ["1", "2", "3"]}))
        .await;
    assert_eq!(full.status, 200, "the limit itself is allowed");
    let large = client.send("POST", "/v1/scores", &" ".repeat(201)).await;
    assert_eq!(
        (large.status, large.text()),
        (413, "the body is over the limit of 200 bytes")
    );
    let nosuch = client.post("/v1/nosuch", &json!({"keys": []})).await;
    assert_eq!(
        (nosuch.status, nosuch.text()),
        (404, "no such group: nosuch")
    );
}

#[tokio::test]
async fn an_answer_that_is_full_stays_full_and_says_so() {
    let options = FrontOptions {
        max_batch_bytes: 5,
        batch_loads: 2,
        ..FrontOptions::default()
    };
    let group = echo("scores");
    let client = client_of([group.clone()], options);
    let keys = ["ab", "Nobody", "cde", "f", "Nobody", "gone"];
    let answer = client
        .post("/v1/scores", &json!({"keys": keys}))
        .await
        .json();
    let full = |key| json!({"key": key, "status": 413, "error": "the answer is full"});
    let expected = json!({"results": [
        {"key": "ab", "status": 200, "value": "YWI="},
        {"key": "Nobody", "status": 404},
        {"key": "cde", "status": 200, "value": "Y2Rl"},
        full("f"),
        full("Nobody"),
        full("gone"),
    ]});
    assert_eq!(answer, expected);
    assert!(
        group.cached(b"gone").is_none(),
        "keys of a later step are not even asked for"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let body = stuck(r#"{"keys":["#);
    let answer = client().send_with("POST", "/v1/scores", &[], body).await;
    assert_eq!(
        (answer.status, answer.text()),
        (408, "the body did not arrive within 10s")
    );
}
