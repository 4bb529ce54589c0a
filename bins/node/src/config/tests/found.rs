//! No error quotes what may be a secret. The cases come from the list of all fields, each of which
//! is given as something else.

use toml::{Table, Value};

use super::*;
use crate::config::example;
use crate::config::sources::{Layers, Path};

const SECRET: &str = "Bearer://u:hunter2@h";
/// The same as a number, in each form that is printed of it.
const NUMBER: i64 = 481_516_234;

/// The error of a file before any validation, if there is one.
fn refusal(text: &str) -> Option<String> {
    let given = Given {
        file: Some(("gaggle.toml".into(), text.into())),
        ..Given::default()
    };
    let read = Layers::of(&given).and_then(|layers| layers.read());
    read.err().map(|failure| failure.to_string())
}

/// The same of a table under variables.
fn refusal_of(table: Table, variables: &[(String, String)]) -> Option<String> {
    let mut layers = Layers {
        table,
        ..Layers::default()
    };
    let read = crate::config::environment::lay(&mut layers, variables);
    let read = read.and_then(|()| layers.read());
    read.err().map(|failure| failure.to_string())
}

fn is_quoted(line: &str) -> bool {
    line.contains("hunter2") || line.contains(&NUMBER.to_string())
}

/// The configurations in which every field of some kinds is set, each with the places that the
/// ones before do not have with the same kinds.
fn examples() -> Vec<(Table, Vec<Path>)> {
    let differs = |path: &Path| path.iter().any(|name| KINDS.contains(&name.as_str()));
    let configs = example::kinds().into_iter().enumerate();
    configs
        .map(|(n, (origin, discovery, follow))| {
            let config = example::config(origin, discovery, follow);
            let table = Table::try_from(config).unwrap();
            let mut all = Vec::new();
            places(&Value::Table(table.clone()), &mut Path::new(), &mut all);
            all.retain(|path| n == 0 || differs(path));
            (table, all)
        })
        .collect()
}

/// The tables that have a kind.
const KINDS: [&str; 3] = ["origin", "follow", "discovery"];

/// The places of all tables, lists, members of lists, and fields in a value.
fn places(value: &Value, path: &mut Path, found: &mut Vec<Path>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Table(fields) => fields.iter().map(|(name, v)| (name.clone(), v)).collect(),
        Value::Array(members) => {
            let named = members.iter().enumerate();
            named.map(|(n, v)| (n.to_string(), v)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in inner {
        path.push(name);
        found.push(path.clone());
        places(value, path, found);
        path.pop();
    }
}

fn at<'v>(mut value: &'v mut Value, path: &[String]) -> &'v mut Value {
    for name in path {
        value = match value {
            Value::Table(fields) => fields.get_mut(name).unwrap(),
            Value::Array(members) => &mut members[name.parse::<usize>().unwrap()],
            other => panic!("{name} of {other:?}"),
        };
    }
    value
}

/// Whether a field of numbers or names has nothing to do with secrets, as it is in such a table.
fn is_plain(path: &[String]) -> bool {
    let own = |table: &str| path.iter().any(|name| name == table);
    let around = own("groups") && path.len() < 3;
    !around && !own("origin") && !own("follow") && !own("security") && !own("tracing")
}

