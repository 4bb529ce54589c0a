//! Every request has an answer, and a refusal is one line: generated input, and the hand-picked
//! corpus in `corpus/`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use bytes::Bytes;
use gaggle_api_http::{Admin, FrontOptions, MetricsPage, NoReload, Readiness, admin, front_door};
use gaggle_console::Console;
use gaggle_group::{Field, Group, Groups, Limits, Loaded, Metadata};
use http_body_util::BodyExt;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::client::base64;

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const TAG: &str = "\"v1\"";
const MAX_KEYS: usize = 8;
const MAX_KEY: usize = 10_000;

/// As many cases as `PROPTEST_CASES` says. Failures belong into the corpus, so no other record of
/// them is kept.
fn cases() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The inputs of one folder of the corpus.
fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(folder);
    let files = std::fs::read_dir(folder).unwrap();
    let files: Vec<_> = files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(files.len() >= 20, "{}", files.len());
    files
}

/// Both routers of a node with one group, `g`, whose values are their keys.
struct Node {
    runtime: Runtime,
    front: Router,
    admin: Router,
}

struct Answered {
    status: u16,
    body: Vec<u8>,
}

impl Node {
    fn start() -> Self {
        let mut limits = Limits::default();
        limits.max_key = MAX_KEY;
        let known = Metadata::default()
            .with(Field::ETag, TAG)
            .with(Field::LastModified, MODIFIED);
        let group = Group::builder("g")
            .capacity(1 << 20)
            .limits(limits)
            .origin_fn(move |key: Bytes| {
                let known = known.clone();
                async move { Ok::<_, String>(Some(Loaded::value(key).with_metadata(known))) }
            })
            .build()
            .unwrap();
        let groups = Groups::new([group]).unwrap();
        let options = FrontOptions {
            max_batch_keys: MAX_KEYS,
            max_body: 1 << 16,
            ..FrontOptions::default()
        };
        Self {
            runtime: Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap(),
            front: front_door(groups.clone(), options),
            admin: admin(Admin {
                console: Console::new(groups.clone()),
                origins: BTreeMap::new(),
                version: "1.2.3".into(),
                groups,
                readiness: Readiness::new(),
                metrics: MetricsPage::new("text/plain", String::new),
                hosts: Vec::new(),
                reload: Arc::new(NoReload),
            }),
        }
    }

    /// The answer of a router, which must be a value or a refusal of one line. `None` is a target
    /// that no server accepts.
    fn ask(
        &self,
        router: &Router,
        method: Method,
        target: &[u8],
        headers: &[(HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Option<Answered> {
        let uri = Uri::try_from(target).ok()?;
        let mut request = Request::new(Body::from(body.to_vec()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        for (name, value) in headers {
            request.headers_mut().append(name, value.clone());
        }
        let answered = self.runtime.block_on(async {
            let answer = router.clone().oneshot(request).await.unwrap();
            let (head, body) = answer.into_parts();
            Answered {
                status: head.status.as_u16(),
                body: body.collect().await.unwrap().to_bytes().into(),
            }
        });
        if answered.status >= 400 {
            let line = std::str::from_utf8(&answered.body).unwrap();
            assert!((400..500).contains(&answered.status), "{line}");
            assert!(!line.is_empty() && !line.contains(['\n', '\r']), "{line:?}");
        }
        Some(answered)
    }

    fn get(&self, target: &[u8]) -> Option<Answered> {
        self.ask(&self.front, Method::GET, target, &[], b"")
    }

    /// Asks the front door for a batch, and the admin endpoints to remove one.
    fn batch(&self, body: &[u8]) -> Answered {
        let (front, admin) = (&self.front, &self.admin);
        let removed = self.ask(admin, Method::POST, b"/v1/g/remove", &[], body);
        let batch = self.ask(front, Method::POST, b"/v1/g", &[], body).unwrap();
        if batch.status == 200 {
            // In a batch a key that is too long fails alone. In a removal it makes the whole
            // request fail.
            assert!([200, 414].contains(&removed.unwrap().status));
            check_rows(body, &batch.body);
        }
        batch
    }

    /// Whether the value is said to be unchanged.
    fn unchanged(&self, headers: &[(HeaderName, HeaderValue)]) -> bool {
        let answer = self.ask(&self.front, Method::GET, b"/v1/g/k", headers, b"");
        let answer = answer.unwrap();
        match answer.status {
            200 => assert_eq!(answer.body, b"k"),
            304 => assert_eq!(answer.body, b""),
            status => panic!("{status}"),
        }
        answer.status == 304
    }
}

// Paths and queries.

/// The key that the escapes decode to, by the specification; `None` if one is cut off.
fn decoded(text: &[u8], plus_is_space: bool) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        key.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let digits = text.get(at..at + 2)?;
                at += 2;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            }
            byte => *byte,
        });
    }
    Some(key)
}

