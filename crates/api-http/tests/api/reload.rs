//! `POST /reload`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gaggle_api_http::{Readiness, Reload, ReloadError, Reloaded};
use gaggle_group::async_trait;
use serde_json::json;

use crate::client::Client;
use crate::cluster::{client, group, reloading};

/// Gives the configured answer, and counts the reloads that it applied.
struct Fake {
    refuses: Option<ReloadError>,
    generation: AtomicU64,
}

#[async_trait]
impl Reload for Fake {
    fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    async fn reload(&self) -> Result<Reloaded, ReloadError> {
        match &self.refuses {
            Some(refused) => Err(refused.clone()),
            None => Ok(Reloaded {
                generation: self.generation.fetch_add(1, Relaxed) + 1,
                changed: vec!["groups.scores.ttl".to_owned()],
            }),
        }
    }
}

fn node(refuses: Option<ReloadError>) -> Client {
    let generation = AtomicU64::new(1);
    let reload = Arc::new(Fake {
        refuses,
        generation,
    });
    reloading([group("scores", &[])], Readiness::new(), reload)
}

#[tokio::test]
async fn a_reload_tells_what_has_changed_and_the_status_its_generation() {
    let node = node(None);
    assert_eq!(node.get("/status").await.json()["generation"], 1);
    let answer = node.send("POST", "/reload", "").await;
    assert_eq!(answer.status, 200);
    let expected = json!({"generation": 2, "changed": ["groups.scores.ttl"]});
    assert_eq!(answer.json(), expected);
    assert_eq!(node.get("/status").await.json()["generation"], 2);
}

#[tokio::test]
async fn a_refusal_is_one_line_with_a_status_of_its_own() {
    for (refuses, status) in [
        (ReloadError::Invalid("a\nb".to_owned()), 422),
        (ReloadError::Fixed("a\nb".to_owned()), 409),
        (ReloadError::Unavailable("a\nb".to_owned()), 503),
    ] {
        let node = node(Some(refuses));
        let answer = node.send("POST", "/reload", "").await;
        assert_eq!((answer.status, answer.text()), (status, "a\\nb"));
        assert_eq!(node.get("/status").await.json()["generation"], 1);
    }
}

#[tokio::test]
async fn only_a_post_reloads() {
    let node = node(None);
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let answer = node.send(method, "/reload", "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("POST")),
            "{method}"
        );
    }
    assert_eq!(node.get("/status").await.json()["generation"], 1);
}

#[tokio::test]
async fn a_node_without_a_configuration_says_so() {
    let client = client([group("scores", &[])]);
    let answer = client.send("POST", "/reload", "").await;
    assert_eq!(answer.status, 503);
    assert_eq!(client.get("/status").await.json()["generation"], 1);
}
