//! MariaDB: the cause of a failure, and changes while an origin is open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use std::sync::OnceLock;
use std::time::Duration;

use gaggle_group::{Load, Origin, OriginError, OriginFault};
use gaggle_origin_sql::{MysqlOrigin, OpenError, ServerOptions};
use gaggle_testservers::{Mariadb, MariadbOptions, PASSWORD};
use server::{LIMIT, Logged, closed_port, key, load, many, text, value_of};

const QUERY: &str = "SELECT value FROM scores WHERE id = ?";

fn mariadb() -> &'static Mariadb {
    static SERVER: OnceLock<Mariadb> = OnceLock::new();
    SERVER.get_or_init(|| Mariadb::start(MariadbOptions::default()))
}

const TABLE: &str =
    "CREATE TABLE scores (id varchar(100) COLLATE utf8mb4_nopad_bin PRIMARY KEY, value longtext)";

fn database(name: &str) -> ServerOptions {
    mariadb().sql(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
    sql(name, TABLE);
    ServerOptions {
        url: mariadb().url_of(name),
        query: QUERY.to_owned(),
        ..ServerOptions::default()
    }
}

fn sql(database: &str, sql: &str) -> String {
    mariadb().sql(&format!("USE {database};\n{sql}"))
}

async fn open(options: &ServerOptions, query: &str) -> MysqlOrigin {
    let options = ServerOptions {
        query: query.to_owned(),
        ..options.clone()
    };
    MysqlOrigin::open(options).await.unwrap()
}

fn fault<T: std::fmt::Debug>(outcome: Result<T, OriginError>) -> OriginFault {
    outcome.unwrap_err().fault()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_key_that_the_query_cannot_use_is_the_requests_fault_and_fails_alone() {
    let options = database("casts");
    // One that raises what MySQL's own functions do, such as UUID_TO_BIN, also for an empty key.
    sql(
        "casts",
        "DELIMITER //
         CREATE FUNCTION strict(k varchar(100)) RETURNS varchar(100) DETERMINISTIC BEGIN
           IF k <> 'good' AND k NOT LIKE '%-%-%' THEN
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1411, MESSAGE_TEXT = 'Incorrect value: secret';
           END IF;
           RETURN k;
         END //
         CREATE FUNCTION odd(k varchar(100)) RETURNS varchar(100) DETERMINISTIC BEGIN
           IF k = 'secret' THEN
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 3999, MESSAGE_TEXT = 'Strange: secret';
           END IF;
           RETURN k;
         END //",
    );
    sql(
        "casts",
        "INSERT INTO scores VALUES ('good', 'good'), ('secret', 'x');
         CREATE TABLE latin (id varchar(100) CHARACTER SET latin1 PRIMARY KEY, value text);
         INSERT INTO latin VALUES ('good', 'good');
         CREATE TABLE texts (value text, FULLTEXT (value)) ENGINE InnoDB;
         INSERT INTO texts VALUES ('good')",
    );
    for (query, bad, expected) in [
        (
            "SELECT value FROM scores WHERE id REGEXP ?",
            "secret(",
            OriginFault::Key,
        ),
        (
            "SELECT value FROM texts WHERE MATCH (value) AGAINST (? IN BOOLEAN MODE)",
            "secret (",
            OriginFault::Key,
        ),
        (
            "SELECT value FROM scores WHERE id = strict(?)",
            "secret",
            OriginFault::Key,
        ),
        (
            "SELECT 9223372036854775807 + IF(id = 'secret', 9, 0) FROM scores WHERE id = ?",
            "secret",
            OriginFault::Key,
        ),
        (
            "SELECT value FROM latin WHERE id = ?",
            "secret",
            OriginFault::Other,
        ),
        (
            "SELECT value FROM scores WHERE id = odd(?)",
            "secret",
            OriginFault::Other,
        ),
    ] {
        let origin = open(&options, query).await;
        let good = load(&origin, "good").await.unwrap();
        assert!(good.is_some(), "{query}");
        if query.contains("latin") {
            assert!(
                load(&origin, "张三").await.is_ok()
                    || fault(load(&origin, "张三").await) == OriginFault::Key
            );
            continue;
        }
        let error = load(&origin, bad).await.unwrap_err();
        assert_eq!(error.fault(), expected, "{query}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(origin.max_batch(), 128, "{query}");
        let mut keys = vec!["good"; 40];
        keys.insert(9, bad);
        for (of, outcome) in keys.iter().zip(many(&origin, &keys).await) {
            if *of == bad {
                assert_eq!(fault(outcome), expected, "{query}");
            } else {
                assert_eq!(value_of(outcome.unwrap()), good, "{query}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_change_of_the_table_costs_no_load_an_error_and_bytes_stay_right() {
    let options = database("migrated");
    sql("migrated", "INSERT INTO scores VALUES ('Tom', 'hö')");
    let origin = open(&options, QUERY).await;
    for (change, expected) in [
        ("MODIFY value longblob", "hö"),
        ("MODIFY value varchar(20) CHARACTER SET utf8mb4", "hö"),
        ("MODIFY value varchar(20) CHARACTER SET latin1", "hö"),
        ("DROP value, ADD value bigint DEFAULT 7", "7"),
        ("DROP value, ADD value blob DEFAULT x'ff00'", "\u{FFFD}\0"),
    ] {
        sql("migrated", &format!("ALTER TABLE scores {change}"));
        let value = load(&origin, "Tom").await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&value), expected, "{change}");
        for outcome in many(&origin, &["Tom", "Tom"]).await {
            assert_eq!(value_of(outcome.unwrap()).unwrap(), value, "{change}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_value_that_the_server_cannot_send_fails_alone() {
    let server = Mariadb::start(MariadbOptions::default());
    for (kind, can_be_sent) in [
        ("longblob", false),
        ("longtext CHARACTER SET utf8mb4", true),
        ("longtext CHARACTER SET latin1", true),
    ] {
        server.sql("SET GLOBAL max_allowed_packet = 64 * 1024 * 1024");
        server.sql(&format!(
            "DROP TABLE IF EXISTS scores;
             CREATE TABLE scores (id varchar(50) PRIMARY KEY, value {kind});
             INSERT INTO scores VALUES ('Tom', '630'), ('huge', REPEAT('7', 2097152))"
        ));
        server.sql("SET GLOBAL max_allowed_packet = 1024 * 1024");
        let options = ServerOptions {
            url: server.url(),
            query: QUERY.to_owned(),
            ..ServerOptions::default()
        };
        let origin = MysqlOrigin::open(options).await.unwrap();
        let outcomes = many(&origin, &["Tom", "huge", "nobody"]).await;
        assert_eq!(
            value_of(outcomes[0].clone().unwrap()).unwrap(),
            "630",
            "{kind}"
        );
        assert!(
            matches!(
                outcomes[1],
                Err(OriginError::TooLarge {
                    len: Some(2_097_152),
                    limit: LIMIT
                })
            ),
            "{outcomes:?}"
        );
        assert_eq!(value_of(outcomes[2].clone().unwrap()), None, "{kind}");
        let [tom, huge] = ["Tom", "huge"].map(key);
        let loads = [Load::new(&tom, u64::MAX), Load::new(&huge, u64::MAX)];
        let [tom, huge] = origin.load_many(&loads).await.try_into().unwrap();
        assert_eq!(value_of(tom.unwrap()).unwrap(), "630", "{kind}");
        if can_be_sent {
            assert_eq!(value_of(huge.unwrap()).unwrap().len(), 2_097_152, "{kind}");
            continue;
        }
        let error = huge.map(|_| "a value").unwrap_err();
        assert_eq!(error.fault(), OriginFault::Unusable, "{kind} {error}");
        assert!(error.to_string().contains("max_allowed_packet"), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_url_with_what_is_not_known_is_refused_and_no_secret_is_logged() {
    let options = database("urls");
    let logged = Logged::from_now();
    for (parameters, named) in [
        ("ssl_mode=hunter2", "ssl_mode"),
        ("password=hunter2", "password"),
        ("ssl-mode=hunter2", "ssl-mode"),
        ("ssl-mode=REQUIRED&sslmode=hunter2", "ssl-mode"),
        ("charset=latin1", "charset"),
        ("collation=utf8mb4_bin;hunter2", "collation"),
        ("collation=latin1_bin", "collation"),
        ("time-zone=%27hunter2", "time-zone"),
        ("ssl-ca=hunter2", "VERIFY_IDENTITY"),
        ("ssl-cert=hunter2", "ssl-key"),
    ] {
        let url = format!("{}?{parameters}", options.url);
        let open = MysqlOrigin::open(ServerOptions {
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
        "{}?charset=utf8mb4&collation=utf8mb4_bin&time-zone=%2B01:00",
        options.url
    );
    let query = "SELECT CONCAT(?, ' ', @@collation_connection, ' ', @@time_zone)";
    let origin = open(&ServerOptions { url, ..options }, query).await;
    assert_eq!(
        text(&origin, "x").await.as_deref(),
        Some("x utf8mb4_bin +01:00")
    );
    let logged = logged.text();
    assert!(
        !logged.contains("hunter2") && !logged.contains(PASSWORD),
        "{logged}"
    );
}

#[tokio::test]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_server_that_refuses_the_configuration_is_an_error_and_one_that_is_away_a_warning() {
    let options = database("refusing");
    let url = options.url.clone();
    let away = format!("mysql://gaggle:x@127.0.0.1:{}/d", closed_port().await);
    let wrong = url.replace(&format!(":{PASSWORD}"), ":wrong-horse");
    let nothing = mariadb().url_of("no_such_database");
    let open = async |primary: &str, replica: &str| {
        let options = ServerOptions {
            url: primary.to_owned(),
            replicas: vec![replica.to_owned()],
            ..options.clone()
        };
        MysqlOrigin::open(options).await
    };
    for (primary, replica, reason) in [
        (&wrong, &url, "Access denied"),
        (&nothing, &url, "no_such_database"),
        (&url, &wrong, "Access denied"),
        (&url, &nothing, "no_such_database"),
    ] {
        let error = open(primary, replica).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let place = away.rsplit_once('@').unwrap().1;
    let logged = Logged::from_now();
    open(&away, &url).await.unwrap();
    assert!(
        logged.warns_of(&["the primary", place, "refused"]),
        "{}",
        logged.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn sessions_are_for_reading_only_unless_said_otherwise() {
    let options = database("reading");
    sql(
        "reading",
        "DELIMITER //
         CREATE FUNCTION note(k varchar(100)) RETURNS varchar(100) BEGIN
           REPLACE INTO scores VALUES (k, 1);
           RETURN k;
         END //",
    );
    let query = "SELECT note(?)";
    let refused = MysqlOrigin::open(ServerOptions {
        query: query.to_owned(),
        ..options.clone()
    });
    let error = refused.await.unwrap_err().to_string();
    assert!(error.contains("READ ONLY transaction"), "{error}");
    let options = ServerOptions {
        read_only: false,
        ..options
    };
    let origin = open(&options, query).await;
    assert_eq!(text(&origin, "Tom").await.as_deref(), Some("Tom"));
    assert_eq!(
        sql("reading", "SELECT value FROM scores WHERE id = 'Tom'"),
        "1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_password_file_is_read_for_each_connection() {
    let options = database("rotated");
    mariadb().sql(
        "CREATE USER rotating IDENTIFIED BY 'first-horse'; GRANT SELECT ON rotated.* TO rotating",
    );
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
    let origin = MysqlOrigin::open(options).await.unwrap();
    mariadb().sql("ALTER USER rotating IDENTIFIED BY 'second-horse'");
    assert_eq!(fault(load(&origin, "Tom").await), OriginFault::Unreachable);
    std::fs::write(file.path(), "second-horse\n").unwrap();
    assert_eq!(load(&origin, "Tom").await.unwrap(), None);
}
