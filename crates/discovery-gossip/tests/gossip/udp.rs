//! The same over real sockets.

use super::*;

fn loopback(seeds: &[SocketAddr]) -> GossipOptions {
    GossipOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        seeds: seeds.iter().map(SocketAddr::to_string).collect(),
        interval: Duration::from_millis(50),
        ..GossipOptions::default()
    }
}

#[tokio::test]
async fn nodes_meet_over_udp() {
    let first = Gossip::start(loopback(&[]), me(1)).await.unwrap();
    // A name is resolved.
    let by_name = GossipOptions {
        seeds: vec![format!("localhost:{}", first.address().port())],
        ..loopback(&[])
    };
    let second = Gossip::start(by_name, me(2)).await.unwrap();
    let third = Gossip::start(loopback(&[second.address()]), me(3))
        .await
        .unwrap();
    let mut nodes = vec![first, second, third];
    all_know(&nodes, &names(1..=3)).await;
    let leaver = nodes.pop().unwrap();
    assert!(leaver.leave(LONG).await);
    all_know(&nodes, &names(1..=2)).await;
}

#[tokio::test]
async fn an_unspecified_address_is_not_what_others_are_told() {
    let everywhere = GossipOptions {
        listen: ([0, 0, 0, 0], 0).into(),
        seeds: vec!["127.0.0.1:9".into()],
        ..loopback(&[])
    };
    let node = Gossip::start(everywhere, me(1)).await.unwrap();
    assert_eq!(node.address().ip(), std::net::Ipv4Addr::LOCALHOST);
    assert_ne!(node.address().port(), 0);
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let good = || loopback(&[]);
    let refused = [
        (
            "cluster",
            GossipOptions {
                cluster: String::new(),
                ..good()
            },
        ),
        (
            "interval",
            GossipOptions {
                interval: Duration::ZERO,
                ..good()
            },
        ),
        (
            "dead_after",
            GossipOptions {
                dead_after: Duration::from_millis(100),
                ..good()
            },
        ),
        (
            "dead_grace",
            GossipOptions {
                dead_grace: Duration::from_secs(5),
                ..good()
            },
        ),
        (
            "seed",
            GossipOptions {
                seeds: vec!["node".into()],
                ..good()
            },
        ),
        (
            "seed",
            GossipOptions {
                seeds: vec!["::1:7946".into()],
                ..good()
            },
        ),
        (
            "seed",
            GossipOptions {
                seeds: vec!["node:0".into()],
                ..good()
            },
        ),
        (
            "advertise",
            GossipOptions {
                advertise: Some(([0, 0, 0, 0], 1).into()),
                ..good()
            },
        ),
        (
            "advertise",
            GossipOptions {
                advertise: "[::1]:1".parse().ok(),
                ..good()
            },
        ),
    ];
    for (field, options) in refused {
        let failure = Gossip::start(options, me(1))
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(failure.contains(field), "{field}: {failure}");
    }
    let nameless = Me {
        name: "a\nb".into(),
        ..me(1)
    };
    let failure = Gossip::start(good(), nameless)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(failure.contains(r#"name is "a\nb""#), "{failure}");
    let taken = Gossip::start(good(), me(1)).await.unwrap();
    let same = GossipOptions {
        listen: taken.address(),
        ..good()
    };
    let failure = Gossip::start(same, me(2)).await.err().unwrap().to_string();
    assert!(failure.contains(&taken.address().to_string()), "{failure}");
}
