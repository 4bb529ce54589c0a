//! The text of an origin's failure and its address leave the node by no port, and are in its log.
#![allow(clippy::unwrap_used, clippy::panic)]

mod log;
mod node;
mod origins;

use crate::log::Log;
use crate::node::Node;
use crate::origins::{Failing, OTHER, every_origin};

/// The key whose value each origin here fails to bring. No log above `debug` has it.
const KEY: &str = "Zebedee";

#[tokio::test]
async fn no_answer_says_where_an_origin_is_and_the_log_says_it_all() {
    for Failing {
        name,
        group,
        secrets,
        fault,
        logged,
        _kept,
    } in every_origin().await
    {
        let log = Log::default();
        let _guard = log.take();
        let node = Node::serve(group).await;
        let answers = node.every_answer(KEY).await;
        assert_eq!(answers.len(), 13);
        for (endpoint, answer) in answers {
            for secret in &secrets {
                assert!(
                    !answer.contains(secret),
                    "{name}: {endpoint} tells {secret}: {answer}"
                );
            }
            if endpoint.starts_with("front") || endpoint.starts_with("batch") {
                let said = match fault {
                    // Another node makes a failure of the owner's origin of it.
                    "the load panicked" if !endpoint.contains("asked over") => {
                        "group scores: the load panicked".to_owned()
                    }
                    fault => format!("group scores: the origin failed: {fault}"),
                };
                assert!(answer.contains(&said), "{name}: {endpoint}: {answer}");
            }
        }
        let text = log.text();
        for part in logged {
            assert!(text.contains(&part), "{name}: no {part} in the log: {text}");
        }
        assert!(!text.contains(KEY), "{name}: {text}");
        assert!(!text.contains("hunter2-header"), "{name}: {text}");
    }
}

#[tokio::test]
async fn what_another_kind_of_node_says_of_its_origin_goes_no_further() {
    let secret = "mysql://root:hunter2@db.internal";
    let node = Node::asking_one_that_says(secret);
    for (endpoint, answer) in node.front_answers(KEY).await {
        let said = format!("group scores: the origin failed: {OTHER}");
        assert!(
            endpoint == "head: /v1" || answer.contains(&said),
            "{endpoint}: {answer}"
        );
        for part in ["hunter2", "db.internal", "http://owner"] {
            assert!(!answer.contains(part), "{endpoint}: {answer}");
        }
    }
}
