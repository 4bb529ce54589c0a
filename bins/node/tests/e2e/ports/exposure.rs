//! A port that other machines can reach is refused without authentication.

use std::path::Path;

use crate::configuration::{GOOD, complaint, run, write};
use crate::support::Ca;
use crate::support::tls::Files;

fn refused(dir: &Path, text: &str) -> String {
    let config = write(dir, &format!("{text}\n{GOOD}"));
    let serve = complaint(&run(&["serve", "--config", &config], &[]));
    let check = complaint(&run(&["check", "--config", &config], &[]));
    assert_eq!(serve, check);
    serve
}

fn accepted(dir: &Path, text: &str) {
    let config = write(dir, &format!("{text}\n{GOOD}"));
    let check = run(&["check", "--offline", "--config", &config], &[]);
    let stderr = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(0), "{text}: {stderr}");
}

#[test]
fn an_open_port_is_refused_with_a_line_that_says_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let token = dir.join("token");
    std::fs::write(&token, "a-token-of-the-cluster").unwrap();
    let ca = Ca::new("cluster");
    let files = Files::new(dir, "node", &ca.issue(&["gaggle.internal"]), &[&ca]);
    let token = format!("[security]\ntoken-file = {token:?}\n");
    let mutual = files.table();
    let (before, _) = mutual.split_once("client-ca").unwrap();
    let one_way = format!("{before}ca = {:?}\n", files.ca);
    let gossip = "[cluster.discovery]\nkind = \"gossip\"\nseeds = [\"10.0.0.1:7946\"]\nlisten = ";
    for (open, field, port) in [
        (
            "[node]\npeer-addr = \"0.0.0.0:8001\"\n".to_owned(),
            "node.peer-addr",
            Some("peers"),
        ),
        (
            "[node]\npeer-addr = \"[::]:8001\"\n".to_owned(),
            "node.peer-addr",
            Some("peers"),
        ),
        (
            "[node]\nadmin-addr = \"0.0.0.0:9990\"\n".to_owned(),
            "node.admin-addr",
            Some("admin"),
        ),
        (
            "[node]\nadmin-addr = \"node-1:9990\"\n".to_owned(),
            "node.admin-addr",
            Some("admin"),
        ),
        (
            format!("{gossip}\"0.0.0.0:7946\"\n"),
            "cluster.discovery.listen",
            None,
        ),
    ] {
        let open = match field {
            // Such a node must set the address by which other nodes reach it.
            "node.peer-addr" => format!("{open}advertise = \"http://10.0.0.1:8001\"\n"),
            _ => open,
        };
        let line = refused(dir, &open);
        assert!(
            line.starts_with(&format!("gaggle-node: {field}: ")),
            "{line}"
        );
        let mutual_tls = port.map(|_| "client-ca");
        for way in [
            "security.token-file",
            "GAGGLE_SECURITY__TOKEN",
            "security.insecure = true",
        ]
        .into_iter()
        .chain(mutual_tls)
        {
            assert!(line.contains(way), "{way}: {line}");
        }
        accepted(dir, &format!("{open}[security]\ninsecure = true"));
        accepted(dir, &format!("{open}{token}"));
        // TLS alone is no authentication, and neither is a certificate that a plain request does
        // not need.
        let https = open.replace("http://", "https://");
        let line = refused(dir, &format!("{https}{one_way}"));
        assert!(
            line.starts_with(&format!("gaggle-node: {field}: ")),
            "{line}"
        );
        let line = refused(dir, &format!("{https}{mutual}accept-plain = true\n"));
        assert!(
            line.starts_with(&format!("gaggle-node: {field}: ")),
            "{line}"
        );
        if let Some(port) = port {
            assert!(line.contains("accept-plain"), "{line}");
            accepted(dir, &format!("{https}{mutual}"));
            // Authentication on the other port does not protect this one.
            let other = if port == "peers" { "admin" } else { "peers" };
            let line = refused(dir, &format!("{open}{mutual}ports = [{other:?}]\n"));
            assert!(
                line.starts_with(&format!("gaggle-node: {field}: ")),
                "{line}"
            );
        } else {
            // Datagrams carry no certificate.
            let line = refused(dir, &format!("{https}{mutual}"));
            assert!(
                line.starts_with(&format!("gaggle-node: {field}: ")),
                "{line}"
            );
        }
    }
    // The front door needs no authentication.
    accepted(dir, "[node]\napi-addr = \"0.0.0.0:9999\"");
}
