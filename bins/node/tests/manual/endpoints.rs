//! The reference of the endpoints, from the OpenAPI documents that the ports serve.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::{help, root};

const METHODS: [&str; 6] = ["get", "head", "post", "put", "delete", "options"];

/// What a reference inside of the document stands for.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let Some(reference) = value["$ref"].as_str() else {
        return value;
    };
    let found = document.pointer(reference.trim_start_matches('#'));
    found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// Text for a cell of a table.
fn cell(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|").replace('<', "&lt;")
}

fn add(page: &mut String, name: &str) {
    let file = root().join("crates/api-http").join(name);
    let text = fs::read_to_string(&file).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let document = &document;
    // In the order of their names: that of the document depends on a feature of serde_json.
    let paths: BTreeMap<&String, &Value> = document["paths"].as_object().unwrap().iter().collect();
    for (path, item) in paths {
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            writeln!(page, "\n### `{} {path}`\n", method.to_uppercase()).unwrap();
            let summary = cell(&operation["summary"]);
            if !summary.is_empty() {
                writeln!(page, "{}.\n", summary.trim_end_matches('.')).unwrap();
            }
            let shared = item["parameters"].as_array().into_iter().flatten();
            let own = operation["parameters"].as_array().into_iter().flatten();
            let parameters: Vec<&Value> = shared.chain(own).collect();
            if !parameters.is_empty() {
                writeln!(page, "| parameter | in | |\n|---|---|---|").unwrap();
                for parameter in parameters {
                    let parameter = resolved(document, parameter);
                    writeln!(
                        page,
                        "| `{}` | {} | {} |",
                        cell(&parameter["name"]),
                        cell(&parameter["in"]),
                        cell(&parameter["description"])
                    )
                    .unwrap();
                }
                page.push('\n');
            }
            writeln!(page, "| status | |\n|---|---|").unwrap();
            let answers: BTreeMap<&String, &Value> =
                operation["responses"].as_object().unwrap().iter().collect();
            let mut rows: Vec<(Vec<&str>, String)> = Vec::new();
            for (status, answer) in answers {
                let text = cell(&resolved(document, answer)["description"]);
                match rows.iter_mut().find(|(_, shown)| *shown == text) {
                    Some((statuses, _)) => statuses.push(status),
                    None => rows.push((vec![status], text)),
                }
            }
            for (statuses, text) in rows {
                writeln!(page, "| {} | {text} |", statuses.join(", ")).unwrap();
            }
        }
    }
}

#[test]
fn the_reference_of_the_endpoints_is_the_openapi_documents() {
    let mut page = "# Endpoints

A node has three ports. The peers' port speaks the [protocol between nodes](../protocol.md). This page has the two others. It is generated
from the OpenAPI documents, which both ports serve as `GET /openapi.json`. A test compares it with them.

## The front door

The port `node.api-addr`, by default `127.0.0.1:9999`. Programs read values here. [HTTP](../http.md) describes the semantics.
"
    .to_owned();
    add(&mut page, "openapi/front.json");
    page.push_str(
        "
## The admin port

The port `node.admin-addr`, by default `127.0.0.1:9990`. Operators look and act here. It requires the cluster's token or a client
certificate where [security](../security.md) is configured, except for `/livez` and `/readyz`.
",
    );
    add(&mut page, "schema/admin.json");
    help::compare(&root().join("docs/src/reference/endpoints.md"), &page);
}
