//! What an answer to several keys means.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use gaggle_group::{ByteBudget, Content, Hint, Origin, OriginError, OriginFault};
use gaggle_origin_http::{BatchAnswer, BatchValues};
use support::LIMIT;
use support::batches::{content, failure, load, load_up_to, origin, serve_batches, value};

#[tokio::test]
async fn an_array_has_the_values_in_the_order_of_the_keys() {
    let (base, asked) = serve_batches(|_| {
        let headers = [
            (header::CACHE_CONTROL, "max-age=60"),
            (header::ETAG, "\"1\""),
        ];
        let body = r#" [ "630" , null, {"a" : 1.50}, "", false, "\u5f20\n" ] "#;
        (headers, body).into_response()
    })
    .await;
    let origin = origin(&base, |_| {});
    assert_eq!(origin.max_batch(), 100);
    let keys: [&[u8]; 6] = [b"Tom", b"a\"b", "张".as_bytes(), b"..", b"", b"../x"];
    let found = load(&origin, &keys).await;
    let contents: Vec<_> = found.iter().map(content).collect();
    let expected = ["630", "", "{\"a\" : 1.50}", "", "false", "张\n"].map(value);
    for (at, content) in contents.into_iter().enumerate() {
        match at {
            1 => assert_eq!(content, Content::Absent),
            _ => assert_eq!(content, expected[at]),
        }
    }
    for loaded in &found {
        let loaded = loaded.as_ref().unwrap();
        assert_eq!(loaded.freshness, Hint::ttl(Duration::from_secs(60)));
        assert!(
            loaded.metadata.is_empty(),
            "a tag of the batch is no value's"
        );
    }
    let asked = asked.lock().unwrap();
    let (headers, body) = &asked[0];
    assert_eq!(body, r#"{"keys":["Tom","a\"b","张","..","","../x"]}"#);
    assert_eq!(asked.len(), 1);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["accept"], "application/json");
}