#[test]
fn whatever_stands_in_the_place_of_something_else_is_not_quoted() {
    let table = |value: Value| Value::Table([("x".to_owned(), value)].into_iter().collect());
    let text = || Value::String(SECRET.into());
    let wrong = [
        text(),
        Value::Integer(NUMBER),
        Value::Float(481_516_234.5),
        Value::Array(vec![text()]),
        Value::Array(vec![Value::Integer(NUMBER)]),
        Value::Array(vec![Value::Array(vec![text()])]),
        table(text()),
        table(table(text())),
        Value::Array(vec![table(text())]),
    ];
    let mut refused = 0;
    for (example, all) in examples() {
        for path in all {
            for wrong in &wrong {
                let mut file = Value::Table(example.clone());
                let old = std::mem::replace(at(&mut file, &path), wrong.clone());
                let Value::Table(file) = file else { panic!() };
                let Some(line) = refusal_of(file, &[]) else {
                    continue;
                };
                refused += 1;
                let is_container = old.is_table() || old.is_array();
                let is_text = format!("{wrong:?}").contains("hunter2");
                if !is_plain(&path) || (is_container && is_text) {
                    assert!(!is_quoted(&line), "{path:?} = {wrong:?}: {line}");
                }
                // A name that is not known leads to another error.
                if wrong.is_str() && is_container {
                    assert!(line.contains("a string"), "{path:?}: {line}");
                }
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn a_variable_of_another_type_is_not_quoted() {
    let mut refused = 0;
    for (example, all) in examples() {
        for path in all {
            let names: Vec<_> = path
                .iter()
                .map(|name| name.to_uppercase().replace('-', "_"))
                .collect();
            let variable = format!("GAGGLE_{}", names.join("__"));
            let old = at(&mut Value::Table(example.clone()), &path).clone();
            for text in [
                SECRET.to_owned(),
                format!("[{SECRET:?}"),
                format!("[{SECRET}]"),
                format!("[{SECRET:?}, 5, {{ x = {SECRET:?} }}]"),
                format!("[{NUMBER}, {SECRET:?}]"),
                format!("[{NUMBER}{NUMBER}{NUMBER}]"),
                format!("[{SECRET:?}]\nx = {SECRET}"),
            ] {
                let variables = [(variable.clone(), text.clone())];
                let Some(line) = refusal_of(example.clone(), &variables) else {
                    continue;
                };
                refused += 1;
                let is_list = old.is_array() && !line.contains("[0]");
                if is_list || !is_plain(&path) {
                    assert!(!is_quoted(&line), "{variable}={text}: {line}");
                }
            }
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn a_line_that_is_no_toml_is_not_quoted() {
    let quoted = format!("{SECRET:?}");
    for broken in [
        format!("token = {SECRET}"),
        "token = hunter2".to_owned(),
        "token = [hunter2]".to_owned(),
        "token = { hunter2 }".to_owned(),
        "token hunter2".to_owned(),
        "hunter2".to_owned(),
        "token = +hunter2".to_owned(),
        "token = 0xhunter2".to_owned(),
        "token = \"\\hunter2\"".to_owned(),
        "token = 'hunter2".to_owned(),
        "token = \"\"\"hunter2".to_owned(),
        "headers = { a = \"hunter2\", a = \"hunter2\" }".to_owned(),
        format!("token = {NUMBER}{NUMBER}{NUMBER}{NUMBER}"),
        format!("token = -{NUMBER}{NUMBER}{NUMBER}{NUMBER}"),
        format!("token = {NUMBER}e{NUMBER}"),
        format!("token = {NUMBER}-01-01"),
        format!("token = \"{SECRET}"),
        format!("token = {quoted} {quoted}"),
        format!("token = {quoted}\ntoken = {quoted}"),
        format!("token == {quoted}"),
        format!("token = [{quoted}"),
        format!("headers = {{ a = {quoted}"),
        format!("headers = {{ a = {quoted}, a = {quoted} }}"),
        format!("headers = {{ a = {quoted} }}\n[groups.a.origin.headers]\nb = {quoted}"),
        format!("headers.a = {quoted}\nheaders = {quoted}"),
    ] {
        let text = format!("[groups.a.origin]\nkind = \"http\"\n{broken}\n");
        let line = refusal(&text).unwrap();
        assert!(!is_quoted(&line), "{broken}: {line}");
    }
}

#[test]
fn the_error_names_what_was_found_and_expected() {
    for (text, expected) in [
        (
            "[groups.a.origin]\nkind = \"http\"\nheaders = \"Authorization: Bearer hunter2\"",
            "groups.a.origin.headers: invalid type: a string, expected a map (from gaggle.toml:3)",
        ),
        (
            "[groups.a.origin]\nkind = \"http\"\nfallbacks = [1]",
            "groups.a.origin.fallbacks[0]: invalid type: an integer, expected a string (from gaggle.toml:3)",
        ),
        (
            "[groups.\"a.b\".origin]\nkind = \"http\"\nfallbacks = \"http://u:hunter2@h\"",
            "groups.a.b.origin.fallbacks: invalid type: a string, expected a sequence (from gaggle.toml:3)",
        ),
        (
            "[security.tls]\nports = [\"hunter2\"]",
            "security.tls.ports[0]: unknown variant, expected one of `front-door`, `peers`, `admin`, `resp` (from gaggle.toml:2)",
        ),
        (
            "groups = \"hunter2\"",
            "groups: invalid type: a string, expected a map (from gaggle.toml:1)",
        ),
        // No secret belongs there.
        (
            "[node]\nmax-connections = -3",
            "node.max-connections: invalid value: integer `-3`, expected usize (from gaggle.toml:2)",
        ),
        (
            "[node]\nlog-format = \"yaml\"",
            "node.log-format: unknown variant `yaml`, expected `text` or `json` (from gaggle.toml:2)",
        ),
    ] {
        assert_eq!(refusal(text).unwrap(), expected);
    }
}
