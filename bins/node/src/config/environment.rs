//! Environment variables for every field: `GAGGLE_<TABLE>__<FIELD>`, such as
//! `GAGGLE_NODE__PEER_ADDR`, `GAGGLE_GROUPS__SCORES__TTL` or
//! `GAGGLE_GROUPS__SCORES__ORIGIN__HEADERS__AUTHORIZATION`.
//!
//! Two underscores separate the names of tables and fields, one replaces a `-`, and the case of
//! letters does not matter. A value has the type of its field: `GAGGLE_CLUSTER__NAME=12` is a
//! text. Lists are separated by commas, or written as in TOML.
//!
//! The name of a group, or of a header, is looked up among those of the file: letter by letter, or
//! otherwise without regard to case and with `_` for each character that is neither letter nor
//! digit. If there is none, the variable creates one. A group gets the name in the variable, in
//! lower case if that has capitals only; a header its name in lower case and with `-` for `_`. A
//! group with two underscores in a row in its name has no variables.
//!
//! A variable that begins with the name of a table and has too few underscores would have no
//! effect, and could leave a node without its token: it is an error.

use std::fmt::Display;
use std::net::Ipv6Addr;

use toml::de::DeTable;
use toml::{Table, Value};

use super::ConfigError;
use super::example;
use super::sources::{Layers, OUT_OF_RANGE, Path, Source};

const PREFIX: &str = "GAGGLE_";
/// The separator between the names of tables and fields.
const BETWEEN: &str = "__";

/// Lays the variables over the file.
pub(super) fn lay(layers: &mut Layers, variables: &[(String, String)]) -> Result<(), ConfigError> {
    let mut named: Vec<_> = variables
        .iter()
        .filter(|(name, _)| is_meant(name))
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    // The result does not depend on the system's order.
    named.sort();
    let fields = example::fields()?;
    if let Some((variable, _)) = named.iter().find(|(name, _)| !names_a_field(name)) {
        return Err(ConfigError::new(variable, misspelt(variable, &fields)));
    }
    for (variable, text) in named {
        let (path, like) = field(variable, &fields, &layers.table)
            .map_err(|problem| ConfigError::new(variable, problem))?;
        let value = value(text, like)
            .map_err(|problem| ConfigError::new(path.join("."), problem).set_by(variable))?;
        if let Some(other) = other_place(&path) {
            // Empty, which means "none" in an environment.
            if path == TOKEN_FILE && text.is_empty() {
                layers.unset(&path);
                continue;
            }
            // The environment's secret replaces the file's, whichever kind each is.
            layers.unset_in_file(&other);
        }
        layers.set(&path, value, Source::Environment(variable.clone()));
    }
    Ok(())
}

const TOKEN_FILE: [&str; 2] = ["security", "token-file"];

/// The other source of a secret, for the fields that have one: `x` may be in a file that `x-file`
/// names.
fn other_place(path: &[String]) -> Option<Path> {
    let (last, tables) = path.split_last()?;
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    let texts: &[&str] = match tables[..] {
        ["security"] => &["token"],
        ["groups", _, "origin"] => &["url", "password", "token", "secret-access-key"],
        ["groups", _, "follow"] => &["url", "password"],
        _ => return None,
    };
    let other = match last.strip_suffix("-file") {
        Some(text) if texts.contains(&text) => text.to_owned(),
        None if texts.contains(&last.as_str()) => format!("{last}-file"),
        _ => return None,
    };
    let (_, tables) = path.split_last()?;
    Some([tables, &[other]].concat())
}

/// Whether a variable is meant for this.
pub(super) fn is_meant(variable: &str) -> bool {
    names_a_field(variable) || nearly_names_a_field(variable)
}

/// Whether a variable looks like a field's except for its underscores, or the case of `GAGGLE_`.
/// Not those that Kubernetes sets for a service that is named like a table, such as
/// `GAGGLE_NODE_PORT_8001_TCP_ADDR`.
fn nearly_names_a_field(variable: &str) -> bool {
    let variable = variable.to_ascii_uppercase();
    let Some(rest) = variable.strip_prefix(PREFIX) else {
        return false;
    };
    let rest = rest.trim_start_matches('_');
    let tables = ["NODE", "CLUSTER", "SECURITY", "TRACING", "GROUPS"].into_iter();
    let field = tables.filter_map(|table| rest.strip_prefix(table)?.strip_prefix('_'));
    let of_service = |field: &str| {
        let mut behind = field.split("PORT_").skip(1);
        field == "PORT"
            || field.ends_with("_PORT")
            || field.ends_with("SERVICE_HOST")
            || field.contains("SERVICE_PORT")
            || behind.any(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    };
    field
        .into_iter()
        .any(|field| !field.is_empty() && !of_service(field))
}

/// What is wrong with a variable that nearly names a field, and how it may be meant.
fn misspelt(variable: &str, fields: &Table) -> String {
    fn all(table: &Table, name: &str, found: &mut Vec<String>) {
        for (field, value) in table {
            let name = format!("{name}{}", field.to_ascii_uppercase().replace('-', "_"));
            match value {
                Value::Table(inner) => all(inner, &format!("{name}{BETWEEN}"), found),
                _ => found.push(name),
            }
        }
    }
    let squeezed = |name: &str| name.to_ascii_uppercase().replace('_', "");
    let mut known = Vec::new();
    all(fields, PREFIX, &mut known);
    let meant = known
        .into_iter()
        .find(|name| squeezed(name) == squeezed(variable));
    let meant = meant.unwrap_or_else(|| "GAGGLE_<TABLE>__<FIELD>".to_owned());
    format!(
        "names no field; expected {meant}, with two underscores between the names of tables and fields"
    )
}

/// Whether a variable has the form of a field's: those of other programs have no two underscores.
fn names_a_field(variable: &str) -> bool {
    variable
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.find(BETWEEN))
        .is_some_and(|at| at > 0)
}

