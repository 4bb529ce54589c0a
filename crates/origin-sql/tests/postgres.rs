//! PostgreSQL: values, keys, limits and failures against a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::future::join_all;
use gaggle_group::{ByteBudget, Hint, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_sql::{KeyType, OpenError, PostgresOrigin, ServerOptions};
use gaggle_testservers::{PASSWORD, Postgres, PostgresOptions};
use server::{
    BOUND, Counting, LIMIT, assert_batches_equal_singles, certificates, closed_port, key, load,
    many, shown, text, until, value_of,
};

const QUERY: &str = "SELECT value FROM scores WHERE key = $1";

/// One server for all tests that do not stop it.
fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(PostgresOptions::default()))
}

/// A separate database for a test, with a table of scores.
struct Database(&'static str);

impl Database {
    fn new(name: &'static str) -> Self {
        postgres().psql(&format!("CREATE DATABASE {name}"));
        let database = Self(name);
        database.sql("CREATE TABLE scores (key text PRIMARY KEY, value text, seconds numeric)");
        database
    }

    fn sql(&self, sql: &str) -> String {
        postgres().psql_in(self.0, sql)
    }

    fn options(&self, query: &str) -> ServerOptions {
        ServerOptions {
            url: postgres().url_of(self.0),
            query: query.to_owned(),
            ..ServerOptions::default()
        }
    }

    async fn open(&self, query: &str) -> PostgresOrigin {
        PostgresOrigin::open(self.options(query)).await.unwrap()
    }

    async fn refusal(&self, query: &str) -> String {
        let error = PostgresOrigin::open(self.options(query)).await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, OpenError::Query { .. }), "{said}");
        assert!(said.contains(&format!("/{}", self.0)), "{said}");
        said
    }
}

