//! A group of structs: keys with a type, values with a type, a batch query, and tests without a
//! database.
//!
//! `cargo run -p gaggle --example typed`, and `cargo test -p gaggle --example typed` for its
//! tests, which show how a program tests its own groups.

#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gaggle::{BuildError, TypedError, TypedGroup};
use serde::{Deserialize, Serialize};

/// A key of the program's own. `text_key!` takes it from `Display` and `FromStr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct UserId(u64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{}", self.0)
    }
}

impl FromStr for UserId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('u').and_then(|text| text.parse().ok());
        number.map(Self).ok_or("expected u and a number")
    }
}

gaggle::text_key!(UserId);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    points: u32,
    /// Added in a later release: values of older ones can still be read.
    #[serde(default)]
    team: Option<String>,
}

/// What the program asks of its database. Tests have another one.
trait Database: Send + Sync + 'static {
    /// As `SELECT ... WHERE id = ANY($1)`.
    fn users(
        &self,
        ids: &[UserId],
    ) -> impl Future<Output = std::io::Result<HashMap<UserId, User>>> + Send;
}

fn users(database: Arc<impl Database>) -> Result<TypedGroup<UserId, User>, BuildError> {
    TypedGroup::builder("users")
        .capacity(64 << 20)
        .keep_decoded(16 << 20)
        .origin_batch_fn(100, move |ids: Vec<UserId>| {
            let database = Arc::clone(&database);
            async move { database.users(&ids).await }
        })
        .build()
}

/// A rule of the program's that is worth a test.
async fn best(
    users: &TypedGroup<UserId, User>,
    ids: &[UserId],
) -> Result<Option<Arc<User>>, TypedError> {
    let mut best: Option<Arc<User>> = None;
    for user in users.get_many(ids).await {
        if let Some(user) = user?
            && best.as_ref().is_none_or(|best| best.points < user.points)
        {
            best = Some(user);
        }
    }
    Ok(best)
}

/// A table in memory.
struct Table(HashMap<UserId, User>);

impl Database for Table {
    async fn users(&self, ids: &[UserId]) -> std::io::Result<HashMap<UserId, User>> {
        println!("[database] {ids:?}");
        let found = ids
            .iter()
            .filter_map(|id| Some((*id, self.0.get(id)?.clone())));
        Ok(found.collect())
    }
}

fn table() -> Table {
    let user = |name: &str, points| User {
        name: name.into(),
        points,
        team: None,
    };
    Table(HashMap::from([
        (UserId(1), user("Tom", 630)),
        (UserId(2), user("Jack", 589)),
    ]))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let users = users(Arc::new(table()))?;
    let ids = [UserId(1), UserId(2), UserId(3)];
    println!("the best of {ids:?}: {:?}", best(&users, &ids).await?);
    println!("the best of {ids:?}: {:?}", best(&users, &ids).await?);
    let jack = users.get(&UserId(2)).await?;
    let more = User {
        points: 700,
        ..(*jack).clone()
    };
    let removal = users.put(&UserId(2), &more).await?;
    anyhow::ensure!(removal.missed.is_empty(), "every node has been told");
    println!("and now: {:?}", best(&users, &ids).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn the_best_is_the_one_with_the_most_points() {
        let users = users(Arc::new(table())).unwrap();
        let ids = [UserId(2), UserId(3), UserId(1)];
        let best = best(&users, &ids).await.unwrap();
        assert_eq!(best.unwrap().name, "Tom");
    }

    #[tokio::test]
    async fn nobody_is_the_best_of_nobody() {
        let users = users(Arc::new(table())).unwrap();
        assert_eq!(best(&users, &[UserId(3)]).await.unwrap(), None);
    }

    #[test]
    fn users_of_an_older_release_can_be_read() {
        use gaggle::{Codec as _, Json};
        let old = bytes::Bytes::from_static(br#"{"name":"Tom","points":630}"#);
        let user: User = Json.decode(&old).unwrap();
        assert_eq!(user.team, None);
    }
}