/// The field that the variable names, and a value like those it has.
fn field<'f>(variable: &str, fields: &'f Table, file: &Table) -> Result<(Path, &'f Value), String> {
    let unknown = || {
        "names no field; expected GAGGLE_<TABLE>__<FIELD>, such as GAGGLE_NODE__PEER_ADDR or GAGGLE_GROUPS__SCORES__TTL"
            .to_owned()
    };
    let mut path = Path::new();
    let (mut known, mut file) = (fields, Some(file));
    let names = variable.strip_prefix(PREFIX).unwrap_or(variable);
    let mut names = names.split(BETWEEN).peekable();
    while let Some(segment) = names.next() {
        let free = is_free(&path);
        let name = match free {
            Some(free) => chosen(segment, file, free)?,
            None => segment.to_ascii_lowercase().replace('_', "-"),
        };
        let like = match free {
            Some(_) => known.values().next(),
            None => known.get(&name),
        };
        file = file.and_then(|file| file.get(&name)?.as_table());
        path.push(name);
        match (like.ok_or_else(unknown)?, names.peek()) {
            (Value::Table(inner), Some(_)) => known = inner,
            (Value::Table(_), None) => return Err("names a table; expected a field of it".into()),
            (_, Some(_)) => break,
            (like, None) => return Ok((path, like)),
        }
    }
    Err(unknown())
}

/// The tables whose names the configuration chooses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Free {
    Groups,
    Headers,
    Options,
}

fn is_free(path: &[String]) -> Option<Free> {
    match path {
        [groups] if groups == "groups" => Some(Free::Groups),
        [groups, _, origin, headers]
            if groups == "groups" && origin == "origin" && headers == "headers" =>
        {
            Some(Free::Headers)
        }
        [groups, _, origin, options]
            if groups == "groups" && origin == "origin" && options == "options" =>
        {
            Some(Free::Options)
        }
        _ => None,
    }
}

/// The name that a part of a variable means.
fn chosen(segment: &str, file: Option<&Table>, free: Free) -> Result<String, String> {
    let given: Vec<&String> = file.into_iter().flat_map(Table::keys).collect();
    if let Some(same) = given.iter().find(|name| **name == segment) {
        return Ok((*same).clone());
    }
    let mut like = given.iter().filter(|name| plain(name) == plain(segment));
    match (like.next(), like.next()) {
        (Some(one), Some(other)) => Err(format!("may mean {one:?} or {other:?}")),
        (Some(name), None) => Ok((*name).clone()),
        _ if segment.is_empty() => Err("has an empty name in it".into()),
        _ if free == Free::Headers => Ok(plain(segment).replace('_', "-")),
        _ if segment.contains(char::is_lowercase) => Ok(segment.to_owned()),
        _ => Ok(segment.to_lowercase()),
    }
}

fn plain(name: &str) -> String {
    let spell = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.chars().map(spell).collect::<String>().to_lowercase()
}

/// The value of a text, for a field with values like that one. If it is not such a value, the text
/// itself: the parser of the field then reports what it expected.
fn value(text: &str, like: &Value) -> Result<Value, String> {
    let text_itself = || Value::String(text.to_owned());
    let trimmed = text.trim();
    Ok(match like {
        Value::Integer(_) => trimmed
            .parse()
            .map_or_else(|_| text_itself(), Value::Integer),
        Value::Float(_) => trimmed.parse().map_or_else(|_| text_itself(), Value::Float),
        Value::Boolean(_) => trimmed
            .parse()
            .map_or_else(|_| text_itself(), Value::Boolean),
        Value::Array(_) if is_bracketed(trimmed) => bracketed(trimmed)?,
        Value::Array(_) => {
            let members = trimmed.split(',').map(str::trim);
            let members = members.filter(|member| !member.is_empty());
            Value::Array(members.map(|member| Value::String(member.into())).collect())
        }
        _ => text_itself(),
    })
}

/// The list, which may be written as in TOML where a flag or a variable of it separates its
/// members at each comma. Other values stay as they are.
pub(super) fn listed(value: Value) -> Result<Value, String> {
    let Value::Array(members) = &value else {
        return Ok(value);
    };
    let texts: Vec<&str> = members.iter().filter_map(Value::as_str).collect();
    let text = texts.join(",");
    if is_bracketed(&text) {
        bracketed(&text)
    } else {
        Ok(value)
    }
}

/// Whether a list is written as in TOML. The brackets may also be those of an IPv6 address.
fn is_bracketed(text: &str) -> bool {
    text.strip_prefix('[').is_some_and(|rest| {
        let address = rest.split_once(']').map(|(address, _)| address);
        address.is_none_or(|address| address.parse::<Ipv6Addr>().is_err())
    })
}

/// A list that is written as in TOML.
fn bracketed(text: &str) -> Result<Value, String> {
    let no_list = |failure: &dyn Display| format!("is no list: {failure}");
    let field = format!("list = {text}");
    DeTable::parse(&field).map_err(|failure| no_list(&failure.message()))?;
    let mut list: Table = toml::from_str(&field).map_err(|_| no_list(&OUT_OF_RANGE))?;
    match list.remove("list") {
        Some(list) if list.is_array() && list_ends(text) => Ok(list),
        _ => Err(no_list(&"expected one such as [\"a\", \"b\"] or a,b")),
    }
}

/// Whether nothing follows the list, such as a line of another field.
fn list_ends(text: &str) -> bool {
    text.ends_with(']') && !text.contains('\n')
}
