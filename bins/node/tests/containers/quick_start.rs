//! What the top of docker-compose.yml promises, in each spelling of Compose.

use crate::engine::{inspect, run, spellings};
use crate::stack::Stack;
use crate::{PATIENCE, until};

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn three_nodes_answer_at_the_front_door() {
    for spelling in spellings().await {
        let stack = Stack::quick_start(&spelling).await;
        let curl = [
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "10",
            "http://localhost:9999/api?key=Tom",
        ];
        assert_eq!(run(&curl).await, "630");
        let mut containers: Vec<_> = stack
            .nodes()
            .await
            .into_iter()
            .map(|node| node.id)
            .collect();
        assert_eq!(containers.len(), 3);
        containers.push(stack.gateway().await);
        for container in containers {
            let took = until("a healthy container", PATIENCE, async || {
                inspect(&container, "{{.State.Health.Status}}").await == "healthy"
            });
            took.await;
        }
        println!(
            "{}: three healthy nodes and a healthy gateway",
            spelling.join(" ")
        );
    }
}
