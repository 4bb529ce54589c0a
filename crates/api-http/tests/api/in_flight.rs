//! What is sent and received draws on the budget of bytes in flight.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gaggle_api_http::{FrontOptions, Readiness, front_door};
use gaggle_group::{ByteBudget, Group, Groups};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::client::{Client, base64};
use crate::cluster;

const MIB: usize = 1 << 20;

/// A group whose value of `N-name` is N bytes, and which keeps none above 64 KiB. Counts its
/// loads.
struct Sized {
    group: Group,
    budget: ByteBudget,
    loads: Arc<AtomicUsize>,
}

fn sized(budget: u64) -> Sized {
    let budget = ByteBudget::new(budget, Duration::from_secs(1));
    let loads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&loads);
    let group = Group::builder("scores")
        .capacity(1 << 20)
        .in_flight(budget.clone())
        .origin_fn(move |key: Bytes| {
            counted.fetch_add(1, Relaxed);
            async move {
                let len = std::str::from_utf8(&key)
                    .ok()
                    .and_then(|key| key.split('-').next());
                Ok::<_, Infallible>(len.and_then(|len| len.parse().ok()).map(value))
            }
        })
        .build()
        .unwrap();
    Sized {
        group,
        budget,
        loads,
    }
}

fn value(len: usize) -> Bytes {
    let mut value = b"some bytes that are no multiple of three".repeat(len / 40 + 1);
    value.truncate(len);
    value.into()
}

fn router(of: &Sized, options: FrontOptions) -> Router {
    front_door(Groups::new([of.group.clone()]).unwrap(), options)
}

fn client(of: &Sized) -> Client {
    Client(router(of, FrontOptions::default()))
}

