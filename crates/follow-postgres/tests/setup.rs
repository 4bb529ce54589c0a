//! What is not set up is refused, with the statement that sets it up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::slice::from_ref;

use gaggle_follow::{Feed, Opened};
use gaggle_follow_postgres::{ReplicationFeed, ReplicationOptions, TableMap, replication_sql};
use gaggle_testservers::{Postgres, PostgresOptions, Tls};
use support::{Database, changes, key, open, open_error, options, table};

async fn refused(db: &Database, tables: &[TableMap]) -> String {
    open_error(&mut db.feed(tables)).await.to_string()
}

/// Runs the statements after "Run: ", as an operator would.
fn advice(error: &str) -> &str {
    let advice = error.split_once("Run: ").expect(error).1;
    &advice[..=advice.find(';').unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn an_error_says_what_to_run() {
    let db = Database::new(
        "CREATE TABLE a (id int PRIMARY KEY, other int);
         CREATE TABLE b (id int);
         CREATE TABLE p (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);",
    );
    let a = table("a", "{id}");
    let error = refused(&db, from_ref(&a)).await;
    assert!(error.contains("no publication gaggle"), "{error}");
    db.psql(advice(&error));
    db.psql("ALTER PUBLICATION gaggle SET (publish = 'insert, delete')");
    let error = refused(&db, from_ref(&a)).await;
    assert!(error.contains("leaves out update and truncate"), "{error}");
    db.psql(advice(&error));
    open(&mut db.feed(from_ref(&a))).await;

    let b = table("b", "{id}");
    let error = refused(&db, &[a.clone(), b.clone()]).await;
    assert!(
        error.contains("public.b is not in the publication"),
        "{error}"
    );
    db.psql(advice(&error));
    let error = refused(&db, &[a, b.clone()]).await;
    assert!(error.contains("replica identity"), "{error}");
    db.psql(advice(&error));
    open(&mut db.feed(from_ref(&b))).await;
    db.psql("ALTER TABLE b REPLICA IDENTITY NOTHING");
    assert!(refused(&db, &[b]).await.contains("replica identity"));
    // A column that is not in the primary key.
    let error = refused(&db, &[table("a", "{id}/{other}")]).await;
    assert!(error.contains("\"other\""), "{error}");
    db.psql(
        "ALTER TABLE a ALTER other SET NOT NULL; CREATE UNIQUE INDEX a_both ON a (other, id);
         ALTER TABLE a REPLICA IDENTITY USING INDEX a_both",
    );
    open(&mut db.feed(&[table("a", "{id}/{other}")])).await;

    let p = table("p", "{id}");
    db.psql("ALTER PUBLICATION gaggle ADD TABLE p");
    let error = refused(&db, from_ref(&p)).await;
    assert!(error.contains("has partitions"), "{error}");
    db.psql(advice(&error));
    open(&mut db.feed(&[p])).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn what_the_log_does_not_have_is_refused() {
    let db = Database::new(
        "CREATE TABLE a (id int PRIMARY KEY, value text, other text);
         CREATE UNLOGGED TABLE u (id int PRIMARY KEY);
         CREATE VIEW v AS SELECT * FROM a;
         CREATE PUBLICATION gaggle FOR TABLE a (id, other);",
    );
    for (map, part) in [
        (table("a", "{name}"), "no column \"name\""),
        (
            table("a", "{id}").with_payload("value"),
            "leaves out the column \"value\"",
        ),
        (table("u", "{id}"), "unlogged"),
        (table("v", "{id}"), "no table public.v"),
        (table("nowhere", "{id}"), "no table public.nowhere"),
        (table("A", "{id}"), "no table public.A"),
    ] {
        let error = refused(&db, &[map]).await;
        assert!(error.contains(part), "{error}");
    }
    let mut feed = db.feed(&[table("a", "{id}").with_payload("other")]);
    open(&mut feed).await;
    db.psql("INSERT INTO a VALUES (1, 'v', 'o')");
    assert_eq!(changes(&mut feed, 1).await, [support::put("1", "o")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_slot_of_something_else_is_left_alone() {
    let db = Database::new(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE PUBLICATION gaggle FOR TABLE a;",
    );
    let a = [table("a", "{id}")];
    let options = ReplicationOptions {
        create_slot: false,
        ..db.options(&a)
    };
    let mut feed = ReplicationFeed::new(options, "g").unwrap();
    let error = open_error(&mut feed).await.to_string();
    assert!(error.contains("there is no slot"), "{error}");
    db.psql(advice(&error));
    // It knows that there was no slot.
    assert!(matches!(open(&mut feed).await, Opened::Missed(_)));
    feed.close().await;

    let name = &db.name;
    db.psql(&format!("SELECT pg_drop_replication_slot('{name}')"));
    db.psql(&format!(
        "SELECT pg_create_physical_replication_slot('{name}')"
    ));
    let error = refused(&db, &a).await;
    assert!(error.contains("physical"), "{error}");
    db.psql(&format!("SELECT pg_drop_replication_slot('{name}')"));
    let elsewhere = format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')");
    db.server.psql_in("postgres", &elsewhere);
    let error = refused(&db, &a).await;
    assert!(error.contains("of the database postgres"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn the_printed_statements_set_all_up() {
    let db = Database::new("CREATE SCHEMA app; CREATE TABLE app.a (id int PRIMARY KEY);");
    let user = format!("follow\"er {}", db.name);
    let escaped = user.replace('"', "%22").replace(' ', "%20");
    let as_user = |password: &str| {
        let end = db.url();
        let end = end.split_once('@').unwrap().1;
        ReplicationOptions {
            url: format!("postgres://{escaped}:wrong@{end}"),
            password: Some(password.into()),
            publication: "odd 'pub\"lication".into(),
            ..db.options(&[table("app.a", "{id}")])
        }
    };
    let options = as_user("right");
    for _ in 0..2 {
        db.psql(&replication_sql(&options, "scores").unwrap());
    }
    db.psql(&format!(
        "ALTER ROLE \"{}\" PASSWORD 'right'",
        user.replace('"', "\"\"")
    ));
    let mut feed = ReplicationFeed::new(options, "scores").unwrap();
    open(&mut feed).await;
    db.psql("INSERT INTO app.a VALUES (1)");
    assert_eq!(changes(&mut feed, 1).await, [key("1")]);
    feed.close().await;

    let mut feed = ReplicationFeed::new(as_user("a-secret"), "scores").unwrap();
    let error = open_error(&mut feed).await.to_string();
    assert!(error.contains("cannot log in"), "{error}");
    assert!(
        !error.contains("a-secret") && !error.contains("wrong"),
        "{error}"
    );
    db.psql(&format!(
        "ALTER ROLE \"{}\" NOREPLICATION",
        user.replace('"', "\"\"")
    ));
    let mut feed = ReplicationFeed::new(as_user("right"), "scores").unwrap();
    let error = open_error(&mut feed).await.to_string();
    assert!(error.to_lowercase().contains("replication"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_server_without_logical_decoding_says_so() {
    let server = Postgres::start(PostgresOptions::default());
    server.psql("CREATE TABLE a (id int PRIMARY KEY); CREATE PUBLICATION gaggle FOR TABLE a;");
    let options = options(server.url(), &[table("a", "{id}")]);
    let error = open_error(&mut ReplicationFeed::new(options, "g").unwrap()).await;
    assert!(error.to_string().contains("wal_level = logical"), "{error}");
}

/// An authority, and a certificate of it for this name.
fn certificates(name: &str) -> (String, Tls) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    let key = key.serialize_pem();
    (ca, Tls { certificate, key })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn the_server_is_known_by_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, tls) = certificates("localhost");
    let (other, _) = certificates("localhost");
    let [ca, other] = [("ca.pem", ca), ("other.pem", other)].map(|(name, pem)| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    });
    let server = Postgres::start(PostgresOptions {
        wal_level_logical: true,
        tls: Some(tls),
        ..PostgresOptions::default()
    });
    server.psql("CREATE TABLE a (id int PRIMARY KEY); CREATE PUBLICATION gaggle FOR TABLE a;");
    let attempt = |host: &str, mode: &str, ca: Option<&std::path::PathBuf>| {
        let url = server.url().replace("127.0.0.1", host);
        let mut options = options(format!("{url}{mode}"), &[table("a", "{id}")]);
        options.ca = ca.cloned();
        ReplicationFeed::new(options, "g").unwrap()
    };
    // With a CA the name counts, too, unless the URL says otherwise.
    for (host, mode, ca, problem) in [
        ("localhost", "", Some(&ca), None),
        ("localhost", "?sslmode=verify-full", Some(&ca), None),
        ("127.0.0.1", "?sslmode=verify-ca", Some(&ca), None),
        ("127.0.0.1", "?sslmode=require", None, None),
        ("127.0.0.1", "", None, None),
        ("127.0.0.1", "", Some(&ca), Some("not valid for name")),
        (
            "localhost",
            "",
            Some(&other),
            Some("invalid peer certificate"),
        ),
        (
            "localhost",
            "?sslmode=verify-ca",
            Some(&other),
            Some("invalid peer certificate"),
        ),
        (
            "localhost",
            "?sslmode=verify-full",
            None,
            Some("invalid peer certificate"),
        ),
    ] {
        let mut feed = attempt(host, mode, ca);
        match problem {
            Some(problem) => {
                let error = open_error(&mut feed).await.to_string();
                assert!(error.contains(problem), "{host} {mode}: {error}");
            }
            None => {
                open(&mut feed).await;
                let sql = "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_replication_slots r ON r.active_pid = s.pid";
                assert_eq!(server.psql(sql), "t", "{host} {mode}");
                feed.close().await;
            }
        }
    }
}
