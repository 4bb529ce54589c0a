//! The budget that values draw on while they are read.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use gaggle_group::{ByteBudget, Content, Key, Load, Origin, OriginError};
use gaggle_origin_sql::{SqliteOptions, SqliteOrigin};
use support::{Database, load};

const MIB: usize = 1 << 20;
/// How long a test waits for an expected event.
const BOUND: Duration = Duration::from_secs(30);

/// A stored value is measured before it is read, and a computed one after.
const QUERIES: [&str; 2] = [
    "SELECT value FROM scores WHERE key = ?1",
    "SELECT value || '' FROM scores WHERE key = ?1",
];

async fn origins(database: &Database) -> Vec<SqliteOrigin> {
    let mut origins = Vec::new();
    for query in QUERIES {
        let options = SqliteOptions {
            query: query.into(),
            ..database.options()
        };
        origins.push(SqliteOrigin::open(options).await.unwrap());
    }
    origins
}

#[tokio::test]
async fn a_value_draws_on_the_budget_while_it_is_read() {
    let mut database = Database::new().await;
    for (key, len) in [
        ("small", 100),
        ("medium", 50_000),
        ("large", MIB),
        ("larger", MIB + 1),
    ] {
        database.insert(key, &vec![b'7'; len]).await;
    }
    for origin in origins(&database).await {
        let budget = ByteBudget::new(MIB as u64, Duration::ZERO);
        for (key, len, peak) in [
            ("small", 100, 0),
            ("medium", 50_000, 50_000),
            ("large", MIB, MIB),
        ] {
            let key = Key::from(key);
            let load = Load::new(&key, u64::MAX).within(&budget);
            let loaded = origin.load(load).await.unwrap();
            assert_eq!(loaded.content, Content::Value(vec![b'7'; len].into()));
            assert_eq!((budget.used(), budget.peak()), (0, peak as u64));
        }
        let key = Key::from("larger");
        let load = Load::new(&key, u64::MAX).within(&budget);
        let over = origin.load(load).await;
        assert!(matches!(over, Err(OriginError::OverBudget(_))), "{over:?}");
        assert_eq!(budget.used(), 0);
    }
}

#[tokio::test]
async fn a_large_value_is_what_a_small_one_is() {
    let mut database = Database::new().await;
    database.insert("blob", &vec![0xFF; 100_000]).await;
    database
        .write(
            "INSERT INTO scores VALUES ('text', replace(hex(zeroblob(50000)), '00', '分') || '数')",
        )
        .await;
    let expected = "分".repeat(50_000) + "数";
    let limit = expected.len() as u64;
    for origin in origins(&database).await {
        let key = Key::from("text");
        let loaded = origin.load(Load::new(&key, limit)).await.unwrap();
        assert_eq!(loaded.content, Content::Value(expected.clone().into()));
        let refused = origin.load(Load::new(&key, limit - 1)).await.unwrap_err();
        assert!(
            matches!(refused, OriginError::TooLarge { len: Some(len), .. } if len == limit),
            "{refused:?}"
        );
        let key = Key::from("blob");
        let loaded = origin.load(Load::new(&key, limit)).await.unwrap();
        let Content::Value(value) = loaded.content else {
            panic!("{loaded:?}");
        };
        assert_eq!(value.len(), 100_000);
    }
}

#[tokio::test]
async fn a_stored_value_over_the_limit_is_refused_by_its_length() {
    let mut database = Database::new().await;
    database
        .write("INSERT INTO scores VALUES ('huge', zeroblob(50000000))")
        .await;
    let key = Key::from("huge");
    for origin in origins(&database).await {
        let refused = origin.load(Load::new(&key, 8 << 20)).await.unwrap_err();
        assert!(
            matches!(refused, OriginError::TooLarge { len: Some(_), .. }),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_load_that_waits_for_bytes_leaves_its_connection_to_others() {
    let mut database = Database::new().await;
    for (key, len) in [("large", MIB), ("gone", MIB), ("small", 100)] {
        database.insert(key, &vec![b'7'; len]).await;
    }
    for query in QUERIES {
        let options = SqliteOptions {
            query: query.into(),
            max_connections: 1,
            ..database.options()
        };
        let origin = SqliteOrigin::open(options).await.unwrap();
        let budget = ByteBudget::new(2 * MIB as u64, BOUND);
        let all = budget.reserve(2 * MIB as u64).await.unwrap();
        let waiting = ["large", "gone"].map(|key| {
            let (origin, budget) = (origin.clone(), budget.clone());
            tokio::spawn(async move {
                let key = Key::from(key);
                let load = Load::new(&key, u64::MAX).within(&budget);
                Ok::<_, OriginError>(origin.load(load).await?.content)
            })
        });
        let both_wait = async {
            while budget.waiting() < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, both_wait).await.unwrap();
        let small = load(&origin, "small").await.unwrap();
        assert_eq!(small.unwrap().len(), 100);

        database
            .write("DELETE FROM scores WHERE key = 'gone'")
            .await;
        drop(all);
        let [large, gone] = waiting;
        let large = large.await.unwrap().unwrap();
        assert_eq!(large, Content::Value(vec![b'7'; MIB].into()));
        assert_eq!(gone.await.unwrap().unwrap(), Content::Absent);
        assert_eq!((budget.used(), budget.refused()), (0, 0));
        database.insert("gone", &vec![b'7'; MIB]).await;
    }
}

#[tokio::test]
async fn a_limit_is_of_utf_8_whatever_the_databases_encoding() {
    for encoding in ["UTF-8", "UTF-16le", "UTF-16be"] {
        let mut database = Database::encoded(encoding).await;
        database
            .write("INSERT INTO scores VALUES ('ascii', replace(hex(zeroblob(50000)), '0', '7'))")
            .await;
        // Two bytes each in UTF-16, and three in UTF-8.
        database
            .write("INSERT INTO scores VALUES ('wide', replace(hex(zeroblob(50000)), '0', '数'))")
            .await;
        for origin in origins(&database).await {
            for (key, expected) in [
                ("ascii", "7".repeat(100_000)),
                ("wide", "数".repeat(100_000)),
            ] {
                let key = Key::from(key);
                let limit = expected.len() as u64;
                let loaded = origin.load(Load::new(&key, limit)).await.unwrap();
                assert_eq!(
                    loaded.content,
                    Content::Value(expected.into()),
                    "{encoding}"
                );
                let refused = origin.load(Load::new(&key, limit - 1)).await.unwrap_err();
                assert!(
                    matches!(refused, OriginError::TooLarge { len: Some(len), .. } if len == limit),
                    "{encoding}: {refused:?}"
                );
            }
        }
    }
}
