//! Nodes that join, leave, die, return and are cut off.

use super::*;

use std::collections::BTreeSet;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn nodes_find_each_other_from_one_seed() {
    let mesh = Mesh::default();
    let began = Instant::now();
    let mut nodes = Vec::new();
    for n in 1..=5 {
        nodes.push(start(&mesh, n, &[1]).await);
    }
    all_know(&nodes, &names(1..=5)).await;
    let formed = began.elapsed();
    nodes.push(start(&mesh, 6, &[1]).await);
    let joined = all_know(&nodes, &names(1..=6)).await;
    println!("5 nodes: formed after {formed:?}, a join known after {joined:?}");
    assert!(
        formed <= seconds(2) && joined <= seconds(2),
        "{formed:?} {joined:?}"
    );
    let listed = nodes[5].members().await.unwrap();
    assert_eq!(listed.len(), 6);
    assert_eq!(listed[0].address, me(1).address);
    assert_eq!(listed[0].name.as_deref(), Some("node-1"));
    assert_eq!((listed[0].member, listed[0].leaving), (Some(true), false));
}

#[tokio::test(start_paused = true)]
async fn a_node_knows_itself_from_the_start() {
    let node = start(&Mesh::default(), 1, &[]).await;
    let members = node.members().await.unwrap();
    let [own] = &members[..] else {
        panic!("{members:?}");
    };
    assert_eq!(
        (&own.address, own.name.as_deref()),
        (&me(1).address, Some("node-1"))
    );
    assert_eq!(node.nodes()[0].state, State::Starting);
}

