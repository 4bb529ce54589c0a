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
        sql.contains(r#"'it''s {' || NEW."O'Id"""::text || '}:' || NEW."b"::text"#),
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
