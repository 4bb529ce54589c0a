//! Certificates: none, expired, by another authority, for another name.

use std::net::SocketAddr;
use std::path::Path;

use crate::support::client::escape;
use crate::support::cluster::free_ports;
use crate::support::config::{Lines, peers};
use crate::support::origin::value_of;
use crate::support::tls::{Files, client};
use crate::support::{Ca, Caller, Node, Origin, busy, until};

use super::TOM;

const TOKEN: &str = "the-token-of-the-cluster";

/// The request that shows whether each port answers.
fn doors(node: &Node) -> [(&'static str, SocketAddr, &'static str); 3] {
    [
        ("peers", node.peer, TOM),
        ("admin", node.admin, "/status"),
        ("front door", node.api, "/v1/scores/Tom"),
    ]
}

#[tokio::test]
async fn each_certificate_that_is_no_good_is_refused_with_the_reason() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let me = free_ports(1)[0];
    let ip = me.ip().to_string();
    let (ca, programs, foreign) = (Ca::new("cluster"), Ca::new("programs"), Ca::new("foreign"));
    let files = Files::new(dir, "node", &ca.issue(&[&ip]), &[&ca]);
    let front = dir.join("programs.pem");
    std::fs::write(&front, programs.pem()).unwrap();
    let lines = Lines {
        node: "log-interval = \"0s\"".into(),
        cluster: peers(&[format!("https://{me}")]),
        tables: format!("{}front-door-client-ca = {front:?}\n", files.table()),
        ..Lines::default()
    };
    let node = lines.start(dir, "node", me, &origin).await;
    let showing = |pair| Caller::over_tls(client(&[&ca], pair));
    let (operator, program) = (ca.issue(&["operator"]), programs.issue(&["program"]));
    let expired = [ca.expired(&["operator"]), programs.expired(&["program"])];
    let stranger = foreign.issue(&["operator"]);

    for (door, addr, target) in doors(&node) {
        let is_front = door == "front door";
        let (good, other) = if is_front {
            (&program, &operator)
        } else {
            (&operator, &program)
        };
        let answer = showing(Some(good)).get(addr, target).await.unwrap();
        assert_eq!(answer.status, 200, "{door}: {}", answer.text());
        for (what, shown, alert) in [
            (
                "expired",
                &expired[usize::from(is_front)],
                "CertificateExpired",
            ),
            ("by nobody's authority", &stranger, "UnknownCA"),
            ("by the other port's authority", other, "UnknownCA"),
        ] {
            let refused = showing(Some(shown)).get(addr, target).await.unwrap_err();
            assert!(refused.contains(alert), "{door}, {what}: {refused}");
        }
        let without = showing(None).get(addr, target).await;
        match door {
            // The admin port has pages without authentication, so the refusal is an HTTP status.
            "admin" => {
                let answer = without.unwrap();
                assert_eq!(answer.status, 403);
                assert_eq!(answer.text(), "a client certificate is required");
                for (method, target) in [("DELETE", "/v1/scores/Tom"), ("POST", "/reload")] {
                    assert_eq!(showing(None).status(addr, method, target).await, 403);
                }
                for page in ["/livez", "/readyz"] {
                    assert_eq!(showing(None).status(addr, "GET", page).await, 200);
                }
            }
            _ => {
                let refused = without.unwrap_err();
                assert!(refused.contains("CertificateRequired"), "{door}: {refused}");
            }
        }
        // A client that does not trust the authority does not accept the node's certificate.
        let careful = Caller::over_tls(client(&[&foreign], Some(good)));
        let refused = careful.get(addr, target).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer"), "{door}: {refused}");
    }
    // The log has the reasons too, though not each time.
    until("reasons in the log", async || {
        node.process.lines_with("a TLS handshake failed") > 0
    })
    .await;
    assert_eq!(origin.asked().len(), 1, "{:?}", origin.asked());
}

#[tokio::test]
async fn with_a_token_as_well_both_are_required() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let me = free_ports(1)[0];
    let ca = Ca::new("cluster");
    let files = Files::new(
        dir.path(),
        "node",
        &ca.issue(&[&me.ip().to_string()]),
        &[&ca],
    );
    let lines = Lines {
        cluster: peers(&[format!("https://{me}")]),
        tables: format!("[security]\ntoken = {TOKEN:?}\n{}", files.table()),
        ..Lines::default()
    };
    let node = lines.start(dir.path(), "node", me, &origin).await;
    let operator = ca.issue(&["operator"]);
    let shown = Caller::over_tls(client(&[&ca], Some(&operator)));
    let hidden = Caller::over_tls(client(&[&ca], None));
    let token = |caller: &Caller| caller.clone().token(TOKEN);
    for (addr, target) in [(node.peer, TOM), (node.admin, "/status")] {
        assert_eq!(token(&shown).status(addr, "GET", target).await, 200);
        assert_eq!(shown.status(addr, "GET", target).await, 401);
    }
    assert_eq!(
        token(&hidden).status(node.admin, "GET", "/status").await,
        403
    );
    token(&hidden).get(node.peer, TOM).await.unwrap_err();
}