/// What follows `/v1/g/`, or `/api?key=`, is a key decoded once, or is refused.
fn check_key(node: &Node, raw: &[u8]) {
    let path = node.get(&[b"/v1/g/", raw].concat());
    let end = raw.iter().position(|byte| [b'?', b'#'].contains(byte));
    check_found(path, decoded(&raw[..end.unwrap_or(raw.len())], false));
    let query = node.get(&[b"/api?key=", raw].concat());
    let end = raw.iter().position(|byte| [b'&', b'#'].contains(byte));
    let key = decoded(&raw[..end.unwrap_or(raw.len())], true);
    // What follows may name a group.
    if !raw.contains(&b'&') {
        check_found(query, key);
    }
}

fn check_found(answer: Option<Answered>, key: Option<Vec<u8>>) {
    match (answer, key) {
        (None, _) => {}
        (Some(answer), Some(key)) if key.len() > MAX_KEY => assert_eq!(answer.status, 414),
        (Some(answer), Some(key)) => assert_eq!((answer.status, answer.body), (200, key)),
        (Some(answer), None) => assert_eq!(answer.status, 400),
    }
}

fn escaped(key: &[u8]) -> Vec<u8> {
    let escaped: String = key.iter().map(|byte| format!("%{byte:02x}")).collect();
    escaped.into_bytes()
}

#[test]
fn the_corpus_of_targets() {
    let node = Node::start();
    for target in corpus("targets") {
        node.get(&target);
        for method in [Method::GET, Method::DELETE, Method::PUT] {
            node.ask(&node.admin, method, &target, &[], b"");
        }
        check_key(&node, &target);
    }
}

#[test]
fn any_target_is_answered() {
    let node = Node::start();
    let begin = select(vec![
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/g",
        "/v1/%67/",
        "/api?",
        "/api?group=g&",
    ]);
    let rest = prop_oneof![
        vec(any::<u8>(), 0..60),
        "(key=|group=|[g/%?&=+.;#a-f0-9]){0,20}".prop_map(String::into_bytes),
    ];
    proptest!(cases(), |(begin in begin, rest in rest)| {
        let target = [begin.as_bytes(), &rest].concat();
        node.get(&target);
        node.ask(&node.admin, Method::DELETE, &target, &[], b"");
    });
}

#[test]
fn any_key_that_is_escaped_comes_back_decoded_once() {
    let node = Node::start();
    proptest!(cases(), |(key in vec(any::<u8>(), 0..60))| {
        let once = escaped(&key);
        for (raw, key) in [(&once, &key), (&escaped(&once), &once)] {
            for begin in ["/v1/g/", "/api?key=", "/api?group=g&key=", "/api?key%=1&k%65y="] {
                let answer = node.get(&[begin.as_bytes(), raw].concat()).unwrap();
                prop_assert_eq!((answer.status, &answer.body), (200, key), "{}", begin);
            }
        }
    });
}

#[test]
fn any_text_for_a_key_is_decoded_by_the_book_or_refused() {
    let node = Node::start();
    proptest!(cases(), |(raw in "(%[0-9a-fA-F]{2}|[%+/a-f0-9. ~-]){0,20}")| {
        check_key(&node, raw.as_bytes());
    });
}

// Batches.

/// The rows of an answer match the keys of a request, which is JSON with nothing else.
fn check_rows(asked: &[u8], answer: &[u8]) {
    let asked: Value = serde_json::from_slice(asked).unwrap();
    let fields = asked.as_object().unwrap();
    let given = fields.iter().filter(|(_, list)| !list.is_null());
    let (field, names) = given.clone().next().unwrap();
    assert_eq!(given.count(), 1);
    let names = names.as_array().unwrap();
    assert!(names.len() <= MAX_KEYS);
    let answer: Value = serde_json::from_slice(answer).unwrap();
    let rows = answer["results"].as_array().unwrap();
    assert_eq!(rows.len(), names.len());
    for (name, row) in names.iter().zip(rows) {
        let value = match &**field {
            "keys" => base64(name.as_str().unwrap().as_bytes()),
            _ => name.as_str().unwrap().to_owned(),
        };
        let (key, row) = (field.replace("keys", "key"), row.as_object().unwrap());
        let found = json!({&*key: name, "status": 200, "value": value});
        // A key can be too long.
        if row["status"] == 200 {
            assert_eq!(Value::Object(row.clone()), found);
        } else {
            assert_eq!((&row["status"], &row[&key]), (&json!(414), name));
        }
    }
}

#[test]
fn the_corpus_of_batches() {
    let node = Node::start();
    for body in corpus("batches") {
        node.batch(&body);
    }
}

