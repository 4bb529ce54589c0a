//! The demo. Its ports are fixed, because its text says what to type: this test takes
//! 127.0.0.1:8001 to 8003, 9999 and 9990 to 9992, and is skipped where one of them is in use.

use std::net::TcpListener;

use crate::support::{Client, Process, command, until};

const PORTS: [u16; 7] = [8001, 8002, 8003, 9999, 9990, 9991, 9992];

#[tokio::test]
async fn the_demo_does_what_it_says() {
    if let Some(taken) = PORTS
        .iter()
        .find(|port| TcpListener::bind(("127.0.0.1", **port)).is_err())
    {
        println!("SKIPPED: the demo's port {taken} is in use on this machine");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("stdout");
    let mut demo = command();
    demo.stdout(std::fs::File::create(&told).unwrap());
    let mut demo = Process::spawn("gaggle-node", demo);
    until("the demo to say what to try", async || {
        let told = std::fs::read_to_string(&told).unwrap();
        told.contains("curl 'http://localhost:9999/api?key=Tom'")
            && told.contains("Ctrl-C stops the demo.")
    })
    .await;

    let client = Client::new();
    let api = "127.0.0.1:9999".parse().unwrap();
    for (target, status, body) in [
        ("/api?key=Tom", 200, "630"),
        ("/api?key=Jack&group=scores", 200, "589"),
        ("/v1/scores/Sam", 200, "567"),
        ("/api?key=Kesa", 404, "Kesa not found"),
    ] {
        let answer = client.get(api, target).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{target}"
        );
    }
    let mut rings = Vec::new();
    for port in 9990..=9992 {
        let admin = ([127, 0, 0, 1], port).into();
        until("a node to be ready", async || {
            client.get(admin, "/readyz").await.status == 200
        })
        .await;
        rings.push(client.get(admin, "/status").await.json()["ring"].clone());
    }
    assert_eq!(rings[0]["members"].as_array().unwrap().len(), 3);
    assert!(rings.iter().all(|ring| ring["hash"] == rings[0]["hash"]));

    demo.signal("INT");
    let status = demo.ended().await;
    assert_eq!(status.code(), Some(0), "{status}");
}