#[tokio::test]
async fn plain_http_to_tls_and_tls_to_plain_http_are_told_what_is_wrong() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(2);
    let ca = Ca::new("cluster");
    let name = ports[0].ip().to_string();
    let files = Files::new(dir.path(), "node", &ca.issue(&[&name]), &[&ca]);
    let start = async |n: usize, scheme: &str, tables: String| {
        let lines = Lines {
            cluster: peers(&[format!("{scheme}://{}", ports[n])]),
            tables,
            ..Lines::default()
        };
        let file = format!("node-{n}");
        lines.start(dir.path(), &file, ports[n], &origin).await
    };
    let secure = start(0, "https", files.table()).await;
    let plain = start(1, "http", String::new()).await;
    for (door, addr, target) in doors(&secure) {
        for method in ["GET", "POST", "DELETE"] {
            let body = "x".repeat(100_000);
            for body in ["", &body] {
                let answer = Caller::plain()
                    .send(addr, method, target, body)
                    .await
                    .unwrap();
                assert_eq!(answer.status, 400, "{door}");
                let line = "this port speaks TLS: use an https:// URL\n";
                assert_eq!(answer.text(), line, "{door}");
            }
        }
    }
    let over_tls = Caller::over_tls(client(&[&ca], None));
    for (door, addr, target) in doors(&plain) {
        let refused = over_tls.get(addr, target).await.unwrap_err();
        assert!(refused.contains("InvalidContentType"), "{door}: {refused}");
        assert_eq!(
            Caller::plain().status(addr, "GET", target).await,
            200,
            "{door}"
        );
    }
}

#[tokio::test]
async fn while_a_cluster_changes_over_plain_http_is_no_way_around() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let me = free_ports(1)[0];
    let (ca, programs) = (Ca::new("cluster"), Ca::new("programs"));
    let files = Files::new(
        dir.path(),
        "node",
        &ca.issue(&[&me.ip().to_string()]),
        &[&ca],
    );
    let front = dir.path().join("programs.pem");
    std::fs::write(&front, programs.pem()).unwrap();
    let lines = Lines {
        cluster: peers(&[format!("http://{me}")]),
        tables: format!(
            "[security]\ntoken = {TOKEN:?}\n{}accept-plain = true\nfront-door-client-ca = {front:?}\n",
            files.table()
        ),
        ..Lines::default()
    };
    let node = lines.start(dir.path(), "node", me, &origin).await;
    let (plain, tls) = (
        Caller::plain(),
        Caller::over_tls(client(&[&ca], Some(&programs.issue(&["program"])))),
    );
    for (addr, target) in [(node.peer, TOM), (node.admin, "/status")] {
        assert_eq!(plain.status(addr, "GET", target).await, 401);
        let shown = plain.clone().token(TOKEN);
        assert_eq!(shown.status(addr, "GET", target).await, 200);
    }
    // There is no token on that port, so a certificate is still required.
    let target = "/v1/scores/Tom";
    assert_eq!(plain.status(node.api, "GET", target).await, 400);
    assert_eq!(tls.status(node.api, "GET", target).await, 200);
}

/// Two nodes that speak TLS, the second with a certificate for these names.
async fn pair(dir: &Path, ca: &Ca, of_second: &str, peer_name: &str, origin: &Origin) -> Vec<Node> {
    let ports = free_ports(2);
    let listed: Vec<_> = ports.iter().map(|port| format!("https://{port}")).collect();
    let names = [ports[0].ip().to_string(), of_second.to_owned()];
    let mut nodes = Vec::new();
    for (n, port) in ports.iter().enumerate() {
        let file = format!("node-{n}");
        let files = Files::new(dir, &file, &ca.issue(&[&names[n]]), &[ca]);
        let lines = Lines {
            cluster: peers(&listed),
            tables: format!("{}{peer_name}", files.table()),
            ..Lines::default()
        };
        nodes.push(lines.start(dir, &file, *port, origin).await);
    }
    nodes
}

