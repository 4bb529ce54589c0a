//! The default profile's placement, frozen: nodes of different releases share clusters. A change
//! that fails here moves keys in every cluster; it needs a new profile, not new vectors.
#![allow(clippy::unwrap_used)]

use gaggle_ring::{Profile, Ring};
use sha2::{Digest, Sha256};

fn ring(count: usize) -> Ring {
    let peers = (1..=count).map(|n| format!("http://10.0.0.{n}:8080"));
    Ring::new(Profile::Gaggle, peers).unwrap()
}

/// SHA-256 of the owners of `key-0` … `key-999`, concatenated.
fn fingerprint(ring: &Ring) -> String {
    let mut owners = Sha256::new();
    for n in 0..1000 {
        owners.update(ring.owner(format!("key-{n}").as_bytes()).unwrap());
    }
    owners
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn successors_of_single_keys() {
    let ring = ring(3);
    let vectors = [
        ("foo", [2, 0, 1]),
        ("Tom", [0, 1, 2]),
        ("key-0", [2, 0, 1]),
        ("key-1", [2, 1, 0]),
        ("a b", [0, 2, 1]),
        ("", [2, 1, 0]),
        ("123", [0, 1, 2]),
    ];
    for (key, owners) in vectors {
        assert_eq!(ring.owner_indices(key.as_bytes(), 3), owners, "{key:?}");
    }
}

/// One, four and more blocks of ranking, both sides of the table threshold, and a table.
#[test]
fn a_thousand_keys_and_the_digest_at_each_size() {
    let vectors = [
        (
            1,
            0x344a_e3b1_1186_df38,
            "eb68564d1972c4a5913aeaeb606156b53a0e1295ae2f9dc2679d5129e5ae1cbb",
        ),
        (
            3,
            0x78d4_f517_80b6_6c32,
            "2996e4849675401cd98d4c60f41395099f9de9560e8fe84ab78eb47b20480c27",
        ),
        (
            16,
            0x1063_cd45_a5e9_149a,
            "29bf8ad416a877a8c8c745f1c7578636a9651f51f4d04f0a169cd6c93424afd9",
        ),
        (
            24,
            0xba72_ae8e_f1cf_a360,
            "565bf3aaf6bd967fe2cb03a138f149c86c80d703ed31ac63c1e09811f51389dc",
        ),
        (
            25,
            0xef32_1fb7_7ffd_e678,
            "e56a3903caef207c28e0e1fca878179d508cfa0ab1b6c016487dcd3acc9d5bda",
        ),
        (
            100,
            0x0b88_7bb9_808e_3a1f,
            "0bc6a9cc1bf56b8c701ea343c2e31a533c6ae92dfa37926e38192bd4dc72dd4d",
        ),
    ];
    for (members, digest, owners) in vectors {
        let ring = ring(members);
        assert_eq!(ring.digest(), digest, "{members} members");
        assert_eq!(fingerprint(&ring), owners, "{members} members");
    }
}

#[test]
fn digests_of_other_rings() {
    let empty = Ring::new(Profile::Gaggle, Vec::<String>::new()).unwrap();
    assert_eq!(empty.digest(), 0xb600_7796_7c35_a3cf);
    let peers = (1..=3).map(|n| format!("http://10.0.0.{n}:8080"));
    let groupcache = Ring::new(Profile::GROUPCACHE, peers).unwrap();
    assert_eq!(groupcache.digest(), 0xca55_1c71_0010_b55c);
}
