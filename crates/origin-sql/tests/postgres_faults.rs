//! PostgreSQL: the cause of a failure, and changes while an origin is open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use gaggle_group::{Origin, OriginError, OriginFault};
use gaggle_origin_sql::{OpenError, PostgresOrigin, ServerOptions};
use gaggle_testservers::{PASSWORD, Postgres, PostgresOptions};
use server::{Logged, closed_port, load, many, text, value_of};

const QUERY: &str = "SELECT value FROM scores WHERE key = $1";

fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(PostgresOptions::default()))
}

fn database(name: &str) -> ServerOptions {
    postgres().psql(&format!("CREATE DATABASE {name}"));
    postgres().psql_in(
        name,
        "CREATE TABLE scores (key text PRIMARY KEY, value text)",
    );
    ServerOptions {
        url: postgres().url_of(name),
        query: QUERY.to_owned(),
        ..ServerOptions::default()
    }
}

async fn open(options: &ServerOptions, query: &str) -> PostgresOrigin {
    let options = ServerOptions {
        query: query.to_owned(),
        ..options.clone()
    };
    PostgresOrigin::open(options).await.unwrap()
}

fn fault<T: std::fmt::Debug>(outcome: Result<T, OriginError>) -> OriginFault {
    outcome.unwrap_err().fault()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_key_that_cannot_be_read_as_its_type_is_the_requests_fault_and_fails_alone() {
    let options = database("casts");
    for (query, good, bad) in [
        (
            "SELECT $1::bigint",
            "7",
            &["99999999999999999999", "x", ""][..],
        ),
        (
            "SELECT $1::smallint + 1::smallint",
            "7",
            &["32768", "32767"],
        ),
        (
            "SELECT $1::date",
            "2024-01-02",
            &["nonsense", "2024-02-30", "2024-13-01"],
        ),
        (
            "SELECT $1::interval",
            "1 day",
            &["99999999999999 years", "secret"],
        ),
        (
            "SELECT $1::uuid",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            &["secret"],
        ),
        ("SELECT $1::jsonb", "7", &["{secret", "\"\\u0000\""]),
        ("SELECT $1::xml", "<a/>", &["<secret"]),
        (
            "SELECT ('fat cat'::tsvector @@ $1::tsquery)",
            "cat",
            &["secret (", "&"],
        ),
        ("SELECT 'text' ~ $1", "t", &["secret(", "[", "a{1,999999}"]),
        ("SELECT 'text' LIKE $1", "%", &["\\"]),
        (
            "SELECT '{}'::jsonb @? $1::jsonpath",
            "$",
            &["$.secret[", "secret secret"],
        ),
        ("SELECT sqrt($1::float8)", "4", &["-1", "1e999"]),
        (
            "SELECT convert_from(decode($1, 'hex'), 'UTF8')",
            "37",
            &["ff", "zz", "00"],
        ),
        (
            "SELECT to_date($1, 'YYYY-MM-DD')",
            "2024-01-02",
            &["secret"],
        ),
        ("SELECT repeat('[', $1::int)::jsonb", "0", &["100000"]),
    ] {
        if query.contains("::xml") && postgres().try_psql("SELECT '<a/>'::xml").is_err() {
            continue;
        }
        let origin = open(&options, query).await;
        assert_eq!(origin.max_batch(), 128, "{query}");
        let is_good = !query.contains("repeat");
        assert_eq!(load(&origin, good).await.is_ok(), is_good, "{query}");
        for bad in bad {
            let error = load(&origin, bad).await.unwrap_err();
            assert_eq!(error.fault(), OriginFault::Key, "{query} {bad}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let keys = [&[good; 5][..], bad, &[good; 5]].concat();
        for (of, outcome) in keys.iter().zip(many(&origin, &keys).await) {
            if *of == good && is_good {
                assert!(outcome.is_ok(), "{query} {of}: {outcome:?}");
            } else {
                assert_eq!(fault(outcome), OriginFault::Key, "{query} {of}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn an_error_that_may_be_of_one_key_fails_alone_and_its_text_is_hidden() {
    let options = database("oddities");
    // The table that the key names does not exist.
    let origin = open(
        &options,
        "SELECT CASE WHEN $1 = '' THEN '' ELSE $1::regclass::text END",
    )
    .await;
    let mut keys = vec!["scores"; 60];
    keys.insert(17, "secret");
    for (of, outcome) in keys.iter().zip(many(&origin, &keys).await) {
        if *of == "secret" {
            let error = outcome.unwrap_err();
            assert_eq!(error.fault(), OriginFault::Other);
            assert!(error.to_string().contains("42P01"), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        } else {
            assert_eq!(value_of(outcome.unwrap()).unwrap(), "scores");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_change_of_the_table_costs_no_load_an_error_and_bytes_stay_right() {
    let options = database("migrated");
    let sql = |sql: &str| postgres().psql_in("migrated", sql);
    sql("INSERT INTO scores VALUES ('Tom', 'ho')");
    let origin = open(&options, QUERY).await;
    let all = open(
        &options,
        "SELECT s.* FROM (SELECT value FROM scores WHERE key = $1) s",
    )
    .await;
    for change in [
        "ALTER TABLE scores ALTER value TYPE varchar(200)",
        "ALTER TABLE scores ALTER value TYPE bytea USING value::bytea",
        "ALTER TABLE scores ALTER value TYPE text USING convert_from(value, 'UTF8')",
        "ALTER TABLE scores ALTER value TYPE bytea USING value::bytea",
        "ALTER TABLE scores ALTER value TYPE int USING 7",
        "ALTER TABLE scores ALTER value TYPE bigint",
        "ALTER TABLE scores ALTER value TYPE bytea USING 'ho'::bytea",
    ] {
        sql(change);
        let expected = if change.contains("int") { "7" } else { "ho" };
        for origin in [&origin, &all] {
            assert_eq!(
                text(origin, "Tom").await.as_deref(),
                Some(expected),
                "{change}"
            );
            for outcome in many(origin, &["Tom", "Tom"]).await {
                assert_eq!(value_of(outcome.unwrap()).unwrap(), expected, "{change}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_prepared_statement_that_is_gone_costs_no_load_an_error() {
    let options = ServerOptions {
        max_connections: 1,
        ..database("deallocated")
    };
    // The driver does not know that its statement was dropped.
    let origin = open(&options, "SELECT $1 || pg_backend_pid()::text || gone($1)");
    let function = "CREATE FUNCTION gone(key text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
         IF key = 'go' THEN EXECUTE 'DEALLOCATE ALL'; END IF; RETURN ''; END $$";
    postgres().psql_in("deallocated", function);
    let origin = origin.await;
    let _ = load(&origin, "go").await;
    assert!(text(&origin, "Tom").await.unwrap().starts_with("Tom"));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_url_with_what_is_not_known_is_refused_and_no_secret_is_logged() {
    let options = database("urls");
    let logged = Logged::from_now();
    for (parameters, named) in [
        ("pasword=hunter2", "pasword"),
        ("password=hunter2", "password"),
        ("sslmod=hunter2", "sslmod"),
        ("SSLMODE=hunter2", "SSLMODE"),
        ("sslmode=hunter2", "sslmode"),
        ("sslmode=prefer&sslmode=hunter2", "sslmode"),
        (
            "statement-cache-capacity=hunter2",
            "statement-cache-capacity",
        ),
        ("options=hunter2", "options"),
        ("options=-c%20statement_timeout%3D0", "options"),
        ("host=hunter2", "host"),
        ("sslrootcert=hunter2", "sslmode=verify-full"),
        ("sslcert=hunter2", "sslkey"),
    ] {
        let url = format!("{}?{parameters}", options.url);
        let open = PostgresOrigin::open(ServerOptions {
            url,
            ..options.clone()
        });
        let error = open.await.unwrap_err();
        assert!(matches!(error, OpenError::Open { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(named), "{parameters}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let url = format!(
        "{}?sslmode=prefer&application_name=mine&options=-c%20geqo%3Doff&options[search_path]=pg_catalog",
        options.url
    );
    let origin = PostgresOrigin::open(ServerOptions {
        url,
        query: "SELECT concat_ws(' ', $1, current_setting('application_name'), current_setting('geqo'), \
                current_setting('search_path'))"
            .to_owned(),
        ..options
    });
    let shown = text(&origin.await.unwrap(), "x").await;
    assert_eq!(shown.as_deref(), Some("x mine off pg_catalog"));
    let logged = logged.text();
    assert!(
        !logged.contains("hunter2") && !logged.contains(PASSWORD),
        "{logged}"
    );
}

const IN_CHILD: &str = "GAGGLE_TEST_AMBIENT_URL";

/// Run by the test after it, in an environment full of variables.
#[tokio::test]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn connects_as_the_url_says() {
    let Ok(url) = std::env::var(IN_CHILD) else {
        return;
    };
    let options = ServerOptions {
        url,
        query: "SELECT concat_ws(' ', $1, current_user, current_database(), current_setting('application_name'))"
            .to_owned(),
        ..ServerOptions::default()
    };
    match PostgresOrigin::open(options).await {
        Ok(origin) => println!("connected: {}", text(&origin, "x").await.unwrap()),
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
fn the_environment_and_the_password_file_of_the_user_have_no_say() {
    database("ambient");
    let run = |url: &str, variables: &[(&str, &str)]| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "connects_as_the_url_says",
                "--ignored",
                "--nocapture",
            ])
            .env(IN_CHILD, url)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let url = postgres().url_of("ambient");
    let passwords = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(passwords.path(), format!("*:*:*:*:{PASSWORD}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(passwords.path(), mode).unwrap();
    let ambient = [
        ("PGHOST", "192.0.2.1"),
        ("PGHOSTADDR", "192.0.2.1"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody"),
        ("PGPASSWORD", PASSWORD),
        ("PGPASSFILE", passwords.path().to_str().unwrap()),
        ("PGDATABASE", "nothing"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "/no/such/file"),
        ("PGAPPNAME", "other"),
    ];
    let said = run(&url, &ambient);
    assert!(
        said.contains("connected: x gaggle ambient gaggle\n"),
        "{said}"
    );
    let without = url.replace(&format!(":{PASSWORD}"), "");
    let said = run(&without, &ambient);
    assert!(
        said.contains("refused: ") && said.contains("password"),
        "{said}"
    );
    for name in ["PGOPTIONS", "PGSSLCERT", "PGSSLKEY"] {
        let said = run(&url, &[(name, "-c geqo=off")]);
        assert!(said.contains("refused: ") && said.contains(name), "{said}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_server_that_refuses_the_configuration_is_an_error_and_one_that_is_away_a_warning() {
    let options = database("refusing");
    let url = options.url.clone();
    let away = format!("postgres://gaggle:x@127.0.0.1:{}/d", closed_port().await);
    let wrong = url.replace(&format!(":{PASSWORD}"), ":wrong-horse");
    let nothing = postgres().url_of("no_such_database");
    let logged = Logged::from_now();
    let open = async |primary: &str, replica: &str| {
        let options = ServerOptions {
            url: primary.to_owned(),
            replicas: vec![replica.to_owned()],
            ..options.clone()
        };
        PostgresOrigin::open(options).await
    };
    for (primary, replica, reason) in [
        (&wrong, &url, "password authentication failed"),
        (&nothing, &url, "no_such_database"),
        (&url, &wrong, "password authentication failed"),
        (&url, &nothing, "no_such_database"),
        (&away, &wrong, "password authentication failed"),
        (&away, &away, "cannot be reached"),
    ] {
        let error = open(primary, replica).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let logged_before = logged.text();
    assert!(!logged_before.contains("wrong-horse"), "{logged_before}");
    drop(logged);

    let place = away.rsplit_once('@').unwrap().1;
    let logged = Logged::from_now();
    open(&url, &away).await.unwrap();
    assert!(
        logged.warns_of(&["replica", place, "refused"]),
        "{}",
        logged.text()
    );
    drop(logged);
    let logged = Logged::from_now();
    open(&away, &url).await.unwrap();
    assert!(
        logged.warns_of(&["the primary", place, "refused"]),
        "{}",
        logged.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn sessions_are_for_reading_only_unless_said_otherwise() {
    let options = database("reading");
    postgres().psql_in(
        "reading",
        "CREATE FUNCTION note(key text) RETURNS text LANGUAGE sql
         AS 'INSERT INTO scores VALUES (note.key, 1) ON CONFLICT DO NOTHING; SELECT note.key'",
    );
    let query = "SELECT note($1)";
    let refused = PostgresOrigin::open(ServerOptions {
        query: query.to_owned(),
        ..options.clone()
    });
    let error = refused.await.unwrap_err().to_string();
    assert!(error.contains("read-only transaction"), "{error}");
    let options = ServerOptions {
        read_only: false,
        ..options
    };
    let origin = open(&options, query).await;
    assert_eq!(text(&origin, "Tom").await.as_deref(), Some("Tom"));
    assert_eq!(
        postgres().psql_in("reading", "SELECT value FROM scores WHERE key = 'Tom'"),
        "1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_password_file_is_read_for_each_connection() {
    let options = database("rotated");
    postgres().psql("CREATE ROLE rotating LOGIN PASSWORD 'first-horse'");
    postgres().psql_in("rotated", "GRANT SELECT ON scores TO rotating");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first-horse\n").unwrap();
    let user = format!("gaggle:{PASSWORD}");
    let options = ServerOptions {
        url: options.url.replace(&user, "rotating"),
        password_file: Some(file.path().to_owned()),
        // No connection is kept.
        idle_timeout: Duration::ZERO,
        ..options
    };
    let origin = PostgresOrigin::open(options.clone()).await.unwrap();
    postgres().psql("ALTER ROLE rotating PASSWORD 'second-horse'");
    assert_eq!(fault(load(&origin, "Tom").await), OriginFault::Unreachable);
    std::fs::write(file.path(), "second-horse\r\n").unwrap();
    assert_eq!(load(&origin, "Tom").await.unwrap(), None);

    drop(file);
    let error = load(&origin, "Tom").await.unwrap_err();
    let path = options.password_file.clone().unwrap();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    let error = PostgresOrigin::open(options).await.unwrap_err();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    assert!(!error.to_string().contains("horse"), "{error}");
}
