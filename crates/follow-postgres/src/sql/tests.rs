use super::*;
use crate::{NotifyOptions, ReplicationOptions, TableMap};

fn odd_table() -> TableMap {
    TableMap::new("My.pl\"ay'ers", "it's {{{O'Id\"}}}:{b}")
}

#[test]
fn a_body_is_not_ended_by_what_is_in_it() {
    assert_eq!(dollar_quoted("a "), "$gaggle$\na $gaggle$");
    let quoted = dollar_quoted("$gaggle$ $gaggle1$ ");
    assert!(quoted.starts_with("$gaggle2$") && quoted.ends_with("$gaggle2$"));
}

#[test]
fn names_and_texts_are_quoted() {
    let options = NotifyOptions {
        channel: "Ch'annel".into(),
        tables: vec![odd_table()],
        ..NotifyOptions::default()
    };
    let sql = notify_sql(&options, "g\n; DROP TABLE x").unwrap();
    assert!(sql.contains(r#"ON "My"."pl""ay'ers""#), "{sql}");
    assert!(
        sql.contains(r#"'it''s {' || (CASE WHEN NEW."O'Id""" IS NULL THEN NULL "#)
            && sql.contains(r#"ELSE format('%s', NEW."O'Id""") END) || '}:' || (CASE"#),
        "{sql}"
    );
    assert!(sql.contains("pg_notify('Ch''annel', '')"), "{sql}");
    assert!(!sql.contains("\n; DROP"), "{sql}");
}

#[test]
fn the_publication_and_the_user_are_named() {
    let options = ReplicationOptions {
        url: "postgres://fol%22low:secret@host/app".into(),
        publication: "Pub".into(),
        tables: vec![odd_table(), TableMap::new("t", "{id}")],
        ..ReplicationOptions::default()
    };
    let sql = replication_sql(&options, "scores").unwrap();
    for part in [
        r#"CREATE ROLE "fol""low" LOGIN REPLICATION"#,
        r#"ALTER PUBLICATION "Pub" ADD TABLE "My"."pl""ay'ers""#,
        r#"GRANT USAGE ON SCHEMA "public""#,
        "pg_drop_replication_slot('gaggle_scores')",
        r#"-- ALTER TABLE "public"."t" REPLICA IDENTITY FULL; -- key: "id""#,
    ] {
        assert!(sql.contains(part), "{part} is not in {sql}");
    }
    assert!(!sql.contains("secret"));
}

#[test]
fn options_that_cannot_be_used_print_nothing() {
    assert!(replication_sql(&ReplicationOptions::default(), "scores").is_err());
    assert!(notify_sql(&NotifyOptions::default(), "scores").is_err());
}

#[test]
fn a_group_removes_its_own_publication_alone() {
    let mut options = ReplicationOptions {
        tables: vec![TableMap::new("t", "{id}")],
        ..ReplicationOptions::default()
    };
    let own = replication_sql(&options, "scores").unwrap();
    assert!(
        own.contains(r#"CREATE PUBLICATION "gaggle_scores""#),
        "{own}"
    );
    assert!(
        own.contains(r#"DROP PUBLICATION IF EXISTS "gaggle_scores""#),
        "{own}"
    );
    assert!(!own.contains("no other group"), "{own}");
    options.publication = "shared".into();
    let shared = replication_sql(&options, "scores").unwrap();
    assert!(
        shared.contains("no other group uses this publication:\n-- DROP PUBLICATION"),
        "{shared}"
    );
}

#[test]
fn functions_of_two_tables_are_never_called_the_same() {
    let function = |channel: &str, table: &str| {
        let options = NotifyOptions {
            channel: channel.into(),
            tables: vec![TableMap::new(table, "{id}")],
            ..NotifyOptions::default()
        };
        let sql = notify_sql(&options, "g").unwrap();
        let name = sql.split_once("FUNCTION ").unwrap().1;
        name.split_once('(').unwrap().0.to_owned()
    };
    let one = function("user", "data_items");
    assert_ne!(one, function("user_data", "items"));
    assert_eq!(one, function("user", "data_items"));
    let long = "x".repeat(63);
    assert_ne!(function(&long, "a"), function(&long, "b"));
}
