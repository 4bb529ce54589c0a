//! The admin endpoints that the page and operators' tools read.

use std::time::Duration;

use boon::{Compiler, SchemaIndex, Schemas};
use gaggle_api_http::{Admin, MetricsPage, NoReload, Readiness, admin};
use gaggle_console::Console;
use gaggle_group::{About, FollowStats, Group, GroupBuilder};
use gaggle_testkit::{Cluster, CountingOrigin, Link, Node};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::client::{Client, base64};
use crate::cluster::{SELF, client, group, peer};

const SECOND: Duration = Duration::from_secs(1);

/// The admin port of a node, and the tasks that have to run with it.
fn admin_of(node: &Node) -> (Client, Console) {
    let console = Console::new(node.groups.clone());
    let client = Client(admin(Admin {
        version: "1.2.3".to_owned(),
        groups: node.groups.clone(),
        readiness: Readiness::new(),
        metrics: MetricsPage::new("text/plain", String::new),
        hosts: Vec::new(),
        reload: std::sync::Arc::new(NoReload),
        console: console.clone(),
        origins: std::collections::BTreeMap::new(),
    }));
    (client, console)
}

struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn of(text: &str) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let url = "http://gaggle.invalid/status.json";
        let document = serde_json::from_str(text).unwrap();
        compiler.add_resource(url, document).unwrap();
        let index = compiler.compile(url, &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn check(&self, status: &Value) -> Result<(), String> {
        let checked = self.0.validate(status, self.1);
        checked.map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn status_is_what_its_schema_says_and_nothing_else() {
    let scores = group(
        "scores",
        &[peer("http://b:1", true), peer("http://c:1", false)],
    );
    scores.set_follow_stats(FollowStats::default);
    scores.get("Tom").await.unwrap();
    scores.get("absent").await.unwrap_err();
    let client = client([scores, group("users", &[])]);
    let served = client.get("/schema/status.json").await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    let schema = Schema::of(served.text());
    let status = client.get("/status").await.json();
    assert_eq!(schema.check(&status), Ok(()));
    // The status of a node without groups, too.
    let empty = crate::cluster::client([]).get("/status").await.json();
    assert_eq!(schema.check(&empty), Ok(()));

    // The schema is strict: each field is required, and no other is allowed.
    let top = status.as_object().unwrap();
    for name in top.keys() {
        let mut less = top.clone();
        less.remove(name);
        assert!(schema.check(&less.into()).is_err(), "{name} may be missing");
    }
    for place in [
        "",
        "/ring",
        "/ring/peers/0",
        "/ring/peers/0/requests",
        "/in_flight",
        "/groups/scores",
        "/groups/scores/clients",
        "/groups/scores/hits_total",
        "/groups/scores/loads_total/origin",
        "/groups/scores/load_seconds/peer",
        "/groups/scores/evictions_total/main",
        "/groups/scores/warmed_total",
        "/groups/scores/follow",
        "/groups/scores/contacts/0",
        "/groups/scores/settings",
        "/groups/scores/origin",
    ] {
        let mut more = status.clone();
        if place.ends_with("contacts/0") {
            more["groups"]["scores"]["contacts"] = json!([{"node": "n", "heard_seconds": 1}]);
            assert_eq!(schema.check(&more), Ok(()));
        }
        let fields = more.pointer_mut(place).unwrap().as_object_mut().unwrap();
        fields.insert("unknown".to_owned(), json!(1));
        assert!(schema.check(&more).is_err(), "{place} takes more");
    }
    let mut wrong = status.clone();
    wrong["groups"]["scores"]["origin"]["breaker"] = json!("ajar");
    assert!(schema.check(&wrong).is_err());
}

#[tokio::test]
async fn status_tells_settings_origins_and_who_asks() {
    let scores = group("scores", &[]);
    for _ in 0..3 {
        scores.get("Tom").await.unwrap();
    }
    let status = client([scores, group("users", &[])])
        .get("/status")
        .await
        .json();
    assert!(status["started"].as_f64() > Some(1e9), "{status}");
    assert!(status["uptime_seconds"].as_f64() >= Some(0.0));
    let scores = &status["groups"]["scores"];
    assert_eq!(scores["clients"], json!({"gets": 3, "hits": 2}));
    assert_eq!(scores["peers"], json!({"gets": 0, "hits": 0}));
    assert_eq!(
        scores["settings"],
        json!({
            "capacity_bytes": 64 << 20, "ttl_seconds": null,
            "stale_while_revalidate_seconds": null, "stale_if_error_seconds": null,
            "negative_ttl_seconds": null, "hot_ttl_seconds": 60.0, "max_value_bytes": 100,
            "max_key_bytes": 64, "load_timeout_seconds": 5.0, "max_origin_loads": 256,
        })
    );
    assert_eq!(
        scores["origin"],
        json!({
            "kind": "sqlite", "limit": 256, "running": 0, "given_up": 0, "waiting": 0,
            "breaker": "closed", "breaker_opened": 0,
        })
    );
    assert_eq!(status["groups"]["users"]["origin"]["kind"], json!(null));
    let seconds = &scores["load_seconds"];
    assert!(seconds["origin"]["p99"].as_f64() > Some(0.0), "{seconds}");
    assert_eq!(seconds["peer"]["p50"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn every_node_of_the_cluster_is_asked_how_it_is() {
    let cluster = Cluster::with_gateways(3, 1, |group| group);
    let nodes = cluster.nodes();
    nodes[1].group.get("Tom").await.unwrap();
    let lost = &nodes[2].name;
    cluster.network().set(&nodes[0].name, lost, Link::Lost);
    let (client, _console) = admin_of(&nodes[0]);
    nodes[0].groups.set_about(|| {
        let mut about = About::default();
        about.version = "1.2.3".into();
        about.admin = Some("http://10.0.0.1:9990".into());
        about
    });
    let answer = client.get("/cluster").await.json();
    assert_eq!(answer["node"], *nodes[0].name);
    let told = answer["nodes"].as_array().unwrap();
    assert_eq!(told.len(), 3, "{answer}");
    let of = |name: &str| told.iter().find(|node| node["name"] == name).unwrap();
    let me = of(&nodes[0].name);
    assert_eq!(
        (&me["self"], &me["member"], &me["reached"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert_eq!(me["rtt_seconds"], json!(null));
    assert_eq!(me["status"]["version"], "1.2.3");
    assert_eq!(me["status"]["admin"], "http://10.0.0.1:9990");
    assert_eq!(me["status"]["cut"], false);
    let other = of(&nodes[1].name);
    assert_eq!(
        (&other["self"], &other["reached"], &other["error"]),
        (&json!(false), &json!(true), &json!(null))
    );
    assert_eq!(other["rtt_seconds"], 0.0);
    assert_eq!(
        other["status"]["ring"]["hash"],
        me["status"]["ring"]["hash"]
    );
    assert_eq!(
        other["status"]["ring"]["members"].as_array().unwrap().len(),
        3
    );
    assert_eq!(other["status"]["groups"]["things"]["client_gets"], 1);
    let lost = of(lost);
    assert_eq!(
        (&lost["reached"], &lost["status"]),
        (&json!(false), &json!(null))
    );
    assert_eq!(lost["error"], "no answer within 2 s");

    // A gateway shows itself, first, and no other gateway.
    let (gateway, _console) = admin_of(&nodes[3]);
    let answer = gateway.get("/cluster").await.json();
    let told = answer["nodes"].as_array().unwrap();
    assert_eq!(told.len(), 4, "{answer}");
    assert_eq!(
        (&told[0]["self"], &told[0]["member"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(told[0]["name"], *nodes[3].name);
}

#[tokio::test]
async fn nodes_that_know_no_such_question_are_reached_and_say_so() {
    let answer = client([group("scores", &[peer("http://b:1", true)])])
        .get("/cluster")
        .await
        .json();
    assert_eq!(answer["nodes"][0]["name"], SELF);
    let other = &answer["nodes"][1];
    assert_eq!(
        (&other["reached"], &other["status"]),
        (&json!(true), &json!(null))
    );
    let error = other["error"].as_str().unwrap();
    assert!(error.contains("it knows no such request"), "{error}");
    // The same for a node that shares with no other.
    let alone = Group::builder("alone").origin(CountingOrigin::default());
    let answer = client([alone.build().unwrap()])
        .get("/cluster")
        .await
        .json();
    assert_eq!(answer["nodes"].as_array().unwrap().len(), 1, "{answer}");
    let none = client([]).get("/cluster").await.json();
    assert_eq!(none, json!({"node": "", "nodes": []}));
}

#[tokio::test(start_paused = true)]
async fn each_node_is_asked_what_it_holds_of_a_key() {
    let fresh = |group: GroupBuilder| {
        let mut freshness = gaggle_group::FreshnessPolicy::default();
        freshness.ttl = Some(60 * SECOND);
        freshness.ttl_jitter = 0.0;
        freshness.negative_ttl = Some(5 * SECOND);
        group.freshness(freshness)
    };
    let cluster = Cluster::with(3, fresh);
    let (owner, asker) = (cluster.owner_of("a b"), cluster.asker_of("a b"));
    asker.group.get("a b").await.unwrap();
    sleep(10 * SECOND).await;
    let (client, _console) = admin_of(asker);
    let answer = client.get("/held?group=things&key=a+b").await.json();
    assert_eq!(
        (&answer["group"], &answer["key"]),
        (&json!("things"), &json!("a b"))
    );
    assert_eq!(answer["key64"], base64(b"a b"));
    assert_eq!(answer["owner"]["name"], *owner.name);
    let of = |answer: &Value, name: &str| {
        let nodes = answer["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 3);
        nodes.iter().find(|node| node["name"] == name).unwrap()["held"].clone()
    };
    assert_eq!(
        of(&answer, &owner.name),
        json!({"tier": "main", "bytes": 12, "age_seconds": null, "fresh_seconds": 50.0, "stale": false})
    );
    assert_eq!(of(&answer, &asker.name)["tier"], "hot");
    let third = cluster.nodes().iter();
    let mut third = third.filter(|node| node.name != owner.name && node.name != asker.name);
    let third = &third.next().unwrap().name;
    assert_eq!(of(&answer, third), json!(null));
    // This did not count as a get. The key may be any bytes, in base64.
    assert_eq!(owner.group.stats().gets + asker.group.stats().gets, 2);
    let target = format!("/held?key64={}", base64(b"a b"));
    assert_eq!(client.get(&target).await.json(), answer);
    let raw = client.get("/held?key64=%2F%2B8%3D").await.json();
    assert_eq!((&raw["key"], &raw["key64"]), (&json!(null), &json!("/+8=")));
    cluster.network().set(&asker.name, third, Link::Refused);
    let answer = client.get("/held?key=a+b").await.json();
    let nodes = answer["nodes"].as_array().unwrap();
    let lost = nodes.iter().find(|node| node["name"] == **third).unwrap();
    assert_eq!(
        (&lost["reached"], &lost["held"]),
        (&json!(false), &json!(null))
    );
    let long = format!("/held?key={}", "k".repeat(2_000));
    for (target, status) in [
        ("/held", 400),
        ("/held?key64=%21", 400),
        ("/held?key=%", 400),
        ("/held?group=nosuch&key=k", 404),
        (&long, 414),
    ] {
        assert_eq!(client.get(target).await.status, status, "{target}");
    }
}

#[tokio::test]
async fn the_hottest_keys_are_shown_with_their_owners() {
    let scores = group("scores", &[peer("http://b:1", true)]);
    let users = group("users", &[]);
    for n in 0..64_000_u32 {
        match n % 8 {
            0..4 => scores.get("Tom").await.unwrap(),
            4..6 => scores.get("b <i>").await.unwrap(),
            6 => scores.get([0xff, 0]).await.unwrap(),
            _ => scores.get(n.to_string()).await.unwrap(),
        };
    }
    let client = client([scores, users]);
    let answer = client.get("/hot-keys?group=scores").await.json();
    assert_eq!(answer["group"], "scores");
    let sampled = answer["sampled"].as_u64().unwrap();
    assert!((700..1_300).contains(&sampled), "{sampled}");
    let keys = answer["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 20);
    let shown: Vec<_> = keys.iter().take(3).map(|row| &row["key"]).collect();
    assert_eq!(shown, [&json!("Tom"), &json!("b <i>"), &json!(null)]);
    assert_eq!(keys[2]["key64"], base64(&[0xff, 0]));
    assert!((0.4..0.6).contains(&keys[0]["share"].as_f64().unwrap()));
    assert!(keys[0]["gets_per_second"].as_f64() > Some(0.0));
    assert_eq!(
        (&keys[0]["owner"], &keys[0]["self"]),
        (&json!(SELF), &json!(true))
    );
    assert_eq!(
        (&keys[1]["owner_name"], &keys[1]["self"]),
        (&json!("http://b:1"), &json!(false))
    );
    let none = client.get("/hot-keys?group=users").await.json();
    assert_eq!(none, json!({"group": "users", "sampled": 0, "keys": []}));
    assert_eq!(client.get("/hot-keys").await.status, 400);
    assert_eq!(client.get("/hot-keys?group=nosuch").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn the_last_hour_and_what_happened_are_shown() {
    let mut cluster = Cluster::new(1);
    let (client, console) = admin_of(&cluster.nodes()[0]);
    let sampling = tokio::spawn(async move { console.run().await });
    for _ in 0..20 {
        cluster.nodes()[0].group.get("k").await.unwrap();
    }
    cluster.join();
    sleep(11 * SECOND).await;
    let history = client.get("/history").await.json();
    assert_eq!(
        (&history["interval_seconds"], &history["points"]),
        (&json!(10), &json!(360))
    );
    assert!(history["now"].as_f64() > Some(1e9));
    let series = history["series"].as_object().unwrap();
    let names = [
        "bytes",
        "client_gets",
        "client_hits",
        "load_p50",
        "load_p99",
        "origin_errors",
        "origin_loads",
        "peer_gets",
        "peer_hits",
        "peer_loads",
        "shed",
        "stale",
    ];
    assert_eq!(series.keys().collect::<Vec<_>>(), names);
    for points in series.values() {
        assert_eq!(points.as_array().unwrap().len(), 360);
    }
    assert_eq!(history["series"]["client_gets"][359], 2.0);
    assert_eq!(history["series"]["client_gets"][358], json!(null));
    assert_eq!(history["groups"]["things"]["client_hits"][359], json!(1.9));
    let one = client.get("/history?group=things").await.json();
    assert_eq!(one["groups"], history["groups"]);
    assert_eq!(client.get("/history?group=nosuch").await.status, 404);

    let events = client.get("/events").await.json();
    let second = &cluster.nodes()[1].name;
    let kinds: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["kind"])
        .collect();
    assert_eq!(kinds, ["ring", "joined"], "{events}");
    let joined = &events["events"][1];
    assert_eq!(
        (&joined["node"], &joined["group"]),
        (&json!(second), &json!(null))
    );
    assert_eq!(joined["text"], format!("{second} joined the ring"));
    assert!(joined["at"].as_f64() > Some(1e9));
    let last = client.get("/events?limit=1").await.json();
    assert_eq!(last["events"], json!([events["events"][0]]));
    assert_eq!(
        client.get("/events?limit=0").await.json(),
        json!({"events": []})
    );
    assert_eq!(client.get("/events?limit=x").await.status, 400);
    sampling.abort();
}

#[tokio::test]
async fn what_the_admin_port_answers_is_described() {
    let client = client([group("scores", &[])]);
    let described = client.get("/openapi.json").await.json();
    let paths = described["paths"].as_object().unwrap();
    // Each path is described, and each described path is answered.
    for path in paths.keys() {
        let target = path.replace("{group}", "scores").replace("{key}", "Tom");
        let query = match path.as_str() {
            "/owner" | "/held" => "?key=Tom",
            _ => "",
        };
        let answer = client.get(&format!("{target}{query}")).await;
        let gets = paths[path].get("get").is_some();
        let expected: &[u16] = match path.as_str() {
            "/readyz" => &[503],
            _ if gets => &[200],
            _ => &[405],
        };
        assert!(
            expected.contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
    for method in ["POST", "DELETE"] {
        for path in [
            "/cluster",
            "/history",
            "/events",
            "/hot-keys",
            "/held",
            "/openapi.json",
        ] {
            let answer = client.send(method, path, "").await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("GET, HEAD")),
                "{path}"
            );
            assert!(paths.contains_key(path));
        }
    }
}