fn fault<T: std::fmt::Debug>(outcome: Result<T, OriginError>) -> OriginFault {
    outcome.unwrap_err().fault()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn every_type_is_its_text_and_bytea_its_bytes() {
    let database = Database::new("types");
    for (expression, expected) in [
        ("'张三'::text", "张三".as_bytes()),
        ("'Tom'::varchar(10)", b"Tom"),
        ("'ab'::char(5)", b"ab"),
        ("''::text", b""),
        ("'\\x00ff'::bytea", b"\x00\xff"),
        ("''::bytea", b""),
        ("630", b"630"),
        ("-9223372036854775808", b"-9223372036854775808"),
        ("1.50::numeric", b"1.50"),
        ("0.1::float8", b"0.1"),
        ("0.1::float4", b"0.1"),
        ("'NaN'::float8", b"NaN"),
        ("true", b"true"),
        (
            "'2024-01-02 03:04:05.678+02'::timestamptz",
            b"2024-01-02 01:04:05.678+00",
        ),
        ("'2024-01-02 03:04:05'::timestamp", b"2024-01-02 03:04:05"),
        ("'2024-01-02'::date", b"2024-01-02"),
        ("'1 day 2 hours'::interval", b"1 day 02:00:00"),
        ("'{\"b\":1,  \"a\":2}'::json", b"{\"b\":1,  \"a\":2}"),
        ("'{\"b\":1,  \"a\":2}'::jsonb", b"{\"a\": 2, \"b\": 1}"),
        (
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
            b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ("ARRAY[1,2]", b"{1,2}"),
        ("'happy'::mood", b"happy"),
        ("ROW(1,'a')::pair", b"(1,a)"),
        ("'\\x00ff'::raw", b"\x00\xff"),
        ("'127.0.0.1/8'::inet", b"127.0.0.1/8"),
        ("'literal'", b"literal"),
        ("$1 || '!'", b"Tom!"),
    ] {
        if expression.contains("mood") {
            database.sql(
                "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text);
                 CREATE DOMAIN raw AS bytea",
            );
        }
        let query = format!("SELECT {expression} WHERE $1 <> 'nobody'");
        let origin = database.open(&query).await;
        let loaded = load(&origin, "Tom").await.unwrap();
        assert_eq!(loaded.as_deref(), Some(expected), "{expression}");
        let [first, second] = many(&origin, &["Tom", "nobody"]).await.try_into().unwrap();
        let first = value_of(first.unwrap());
        assert_eq!(first.as_deref(), Some(expected), "{expression}");
        assert_eq!(value_of(second.unwrap()), None, "{expression}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_database_in_another_encoding_gives_utf_8() {
    postgres().psql(
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    );
    let database = Database("latin");
    database
        .sql("CREATE TABLE scores (key text, value text); INSERT INTO scores VALUES ('ü', 'ö')");
    let origin = database.open(QUERY).await;
    assert_eq!(text(&origin, "ü").await.as_deref(), Some("ö"));
    let of = key("ü");
    let refused = origin.load(Load::new(&of, 1)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            OriginError::TooLarge {
                len: Some(2),
                limit: 1
            }
        ),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn null_and_no_row_are_not_found_and_the_second_column_is_the_freshness() {
    let database = Database::new("freshness");
    database.sql(
        "INSERT INTO scores VALUES ('Tom', '630', 60), ('half', 'x', 0.5), ('none', 'x', 0),
         ('minus', 'x', -1), ('group', 'x', NULL), ('null', NULL, 5), ('empty', '', NULL),
         ('long', 'x', 1e20), ('endless', 'x', 'Infinity'), ('nan', 'x', 'NaN')",
    );
    let origin = database
        .open("SELECT value, seconds FROM scores WHERE key = $1")
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
        ("endless", Some("x"), seconds(2_147_483_647.0)),
        ("nan", Some("x"), Hint::none()),
        ("nobody", None, Hint::default()),
    ];
    let keys = expected.map(|(of, ..)| of);
    let batch = many(&origin, &keys).await;
    for ((of, value, freshness), batched) in expected.into_iter().zip(batch) {
        let expected = Ok((value.map(Into::into), freshness));
        assert_eq!(shown(batched), expected, "{of} in a batch");
        let of = key(of);
        let single = origin.load(Load::new(&of, LIMIT)).await;
        assert_eq!(shown(single), expected, "{of:?} alone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn keys_are_bound_and_never_read_as_sql() {
    let database = Database::new("keys");
    database.sql(
        "INSERT INTO scores VALUES ('Tom', '630'), ('', 'empty'), ('张三', 'three'),
         ('{\"a\",NULL}', 'braces'), ('NULL', 'null'), (E'a\\\\b\"c', 'quotes')",
    );
    let origin = database.open(QUERY).await;
    let evil = "'; DROP TABLE scores; --";
    let expected = [
        ("Tom", Some("630")),
        ("", Some("empty")),
        ("张三", Some("three")),
        ("{\"a\",NULL}", Some("braces")),
        ("NULL", Some("null")),
        ("a\\b\"c", Some("quotes")),
        (evil, None),
        ("' OR '1'='1", None),
        ("$1", None),
        ("Tom ", None),
        ("tom", None),
    ];
    let batch = many(&origin, &expected.map(|(of, _)| of)).await;
    for ((of, value), batched) in expected.into_iter().zip(batch) {
        assert_eq!(text(&origin, of).await.as_deref(), value, "{of}");
        assert_eq!(value_of(batched.unwrap()), value.map(Into::into), "{of}");
    }
    assert_eq!(database.sql("SELECT count(*) FROM scores"), "6");

    let refused: [&[u8]; 2] = [b"\xFF", b"a\0b"];
    for of in refused {
        assert_eq!(fault(load(&origin, of).await), OriginFault::Key);
    }
    let keys: [&[u8]; 4] = [b"\xFF", b"Tom", b"a\0b", b"nobody"];
    let outcomes = many(&origin, &keys).await;
    assert_eq!(outcomes[0].as_ref().unwrap_err().fault(), OriginFault::Key);
    assert_eq!(outcomes[2].as_ref().unwrap_err().fault(), OriginFault::Key);
    assert_eq!(shown(outcomes[1].clone()).unwrap().0.unwrap(), "630");
    assert_eq!(shown(outcomes[3].clone()).unwrap().0, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn keys_can_be_bytes_or_cast_to_the_type_of_their_column() {
    let database = Database::new("bytes");
    database.sql(
        "CREATE TABLE blobs (key bytea PRIMARY KEY, value text);
         INSERT INTO blobs VALUES ('\\xff00', 'bytes'), ('Tom', '630');
         CREATE TABLE numbers (key bigint PRIMARY KEY, value text);
         INSERT INTO numbers VALUES (7, 'seven'), (8, 'eight')",
    );
    let options = ServerOptions {
        key_type: KeyType::Blob,
        ..database.options("SELECT value FROM blobs WHERE key = $1")
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    assert_eq!(origin.max_batch(), 128);
    let keys: [&[u8]; 3] = [b"\xFF\0", b"Tom", b"\0"];
    let values = many(&origin, &keys).await.into_iter();
    let values: Vec<_> = values.map(|outcome| shown(outcome).unwrap().0).collect();
    assert_eq!(values, [Some("bytes".into()), Some("630".into()), None]);
    assert_eq!(text(&origin, b"\xFF\0").await.as_deref(), Some("bytes"));

    let origin = database
        .open("SELECT value FROM numbers WHERE key = $1::bigint")
        .await;
    assert_eq!(origin.max_batch(), 128);
    assert_eq!(text(&origin, "7").await.as_deref(), Some("seven"));
    let error = load(&origin, "secret").await.unwrap_err();
    assert_eq!(error.fault(), OriginFault::Key);
    assert!(!error.to_string().contains("secret"), "{error}");
    let outcomes = many(&origin, &["7", "secret", "8", "9"]).await;
    let shown: Vec<_> = outcomes.into_iter().map(shown).collect();
    assert_eq!(shown[0].as_ref().unwrap().0, Some("seven".into()));
    assert!(shown[1].is_err());
    assert_eq!(shown[2].as_ref().unwrap().0, Some("eight".into()));
    assert_eq!(shown[3].as_ref().unwrap().0, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_query_that_cannot_be_used_is_refused_at_open() {
    let database = Database::new("refusals");
    database.sql("CREATE ROLE reader LOGIN PASSWORD 'pw'; CREATE VIEW failing AS SELECT key, value FROM scores");
    for (query, reason) in [
        ("SELECT value FROM scoers WHERE key = $1", "scoers"),
        ("SELECT valeu FROM scores WHERE key = $1", "valeu"),
        ("SELECT value FROM WHERE key = $1", "syntax error"),
        ("SELECT value FROM scores", "no parameter"),
        ("SELECT value FROM scores WHERE key = '$1'", "no parameter"),
        ("SELECT value FROM scores WHERE key = $2", "$2"),
        (
            "SELECT value FROM scores WHERE key = $1 AND value <> $2",
            "$2",
        ),
        ("SELECT * FROM scores WHERE key = $1", "3 columns"),
        (
            "SELECT value, key FROM scores WHERE key = $1",
            "\"key\" is TEXT",
        ),
        ("SELECT 1; SELECT $1", "more than one statement"),
        ("DELETE FROM scores WHERE key = $1", "0 columns"),
        (
            "DELETE FROM scores WHERE key = $1 RETURNING value",
            "must be a single SELECT",
        ),
        (
            "WITH d AS (DELETE FROM scores WHERE key = $1 RETURNING value) SELECT value FROM d",
            "must be a single SELECT",
        ),
        (
            "SELECT value FROM scores WHERE key = $1 ) AS r(v); --",
            "syntax error",
        ),
        (
            "SELECT value FROM scores WHERE length(key) = $1",
            "integer = text",
        ),
        ("", "no statement"),
    ] {
        let said = database.refusal(query).await;
        assert!(said.contains(reason), "{query}: {said}");
    }
    let url = postgres()
        .url_of("refusals")
        .replace(&format!("gaggle:{PASSWORD}"), "reader:pw");
    let options = ServerOptions {
        url,
        ..database.options(QUERY)
    };
    let said = PostgresOrigin::open(options).await.unwrap_err().to_string();
    assert!(said.contains("permission denied"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_server_that_cannot_be_used_is_named_without_the_password() {
    let database = Database::new("unreachable");
    let good = database.options(QUERY);
    let port = closed_port().await;
    let wrong = "wrong-horse";
    let cases = [
        (
            good.url
                .replace(&format!(":{}/", postgres().port()), &format!(":{port}/")),
            None,
            "cannot be reached",
        ),
        (
            good.url.clone(),
            Some(wrong),
            "password authentication failed",
        ),
        (postgres().url_of("no_such"), None, "no_such"),
        (
            good.url.replace("postgres://", "mysql://"),
            None,
            "must begin with postgres://",
        ),
        (good.url.clone() + "?sslmode=verify-full", None, "TLS"),
        (good.url.clone() + "?sslmode=nonsense", None, "sslmode"),
    ];
    for (url, password, reason) in cases {
        let options = ServerOptions {
            url,
            password: password.map(ToOwned::to_owned),
            ..good.clone()
        };
        let error = PostgresOrigin::open(options).await.unwrap_err();
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
    let without = good.url.replace(&format!(":{PASSWORD}"), "");
    let options = ServerOptions {
        url: without,
        password: Some(PASSWORD.to_owned()),
        ..good
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    assert!(!format!("{origin:?}").contains(PASSWORD));
    assert_eq!(text(&origin, "nobody").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn queries_of_many_shapes_can_be_wrapped_also_for_batches() {
    let database = Database::new("shapes");
    database.sql(
        "INSERT INTO scores VALUES ('Tom', '630', 1);
         CREATE TABLE log (key text, at int, value text);
         INSERT INTO log VALUES ('Tom', 1, 'old'), ('Tom', 3, 'new'), ('Tom', 2, 'middle');
         CREATE FUNCTION score(wanted text) RETURNS text LANGUAGE sql STABLE
           AS 'SELECT value FROM scores WHERE key = wanted'",
    );
    for (query, expected) in [
        ("SELECT value FROM scores WHERE key = $1;", "630"),
        (
            "SELECT value FROM scores WHERE key = $1 -- the score",
            "630",
        ),
        (
            "SELECT value FROM scores WHERE key = $1; -- ; the score",
            "630",
        ),
        (
            "/* $2 ; */ SELECT value /* ' */ FROM scores WHERE key = $1",
            "630",
        ),
        (
            "SELECT value FROM log WHERE key = $1 ORDER BY at DESC",
            "new",
        ),
        (
            "SELECT value FROM log WHERE key = $1 ORDER BY at LIMIT 1",
            "old",
        ),
        ("SELECT value, value::int FROM scores WHERE key = $1", "630"),
        (
            "SELECT a.value FROM scores a JOIN log b USING (key) WHERE b.key = $1",
            "630",
        ),
        (
            "WITH s AS (SELECT * FROM scores WHERE key = $1) SELECT value FROM s",
            "630",
        ),
        ("SELECT count(*) FROM log WHERE key = $1", "3"),
        (
            "SELECT string_agg(value, ',' ORDER BY at) FROM log WHERE key = $1 GROUP BY key",
            "old,middle,new",
        ),
        (
            "SELECT value FROM scores WHERE key = $1 UNION ALL SELECT 'default'",
            "630",
        ),
        (
            "SELECT row_to_json(s) FROM scores s WHERE key = $1",
            r#"{"key":"Tom","value":"630","seconds":1}"#,
        ),
        ("SELECT score($1)", "630"),
        ("SELECT '$1' || $1", "$1Tom"),
        ("SELECT value FROM scores WHERE key = ANY(ARRAY[$1])", "630"),
        ("VALUES ($1 || '!')", "Tom!"),
    ] {
        let origin = database.open(query).await;
        assert_eq!(origin.max_batch(), 128, "{query}");
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
    // An aggregate of an outer column is one of the outer query.
    let origin = database.open("SELECT max($1)").await;
    assert_eq!(origin.max_batch(), 1);
    assert_eq!(text(&origin, "Tom").await.as_deref(), Some("Tom"));
    for (outcome, expected) in many(&origin, &["a", "b"]).await.into_iter().zip(["a", "b"]) {
        assert_eq!(value_of(outcome.unwrap()).unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_value_over_the_limit_does_not_cross_the_wire() {
    let database = Database::new("large");
    database.sql(
        "INSERT INTO scores VALUES ('huge', repeat('7', 50000000)), ('fits', repeat('分', 300000))",
    );
    let wire = Counting::before(postgres().port()).await;
    let mut options = database.options(QUERY);
    options.url = options.url.replace(
        &format!(":{}/", postgres().port()),
        &format!(":{}/", wire.address.port()),
    );
    let origin = PostgresOrigin::open(options).await.unwrap();
    let of = key("huge");
    let refused = origin.load(Load::new(&of, 8 << 20)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            OriginError::TooLarge {
                len: Some(50_000_000),
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

    let fits = load(&origin, "fits").await.unwrap().unwrap();
    assert_eq!(fits, "分".repeat(300_000));
    let of = key("fits");
    let limit = 900_000;
    let loaded = origin.load(Load::new(&of, limit)).await.unwrap();
    assert_eq!(value_of(loaded).unwrap().len(), 900_000);
    let refused = origin.load(Load::new(&of, limit - 1)).await.unwrap_err();
    assert!(
        matches!(refused, OriginError::TooLarge { .. }),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn values_draw_on_the_budget_and_wait_for_it_without_a_connection() {
    let database = Database::new("budget");
    database.sql(
        "INSERT INTO scores VALUES ('small', repeat('7', 100)), ('medium', repeat('7', 50000)),
         ('large', repeat('7', 1048576)), ('larger', repeat('7', 1048577))",
    );
    let options = ServerOptions {
        max_connections: 1,
        ..database.options(QUERY)
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
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
    let of = key("larger");
    let over = origin.load(Load::new(&of, u64::MAX).within(&budget)).await;
    assert!(matches!(over, Err(OriginError::OverBudget(_))), "{over:?}");
    assert_eq!(budget.used(), 0);
    // In a batch, a value that is too large fails alone.
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
    let waiting = ["large", "medium"].map(|of| {
        let (origin, budget) = (origin.clone(), budget.clone());
        tokio::spawn(async move {
            let of = key(of);
            let loaded = origin.load(Load::new(&of, u64::MAX).within(&budget)).await;
            value_of(loaded.unwrap()).unwrap().len()
        })
    });
    until("both wait", async || budget.waiting() == 2).await;
    assert_eq!(text(&origin, "small").await.unwrap().len(), 100);
    drop(all);
    let [large, medium] = waiting;
    assert_eq!(
        (large.await.unwrap(), medium.await.unwrap()),
        (1 << 20, 50_000)
    );
    assert_eq!((budget.used(), budget.refused()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_batch_brings_what_single_loads_bring() {
    let database = Database::new("batches");
    database.sql(
        "CREATE TABLE log (key text, at int, value text, seconds float8);
         INSERT INTO log SELECT 'k' || n, 0, 'value ' || n, n % 50 FROM generate_series(1, 900) n;
         INSERT INTO log SELECT 'k' || n, 1, 'later ' || n, NULL FROM generate_series(1, 900, 3) n;
         UPDATE log SET value = NULL WHERE at = 0 AND key LIKE '%7';
         UPDATE log SET value = '' WHERE at = 0 AND key LIKE '%11';
         UPDATE log SET value = repeat(key, 1000) WHERE key LIKE '%2';
         UPDATE log SET value = repeat(key, 30000) WHERE key LIKE '%22';
         UPDATE log SET value = repeat('x', 1048577) WHERE key LIKE '%333';
         CREATE INDEX ON log (key)",
    );
    let query = "SELECT value, seconds FROM log WHERE key = $1 ORDER BY at DESC";
    for max_batch in [128, 7] {
        let options = ServerOptions {
            max_batch,
            ..database.options(query)
        };
        let origin = PostgresOrigin::open(options).await.unwrap();
        assert_eq!(origin.max_batch(), max_batch);
        let mut random = fastrand::Rng::with_seed(3);
        let keys: Vec<Vec<u8>> = (0..1000)
            .map(|_| format!("k{}", random.u32(0..1000)).into_bytes())
            .collect();
        assert_batches_equal_singles(&origin, &keys).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_row_that_fails_fails_alone() {
    let database = Database::new("failing");
    database.sql("INSERT INTO scores SELECT 'k' || n, n, 1 FROM generate_series(0, 199) n");
    let origin = database
        .open("SELECT 1000 / (value::int - 77) FROM scores WHERE key = $1")
        .await;
    let keys: Vec<String> = (0..128).map(|n| format!("k{n}")).collect();
    for (n, outcome) in many(&origin, &keys).await.into_iter().enumerate() {
        if n == 77 {
            let error = outcome.unwrap_err();
            assert_eq!(error.fault(), OriginFault::Key);
            assert!(error.to_string().contains("22012"), "{error}");
        } else {
            let expected = (1000 / (i32::try_from(n).unwrap() - 77)).to_string();
            assert_eq!(value_of(outcome.unwrap()).unwrap(), expected, "{n}");
        }
    }
    // A failure that affects all keys takes one statement.
    database.sql("ALTER TABLE scores RENAME TO gone");
    for outcome in many(&origin, &keys).await {
        assert!(outcome.unwrap_err().to_string().contains("scores"));
    }
    drop(origin);
    all_closed("failing").await;
    let sql = "SELECT xact_rollback FROM pg_stat_database WHERE datname = 'failing'";
    // Those of 128, 64, 32, 16, 8, 4, 2 and 1 keys that hold the bad one.
    assert_eq!(postgres().psql(sql), (8 + 1).to_string());
}

/// Waits until no client is connected to a database, whose statistics are complete then.
async fn all_closed(database: &str) {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
    until("all connections are closed", async || {
        postgres().psql(&sql) == "0"
    })
    .await;
}

/// How many transactions a database has run. Each statement of an origin is one.
fn statements(database: &str) -> u64 {
    let sql = format!(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{database}'"
    );
    postgres().psql(&sql).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_slow_statement_is_ended_by_the_server_and_its_connection_goes_on() {
    let database = Database::new("slow");
    let slow = "SELECT CASE WHEN $1 = 'slow' THEN pg_sleep(600)::text ELSE $1 END";
    let options = ServerOptions {
        statement_timeout: Duration::from_secs(2),
        max_connections: 1,
        ..database.options(slow)
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    assert_eq!(fault(load(&origin, "slow").await), OriginFault::TimedOut);
    assert_eq!(text(&origin, "quick").await.as_deref(), Some("quick"));
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
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn the_statement_of_a_dropped_load_ends_and_its_connection_comes_free() {
    let database = Database::new("dropped");
    let slow = "SELECT CASE WHEN $1 = 'slow' THEN pg_sleep(600)::text ELSE $1 END";
    let options = ServerOptions {
        statement_timeout: Duration::from_secs(600),
        acquire_timeout: Duration::from_millis(50),
        max_connections: 2,
        ..database.options(slow)
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active' \
                   AND application_name = 'gaggle' AND datname = 'dropped'";
    let loads: Vec<_> = (0..2)
        .map(|_| {
            let origin = origin.clone();
            tokio::spawn(async move { load(&origin, "slow").await })
        })
        .collect();
    until("both run", async || postgres().psql(running) == "2").await;
    // All connections are in use.
    assert_eq!(fault(load(&origin, "quick").await), OriginFault::Busy);
    for load in loads {
        load.abort();
    }
    until("both end", async || postgres().psql(running) == "0").await;
    until("a connection comes free", async || {
        load(&origin, "quick").await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn loads_dropped_at_any_point_leave_no_answer_to_others() {
    let database = Database::new("mixed");
    let options = ServerOptions {
        max_connections: 2,
        acquire_timeout: BOUND,
        ..database.options("SELECT repeat($1, 3000)")
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
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
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn more_loads_than_connections_wait_and_are_answered() {
    let database = Database::new("pool");
    let options = ServerOptions {
        max_connections: 3,
        acquire_timeout: BOUND,
        ..database.options("SELECT $1 || pg_sleep(0.01)::text")
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    let loads = (0..30).map(|n| {
        let origin = &origin;
        async move { text(origin, n.to_string()).await.unwrap() }
    });
    for (n, value) in join_all(loads).await.into_iter().enumerate() {
        assert_eq!(value, n.to_string());
    }
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'pool'";
    assert_eq!(postgres().psql(connections), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn idle_connections_are_closed() {
    let database = Database::new("idle");
    let options = ServerOptions {
        idle_timeout: Duration::from_millis(100),
        ..database.options(QUERY)
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    assert_eq!(text(&origin, "nobody").await, None);
    all_closed("idle").await;
    assert_eq!(text(&origin, "nobody").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_restart_between_loads_costs_no_load_an_error() {
    let server = Postgres::start(PostgresOptions::default());
    server.psql("CREATE TABLE scores (key text PRIMARY KEY, value text); INSERT INTO scores VALUES ('Tom', '630')");
    let options = ServerOptions {
        url: server.url(),
        query: QUERY.to_owned(),
        acquire_timeout: BOUND,
        connect_timeout: BOUND,
        ..ServerOptions::default()
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    for restart in [Postgres::restart, |server: &Postgres| {
        server.kill();
        server.start_again();
    }] {
        // Some connections.
        for value in join_all((0..8).map(|_| text(&origin, "Tom"))).await {
            assert_eq!(value.as_deref(), Some("630"));
        }
        restart(&server);
        for value in join_all((0..8).map(|_| text(&origin, "Tom"))).await {
            assert_eq!(value.as_deref(), Some("630"));
        }
        restart(&server);
        for outcome in many(&origin, &["Tom", "nobody", "Tom"]).await {
            assert!(outcome.is_ok(), "{outcome:?}");
        }
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
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_statement_that_breaks_off_is_reported_as_such() {
    let server = Postgres::start(PostgresOptions::default());
    let options = ServerOptions {
        url: server.url(),
        query: "SELECT $1 || CASE WHEN $1 = 'slow' THEN pg_sleep(600)::text ELSE '' END".to_owned(),
        statement_timeout: Duration::from_secs(600),
        ..ServerOptions::default()
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active' \
                   AND application_name = 'gaggle'";
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' \
                AND application_name = 'gaggle'";
    let loading = {
        let origin = origin.clone();
        tokio::spawn(async move { load(&origin, "slow").await })
    };
    // Its first connection has been used: it is asked once more, on another.
    until("it runs", async || server.psql(running) == "1").await;
    server.psql(kill);
    until("it runs again", async || server.psql(running) == "1").await;
    server.psql(kill);
    assert_eq!(fault(loading.await.unwrap()), OriginFault::BrokeOff);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn loads_go_to_replicas_in_turn_and_to_the_primary_where_none_is_there() {
    let [primary, a, b] = ["primary_one", "replica_a", "replica_b"].map(Database::new);
    for database in [&primary, &a, &b] {
        database.sql(&format!(
            "INSERT INTO scores VALUES ('where', '{}')",
            database.0
        ));
    }
    let url = |database: &Database| postgres().url_of(database.0);
    let closed = format!("postgres://gaggle:x@127.0.0.1:{}/d", closed_port().await);
    let open = async |url: &str, replicas: &[&str]| {
        let options = ServerOptions {
            url: url.to_owned(),
            replicas: replicas.iter().map(|url| (*url).to_owned()).collect(),
            ..primary.options(QUERY)
        };
        PostgresOrigin::open(options).await
    };
    let places = async |origin: &PostgresOrigin| {
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(text(origin, "where").await.unwrap());
        }
        places.sort();
        places
    };
    let both = open(&url(&primary), &[&url(&a), &url(&b)]).await.unwrap();
    assert_eq!(
        places(&both).await,
        ["replica_a", "replica_a", "replica_b", "replica_b"]
    );
    let one = open(&url(&primary), &[&closed, &url(&b)]).await.unwrap();
    assert_eq!(places(&one).await, ["replica_b"; 4]);
    let none = open(&url(&primary), &[&closed, &closed]).await.unwrap();
    assert_eq!(places(&none).await, ["primary_one"; 4]);
    let without_primary = open(&closed, &[&url(&a)]).await.unwrap();
    assert_eq!(places(&without_primary).await, ["replica_a"; 4]);
    let error = open(&closed, &[&closed]).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn certificates_are_verified() {
    let (ca, tls) = certificates();
    let server = Postgres::start(PostgresOptions {
        tls: Some(tls),
        ..PostgresOptions::default()
    });
    let options = ServerOptions {
        url: server.url().replace("127.0.0.1", "localhost") + "?sslmode=verify-full",
        query: "SELECT $1 || ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()".to_owned(),
        ca_pem: Some(ca.clone().into_bytes()),
        ..ServerOptions::default()
    };
    let origin = PostgresOrigin::open(options.clone()).await.unwrap();
    assert_eq!(text(&origin, "tls: ").await.as_deref(), Some("tls: true"));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &ca).unwrap();
    let by_file = ServerOptions {
        ca_pem: None,
        ca_file: Some(file.path().to_owned()),
        ..options.clone()
    };
    let origin = PostgresOrigin::open(by_file).await.unwrap();
    assert_eq!(text(&origin, "tls: ").await.as_deref(), Some("tls: true"));

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
        // The certificate is for another name.
        ServerOptions {
            url: options.url.replace("localhost", "127.0.0.1"),
            ..options.clone()
        },
    ];
    for options in wrong {
        let error = PostgresOrigin::open(options).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    let unverified = ServerOptions {
        url: options.url.replace("verify-full", "require"),
        ..options
    };
    let error = PostgresOrigin::open(unverified).await.unwrap_err();
    assert!(error.to_string().contains("sslmode=verify-full"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_batch_uses_the_index_of_the_key_column() {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let server = Postgres::start(PostgresOptions {
        settings: vec![
            setting("session_preload_libraries", "auto_explain"),
            setting("auto_explain.log_min_duration", "0"),
        ],
        ..PostgresOptions::default()
    });
    server.psql(
        "CREATE TABLE scores (key text PRIMARY KEY, value text);
         INSERT INTO scores SELECT 'k' || n, n FROM generate_series(1, 20000) n; ANALYZE scores",
    );
    let options = ServerOptions {
        url: server.url(),
        query: QUERY.to_owned(),
        ..ServerOptions::default()
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    let keys: Vec<String> = (0..128).map(|n| format!("k{n}")).collect();
    // Often enough for the server to choose a generic plan.
    for _ in 0..10 {
        many(&origin, &keys).await;
    }
    let log = server.log();
    let plans: Vec<&str> = log
        .split("LOG:")
        .filter(|entry| entry.contains("Function Scan on unnest"))
        .collect();
    assert!(plans.len() >= 10, "{log}");
    for plan in plans {
        assert!(plan.contains("Index Scan using scores_pkey"), "{plan}");
        assert!(!plan.contains("Seq Scan"), "{plan}");
    }
}

/// Prints what single loads and batches cost. Run it with `--nocapture`, and `--release`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn batches_need_fewer_statements() {
    let database = Database::new("measured");
    database.sql("INSERT INTO scores SELECT 'k' || n, repeat('7', 100), 60 FROM generate_series(1, 10000) n; ANALYZE scores");
    let options = ServerOptions {
        acquire_timeout: BOUND,
        ..database.options(QUERY)
    };
    let origin = PostgresOrigin::open(options).await.unwrap();
    let keys: Vec<Key> = (1..=10_000).map(|n| key(format!("k{n}"))).collect();
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
    let started = std::time::Instant::now();
    for keys in keys.chunks(128) {
        let loads: Vec<_> = keys.iter().map(|of| Load::new(of, LIMIT)).collect();
        for outcome in origin.load_many(&loads).await {
            assert!(value_of(outcome.unwrap()).is_some());
        }
    }
    let batches = started.elapsed();
    drop(origin);
    all_closed("measured").await;
    println!(
        "10,000 keys: {singles:?} alone (64 at once), {batches:?} in batches of 128 (one at a time)"
    );
    println!("statements in all: {}", statements("measured"));
    assert!(statements("measured") < 10_000 + 79 + 150);
}
