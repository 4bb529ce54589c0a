//! One node in its container, asked from this machine at the container's own address.

use std::time::Duration;

use serde_json::Value;

use crate::PATIENCE;
use crate::engine::{attempt, inspect, run};

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) ip: String,
    /// The id of the node's process, as this machine sees it.
    pub(crate) pid: String,
    client: reqwest::Client,
}

impl Node {
    /// None if the container has ended meanwhile.
    pub(crate) async fn of(id: String) -> Option<Self> {
        let template = "{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let told = attempt(&["docker", "inspect", "--format", template, &id], PATIENCE)
            .await
            .ok()?;
        let (pid, ip) = told.split_once(' ').filter(|(_, ip)| !ip.is_empty())?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        Some(Self {
            ip: ip.into(),
            pid: pid.into(),
            id,
            client,
        })
    }

    pub(crate) async fn status(&self) -> Option<Value> {
        let url = format!("http://{}:9990/status", self.ip);
        let answer = self
            .client
            .get(url)
            .timeout(Duration::from_secs(2))
            .send()
            .await
            .ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }

    /// Whether that peer is up, as this node sees it.
    pub(crate) async fn sees_up(&self, peer: &Self) -> Option<bool> {
        let name = format!("{}:8001", peer.ip);
        let status = self.status().await?;
        let peers = status["ring"]["peers"].as_array()?;
        peers.iter().find(|peer| peer["name"] == name.as_str())?["up"].as_bool()
    }

    /// Loads from the origin that returned a value, since the node's start.
    pub(crate) async fn origin_loads(&self) -> u64 {
        let status = self.status().await.unwrap();
        status["groups"]["scores"]["loads_total"]["origin"]["ok"]
            .as_u64()
            .unwrap()
    }

    /// A key from this node's own front door: the status and the value, or what went wrong.
    pub(crate) async fn get(&self, key: &str) -> Result<(u16, String), reqwest::Error> {
        let answer = self
            .client
            .get(format!("http://{}:9999/v1/scores/{key}", self.ip))
            .send()
            .await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Loses every packet between this node and that address; all of them without one.
    pub(crate) async fn drop_packets(&self, address: Option<&str>) {
        self.rules("-I", address).await;
    }

    /// Undoes [`drop_packets`](Self::drop_packets).
    pub(crate) async fn pass_packets(&self, address: Option<&str>) {
        self.rules("-D", address).await;
    }

    async fn rules(&self, change: &str, address: Option<&str>) {
        for (chain, end, interface) in [
            ("INPUT", "--source", "-i"),
            ("OUTPUT", "--destination", "-o"),
        ] {
            let mut words = vec![
                "nsenter", "--net", "--target", &self.pid, "iptables", "-w", change, chain,
            ];
            match address {
                Some(address) => words.extend([end, address]),
                // The loopback is excluded: Docker's DNS and the container's health check use it.
                None => words.extend(["!", interface, "lo"]),
            }
            words.extend(["-j", "DROP"]);
            run(&words).await;
        }
    }

    pub(crate) async fn exit_code(&self) -> String {
        inspect(&self.id, "{{.State.ExitCode}}").await
    }
}
