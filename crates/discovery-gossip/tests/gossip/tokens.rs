//! Who may take part.

use std::sync::{Arc, Mutex};

use super::*;
use gaggle_discovery_gossip::Keys;

fn keys(tokens: &[&str]) -> Keys {
    let tokens: Vec<Vec<u8>> = tokens
        .iter()
        .map(|token| token.as_bytes().to_vec())
        .collect();
    Arc::new(move || tokens.clone())
}

async fn with(mesh: &Mesh, n: u16, keys: Option<Keys>) -> Gossip {
    let options = GossipOptions {
        keys,
        ..options(n, &[1])
    };
    Gossip::start_on(mesh, options, me(n)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn nodes_with_the_token_find_each_other_and_no_other_does() {
    let mesh = Mesh::default();
    let mut nodes = Vec::new();
    for n in 1..=5 {
        nodes.push(with(&mesh, n, Some(keys(&["secret"]))).await);
    }
    let formed = all_know(&nodes, &names(1..=5)).await;
    println!("5 nodes with a token: formed after {formed:?}");
    assert!(formed <= Duration::from_secs(2), "{formed:?}");
    let strangers = [
        with(&mesh, 6, None).await,
        with(&mesh, 7, Some(keys(&["guess"]))).await,
        with(&mesh, 8, Some(keys(&[""]))).await,
        with(&mesh, 9, Some(keys(&[]))).await,
    ];
    tokio::time::sleep(Duration::from_secs(30)).await;
    all_know(&nodes, &names(1..=5)).await;
    for (n, stranger) in (6..).zip(&strangers) {
        assert_eq!(known(stranger), names([n]));
    }
    assert!(nodes[0].dropped().signature > 0);
    assert!(strangers[2].dropped().no_token > 0 && strangers[3].dropped().no_token > 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_changed_node_by_node() {
    let mesh = Mesh::default();
    let mut nodes = Vec::new();
    let mut tokens = Vec::new();
    for n in 1..=4 {
        let current = Arc::new(Mutex::new(vec![b"old".to_vec()]));
        let source = current.clone();
        let keys: Keys = Arc::new(move || source.lock().unwrap().clone());
        nodes.push(with(&mesh, n, Some(keys)).await);
        tokens.push(current);
    }
    let all = names(1..=4);
    all_know(&nodes, &all).await;
    // First each accepts the new one, then each sends it, then none accepts the old one.
    let steps: [&[&str]; 3] = [&["old", "new"], &["new", "old"], &["new"]];
    let change = async {
        for step in steps {
            for current in &tokens {
                *current.lock().unwrap() = step.iter().map(|t| t.as_bytes().to_vec()).collect();
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        }
    };
    let watch = async {
        loop {
            nodes[0].members().await.unwrap();
            assert_eq!(known(&nodes[0]), all);
            nodes[0].changed().await;
        }
    };
    tokio::select! {
        () = change => {}
        () = watch => {}
    }
    assert_eq!(nodes[0].dropped().signature, 0);
    // A node without the new token is cut off in the end.
    *tokens[3].lock().unwrap() = vec![b"old".to_vec()];
    all_know(&nodes[..3], &names(1..=3)).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_recorded_cannot_be_sent_again() {
    let mesh = Mesh::default();
    let mut nodes = Vec::new();
    for n in 1..=3 {
        nodes.push(with(&mesh, n, Some(keys(&["secret"]))).await);
    }
    all_know(&nodes, &names(1..=3)).await;
    mesh.record();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let record = mesh.recorded();
    assert!(record.len() > 100);

    // To those who have seen it.
    let before = nodes[0].dropped().replayed;
    for sent in &record {
        mesh.inject(sent.clone());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let to_first = record.iter().filter(|sent| sent.to == at(1)).count();
    assert_eq!(nodes[0].dropped().replayed - before, to_first as u64);

    // To a node that has not seen it, because it was not running: no dead node reappears.
    drop(nodes);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let alone = with(&mesh, 1, Some(keys(&["secret"]))).await;
    for sent in &record {
        mesh.inject(sent.clone());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(alone.nodes().len() <= 1, "{:?}", alone.nodes());
    }
    // A datagram to another node has no effect, either.
    for sent in record {
        mesh.inject(mesh::Sent { to: at(1), ..sent });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(alone.nodes().len() <= 1, "{:?}", alone.nodes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_restarted_seed_is_found_again_with_a_token() {
    let mesh = Mesh::default();
    let mut nodes = Vec::new();
    for n in 1..=3 {
        nodes.push(with(&mesh, n, Some(keys(&["secret"]))).await);
    }
    all_know(&nodes, &names(1..=3)).await;
    drop(nodes.remove(0));
    tokio::time::sleep(Duration::from_millis(10)).await;
    // It knows nobody: the others write to its address, with the session that it had.
    nodes.push(with(&mesh, 1, Some(keys(&["secret"]))).await);
    all_know(&nodes, &names(1..=3)).await;
}