async fn ask(router: &Router, method: &str, target: &str, body: String) -> Response {
    let request = Request::builder().method(method).uri(target);
    let request = request.body(Body::from(body)).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_large_value_counts_until_it_is_written_and_is_no_copy() {
    let of = sized(8 << 20);
    let router = router(&of, FrontOptions::default());
    for target in ["/v1/scores/50000-a", "/api?key=50000-a"] {
        let answer = ask(&router, "GET", target, String::new()).await;
        assert_eq!(of.budget.used(), 50_000, "{target}");
        let mut body = answer.into_body();
        let written = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert_eq!(of.budget.used(), 50_000, "the connection has it yet");
        let kept = of.group.cached("50000-a").unwrap().value.unwrap();
        assert_eq!(written.as_ptr(), kept.as_ptr());
        drop(written);
        assert_eq!(of.budget.used(), 0, "{target}");
    }
    let gone = ask(&router, "GET", "/v1/scores/50000-a", String::new()).await;
    drop(gone);
    assert_eq!(of.budget.used(), 0, "a client that is gone");
}

#[tokio::test]
async fn small_values_and_heads_count_nothing() {
    let of = sized(0);
    let client = client(&of);
    let small = client.get("/v1/scores/4095-a").await;
    assert_eq!((small.status, small.body.len()), (200, 4_095));
    let head = client.send("HEAD", "/v1/scores/50000-a", "").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some("50000"));
    assert_eq!((of.budget.peak(), of.budget.refused()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn without_room_a_value_waits_and_then_is_shed_with_a_line() {
    let of = sized(60_000);
    let router = router(&of, FrontOptions::default());
    of.group.get_many(&["50000-a", "50000-b"]).await;
    let first = ask(&router, "GET", "/v1/scores/50000-a", String::new()).await;
    let again = ask(&router, "GET", "/v1/scores/50000-a", String::new()).await;
    assert_eq!(again.status(), 200, "the same value counts once");
    drop(again);

    let shed = client(&of).get("/v1/scores/50000-b").await;
    assert_eq!((shed.status, shed.header("retry-after")), (503, Some("1")));
    let line = "group scores: 60000 bytes are in flight, which is the limit";
    assert_eq!(shed.text(), line);

    let waiting = tokio::spawn({
        let client = client(&of);
        async move { client.get("/v1/scores/50000-b").await }
    });
    cluster::until(|| of.budget.waiting() == 1).await;
    drop(first);
    let waited = waiting.await.unwrap();
    assert_eq!((waited.status, waited.body.len()), (200, 50_000));
    assert_eq!(of.budget.used(), 50_000, "the test has it yet");
    drop(waited);
    assert_eq!((of.budget.used(), of.budget.refused()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_more_than_fits_waits_for_nothing_that_it_holds_itself() {
    // Small values first, after which a window is large.
    let of = sized(4 << 20);
    let router = router(&of, FrontOptions::default());
    let keys =
        |len: usize, count: usize| -> Vec<_> { (0..count).map(|n| format!("{len}-{n}")).collect() };
    for (len, count) in [(10, 1000), (100_000, 100), (4_000_000, 3)] {
        let body = json!({ "keys": keys(len, count) }).to_string();
        let answer = ask(&router, "POST", "/v1/scores", body).await;
        assert_eq!(answer.status(), 200, "{count} of {len}");
        // Dropped as it is read: what is collected counts.
        let (mut body, mut text) = (answer.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            text.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        let answer: Value = serde_json::from_slice(&text).unwrap();
        let rows = answer["results"].as_array().unwrap();
        assert_eq!(rows.len(), count);
        for (row, key) in rows.iter().zip(keys(len, count)) {
            assert_eq!(
                (&row["key"], &row["status"]),
                (&json!(key), &json!(200)),
                "{row}"
            );
            assert_eq!(row["value"], base64(&value(len)), "{key}");
        }
        drop(body);
        assert_eq!(of.budget.used(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_room_longer_than_the_client_does() {
    let of = sized(60_000);
    let router = router(&of, FrontOptions::default());
    of.group.get_many(&["50000-a", "50000-b"]).await;
    let first = ask(&router, "GET", "/v1/scores/50000-a", String::new()).await;
    let client = client(&of);
    let wait = [("request-timeout", "0.25")];
    let late = client.get_with("/v1/scores/50000-b", &wait).await;
    let error = "group scores: no answer within 250ms";
    assert_eq!((late.status, late.text()), (504, error));
    let body = r#"{"keys":["50000-b"]}"#;
    let late = client.send_with("POST", "/v1/scores", &wait, body).await;
    let rows = &late.json()["results"];
    assert_eq!(
        (&rows[0]["status"], &rows[0]["error"]),
        (&504.into(), &error.into())
    );
    assert_eq!(of.budget.waiting(), 0);
    drop(first);
    let found = client.get_with("/v1/scores/50000-b", &wait).await;
    assert_eq!((found.status, found.body.len()), (200, 50_000));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_has_just_been_loaded_waits_for_room_only_beyond_the_budget() {
    let of = sized(60_000);
    let router = router(&of, FrontOptions::default());
    let mut answers = Vec::new();
    for key in ["50000-a", "50000-b", "50000-c", "50000-d"] {
        let target = format!("/v1/scores/{key}");
        answers.push(ask(&router, "GET", &target, String::new()).await);
    }
    let told: Vec<_> = answers
        .iter()
        .map(|answer| answer.status().as_u16())
        .collect();
    assert_eq!(told, [200, 200, 503, 503]);
    assert_eq!(of.budget.used(), 100_000);
    drop(answers);
    assert_eq!(of.budget.used(), 0);
}

fn names(len: usize, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{len}-{n}")).collect()
}

/// The document as a client would write it.
fn expected(names: &[String]) -> Value {
    let row = |name: &String| {
        let len = name.split('-').next().unwrap().parse().unwrap();
        json!({"key": name, "status": 200, "value": base64(&value(len))})
    };
    json!({"results": names.iter().map(row).collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_batch_of_128_values_of_4_mib_holds_a_few_of_them() {
    let of = sized(32 << 20);
    let options = FrontOptions {
        max_batch_bytes: u64::MAX,
        ..FrontOptions::default()
    };
    let keys = names(4 * MIB, 128);
    let body = json!({"keys": keys}).to_string();
    let answer = ask(&router(&of, options), "POST", "/v1/scores", body).await;
    assert_eq!(answer.status(), 200);
    // Like a connection: what was taken is written, and released.
    let mut body = answer.into_body();
    let (mut taken, mut longest) = (0, 0);
    while let Some(frame) = body.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        taken += piece.len();
        longest = longest.max(piece.len());
    }
    let values = 128 * (4 * MIB).div_ceil(3) * 4;
    assert!((values..values + 128 * 100).contains(&taken), "{taken}");
    assert_eq!(of.budget.refused(), 0);
    println!(
        "512 MiB of values: at most {} KiB in flight, {} KiB in a piece",
        of.budget.peak() >> 10,
        longest >> 10
    );
    assert!(of.budget.peak() <= 13 << 20, "{}", of.budget.peak());
    assert!(longest <= 400 << 10, "{longest}");
    drop(body);
    assert_eq!(of.budget.used(), 0);
}

#[tokio::test]
async fn a_client_that_reads_slowly_holds_no_more_and_one_that_is_gone_nothing() {
    let of = sized(32 << 20);
    let options = FrontOptions {
        max_batch_bytes: u64::MAX,
        ..FrontOptions::default()
    };
    let keys = names(4 * MIB, 128);
    let body = json!({"keys": keys}).to_string();
    let answer = ask(&router(&of, options), "POST", "/v1/scores", body).await;
    let mut body = answer.into_body();
    for _ in 0..10 {
        body.frame().await.unwrap().unwrap();
    }
    // It reads no more. All work that does not depend on it continues now.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(of.loads.load(Relaxed) <= 2, "{:?}", of.loads);
    assert!(of.budget.used() <= 9 << 20, "{}", of.budget.used());
    drop(body);
    cluster::until(|| of.budget.used() == 0).await;
    assert!(of.loads.load(Relaxed) <= 2, "{:?}", of.loads);
}

#[tokio::test]
async fn a_streamed_batch_is_the_same_document_to_the_letter() {
    let of = sized(64 << 20);
    let lens = [
        0, 1, 2, 3, 100, 4_095, 4_096, 49_151, 49_152, 49_153, 98_304, 98_305, 300_000,
    ];
    let mut keys: Vec<_> = lens.iter().map(|len| format!("{len}-x")).collect();
    keys.extend(names(1_000, 300));
    keys.extend(names(20_000, 10));
    let answer = client(&of).post("/v1/scores", &json!({"keys": keys})).await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, None)
    );
    let rows = expected(&keys)["results"].clone();
    let rows: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let (key, value) = (&row["key"], &row["value"]);
            format!(r#"{{"key":{key},"status":200,"value":{value}}}"#)
        })
        .collect();
    assert_eq!(
        answer.text(),
        format!(r#"{{"results":[{}]}}"#, rows.join(","))
    );
    assert_eq!(of.loads.load(Relaxed), keys.len());

    let keys = names(100, 100);
    of.group.get_many(&keys).await;
    let hits = ask(
        &router(&of, FrontOptions::default()),
        "POST",
        "/v1/scores",
        json!({"keys": keys}).to_string(),
    )
    .await;
    let exact = axum::body::HttpBody::size_hint(hits.body()).exact();
    let text = hits.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(exact, Some(text.len() as u64), "in one piece");
    let text: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(text, expected(&keys));
}

#[tokio::test(start_paused = true)]
async fn a_key_without_room_fails_alone_and_the_client_waits_once() {
    let of = sized(60_000);
    let taken = of.budget.reserve(50_000).await.unwrap();
    let keys = ["20000-a", "10-b", "20000-c", "20000-d", "5000-e"];
    of.group.get_many(&keys).await;
    let began = tokio::time::Instant::now();
    let reply = client(&of).post("/v1/scores", &json!({"keys": keys})).await;
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    let answer = reply.json();
    let shed = |key| {
        let error = "group scores: 60000 bytes are in flight, which is the limit";
        json!({"key": key, "status": 503, "error": error})
    };
    let found = |key, len| json!({"key": key, "status": 200, "value": base64(&value(len))});
    let rows = [
        shed("20000-a"),
        found("10-b", 10),
        shed("20000-c"),
        shed("20000-d"),
        found("5000-e", 5_000),
    ];
    assert_eq!(answer, json!({"results": rows}));
    drop((taken, reply));
    assert_eq!(of.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_room_keeps_none_from_another() {
    let of = sized(80_000);
    let batches = ["a", "b"].map(|n| ["45000", "10000"].map(|len| format!("{len}-{n}")));
    of.group.get_many(&batches.concat()).await;
    // There is room for the second row of each, but not for the first.
    let taken = of.budget.reserve(38_000).await.unwrap();
    let began = tokio::time::Instant::now();
    let asked = batches.clone().map(|keys| {
        let client = client(&of);
        // An answer counts until it is dropped.
        tokio::spawn(async move {
            client
                .post("/v1/scores", &json!({"keys": keys}))
                .await
                .json()
        })
    });
    cluster::until(|| of.budget.waiting() == asked.len()).await;
    assert_eq!(of.budget.used(), 38_000, "who waits holds nothing");
    drop(taken);
    for (asked, keys) in asked.into_iter().zip(batches) {
        assert_eq!(asked.await.unwrap(), expected(&keys));
    }
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!((of.budget.used(), of.budget.refused()), (0, 0));
}

/// A body of these pieces that then never ends.
fn unfinished(pieces: Vec<Bytes>) -> Body {
    let begun = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    Body::from_stream(begun.chain(stream::pending()))
}

#[tokio::test(start_paused = true)]
async fn bodies_of_requests_count_as_they_come_and_are_shed_or_given_up() {
    let of = sized(3 << 20);
    let (client, admin) = (
        client(&of),
        cluster::client_with([of.group.clone()], Readiness::new()),
    );
    let mut sending = Vec::new();
    for _ in 0..2 {
        let (client, admin) = (client.clone(), admin.clone());
        let pieces = || unfinished(vec![Bytes::from(vec![b' '; 1 << 19]); 2]);
        sending.push(tokio::spawn(async move {
            client.send_with("POST", "/v1/scores", &[], pieces()).await
        }));
        sending.push(tokio::spawn(async move {
            admin.send_with("PUT", "/v1/scores/a", &[], pieces()).await
        }));
    }
    cluster::until(|| of.budget.used() > 2 << 20).await;
    let mut told = Vec::new();
    for sent in sending {
        let answer = sent.await.unwrap();
        assert!(!answer.text().contains('\n'));
        let seconds = answer.header("retry-after").map(str::to_owned);
        told.push((answer.status, seconds));
    }
    told.sort();
    let shed = told.iter().filter(|(status, _)| *status == 503);
    assert!(shed.clone().count() >= 1, "{told:?}");
    assert!(shed.clone().all(|(_, after)| after.as_deref() == Some("1")));
    assert!(
        told.iter().all(|(status, _)| [408, 503].contains(status)),
        "{told:?}"
    );
    assert!(of.budget.peak() <= 3 << 20);
    assert_eq!(of.budget.used(), 0);

    let put = admin
        .send("PUT", "/v1/scores/a", &"x".repeat(1 << 20))
        .await;
    assert_eq!(put.status, 200);
    assert!(of.budget.peak() >= 1 << 20);
    assert_eq!(of.budget.used(), 0);
}

#[tokio::test]
async fn keys_beyond_the_most_are_counted_and_not_kept() {
    let of = sized(8 << 20);
    // Two million bytes of the shortest keys there are.
    let body = format!("{{\"keys\":[{}\"\"]}}", "\"\",".repeat(666_000));
    let answer = client(&of).send("POST", "/v1/scores", &body).await;
    let line = "666001 keys are over the limit of 1000";
    assert_eq!((answer.status, answer.text()), (400, line));
    // The body three times and a thousand keys: no key beyond them.
    assert!(
        of.budget.peak() <= 3 * (2 << 20) + (1 << 18),
        "{}",
        of.budget.peak()
    );
    assert_eq!(of.budget.used(), 0);
}

#[tokio::test]
async fn status_tells_of_bytes_in_flight() {
    let of = sized(60_000);
    let kept = of.budget.reserve(10_000).await.unwrap();
    assert!(of.budget.try_reserve(60_000).is_none());
    let admin = cluster::client_with([of.group.clone()], Readiness::new());
    let status = admin.get("/status").await.json();
    let expected =
        json!({"used": 10_000, "limit": 60_000, "peak": 10_000, "refused": 1, "waiting": 0});
    assert_eq!(status["in_flight"], expected);
    drop(kept);
    let free = cluster::client([cluster::group("scores", &[])]);
    let status = free.get("/status").await.json();
    assert_eq!(status["in_flight"]["limit"], Value::Null);
}
