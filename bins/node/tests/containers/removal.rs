//! A removal in the shipped cluster: the gateway, whose port is the only one published, holds a
//! copy and is notified.

use crate::engine::run;
use crate::stack::{GATEWAY, Stack, key};
use crate::{PATIENCE, until};

/// The gateway's value, and how it was obtained.
async fn ask(client: &reqwest::Client) -> (String, String) {
    let url = format!("{GATEWAY}/v1/scores/{}", key(0));
    let answer = client.get(url).send().await.unwrap();
    let status = answer.headers()["cache-status"]
        .to_str()
        .unwrap()
        .to_owned();
    (answer.text().await.unwrap(), status)
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn a_removal_reaches_the_door_and_from_the_door_the_nodes() {
    let stack = Stack::with_keys(1).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let node = stack.nodes().await.remove(0).id;
    let gateway = stack.gateway().await;
    // The removal comes from a node, which has to tell the gateway, and from the gateway, which
    // has to tell the nodes.
    for (n, container) in [&node, &gateway].into_iter().enumerate() {
        let copied = until("a copy at the gateway", PATIENCE, async || {
            ask(&client).await.1.contains("detail=hot")
        });
        copied.await;
        let new = format!("new-{n}");
        stack.write(0, &new);
        assert_ne!(ask(&client).await.0, new, "a cache asks once");
        let remove = [
            "docker",
            "exec",
            container,
            "/usr/local/bin/gagglectl",
            "remove",
            &key(0),
        ];
        let told = run(&remove).await;
        println!("{told}");
        let (value, status) = ask(&client).await;
        assert_eq!(value, new, "{status}");
    }
}
