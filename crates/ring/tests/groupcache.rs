//! Golden vectors of golang/groupcache's ring, taken from running it.
#![allow(clippy::unwrap_used)]

use gaggle_ring::{Profile, Ring};
use sha2::{Digest, Sha256};

const PEERS: [&str; 3] = [
    "http://10.0.0.1:8080",
    "http://10.0.0.2:8080",
    "http://10.0.0.3:8080",
];

fn ring() -> Ring {
    Ring::new(Profile::GROUPCACHE, PEERS).unwrap()
}

#[test]
fn single_keys() {
    let ring = ring();
    let vectors = [
        ("foo", 1),
        ("Tom", 1),
        ("key-0", 3),
        ("key-1", 2),
        ("a b", 2),
        ("", 1),
        ("123", 1),
    ];
    for (key, peer) in vectors {
        assert_eq!(ring.owner(key.as_bytes()), Some(PEERS[peer - 1]), "{key:?}");
        assert_eq!(ring.owner_index(key.as_bytes()), Some(peer - 1), "{key:?}");
    }
}

#[test]
fn a_thousand_keys() {
    let ring = ring();
    let mut counts = [0; 3];
    let mut owners = Sha256::new();
    for n in 0..1000 {
        let key = format!("key-{n}");
        counts[ring.owner_index(key.as_bytes()).unwrap()] += 1;
        owners.update(ring.owner(key.as_bytes()).unwrap());
    }
    assert_eq!(counts, [361, 308, 331]);
    let hex: String = owners
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "2d1c1629dec3c4647054a47ad156b070eb06ce7c963f3bdef1e455babf743a3f"
    );
}

#[test]
fn of_two_members_on_one_point_the_last_added_owns_and_the_digest_tells() {
    let pair = ["http://cache-3f7f528d:80", "http://cache-efd6ea51:80"];
    // Keys that hash to the shared point: the virtual nodes' own labels.
    let keys = [b"44http://cache-3f7f528d:80", b"30http://cache-efd6ea51:80"];
    let forth = Ring::new(Profile::GROUPCACHE, pair).unwrap();
    let back = Ring::new(Profile::GROUPCACHE, [pair[1], pair[0]]).unwrap();
    for key in keys {
        assert_eq!(forth.owner(key), Some(pair[1]));
        assert_eq!(back.owner(key), Some(pair[0]));
    }
    assert_ne!(forth.digest(), back.digest());

    // Added later is added last, also when it was there before.
    let again = forth.without(pair[0]).unwrap().with(pair[0]).unwrap();
    assert_eq!(again.members(), back.members());
    assert_eq!(again.owner(keys[0]), Some(pair[0]));
    assert_eq!(again.digest(), back.digest());
}

#[test]
fn without_collisions_the_order_changes_neither_owners_nor_digest() {
    let back = Ring::new(Profile::GROUPCACHE, PEERS.into_iter().rev()).unwrap();
    let ring = ring();
    for n in 0..500 {
        let key = format!("key-{n}");
        assert_eq!(ring.owner(key.as_bytes()), back.owner(key.as_bytes()));
    }
    assert_eq!(ring.digest(), back.digest());
    assert_eq!(
        back.members()[0].as_ref(),
        PEERS[2],
        "the order given is kept"
    );
}

#[test]
fn the_number_of_virtual_nodes_is_part_of_the_placement() {
    let more = Ring::new(Profile::Groupcache { replicas: 51 }, PEERS).unwrap();
    assert_ne!(more.digest(), ring().digest());
}