/// Any JSON, nested up to eight deep, often with the names of fields that mean something.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        vec(any::<u8>(), 0..20).prop_map(|key| Value::from(base64(&key))),
    ];
    leaf.prop_recursive(8, 64, 10, |inner| {
        let name = prop_oneof![
            Just("keys".to_owned()),
            Just("keys64".to_owned()),
            any::<String>()
        ];
        prop_oneof![
            vec(inner.clone(), 0..10).prop_map(Value::from),
            vec((name, inner), 0..3).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

#[test]
fn any_body_of_a_batch_is_answered() {
    let node = Node::start();
    let pieces = r#"(\{|\}|\[|\]|,|:|"|"keys"|"keys64"|\{"keys":\[|\{"keys64":\[|"Tom"|"VG9t"|null|1e999|-0|\\ud800|\\u0000| ){0,20}"#;
    let body = prop_oneof![
        1 => vec(any::<u8>(), 0..200),
        3 => pieces.prop_map(String::into_bytes),
        2 => document().prop_map(|document| document.to_string().into_bytes()),
        2 => document().prop_map(|document| json!({"keys": document}).to_string().into_bytes()),
    ];
    proptest!(cases(), |(body in body)| {
        node.batch(&body);
    });
}

#[test]
fn a_batch_of_any_keys_is_answered_for_each_up_to_the_most() {
    let node = Node::start();
    proptest!(cases(), |(keys in vec(any::<String>(), 0..MAX_KEYS + 2), null: bool)| {
        let names: Vec<_> = keys.iter().map(|key| base64(key.as_bytes())).collect();
        let mut texts = json!({"keys": keys});
        if null {
            texts["keys64"] = Value::Null;
        }
        for body in [texts, json!({"keys64": names})] {
            let answer = node.batch(body.to_string().as_bytes());
            let status = if keys.len() > MAX_KEYS { 400 } else { 200 };
            prop_assert_eq!(answer.status, status);
        }
    });
}

#[test]
fn nothing_nests_too_deep() {
    let node = Node::start();
    for depth in [10, 127, 128, 129, 30_000] {
        for (begin, end) in [
            ("[", "]"),
            ("{\"keys\":", "}"),
            ("{\"keys\":[{\"a\":", "}]}"),
        ] {
            let body = begin.repeat(depth / begin.len() + 1) + &end.repeat(depth / begin.len() + 1);
            assert_eq!(node.batch(body.as_bytes()).status, 400);
        }
        // Beyond the largest number of keys, only the end of the body is examined.
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let body = format!("{{\"keys\":[{}{deep}]}}", "\"a\",".repeat(MAX_KEYS));
        assert_eq!(node.batch(body.as_bytes()).status, 400);
    }
}

// Conditions.

/// One header for each line of a file.
fn headers(lines: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
    let lines = lines.split(|byte| *byte == b'\n');
    let parsed = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        Some((
            name,
            HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?,
        ))
    });
    parsed.collect()
}

const IF_NONE_MATCH: HeaderName = HeaderName::from_static("if-none-match");
const IF_MODIFIED_SINCE: HeaderName = HeaderName::from_static("if-modified-since");

#[test]
fn the_corpus_of_conditions() {
    let node = Node::start();
    for lines in corpus("conditions") {
        node.unchanged(&headers(&lines));
    }
}

#[test]
fn any_condition_is_answered() {
    let node = Node::start();
    let name = select(vec![IF_NONE_MATCH, IF_MODIFIED_SINCE]);
    let value = prop_oneof![
        vec(any::<u8>(), 0..60),
        "(W/|w/|\"v1\"|\"|v1|,|\\*| |\t){0,12}".prop_map(String::into_bytes),
        "(Sun|Mon|Sunday),? ?[0-9]{1,3}[ -](Nov|nov|Feb)[ -][0-9]{1,5} [0-9:]{0,9} ?(GMT|UTC|)"
            .prop_map(String::into_bytes),
    ];
    proptest!(cases(), |(lines in vec((name, value), 0..4))| {
        let lines = lines.into_iter().filter_map(|(name, value)| {
            Some((name, HeaderValue::from_bytes(&value).ok()?))
        });
        node.unchanged(&lines.collect::<Vec<_>>());
    });
}

#[test]
fn a_list_of_tags_is_unchanged_where_it_names_the_one() {
    let node = Node::start();
    let tag = (
        any::<bool>(),
        "(v1|v2|[!#-~]{0,5}|a, ?b)",
        "[ \t]{0,2},[ \t]{0,2},?",
    );
    proptest!(cases(), |(tags in vec(tag, 1..6), date: bool)| {
        let mut list = String::new();
        for (weak, tag, comma) in &tags {
            list.push_str(if *weak { "W/" } else { "" });
            list.push_str(&format!("\"{tag}\"{comma}"));
        }
        let mut lines = vec![(IF_NONE_MATCH, HeaderValue::from_str(&list).unwrap())];
        if date {
            // `If-None-Match` takes precedence over it.
            lines.push((IF_MODIFIED_SINCE, HeaderValue::from_static(MODIFIED)));
        }
        let named = tags.iter().any(|(_, tag, _)| tag == "v1");
        prop_assert_eq!(node.unchanged(&lines), named, "{}", list);
    });
}

#[test]
fn a_date_is_compared_to_the_second() {
    let node = Node::start();
    let modified = UNIX_EPOCH + Duration::from_secs(784_111_777);
    proptest!(cases(), |(seconds in prop_oneof![0..4_000_000_000_u64, 784_111_770..784_111_785_u64])| {
        let since: SystemTime = UNIX_EPOCH + Duration::from_secs(seconds);
        let text = httpdate::fmt_http_date(since);
        let line = (IF_MODIFIED_SINCE, HeaderValue::from_str(&text).unwrap());
        prop_assert_eq!(node.unchanged(&[line]), since >= modified, "{}", text);
    });
}