#[tokio::test(start_paused = true)]
async fn of_two_with_one_name_the_newer_counts_for_as_long_as_it_is_there() {
    let mesh = Mesh::default();
    let nodes = cluster(&mesh, 3).await;
    let namesake = Me {
        name: me(3).name,
        ..me(4)
    };
    let namesake = Gossip::start_on(&mesh, options(4, &[1]), namesake)
        .await
        .unwrap();
    let third_is = |n: u16| {
        move |node: &Gossip| {
            let nodes = node.nodes();
            nodes.len() == 3 && nodes[2].name == me(3).name && nodes[2].address == me(n).address
        }
    };
    for node in &nodes {
        until(node, third_is(4)).await;
    }
    until(&namesake, third_is(4)).await;
    drop(namesake);
    for node in &nodes {
        until(node, third_is(3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_seed_may_be_late_and_may_be_the_node_itself() {
    let mesh = Mesh::default();
    let first = start(&mesh, 2, &[1, 2]).await;
    until_known(&first, &names([2])).await;
    tokio::time::advance(seconds(60)).await;
    let nodes = [first, start(&mesh, 1, &[1]).await];
    let joined = all_know(&nodes, &names(1..=2)).await;
    assert!(joined <= seconds(2), "{joined:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_node_says_of_itself_is_known_everywhere() {
    let mesh = Mesh::default();
    let mut nodes = cluster(&mesh, 3).await;
    let front_end = Me {
        member: false,
        ..me(4)
    };
    nodes.push(
        Gossip::start_on(&mesh, options(4, &[1]), front_end)
            .await
            .unwrap(),
    );
    all_know(&nodes, &names(1..=4)).await;
    nodes[3].set_state(State::Ready).await;
    nodes[3].set_address("https://10.1.0.9:8443").await.unwrap();
    for node in &nodes {
        until(node, |node| {
            let nodes = node.nodes();
            let last = &nodes[3];
            !last.member && last.state == State::Ready && last.address == "https://10.1.0.9:8443"
        })
        .await;
    }
    nodes[3].set_address("10.1.0.9:8443").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_leave_is_known_before_the_node_is_gone() {
    let mesh = Mesh::default();
    let mut nodes = cluster(&mesh, 5).await;
    let leaver = nodes.pop().unwrap();
    let began = Instant::now();
    assert!(leaver.leave(seconds(2)).await);
    drop(leaver);
    all_know(&nodes, &names(1..=4)).await;
    let left = began.elapsed();
    println!("5 nodes: a leave known after {left:?}");
    assert!(left <= seconds(2), "{left:?}");
    let listed = nodes[0].members().await.unwrap();
    let leaving: Vec<bool> = listed.iter().map(|node| node.leaving).collect();
    assert_eq!(leaving, [false, false, false, false, true]);
    until(&nodes[0], |node| node.nodes().len() == 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_leave_that_no_node_receives_is_confirmed_by_none() {
    let mesh = Mesh::default();
    let nodes = cluster(&mesh, 2).await;
    mesh.cut(|_, _| false);
    assert!(!nodes[0].leave(seconds(1)).await);
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_left_out() {
    let mesh = Mesh::default();
    let mut nodes = cluster(&mesh, 5).await;
    tokio::time::sleep(seconds(60)).await;
    drop(nodes.pop());
    let dead = all_know(&nodes, &names(1..=4)).await;
    println!("5 nodes: a death known after {dead:?}");
    assert!(dead >= seconds(3) && dead <= seconds(8), "{dead:?}");
}

#[tokio::test(start_paused = true)]
async fn no_live_node_is_taken_for_dead_where_datagrams_are_lost() {
    let mesh = Mesh::default();
    let nodes = cluster(&mesh, 5).await;
    mesh.lose(0.3);
    let all = names(1..=5);
    let watched = timeout(seconds(120), async {
        loop {
            nodes[0].members().await.unwrap();
            assert_eq!(known(&nodes[0]), all);
            nodes[0].changed().await;
        }
    });
    watched.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_pauses_for_three_seconds_stays() {
    let mesh = Mesh::default();
    let nodes = cluster(&mesh, 5).await;
    tokio::time::sleep(seconds(30)).await;
    mesh.cut(|from, to| from != at(5) && to != at(5));
    let all = names(1..=5);
    let watched = timeout(seconds(3), async {
        loop {
            nodes[0].members().await.unwrap();
            assert_eq!(known(&nodes[0]), all);
            nodes[0].changed().await;
        }
    });
    watched.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_under_another_port_is_one_node() {
    let mesh = Mesh::default();
    let mut nodes = cluster(&mesh, 4).await;
    drop(nodes.remove(2));
    let moved = GossipOptions {
        listen: at(103),
        ..options(3, &[1])
    };
    let again = Me {
        address: "http://10.1.0.3:9999".into(),
        ..me(3)
    };
    let began = Instant::now();
    nodes.push(Gossip::start_on(&mesh, moved, again).await.unwrap());
    for node in &nodes {
        until(node, |node| {
            let nodes = node.nodes();
            nodes.len() == 4
                && nodes
                    .iter()
                    .any(|node| node.address == "http://10.1.0.3:9999")
        })
        .await;
    }
    // The predecessor is not yet considered dead: it is superseded.
    let took = began.elapsed();
    assert!(took <= seconds(2), "{took:?}");
    all_know(&nodes, &names(1..=4)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_at_once_at_the_same_address_is_ready_again() {
    let mesh = Mesh::default();
    let mut nodes = cluster(&mesh, 3).await;
    let leaver = nodes.pop().unwrap();
    assert!(leaver.leave(seconds(2)).await);
    drop(leaver);
    // Its socket closes when its task has ended.
    tokio::time::sleep(Duration::from_millis(10)).await;
    nodes.push(start(&mesh, 3, &[1]).await);
    let back = all_know(&nodes, &names(1..=3)).await;
    assert!(back <= seconds(2), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn halves_that_were_split_are_one_again() {
    let mesh = Mesh::default();
    let nodes = cluster(&mesh, 6).await;
    let left: BTreeSet<SocketAddr> = (1..=3).map(at).collect();
    mesh.cut(move |from, to| left.contains(&from) == left.contains(&to));
    all_know(&nodes[..3], &names(1..=3)).await;
    all_know(&nodes[3..], &names(4..=6)).await;
    mesh.heal();
    let healed = all_know(&nodes, &names(1..=6)).await;
    println!("6 nodes: halves are one again after {healed:?}");
    assert!(healed <= seconds(10), "{healed:?}");
}

#[tokio::test(start_paused = true)]
async fn halves_that_have_forgotten_each_other_are_joined_by_the_seeds() {
    let mesh = Mesh::default();
    let nodes = cluster(&mesh, 4).await;
    // Each half has one of the seeds.
    mesh.cut(|from, to| from.ip().is_ipv4() && odd(from) == odd(to));
    tokio::time::sleep(GRACE * 2).await;
    mesh.heal();
    let healed = all_know(&nodes, &names(1..=4)).await;
    assert!(healed <= seconds(15), "{healed:?}");
}

fn odd(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V4(v4) if v4.ip().octets()[3] % 2 == 1)
}

#[tokio::test(start_paused = true)]
async fn fifty_members() {
    let mesh = Mesh::default();
    let began = Instant::now();
    let mut nodes = Vec::new();
    for n in 1..=50 {
        nodes.push(start(&mesh, n, &[1, 2]).await);
    }
    all_know(&nodes, &names(1..=50)).await;
    let formed = began.elapsed();
    nodes.push(start(&mesh, 51, &[1, 2]).await);
    let joined = all_know(&nodes, &names(1..=51)).await;
    let leaver = nodes.pop().unwrap();
    let began = Instant::now();
    assert!(leaver.leave(seconds(2)).await);
    all_know(&nodes, &names(1..=50)).await;
    let left = began.elapsed();
    drop(leaver);
    tokio::time::sleep(seconds(10)).await;
    mesh.record();
    tokio::time::sleep(seconds(10)).await;
    let sent: usize = mesh.recorded().iter().map(|sent| sent.bytes.len()).sum();
    println!("50 nodes: each sends {} bytes a second", sent / 50 / 10);
    drop(nodes.pop());
    let dead = all_know(&nodes, &names(1..=49)).await;
    println!(
        "50 nodes: formed after {formed:?}, a join known after {joined:?}, a leave after {left:?}, \
         a death after {dead:?}"
    );
    assert!(formed <= seconds(5) && joined <= seconds(5) && left <= seconds(5));
    assert!(dead >= seconds(3) && dead <= seconds(10), "{dead:?}");
}