#[tokio::test]
async fn a_node_with_a_certificate_for_another_name_is_refused_by_its_peers() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new("cluster");
    let nodes = pair(dir.path(), &ca, "other.internal", "", &origin).await;
    let caller = Caller::over_tls(client(&[&ca], Some(&ca.issue(&["operator"]))));
    // It reports that whether or not there are requests.
    let other = nodes[1]
        .ring_name()
        .trim_start_matches("https://")
        .to_owned();
    until("the reason in the log", async || {
        nodes[0].process.lines_with("not valid for name") > 0
    })
    .await;
    assert!(nodes[0].process.has_logged("a peer does not answer yet"));
    // It loads both its own keys and those of the other node itself.
    for n in 0..40 {
        let key = format!("key-{n}");
        let answer = caller.get(nodes[0].api, &format!("/v1/scores/{key}")).await;
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status, answer.body),
            (200, value_of(key.as_bytes()))
        );
    }
    let line = nodes[0].process.logged("a peer is down").await;
    let why = line["why"].as_str().unwrap();
    assert_eq!(line["peer"], *other);
    assert!(
        why.contains("not valid for name") && why.contains("other.internal"),
        "{line}"
    );
    let status = caller.json(nodes[0].admin, "/status").await;
    let peers = status["ring"]["peers"].as_array().unwrap();
    let of_other = peers.iter().find(|peer| peer["self"] == false).unwrap();
    assert_eq!(of_other["requests"]["ok"], 0, "{of_other}");
    assert_eq!(of_other["up"], false, "{of_other}");
    // The other node learns of it, too.
    let heard = nodes[1].process.logged("a TLS handshake failed").await;
    assert!(
        heard["reason"].as_str().unwrap().contains("refused"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_common_name_is_enough_where_addresses_change() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new("cluster");
    let peer_name = "peer-name = \"gaggle.internal\"\n";
    let nodes = pair(dir.path(), &ca, "gaggle.internal", peer_name, &origin).await;
    // A client that asks the second node by its address has to expect that name, too.
    let operator = ca.issue(&["operator"]);
    let caller = Caller::over_tls(client(&[&ca], Some(&operator)));
    for n in 0..40 {
        let target = format!("/v1/scores/key-{n}");
        assert_eq!(caller.get(nodes[0].api, &target).await.unwrap().status, 200);
    }
    let status = caller.json(nodes[0].admin, "/status").await;
    let peers = status["ring"]["peers"].as_array().unwrap();
    let of_other = peers.iter().find(|peer| peer["self"] == false).unwrap();
    assert!(
        of_other["requests"]["ok"].as_u64().unwrap() > 0,
        "{of_other}"
    );
    assert_eq!(of_other["up"], true, "{of_other}");
}

#[tokio::test]
async fn over_grpc_the_same_is_required() {
    let _busy = busy().await;
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new("cluster");
    let ports = free_ports(2);
    let listed: Vec<_> = ports.iter().map(|port| format!("https://{port}")).collect();
    let mut nodes = Vec::new();
    for (n, port) in ports.iter().enumerate() {
        let file = format!("node-{n}");
        let files = Files::new(
            dir.path(),
            &file,
            &ca.issue(&[&port.ip().to_string()]),
            &[&ca],
        );
        let lines = Lines {
            cluster: format!("transport = \"grpc\"\n{}", peers(&listed)),
            tables: format!("[security]\ntoken = {TOKEN:?}\n{}", files.table()),
            ..Lines::default()
        };
        nodes.push(lines.start(dir.path(), &file, *port, &origin).await);
    }
    let caller = Caller::over_tls(client(&[&ca], Some(&ca.issue(&["operator"]))));
    let operator = caller.clone().token(TOKEN);
    for node in &nodes {
        until("both nodes to have heard each other", async || {
            let status = operator.json(node.admin, "/status").await;
            let peers = status["ring"]["peers"].as_array().unwrap();
            status["state"] == "ready" && peers.iter().all(|peer| peer["up"] == true)
        })
        .await;
    }
    let keys: Vec<_> = (0..100).map(|n| format!("key-{n}").into_bytes()).collect();
    for key in &keys {
        for node in &nodes {
            let target = format!("/v1/scores/{}", escape(key));
            let answer = caller.get(node.api, &target).await.unwrap();
            assert_eq!((answer.status, answer.body), (200, value_of(key)));
        }
    }
    // A first connection over TLS is slow, so a hedge may have loaded a key as well.
    // If each node loaded for itself, there would be 200 loads.
    let asked: u32 = origin.asked().values().sum();
    assert!(asked < 120, "{asked}");
    // That port answers HTTP/1.1 as well, and requires the same.
    for node in &nodes {
        assert_eq!(caller.status(node.peer, "GET", TOM).await, 401);
        assert_eq!(operator.status(node.peer, "GET", TOM).await, 200);
        let grpc = caller.clone().header("Content-Type", "application/grpc");
        let call = grpc
            .send(node.peer, "POST", "/gaggle.v1.Cache/Get", "")
            .await;
        let call = call.unwrap();
        assert_eq!((call.status, call.header("grpc-status")), (200, "16"));
    }
}