#[tokio::test]
async fn an_object_has_the_values_by_their_keys() {
    let (base, asked) =
        serve_batches(|_| r#"{"c":7,"x":[1],"b":null,"a":"one"}"#.into_response()).await;
    let origin = origin(&base, |it| {
        it.answer = BatchAnswer::Object;
        it.body = r#"{"query":"many","variables":{"ids":{keys}}}"#.to_owned();
    });
    let found = load(&origin, &[b"a", b"b", b"c", b"d"]).await;
    let contents: Vec<_> = found.iter().map(content).collect();
    let expected = [value("one"), Content::Absent, value("7"), Content::Absent];
    assert_eq!(contents, expected);
    assert_eq!(
        asked.lock().unwrap()[0].1,
        r#"{"query":"many","variables":{"ids":["a","b","c","d"]}}"#
    );
}

#[tokio::test]
async fn strings_may_be_base64_and_one_that_is_none_fails_for_its_key_alone() {
    let (base, _) = serve_batches(|_| r#"["AP8=","AP8","A","a b","Ag",12]"#.into_response()).await;
    let origin = origin(&base, |it| it.values = BatchValues::Base64);
    let found = load(&origin, &[b"1", b"2", b"3", b"4", b"5", b"6"]).await;
    let bytes = |bytes: &'static [u8]| Content::Value(Bytes::from_static(bytes));
    assert_eq!(content(&found[0]), bytes(b"\0\xFF"));
    assert_eq!(content(&found[1]), bytes(b"\0\xFF"));
    assert_eq!(content(&found[4]), bytes(b"\x02"));
    assert_eq!(content(&found[5]), bytes(b"12"));
    for broken in &found[2..4] {
        let error = broken.as_ref().unwrap_err();
        assert_eq!(error.fault(), OriginFault::Unusable);
        assert!(error.to_string().contains("not base64"), "{error}");
    }
}

#[tokio::test]
async fn a_value_over_its_limit_or_a_string_that_is_none_fails_for_its_key_alone() {
    let (base, _) =
        serve_batches(|_| r#"["12345","1234\u0035",12345,"1234","\ud800"]"#.into_response()).await;
    let found = load_up_to(
        &origin(&base, |_| {}),
        &[b"a", b"b", b"c", b"d", b"e"],
        4,
        None,
    )
    .await;
    for large in &found[..3] {
        let error = large.as_ref().unwrap_err();
        let expected = matches!(
            error,
            OriginError::TooLarge {
                len: Some(5),
                limit: 4
            }
        );
        assert!(expected, "{error:?}");
    }
    assert_eq!(content(&found[3]), value("1234"));
    let error = found[4].as_ref().unwrap_err();
    assert_eq!(error.fault(), OriginFault::Unusable);
    assert!(error.to_string().contains("no Unicode"), "{error}");
}

#[tokio::test]
async fn a_key_that_is_no_text_is_asked_for_by_itself() {
    let (base, asked) = serve_batches(|_| r#"["1","2"]"#.into_response()).await;
    let origin = origin(&base, |_| {});
    let found = load(&origin, &[b"\xFF", b"a", b"\xFE", b"b"]).await;
    let contents: Vec<_> = found.iter().map(content).collect();
    assert_eq!(contents, ["/%FF", "1", "/%FE", "2"].map(value));
    assert_eq!(asked.lock().unwrap()[0].1, r#"{"keys":["a","b"]}"#);
    // Of those alone there is no batch, whatever their number.
    let odd: Vec<_> = (0x80..0xB0_u8).map(|byte| [byte]).collect();
    let odd: Vec<_> = odd.iter().map(|key| &key[..]).collect();
    assert!(load(&origin, &odd).await.iter().all(Result::is_ok));
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn more_keys_than_a_batch_takes_are_several() {
    let (base, asked) = serve_batches(|body| {
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        json["keys"].to_string().into_response()
    })
    .await;
    let origin = origin(&base, |it| it.max_keys = 2);
    let found = load(&origin, &[b"1", b"2", b"3", b"4", b"5"]).await;
    let contents: Vec<_> = found.iter().map(content).collect();
    assert_eq!(contents, ["1", "2", "3", "4", "5"].map(value));
    assert_eq!((origin.max_batch(), asked.lock().unwrap().len()), (2, 3));
}

#[tokio::test]
async fn an_answer_of_another_shape_fails_all_and_shows_nothing_of_it() {
    for (reply, reason) in [
        ("", "breaks off"),
        ("[\"Zebedee\"]", "has 1 values for 2 keys"),
        ("[1,2,\"Zebedee\"]", "has 3 values for 2 keys"),
        ("{\"Zebedee\":1}", "is no JSON array"),
        ("[1,Zebedee]", "is not JSON"),
        ("<html>Zebedee</html>", "is not JSON"),
        ("[1,2]Zebedee", "is not JSON"),
    ] {
        let (base, asked) = serve_batches(move |_| reply.into_response()).await;
        let found = load(&origin(&base, |_| {}), &[b"Zebedee", b"b"]).await;
        let (text, fault) = failure(&found);
        assert_eq!(fault, OriginFault::Unusable);
        assert!(text.contains(reason) && text.starts_with(&base), "{text}");
        assert!(!text.contains("Zebedee"), "{text}");
        assert_eq!(asked.lock().unwrap().len(), 1, "it was asked again");
    }
    let (base, _) = serve_batches(|_| {
        let headers = [(header::CONTENT_ENCODING, "gzip")];
        (headers, "[1,2]").into_response()
    })
    .await;
    let (text, _) = failure(&load(&origin(&base, |_| {}), &[b"a", b"b"]).await);
    assert!(text.contains("Content-Encoding"), "{text}");
}

#[tokio::test]
async fn an_answer_longer_than_can_be_right_is_not_read() {
    let endless = |_: &str| {
        let piece = Bytes::from(vec![b' '; 1 << 16]);
        let pieces = std::iter::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
        Body::from_stream(futures_util::stream::iter(pieces)).into_response()
    };
    let (base, _) = serve_batches(endless).await;
    let origin = origin(&base, |_| {});
    let found = load_up_to(&origin, &[b"a", b"b"], 100, None).await;
    let (text, fault) = failure(&found);
    assert_eq!(fault, OriginFault::Unusable);
    assert!(text.contains("too long"), "{text}");

    // The longest that can be right is read.
    let escaped = |_: &str| format!("[\"{0}\",\"{0}\"]", "\\u0001".repeat(100)).into_response();
    let (base, _) = serve_batches(escaped).await;
    let origin = support::batches::origin(&base, |_| {});
    let found = load_up_to(&origin, &[b"a", b"b"], 100, None).await;
    assert_eq!(content(&found[0]), value(&"\u{1}".repeat(100)));
}

#[tokio::test]
async fn an_answer_draws_on_the_budget_and_gives_it_back() {
    let large = |_: &str| format!("[\"{0}\",\"{0}\"]", "x".repeat(100_000)).into_response();
    let (base, _) = serve_batches(large).await;
    let origin = origin(&base, |_| {});
    let budget = ByteBudget::new(1 << 20, Duration::ZERO);
    let found = load_up_to(&origin, &[b"a", b"b"], LIMIT, Some(&budget)).await;
    assert!(found.iter().all(Result::is_ok));
    assert!(budget.peak() >= 200_000, "{budget:?}");
    assert_eq!(budget.used(), 0);

    let small = ByteBudget::new(100_000, Duration::ZERO);
    let found = load_up_to(&origin, &[b"a", b"b"], LIMIT, Some(&small)).await;
    for over in &found {
        assert!(matches!(over, Err(OriginError::OverBudget(_))), "{over:?}");
    }
    assert_eq!(small.used(), 0);
}
