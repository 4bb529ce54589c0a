//! The fields of origins.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use gaggle_origin_sql::SqliteOptions;

use super::*;
use crate::config::{Group, Span};

fn parse(text: &str) -> Result<Origin, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn an_http_origin_has_an_idle_timeout() {
    let url = "kind = \"http\"\nurl = \"http://h/{key}\"\n";
    let idle = |text: &str| match parse(&format!("{url}{text}")) {
        Ok(Origin::Http(http)) => Ok(http.idle_timeout.0),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    assert_eq!(idle("").unwrap(), Duration::from_secs(4));
    assert_eq!(
        idle("idle-timeout = \"1s\"").unwrap(),
        Duration::from_secs(1)
    );
    assert_eq!(idle("idle-timeout = \"0s\"").unwrap(), Duration::ZERO);
    idle("idle-timeout = 1").unwrap_err();
    let error = idle("idle_timeout = \"1s\"").unwrap_err();
    assert!(error.contains("unknown field `idle_timeout`"), "{error}");
}

#[test]
fn what_is_printed_is_read_back() {
    let text = "kind = \"http\"\nurl = \"http://h/{key}\"\nidle-timeout = \"1s 500ms\"\n[headers]\nX-Key = \"v\"\n";
    let origin = parse(text).unwrap();
    let printed = toml::to_string(&origin).unwrap();
    assert_eq!(parse(&printed).unwrap(), origin, "{printed}");
}

#[test]
fn a_message_names_all_kinds() {
    let kinds = crate::config::example::kinds().into_iter();
    let mut named: Vec<_> = kinds
        .map(|(origin, ..)| {
            let table = toml::Table::try_from(origin).unwrap();
            table["kind"].as_str().unwrap().to_owned()
        })
        .collect();
    named.sort();
    let mut known = KINDS.to_vec();
    known.sort_unstable();
    assert_eq!(named, known);
}

#[test]
fn a_database_waits_as_long_as_the_group_does() {
    let sqlite = Sqlite::default();
    let group = Group::default();
    let usual = sqlite.options(&group);
    assert_eq!(usual.acquire_timeout, Duration::from_secs(1));
    assert_eq!(
        usual.max_connections,
        SqliteOptions::default().max_connections
    );
    let patient = Group {
        max_wait: Some(Span::from_secs(7)),
        ..Group::default()
    };
    assert_eq!(
        sqlite.options(&patient).acquire_timeout,
        Duration::from_secs(7)
    );
    let told = Sqlite {
        acquire_timeout: Some(Span::from_secs(3)),
        max_connections: 2,
        ..Sqlite::default()
    };
    assert_eq!(
        told.options(&patient).acquire_timeout,
        Duration::from_secs(3)
    );
    let group = Group {
        origin: Some(Origin::Sqlite(told)),
        ..patient
    };
    assert_eq!(group.limits().max_origin_loads, 2);
}
