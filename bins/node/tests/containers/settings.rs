//! What a container of the cluster may not do, according to the engine and to the kernel.

use crate::PATIENCE;
use crate::engine::{attempt, inspect};
use crate::load::Load;
use crate::stack::{GATEWAY, Stack};

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn containers_have_no_rights_and_bounds_for_everything() {
    let stack = Stack::with_keys(1).await;
    let nodes = stack.nodes().await;
    let mut containers: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
    containers.push(stack.gateway().await);
    for id in &containers {
        let host =
            async |field: &str| inspect(id, &format!("{{{{json .HostConfig.{field}}}}}")).await;
        assert_eq!(host("ReadonlyRootfs").await, "true");
        assert_eq!(host("CapDrop").await, "[\"ALL\"]");
        assert_eq!(host("CapAdd").await, "null");
        assert_eq!(host("Privileged").await, "false");
        assert!(host("SecurityOpt").await.contains("no-new-privileges"));
        assert!(host("Memory").await.parse::<u64>().unwrap() > 0);
        assert!(host("PidsLimit").await.parse::<u64>().unwrap() > 0);
        assert!(host("LogConfig").await.contains("max-size"));
        let mounts = inspect(id, "{{json .Mounts}}").await;
        assert!(!mounts.contains("\"RW\":true"), "{mounts}");

        let pid = inspect(id, "{{.State.Pid}}").await;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim_start_matches(':').trim().to_owned()
        };
        for set in ["CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
        assert!(
            !field("Uid").split_whitespace().any(|id| id == "0"),
            "{}",
            field("Uid")
        );
    }
    for node in &nodes {
        assert_eq!(inspect(&node.id, "{{.Config.User}}").await, "65532:65532");
        let networks = inspect(&node.id, "{{json .NetworkSettings.Ports}}").await;
        assert!(
            !networks.contains("HostPort"),
            "a node's port is published: {networks}"
        );
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn nothing_but_the_front_door_is_reached_from_outside() {
    let stack = Stack::with_keys(1).await;
    for node in stack.nodes().await {
        let names = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
        let networks = inspect(&node.id, names).await;
        assert_eq!(networks.split_whitespace().count(), 1, "{networks}");
        assert_eq!(inspect(&networks, "{{.Internal}}").await, "true");
    }
    let gateway = stack.gateway().await;
    let addresses = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    let addresses = inspect(&gateway, addresses).await;
    assert_eq!(addresses.split_whitespace().count(), 2, "{addresses}");
    for address in addresses.split_whitespace() {
        let url = format!("http://{address}:9990/livez");
        let curl = [
            "curl",
            "--silent",
            "--noproxy",
            "*",
            "--max-time",
            "5",
            &url,
        ];
        let asked = attempt(&curl, PATIENCE).await;
        assert!(asked.is_err(), "the gateway's admin port answers at {url}");
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn a_node_that_is_told_to_stop_drains_and_exits_with_0() {
    let stack = Stack::with_keys(30).await;
    let load = Load::start(vec![GATEWAY.into()], 30);
    let node = stack.nodes().await.remove(0);
    let begun = std::time::Instant::now();
    crate::engine::run(&["docker", "stop", "--time", "20", &node.id]).await;
    println!("stopped in {:.1?}", begun.elapsed());
    assert_eq!(node.exit_code().await, "0");
    load.end()
        .await
        .assert_unharmed("one of three nodes was stopped");
}
