//! The description of the front door matches its behaviour.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::client::{Client, Reply};
use crate::support::client;

const DOCUMENT: &str = include_str!("../../openapi/front.json");

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// The target of a reference within the document.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref") {
        None => value,
        Some(pointer) => {
            let pointer = pointer.as_str().unwrap().strip_prefix('#').unwrap();
            document.pointer(pointer).unwrap()
        }
    }
}

fn operation<'a>(document: &'a Value, path: &str, method: &str) -> &'a Value {
    let operation = &document["paths"][path][method.to_lowercase()];
    assert!(operation.is_object(), "{method} {path}");
    operation
}

/// The parts of an answer that are not described: its status, its headers, its content type.
fn undescribed(document: &Value, path: &str, method: &str, answer: &Reply) -> Vec<String> {
    let operation = operation(document, path, method);
    let status = answer.status.to_string();
    let Some(response) = operation["responses"].get(&status) else {
        return vec![status];
    };
    let response = resolved(document, response);
    let names = |of: &Value| -> BTreeSet<String> {
        let names = of.as_object().map(|map| map.keys().cloned());
        names
            .into_iter()
            .flatten()
            .map(|name| name.to_lowercase())
            .collect()
    };
    let mut known = names(&response["headers"]);
    // Those of any answer.
    known.extend(["content-length", "content-type", "x-content-type-options"].map(String::from));
    let mut missing: Vec<String> = answer
        .names()
        .filter(|name| !known.contains(*name))
        .map(String::from)
        .collect();
    if let Some(kind) = answer.header("content-type") {
        let kind = kind.split(';').next().unwrap();
        let content = names(&response["content"]);
        if !content.contains(kind) && !content.contains("*/*") {
            missing.push(kind.to_owned());
        }
    }
    missing
}

#[tokio::test]
async fn it_is_served_as_it_is_written() {
    let answer = client().get("/openapi.json").await;
    assert_eq!((answer.status, answer.text()), (200, DOCUMENT));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let head = client().send("HEAD", "/openapi.json", "").await;
    assert_eq!((head.status, head.text()), (200, ""));
}

#[test]
fn each_reference_leads_somewhere_and_each_component_is_used() {
    fn walk<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| walk(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut found = BTreeSet::new();
    walk(&document, &mut found);
    let mut components = BTreeSet::new();
    for (kind, of) in document["components"].as_object().unwrap() {
        for name in of.as_object().unwrap().keys() {
            components.insert(format!("#/components/{kind}/{name}"));
        }
    }
    let found: BTreeSet<_> = found.into_iter().map(String::from).collect();
    assert_eq!(found, components);
    let mut ids = BTreeSet::new();
    for path in document["paths"].as_object().unwrap().values() {
        for (method, operation) in path.as_object().unwrap() {
            if method != "parameters" {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id), "{id} is there twice");
            }
        }
    }
}

#[tokio::test]
async fn each_route_with_its_methods_statuses_and_headers_is_in_it() {
    let document = document();
    let client: Client = client();
    client.get("/v1/scores/Tom").await;
    let key = "/v1/{group}/{key}";
    for (path, method, target, headers, body, status) in [
        (key, "GET", "/v1/scores/Tom", &[][..], "", 200),
        (
            key,
            "GET",
            "/v1/scores/Tom",
            &[("range", "bytes=0-0")],
            "",
            206,
        ),
        (
            key,
            "GET",
            "/v1/scores/Tom",
            &[("if-none-match", "*")],
            "",
            304,
        ),
        (key, "GET", "/v1/scores/%", &[], "", 400),
        (
            key,
            "GET",
            "/v1/scores/Tom",
            &[("request-timeout", "x")],
            "",
            400,
        ),
        (key, "GET", "/v1/scores/Nobody", &[], "", 404),
        (key, "GET", "/v1/none/Tom", &[], "", 404),
        (
            key,
            "GET",
            "/v1/scores/Tom",
            &[("accept-encoding", "*;q=0")],
            "",
            406,
        ),
        (
            key,
            "GET",
            "/v1/scores/Tom",
            &[("if-match", "\"a\"")],
            "",
            412,
        ),
        (key, "GET", "/v1/scores/large", &[], "", 413),
        (
            key,
            "GET",
            "/v1/scores/Tom",
            &[("range", "bytes=9-")],
            "",
            416,
        ),
        (key, "GET", "/v1/scores/fails", &[], "", 502),
        (
            key,
            "GET",
            "/v1/scores/fails",
            &[("accept", "application/problem+json")],
            "",
            502,
        ),
        (key, "HEAD", "/v1/scores/Tom", &[], "", 200),
        (key, "HEAD", "/v1/scores/Nobody", &[], "", 404),
        (key, "OPTIONS", "/v1/scores/Tom", &[], "", 204),
        (
            "/v1/{group}",
            "POST",
            "/v1/scores",
            &[],
            r#"{"keys":["Tom"]}"#,
            200,
        ),
        ("/v1/{group}", "POST", "/v1/scores", &[], "{", 400),
        ("/v1/{group}", "POST", "/v1/none", &[], "{}", 404),
        ("/v1/{group}", "OPTIONS", "/v1/scores", &[], "", 204),
        ("/api", "GET", "/api?key=Tom", &[], "", 200),
        ("/api", "HEAD", "/api?key=Tom", &[], "", 200),
        ("/api", "GET", "/api", &[], "", 400),
        ("/api", "GET", "/api?key=Nobody", &[], "", 404),
        ("/api", "GET", "/api?key=fails", &[], "", 502),
        ("/openapi.json", "GET", "/openapi.json", &[], "", 200),
        ("/openapi.json", "OPTIONS", "/openapi.json", &[], "", 204),
    ] {
        let answer = client.send_with(method, target, headers, body).await;
        assert_eq!(answer.status, status, "{method} {target} {headers:?}");
        let missing = undescribed(&document, path, method, &answer);
        assert!(
            missing.is_empty(),
            "{method} {target} {headers:?}: {missing:?}"
        );
    }
    // Every described method is accepted, and every other one is refused.
    for (path, of) in document["paths"].as_object().unwrap() {
        let target = path.replace("{group}", "scores").replace("{key}", "Tom");
        let described: BTreeSet<_> = of.as_object().unwrap().keys().collect();
        for method in ["get", "head", "post", "put", "delete", "patch", "options"] {
            let answer = client.send(&method.to_uppercase(), &target, "").await;
            let is_described = described.contains(&method.to_owned());
            assert_eq!(answer.status != 405, is_described, "{method} {target}");
        }
    }
}
