//! From http to https, in the steps of docs/src/security.md.

use std::net::SocketAddr;

use super::{KEYS, OLD, Scene};
use crate::support::config::{Lines, PATIENT, peers};
use crate::support::tls::{Files, client};
use crate::support::{Ca, Caller, busy};

#[tokio::test(flavor = "multi_thread")]
async fn from_http_to_https_no_request_fails_and_no_key_moves() {
    let _busy = busy().await;
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new("cluster");
    let of_all = ca.issue(&["gaggle.internal"]);
    let step = |tls: Option<(&Files, bool)>, scheme: &str, n: usize, ports: &[SocketAddr]| {
        let urls: Vec<_> = ports
            .iter()
            .map(|port| format!("{scheme}://{port}"))
            .collect();
        let tls = tls.map_or_else(String::new, |(files, accept_plain)| {
            let table = files.table();
            format!("{table}peer-name = \"gaggle.internal\"\naccept-plain = {accept_plain}\n")
        });
        Lines {
            node: format!("advertise = {:?}\ndrain-delay = \"700ms\"\n", urls[n]),
            // Each node is restarted within seconds three times.
            cluster: format!("damping = \"500ms\"\n{}{PATIENT}", peers(&urls)),
            tables: format!("[security]\ntoken = {OLD:?}\n{tls}"),
            ..Lines::default()
        }
    };
    let plain = Caller::plain().token(OLD);
    let mut scene = Scene::start(dir.path(), &plain, |n, ports| step(None, "http", n, ports)).await;
    let ports = scene.ports.clone();
    let ip = ports[0].ip().to_string();
    let files: Vec<_> = (0..3)
        .map(|n| {
            Files::new(
                dir.path(),
                &format!("tls-{n}"),
                &ca.issue(&["gaggle.internal", &ip]),
                &[&ca],
            )
        })
        .collect();
    let https = Caller::over_tls(client(&[&ca], Some(&of_all))).token(OLD);
    let (ring, owners) = (scene.ring().await, scene.owners().await);
    let load = scene.front_doors.load();
    load.more(KEYS).await;
    for (number, accept_plain, scheme) in
        [(1, true, "http"), (2, true, "https"), (3, false, "https")]
    {
        if number == 2 {
            // All nodes accept both: programs change over.
            for n in 0..3 {
                scene.callers[n] = https.clone();
                scene.front_doors.open(n, scene.nodes[n].api, &https);
            }
            load.more(50).await;
        }
        for n in 0..3 {
            let lines = step(Some((&files[n], accept_plain)), scheme, n, &ports);
            scene.restart(n, &lines).await;
            assert_eq!(scene.ring().await, ring, "step {number}, node {n}");
            let status = scene.status(n).await;
            assert_eq!(status["address"], format!("{scheme}://{}", ports[n]));
            // Each node found all others, by that scheme.
            let silent = "a peer does not answer yet";
            assert_eq!(
                scene.nodes[n].process.lines_with(silent),
                0,
                "step {number}"
            );
            load.more(50).await;
        }
    }
    let asked = load.end_without_a_failure().await;
    assert_eq!(scene.owners().await, owners);
    for n in 0..3 {
        scene.nobody_was_refused(n);
        let node = &scene.nodes[n];
        assert_eq!(
            plain
                .status(node.peer, "GET", "/_groupcache/scores/key-1")
                .await,
            400
        );
        let without = Caller::over_tls(client(&[&ca], None)).token(OLD);
        assert_eq!(without.status(node.admin, "GET", "/status").await, 403);
    }
    assert!(scene.peer_requests("ok").await > 0);
    assert!(asked > KEYS, "{asked}");
}
