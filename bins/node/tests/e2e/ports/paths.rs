//! Spellings of a path that could lead to another one.

use crate::support::client::unescape;
use crate::support::cluster::free_ports;
use crate::support::config::Lines;
use crate::support::{Caller, Node};

const SECRET: &str = "what stands beside the files";

#[tokio::test]
async fn no_path_leads_out_of_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("below")).unwrap();
    std::fs::write(root.join("Tom"), "630").unwrap();
    std::fs::write(root.join("below/Jack"), "589").unwrap();
    std::fs::write(dir.path().join("secret"), SECRET).unwrap();
    let me = free_ports(1)[0];
    let origin = format!("kind = \"files\"\nroot = {root:?}");
    let std::net::SocketAddr::V4(v4) = me else {
        panic!("{me}");
    };
    let config = dir.path().join("node.toml");
    std::fs::write(&config, Lines::default().file(me, *v4.ip(), &origin)).unwrap();
    let node = Node::start(&config).await;
    let caller = Caller::plain();
    let found = caller
        .get(node.api, "/v1/scores/below%2FJack")
        .await
        .unwrap();
    assert_eq!((found.status, found.text().as_str()), (200, "589"));
    let found = caller
        .get(node.peer, "/_groupcache/scores/Tom")
        .await
        .unwrap();
    assert_eq!(found.status, 200);

    let absolute = dir.path().join("secret");
    let absolute = absolute.to_str().unwrap();
    let escaped = absolute.replace('/', "%2F");
    let outs = [
        "../secret",
        "..%2Fsecret",
        "..%2fsecret",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "%2E%2E%2Fsecret",
        ".%2e/secret",
        "below/../../secret",
        "below%2F..%2F..%2Fsecret",
        "./../secret",
        "..//secret",
        "..%5Csecret",
        "..\\secret",
        "..%00/secret",
        "..%2Fsecret%00.txt",
        "%252e%252e%252fsecret",
        "..%c0%afsecret",
        "%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        absolute,
        &escaped,
        "..",
        "%2e%2e",
        ".",
        "%2e",
        "%2F",
        "",
    ];
    let root = dir.path().to_str().unwrap();
    let mut targets: Vec<_> = [
        (node.api, "/v1/scores/"),
        (node.api, "//v1/scores/"),
        (node.api, "/v1//scores/"),
        (node.api, "/v1/scores//"),
        (node.api, "/api?group=scores&key="),
        (node.peer, "/_groupcache/scores/"),
        (node.peer, "//_groupcache/scores/"),
        (node.peer, "/_groupcache//scores/"),
        (node.peer, "/_groupcache/scores//"),
    ]
    .iter()
    .flat_map(|(addr, before)| {
        outs.iter()
            .map(move |out| (*addr, format!("{before}{out}")))
    })
    .collect();
    for pages in ["/livez", "/v1/scores", "/_groupcache/scores", "/v1", ""] {
        for out in [
            "/../status",
            "/%2e%2e/status",
            "%2f..%2fstatus",
            "/..%2fstatus",
            "//status",
        ] {
            // The port that has the path answers only its exact spelling; the other ports do not
            // have it.
            for addr in [node.api, node.peer, node.admin] {
                targets.push((addr, format!("{pages}{out}")));
            }
        }
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let passwd = passwd.lines().next().unwrap();
    for (addr, target) in &targets {
        let answer = caller.get(*addr, target).await;
        let answer = answer.unwrap_or_else(|failure| panic!("{target:?}: {failure}"));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            (400..500).contains(&answer.status),
            "{addr} {target:?}: {} {text}",
            answer.status
        );
        let asked = unescape(target);
        let asked = String::from_utf8_lossy(&asked);
        for told in [SECRET, passwd, root, "ring"] {
            // The answer may repeat the request.
            assert!(
                !text.contains(told) || asked.contains(told),
                "{addr} {target:?} tells {told:?}: {text}"
            );
        }
    }
    // Other spellings of the admin port's paths remove nothing.
    for target in [
        "//v1/scores/Tom",
        "/v1//scores/Tom",
        "/x/../v1/scores/Tom",
        "/v1%2Fscores/Tom",
    ] {
        let status = caller.status(node.admin, "DELETE", target).await;
        assert!([400, 404, 405].contains(&status), "{target}: {status}");
    }
    let status = caller.json(node.admin, "/status").await;
    assert_eq!(status["groups"]["scores"]["removals"], 0);
}
