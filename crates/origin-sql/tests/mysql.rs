//! MariaDB: values, keys, limits and failures against a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::future::join_all;
use gaggle_group::{ByteBudget, Hint, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_sql::{KeyType, MysqlOrigin, OpenError, ServerOptions};
use gaggle_testservers::{Mariadb, MariadbOptions, PASSWORD};
use server::{
    BOUND, Counting, LIMIT, assert_batches_equal_singles, certificates, closed_port, key, load,
    many, shown, text, until, value_of,
};

const QUERY: &str = "SELECT value FROM scores WHERE id = ?";

/// One server for all tests that do not stop it.
fn mariadb() -> &'static Mariadb {
    static SERVER: OnceLock<Mariadb> = OnceLock::new();
    SERVER.get_or_init(|| Mariadb::start(MariadbOptions::default()))
}

/// A separate database for a test, with a table of scores.
struct Database(&'static str);

impl Database {
    fn new(name: &'static str) -> Self {
        mariadb().sql(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        let database = Self(name);
        database.sql(
            "CREATE TABLE scores (id varchar(100) COLLATE utf8mb4_nopad_bin PRIMARY KEY, value longtext, seconds double)",
        );
        database
    }

    fn sql(&self, sql: &str) -> String {
        mariadb().sql(&format!("USE {};\n{sql}", self.0))
    }

    fn options(&self, query: &str) -> ServerOptions {
        ServerOptions {
            url: mariadb().url_of(self.0),
            query: query.to_owned(),
            ..ServerOptions::default()
        }
    }

    async fn open(&self, query: &str) -> MysqlOrigin {
        MysqlOrigin::open(self.options(query)).await.unwrap()
    }
}

fn fault<T: std::fmt::Debug>(outcome: Result<T, OriginError>) -> OriginFault {
    outcome.unwrap_err().fault()
}

/// How many statements an account of the driver's runs now that sleep.
fn sleeping(server: &Mariadb) -> String {
    server.sql(
        "SELECT count(*) FROM information_schema.processlist \
         WHERE info LIKE '%SLEEP(600)%' AND command = 'Execute'",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn every_type_is_its_text_and_bytes_are_as_they_are() {
    let database = Database::new("types");
    database.sql(
        "CREATE TABLE v (i int, u bigint unsigned, d decimal(10,3), f float, g double,
           dt datetime(3), ts timestamp NULL, da date, ti time, y year, bo bool, j json, b bit(5),
           e enum('a', 'ü'), s set('x', 'y'), bl longblob, bi binary(3), vb varbinary(10), c char(5),
           l varchar(10) CHARACTER SET latin1 COLLATE latin1_bin, t text, em text);
         SET time_zone = '+02:00';
         INSERT INTO v VALUES (-7, 18446744073709551615, 1.500, 0.1, 0.1,
           '2024-01-02 03:04:05.678', '2024-01-02 03:04:05', '2024-01-02', '03:04:05', 2024, true,
           '{\"b\":1,  \"a\":2}', b'101', 'ü', 'x,y', x'00ff', 'ab', x'ff00', 'ab', 'ü', '数', '')",
    );
    for (column, expected) in [
        ("i", "-7".as_bytes()),
        ("u", b"18446744073709551615"),
        ("d", b"1.500"),
        ("f", b"0.1"),
        ("g", b"0.1"),
        ("dt", b"2024-01-02 03:04:05.678"),
        ("ts", b"2024-01-02 01:04:05"),
        ("da", b"2024-01-02"),
        ("ti", b"03:04:05"),
        ("y", b"2024"),
        ("bo", b"1"),
        ("j", b"{\"b\":1,  \"a\":2}"),
        ("b", b"5"),
        ("e", "ü".as_bytes()),
        ("s", b"x,y"),
        ("bl", b"\x00\xff"),
        ("bi", b"ab\0"),
        ("vb", b"\xff\x00"),
        ("c", b"ab"),
        ("l", "ü".as_bytes()),
        ("t", "数".as_bytes()),
        ("em", b""),
        ("630", b"630"),
        ("1 / 8", b"0.1250"),
        ("'literal'", b"literal"),
        ("count(*)", b"1"),
    ] {
        let query = format!("SELECT {column} FROM v WHERE ? <> 'nobody'");
        let origin = database.open(&query).await;
        let loaded = load(&origin, "Tom").await.unwrap();
        assert_eq!(loaded.as_deref(), Some(expected), "{column}");
        let [first, second] = many(&origin, &["Tom", "Kesa"]).await.try_into().unwrap();
        for outcome in [first, second] {
            let value = value_of(outcome.unwrap());
            assert_eq!(value.as_deref(), Some(expected), "{column}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn null_and_no_row_are_not_found_and_the_second_column_is_the_freshness() {
    let database = Database::new("freshness");
    database.sql(
        "INSERT INTO scores VALUES ('Tom', '630', 60), ('half', 'x', 0.5), ('none', 'x', 0),
         ('minus', 'x', -1), ('group', 'x', NULL), ('null', NULL, 5), ('empty', '', NULL),
         ('long', 'x', 1e20)",
    );
    let origin = database
        .open("SELECT value, seconds FROM scores WHERE id = ?")
        .await;
    let seconds = |seconds| Hint::ttl(Duration::from_secs_f64(seconds));
    let expected = [
        ("Tom", Some("630"), seconds(60.0)),
        ("half", Some("x"), seconds(0.5)),
        ("none", Some("x"), Hint::none()),
        ("minus", Some("x"), Hint::none()),
        ("group", Some("x"), Hint::default()),
        ("null", None, seconds(5.0)),
        ("empty", Some(""), Hint::default()),
        ("long", Some("x"), seconds(2_147_483_647.0)),
        ("nobody", None, Hint::default()),
    ];
    let batch = many(&origin, &expected.map(|(of, ..)| of)).await;
    for ((of, value, freshness), batched) in expected.into_iter().zip(batch) {
        let expected = Ok((value.map(Into::into), freshness));
        assert_eq!(shown(batched), expected, "{of} in a batch");
        let of = key(of);
        let single = origin.load(Load::new(&of, LIMIT)).await;
        assert_eq!(shown(single), expected, "{of:?} alone");
    }
    for (seconds, expected) in [
        ("90", seconds(90.0)),
        ("1.5", seconds(1.5)),
        ("CAST(7 AS UNSIGNED)", seconds(7.0)),
        ("NULL", Hint::default()),
    ] {
        let origin = database
            .open(&format!("SELECT value, {seconds} FROM scores WHERE id = ?"))
            .await;
        let of = key("Tom");
        let loaded = origin.load(Load::new(&of, LIMIT)).await.unwrap();
        assert_eq!(loaded.freshness, expected, "{seconds}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn keys_are_bound_and_never_read_as_sql() {
    let database = Database::new("key_forms");
    database.sql(
        r#"INSERT INTO scores VALUES ('Tom', '630', 1), ('', 'empty', 1), ('张三', 'three', 1),
         ('a\\b"c''', 'quotes', 1);
         CREATE TABLE blobs (id varbinary(50) PRIMARY KEY, value text);
         INSERT INTO blobs VALUES (x'ff00', 'bytes'), ('Tom', '630')"#,
    );
    let origin = database.open(QUERY).await;
    let expected = [
        ("Tom", Some("630")),
        ("", Some("empty")),
        ("张三", Some("three")),
        ("a\\b\"c'", Some("quotes")),
        ("'; DROP TABLE scores; -- ", None),
        ("' OR '1'='1", None),
        ("\\' OR 1=1 -- ", None),
        ("?", None),
        ("Tom ", None),
        ("tom", None),
    ];
    let batch = many(&origin, &expected.map(|(of, _)| of)).await;
    for ((of, value), batched) in expected.into_iter().zip(batch) {
        assert_eq!(text(&origin, of).await.as_deref(), value, "{of}");
        assert_eq!(value_of(batched.unwrap()), value.map(Into::into), "{of}");
    }
    assert_eq!(database.sql("SELECT count(*) FROM scores"), "4");
    let refused: [&[u8]; 2] = [b"\xFF", b"a\0b"];
    for of in refused {
        assert_eq!(fault(load(&origin, of).await), OriginFault::Key);
    }

    let options = ServerOptions {
        key_type: KeyType::Blob,
        ..database.options("SELECT value FROM blobs WHERE id = ?")
    };
    let origin = MysqlOrigin::open(options).await.unwrap();
    let keys: [&[u8]; 4] = [b"\xFF\0", b"Tom", b"\0", b"tom"];
    let values = many(&origin, &keys).await.into_iter();
    let values: Vec<_> = values.map(|outcome| shown(outcome).unwrap().0).collect();
    assert_eq!(
        values,
        [Some("bytes".into()), Some("630".into()), None, None]
    );
    assert_eq!(text(&origin, b"\xFF\0").await.as_deref(), Some("bytes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_query_that_cannot_be_used_is_refused_at_open() {
    let database = Database::new("refusals");
    mariadb().sql(
        "CREATE USER reader IDENTIFIED BY 'pw'; GRANT SELECT (id) ON refusals.scores TO reader",
    );
    let refusal = async |options: ServerOptions| {
        let error = MysqlOrigin::open(options).await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, OpenError::Query { .. }), "{said}");
        assert!(said.contains("/refusals"), "{said}");
        said
    };
    for (query, reason) in [
        ("SELECT value FROM scoers WHERE id = ?", "scoers"),
        ("SELECT valeu FROM scores WHERE id = ?", "valeu"),
        ("SELECT value FROM WHERE id = ?", "syntax"),
        ("SELECT value FROM scores", "0 parameters"),
        ("SELECT value FROM scores WHERE id = '?'", "0 parameters"),
        (
            "SELECT value FROM scores WHERE id = ? OR id = ?",
            "2 parameters",
        ),
        ("SELECT * FROM scores WHERE id = ?", "3 columns"),
        ("SELECT value, id FROM scores WHERE id = ?", "\"id\" is"),
        (
            "SELECT value, now() FROM scores WHERE id = ?",
            "is DATETIME",
        ),
        ("SELECT 1; SELECT ?", "more than one statement"),
        ("DELETE FROM scores WHERE id = ?", "READ ONLY transaction"),
        ("SELECT value INTO @v FROM scores WHERE id = ?", "0 columns"),
        ("", "no statement"),
    ] {
        let said = refusal(database.options(query)).await;
        assert!(said.contains(reason), "{query}: {said}");
    }
    let url = mariadb()
        .url_of("refusals")
        .replace(&format!("gaggle:{PASSWORD}"), "reader:pw");
    let said = refusal(ServerOptions {
        url,
        ..database.options(QUERY)
    })
    .await;
    assert!(said.contains("denied"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_server_that_cannot_be_used_is_named_without_the_password() {
    let database = Database::new("unreachable");
    let good = database.options(QUERY);
    let port = closed_port().await;
    let wrong = "wrong-horse";
    let cases = [
        (
            good.url
                .replace(&format!(":{}/", mariadb().port()), &format!(":{port}/")),
            None,
            "cannot be reached",
        ),
        (good.url.clone(), Some(wrong), "Access denied"),
        (mariadb().url_of("no_such"), None, "no_such"),
        (
            good.url.replace("mysql://", "postgres://"),
            None,
            "must begin with mysql://",
        ),
        (good.url.clone() + "?ssl-mode=VERIFY_IDENTITY", None, "TLS"),
    ];
    for (url, password, reason) in cases {
        let options = ServerOptions {
            url,
            password: password.map(ToOwned::to_owned),
            ..good.clone()
        };
        let error = MysqlOrigin::open(options).await.unwrap_err();
        let said = format!("{error} {error:?}");
        // A connection that cannot be made now, with TLS or without, may be made later. The rest
        // stays wrong.
        let as_expected = match reason {
            "cannot be reached" | "TLS" => matches!(error, OpenError::Unavailable { .. }),
            _ => matches!(error, OpenError::Open { .. }),
        };
        assert!(as_expected, "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains(PASSWORD) && !said.contains(wrong), "{said}");
    }
    let options = ServerOptions {
        url: good.url.replace(&format!(":{PASSWORD}"), ""),
        password: Some(PASSWORD.to_owned()),
        ..good
    };
    let origin = MysqlOrigin::open(options).await.unwrap();
    assert_eq!(text(&origin, "nobody").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn queries_of_many_shapes_can_be_wrapped_also_for_batches() {
    let database = Database::new("shapes");
    database.sql(
        "INSERT INTO scores VALUES ('Tom', '630', 1);
         CREATE TABLE log (id varchar(50), at int, value text);
         INSERT INTO log VALUES ('Tom', 1, 'old'), ('Tom', 3, 'new'), ('Tom', 2, 'middle');
         CREATE FUNCTION score(wanted text) RETURNS text READS SQL DATA
           RETURN (SELECT value FROM scores WHERE id = wanted)",
    );
    for (query, expected) in [
        ("SELECT value FROM scores WHERE id = ?;", "630"),
        ("SELECT value FROM scores WHERE id = ? -- the score", "630"),
        ("SELECT value FROM scores WHERE id = ? # the score", "630"),
        (
            "SELECT value FROM scores WHERE id = ?; -- ; the score",
            "630",
        ),
        (
            "/* ? ; */ SELECT `value` /* ' */ FROM scores WHERE id = ?",
            "630",
        ),
        (
            "SELECT value FROM log WHERE id = ? ORDER BY at DESC LIMIT 1",
            "new",
        ),
        (
            "SELECT value FROM log WHERE id = ? ORDER BY at LIMIT 1",
            "old",
        ),
        ("SELECT value, value + 0 FROM scores WHERE id = ?", "630"),
        ("SELECT value, 60 AS value FROM scores WHERE id = ?", "630"),
        (
            "SELECT a.value FROM scores a JOIN log b USING (id) WHERE b.id = ?",
            "630",
        ),
        (
            "WITH s AS (SELECT * FROM scores WHERE id = ?) SELECT value FROM s",
            "630",
        ),
        ("SELECT count(*) FROM log WHERE id = ?", "3"),
        (
            "SELECT value FROM scores WHERE id = ? UNION ALL SELECT 'default'",
            "630",
        ),
        (
            "SELECT JSON_OBJECT('key', id, 'value', value) FROM scores WHERE id = ?",
            r#"{"key": "Tom", "value": "630"}"#,
        ),
        ("SELECT score(?)", "630"),
        ("SELECT CONCAT('?', ?)", "?Tom"),
    ] {
        let origin = database.open(query).await;
        let is_simple = ["LIMIT", "GROUP", "UNION", "count(", "(?)", ", ?)"]
            .iter()
            .all(|what| !query.contains(what));
        if query.contains("LIMIT 1") {
            assert_eq!(origin.max_batch(), 1, "{query}");
        }
        if is_simple {
            assert_eq!(origin.max_batch(), 128, "{query}");
        }
        assert_eq!(
            text(&origin, "Tom").await.as_deref(),
            Some(expected),
            "{query}"
        );
        for outcome in many(&origin, &["Tom", "Tom", "Tom"]).await {
            let value = value_of(outcome.unwrap());
            assert_eq!(value.as_deref(), Some(expected.as_bytes()), "{query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_value_over_the_limit_does_not_cross_the_wire() {
    let database = Database::new("large_values");
    database.sql("INSERT INTO scores VALUES ('huge', repeat('7', 10000000), 1), ('fits', repeat('分', 300000), 1)");
    let wire = Counting::before(mariadb().port()).await;
    let mut options = database.options(QUERY);
    options.url = options.url.replace(
        &format!(":{}/", mariadb().port()),
        &format!(":{}/", wire.address.port()),
    );
    let origin = MysqlOrigin::open(options).await.unwrap();
    let of = key("huge");
    let refused = origin.load(Load::new(&of, 8 << 20)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            OriginError::TooLarge {
                len: Some(10_000_000),
                ..
            }
        ),
        "{refused:?}"
    );
    let loads = [Load::new(&of, 8 << 20), Load::new(&of, 8 << 20)];
    for outcome in origin.load_many(&loads).await {
        assert!(
            matches!(outcome, Err(OriginError::TooLarge { .. })),
            "{outcome:?}"
        );
    }
    assert!(wire.received() < 64 << 10, "{}", wire.received());
    let all = origin.load(Load::new(&of, 10_000_000)).await.unwrap();
    assert_eq!(value_of(all).unwrap().len(), 10_000_000);

    let of = key("fits");
    let limit = 900_000;
    let loaded = origin.load(Load::new(&of, limit)).await.unwrap();
    assert_eq!(value_of(loaded).unwrap(), "分".repeat(300_000));
    let refused = origin.load(Load::new(&of, limit - 1)).await.unwrap_err();
    assert!(
        matches!(refused, OriginError::TooLarge { .. }),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn values_draw_on_the_budget_and_wait_for_it_without_a_connection() {
    let database = Database::new("budget");
    database.sql(
        "INSERT INTO scores VALUES ('small', repeat('7', 100), 1), ('medium', repeat('7', 50000), 1),
         ('large', repeat('7', 1048576), 1), ('larger', repeat('7', 1048577), 1)",
    );
    let options = ServerOptions {
        max_connections: 1,
        ..database.options(QUERY)
    };
    let origin = MysqlOrigin::open(options).await.unwrap();
    let mib = 1 << 20;
    let budget = ByteBudget::new(mib, Duration::ZERO);
    for (of, len, peak) in [
        ("small", 100, 0),
        ("medium", 50_000, 50_000),
        ("large", mib, mib),
    ] {
        let of = key(of);
        let loaded = origin.load(Load::new(&of, u64::MAX).within(&budget)).await;
        assert_eq!(value_of(loaded.unwrap()).unwrap().len() as u64, len);
        assert_eq!((budget.used(), budget.peak()), (0, peak));
    }
    let keys = ["small", "larger", "medium"].map(key);
    let loads = keys
        .each_ref()
        .map(|of| Load::new(of, u64::MAX).within(&budget));
    let outcomes = origin.load_many(&loads).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    assert!(
        matches!(outcomes[1], Err(OriginError::OverBudget(_))),
        "{outcomes:?}"
    );
    assert_eq!(budget.used(), 0);

    let budget = ByteBudget::new(mib, BOUND);
    let all = budget.reserve(mib).await.unwrap();
    let waiting = {
        let (origin, budget) = (origin.clone(), budget.clone());
        tokio::spawn(async move {
            let of = key("large");
            let loaded = origin.load(Load::new(&of, u64::MAX).within(&budget)).await;
            value_of(loaded.unwrap()).unwrap().len()
        })
    };
    until("it waits", async || budget.waiting() == 1).await;
    assert_eq!(text(&origin, "small").await.unwrap().len(), 100);
    drop(all);
    assert_eq!(waiting.await.unwrap(), 1 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_batch_brings_what_single_loads_bring() {
    let database = Database::new("batches");
    database.sql(
        "CREATE TABLE log (id varchar(20), at int, value longtext, seconds double, PRIMARY KEY (id));
         INSERT INTO log SELECT CONCAT('k', seq), 0, CONCAT('value ', seq), seq % 50 FROM seq_1_to_900;
         UPDATE log SET value = NULL WHERE at = 0 AND id LIKE '%7';
         UPDATE log SET value = '' WHERE at = 0 AND id LIKE '%11';
         UPDATE log SET value = repeat(id, 1000) WHERE id LIKE '%2';
         UPDATE log SET value = repeat(id, 30000) WHERE id LIKE '%22';
         UPDATE log SET value = repeat('x', 1048577) WHERE id LIKE '%333'",
    );
    let query = "SELECT value, seconds FROM log WHERE id = ?";
    for max_batch in [128, 7] {
        let options = ServerOptions {
            max_batch,
            ..database.options(query)
        };
        let origin = MysqlOrigin::open(options).await.unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        let keys: Vec<Vec<u8>> = (0..1000)
            .map(|_| format!("k{}", random.u32(0..1000)).into_bytes())
            .collect();
        assert_batches_equal_singles(&origin, &keys).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_row_that_fails_fails_alone() {
    let database = Database::new("failing");
    database.sql(
        "DELIMITER //
         CREATE FUNCTION fails(n int) RETURNS int DETERMINISTIC BEGIN
           IF n = 77 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'secret'; END IF;
           RETURN n;
         END //",
    );
    database.sql("INSERT INTO scores SELECT CONCAT('k', seq), seq, 1 FROM seq_0_to_199");
    let origin = database
        .open("SELECT fails(value) FROM scores WHERE id = ?")
        .await;
    let keys: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    for (n, outcome) in many(&origin, &keys).await.into_iter().enumerate() {
        if n == 77 {
            let error = outcome.unwrap_err();
            assert_eq!(error.fault(), OriginFault::Other);
            assert!(error.to_string().contains("45000"), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        } else {
            assert_eq!(value_of(outcome.unwrap()).unwrap(), n.to_string(), "{n}");
        }
    }
    database.sql("RENAME TABLE scores TO gone");
    for outcome in many(&origin, &keys).await {
        assert!(outcome.unwrap_err().to_string().contains("scores"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_slow_statement_is_ended_by_the_server_and_its_connection_goes_on() {
    let database = Database::new("slow");
    database.sql("INSERT INTO scores VALUES ('quick', 'quick', 1), ('slow', 'slow', 1)");
    let slow = "SELECT IF(id = 'slow', SLEEP(600), value) FROM scores WHERE id = ?";
    let options = ServerOptions {
        statement_timeout: Duration::from_secs(2),
        max_connections: 1,
        ..database.options(slow)
    };
    let origin = MysqlOrigin::open(options).await.unwrap();
    assert_eq!(fault(load(&origin, "slow").await), OriginFault::TimedOut);
    assert_eq!(text(&origin, "quick").await.as_deref(), Some("quick"));
    assert_eq!(origin.max_batch(), 128);
    // It costs the other keys of its batch time, and no error.
    for keys in [vec!["quick"; 2], vec!["quick"; 60]] {
        let keys = [&keys[..], &["slow"], &keys[..]].concat();
        for (of, outcome) in keys.iter().zip(many(&origin, &keys).await) {
            match *of {
                "slow" => assert_eq!(fault(outcome), OriginFault::TimedOut),
                _ => assert_eq!(value_of(outcome.unwrap()).unwrap(), *of),
            }
        }
    }
    assert_eq!(text(&origin, "quick").await.as_deref(), Some("quick"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn the_statement_of_a_dropped_load_ends_by_its_timeout_and_keeps_its_slot_until_then() {
    let server = Mariadb::start(MariadbOptions::default());
    let options = ServerOptions {
        url: server.url(),
        query: "SELECT IF((@k := ?) = 'slow', SLEEP(600), @k)".to_owned(),
        statement_timeout: Duration::from_secs(3),
        acquire_timeout: Duration::from_millis(50),
        max_connections: 1,
        ..ServerOptions::default()
    };
    let origin = MysqlOrigin::open(options).await.unwrap();
    let loading = {
        let origin = origin.clone();
        tokio::spawn(async move { load(&origin, "slow").await })
    };
    until("it runs", async || sleeping(&server) == "1").await;
    loading.abort();
    assert_eq!(fault(load(&origin, "quick").await), OriginFault::Busy);
    until("a connection comes free", async || {
        load(&origin, "quick").await.is_ok()
    })
    .await;
    assert_eq!(sleeping(&server), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn loads_dropped_at_any_point_leave_no_answer_to_others() {
    let database = Database::new("mixed");
    let options = ServerOptions {
        max_connections: 2,
        acquire_timeout: BOUND,
        ..database.options("SELECT REPEAT(?, 3000)")
    };
    let origin = MysqlOrigin::open(options).await.unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..300 {
        let of = key(format!("dropped {round}"));
        let wait = Duration::from_micros(random.u64(0..2000));
        let _ = tokio::time::timeout(wait, origin.load(Load::new(&of, LIMIT))).await;
        let of = format!("kept {round}");
        assert_eq!(text(&origin, &of).await, Some(of.repeat(3000)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_restart_between_loads_costs_no_load_an_error() {
    let server = Mariadb::start(MariadbOptions::default());
    server.sql("CREATE TABLE scores (id varchar(50) PRIMARY KEY, value text); INSERT INTO scores VALUES ('Tom', '630')");
    let options = ServerOptions {
        url: server.url(),
        query: QUERY.to_owned(),
        acquire_timeout: BOUND,
        connect_timeout: BOUND,
        ..ServerOptions::default()
    };
    let origin = MysqlOrigin::open(options).await.unwrap();
    for value in join_all((0..8).map(|_| text(&origin, "Tom"))).await {
        assert_eq!(value.as_deref(), Some("630"));
    }
    server.restart();
    for value in join_all((0..8).map(|_| text(&origin, "Tom"))).await {
        assert_eq!(value.as_deref(), Some("630"));
    }
    server.restart();
    for outcome in many(&origin, &["Tom", "nobody", "Tom"]).await {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    server.stop();
    // At once, although the wait for a connection may be long.
    let down = tokio::time::timeout(BOUND / 2, load(&origin, "Tom")).await;
    assert_eq!(fault(down.unwrap()), OriginFault::Unreachable);
    for outcome in many(&origin, &["Tom", "nobody"]).await {
        assert_eq!(fault(outcome), OriginFault::Unreachable);
    }
    server.start_again();
    assert_eq!(text(&origin, "Tom").await.as_deref(), Some("630"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn loads_go_to_replicas_in_turn_and_to_the_primary_where_none_is_there() {
    let [primary, a, b] = ["primary_one", "replica_a", "replica_b"].map(Database::new);
    for database in [&primary, &a, &b] {
        database.sql(&format!(
            "INSERT INTO scores VALUES ('where', '{}', 1)",
            database.0
        ));
    }
    let closed = format!("mysql://gaggle:x@127.0.0.1:{}/d", closed_port().await);
    for (replicas, expected) in [
        (
            [mariadb().url_of("replica_a"), mariadb().url_of("replica_b")],
            ["replica_a", "replica_b"],
        ),
        (
            [closed.clone(), mariadb().url_of("replica_b")],
            ["replica_b", "replica_b"],
        ),
        (
            [closed.clone(), closed.clone()],
            ["primary_one", "primary_one"],
        ),
    ] {
        let options = ServerOptions {
            replicas: replicas.to_vec(),
            ..primary.options(QUERY)
        };
        let origin = MysqlOrigin::open(options).await.unwrap();
        let mut places = vec![
            text(&origin, "where").await.unwrap(),
            text(&origin, "where").await.unwrap(),
        ];
        places.sort();
        assert_eq!(places, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn certificates_are_verified() {
    let (ca, tls) = certificates();
    let server = Mariadb::start(MariadbOptions {
        tls: Some(tls),
        ..MariadbOptions::default()
    });
    let options = ServerOptions {
        url: server.url().replace("127.0.0.1", "localhost") + "?ssl-mode=VERIFY_IDENTITY",
        query: "SELECT CONCAT(?, variable_value <> '') FROM information_schema.session_status \
                WHERE variable_name = 'Ssl_cipher'"
            .to_owned(),
        ca_pem: Some(ca.into_bytes()),
        ..ServerOptions::default()
    };
    let origin = MysqlOrigin::open(options.clone()).await.unwrap();
    assert_eq!(text(&origin, "tls: ").await.as_deref(), Some("tls: 1"));
    let (other, _) = certificates();
    let wrong = [
        ServerOptions {
            ca_pem: Some(other.into_bytes()),
            ..options.clone()
        },
        ServerOptions {
            ca_pem: None,
            ..options.clone()
        },
        ServerOptions {
            url: options.url.replace("localhost", "127.0.0.1"),
            ..options.clone()
        },
    ];
    for options in wrong {
        let error = MysqlOrigin::open(options).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    let unverified = ServerOptions {
        url: options.url.replace("VERIFY_IDENTITY", "REQUIRED"),
        ..options
    };
    let error = MysqlOrigin::open(unverified).await.unwrap_err();
    assert!(error.to_string().contains("VERIFY_IDENTITY"), "{error}");
}

/// Prints what single loads and batches cost. Run it with `--nocapture`, and `--release`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn batches_use_the_index_and_need_fewer_statements() {
    let server = Mariadb::start(MariadbOptions::default());
    server.sql(
        "CREATE TABLE scores (id varchar(50) COLLATE utf8mb4_bin PRIMARY KEY, value text);
         INSERT INTO scores SELECT CONCAT('k', seq), REPEAT('7', 100) FROM seq_1_to_10000; ANALYZE TABLE scores",
    );
    let options = ServerOptions {
        url: server.url(),
        query: QUERY.to_owned(),
        acquire_timeout: BOUND,
        connect_timeout: BOUND,
        ..ServerOptions::default()
    };
    let origin = MysqlOrigin::open(options).await.unwrap();
    let status = |name: &str| -> u64 {
        let sql = format!(
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = '{name}'"
        );
        server.sql(&sql).parse().unwrap()
    };
    let keys: Vec<Key> = (1..=10_000).map(|n| key(format!("k{n}"))).collect();
    let before = status("Com_stmt_execute");
    let started = std::time::Instant::now();
    let tasks = (0..64).map(|first| {
        let (origin, keys) = (&origin, &keys);
        async move {
            for of in keys.iter().skip(first).step_by(64) {
                origin.load(Load::new(of, LIMIT)).await.unwrap();
            }
        }
    });
    join_all(tasks).await;
    let singles = started.elapsed();
    let between = status("Com_stmt_execute");
    let (read, temporary) = (
        status("Handler_read_rnd_next"),
        status("Created_tmp_disk_tables"),
    );
    let started = std::time::Instant::now();
    for keys in keys.chunks(128) {
        let loads: Vec<_> = keys.iter().map(|of| Load::new(of, LIMIT)).collect();
        for outcome in origin.load_many(&loads).await {
            assert!(value_of(outcome.unwrap()).is_some());
        }
    }
    let batches = started.elapsed();
    let after = status("Com_stmt_execute");
    println!(
        "10,000 keys: {singles:?} alone (64 at once), {} statements; {batches:?} in batches of 128 \
         (one at a time), {} statements",
        between - before,
        after - between
    );
    println!(
        "temporary tables on disk: {}",
        status("Created_tmp_disk_tables") - temporary
    );
    assert!(after - between < 100, "{}", after - between);
    // A scan of the table for each key would read a hundred million rows.
    let scanned = status("Handler_read_rnd_next") - read;
    assert!(scanned < 100_000, "{scanned}");
}
