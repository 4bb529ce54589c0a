//! The properties that a cluster relies on, for any membership and either profile.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use gaggle_ring::{Profile, Ring, RingError};
use proptest::prelude::*;

fn profiles() -> impl Strategy<Value = Profile> {
    prop_oneof![
        Just(Profile::Gaggle),
        (1u32..60).prop_map(|replicas| Profile::Groupcache { replicas })
    ]
}

/// Up to 20 names, in a random order. Short ones, so that CRC-32 points do collide at times.
fn members() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set("[0-9a-c]{1,4}", 1..20)
        .prop_map(|names| names.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

fn keys() -> impl Iterator<Item = Vec<u8>> {
    (0..200u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gaggle_ignores_the_order_of_members(names in members()) {
        let ring = Ring::new(Profile::Gaggle, names.clone()).unwrap();
        let back = Ring::new(Profile::Gaggle, names.into_iter().rev()).unwrap();
        prop_assert_eq!(ring.members(), back.members());
        prop_assert_eq!(ring.digest(), back.digest());
        for key in keys() {
            prop_assert_eq!(ring.owner(&key), back.owner(&key));
        }
    }

    #[test]
    fn owners_are_different_complete_and_start_with_the_owner(
        profile in profiles(), names in members(), limit in 0usize..25,
    ) {
        let ring = Ring::new(profile, names.clone()).unwrap();
        for key in keys().take(40) {
            let all: Vec<&str> = ring.owners(&key, usize::MAX).collect();
            prop_assert_eq!(all.len(), names.len());
            prop_assert_eq!(all.first().copied(), ring.owner(&key));
            let set: BTreeSet<&str> = all.iter().copied().collect();
            prop_assert_eq!(set, names.iter().map(String::as_str).collect());
            let some: Vec<&str> = ring.owners(&key, limit).collect();
            prop_assert_eq!(&some[..], &all[..limit.min(all.len())]);
        }
    }

    #[test]
    fn a_leaving_member_hands_its_keys_to_the_second_and_moves_no_others(
        profile in profiles(), names in members(), pick in any::<prop::sample::Index>(),
    ) {
        let ring = Ring::new(profile, names.clone()).unwrap();
        let gone = pick.get(&names);
        let rest = ring.without(gone).unwrap();
        for key in keys() {
            let mut owners = ring.owners(&key, 2);
            let (first, second) = (owners.next(), owners.next());
            let expected = if first == Some(gone) { second } else { first };
            prop_assert_eq!(rest.owner(&key), expected);
        }
    }

    #[test]
    fn a_joining_member_takes_keys_and_moves_no_others(profile in profiles(), names in members()) {
        let ring = Ring::new(profile, names).unwrap();
        let grown = ring.with("newcomer").unwrap();
        for key in keys() {
            let now = grown.owner(&key);
            prop_assert!(now == ring.owner(&key) || now == Some("newcomer"));
        }
    }

    #[test]
    fn a_changed_ring_equals_a_new_one(
        profile in profiles(), old in members(), new in members(),
    ) {
        let built = Ring::new(profile, new.clone()).unwrap();
        let changed = Ring::new(profile, old.clone()).unwrap().with_members(new.clone()).unwrap();
        let mut stepped = Ring::new(profile, old.clone()).unwrap();
        for name in &old {
            stepped = stepped.without(name).unwrap();
        }
        for name in new {
            stepped = stepped.with(name).unwrap();
        }
        for ring in [changed, stepped] {
            prop_assert_eq!(ring.members(), built.members());
            prop_assert_eq!(ring.digest(), built.digest());
            for key in keys() {
                prop_assert_eq!(ring.owner(&key), built.owner(&key));
            }
        }
    }
}

fn peers(count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(|n| format!("http://10.0.0.{n}:8001"))
}

/// Loads and movement up to 16 members, on a sample whose own spread is below 1 %.
#[test]
fn loads_are_even_and_a_join_moves_one_share() {
    const KEYS: u32 = 200_000;
    for count in [3, 10, 16] {
        let ring = Ring::new(Profile::Gaggle, peers(count)).unwrap();
        let grown = ring.with("http://10.0.0.99:8001").unwrap();
        let (mut loads, mut moved) = (vec![0u32; count], 0u32);
        for n in 0..KEYS {
            let key = n.to_le_bytes();
            loads[ring.owner_index(&key).unwrap()] += 1;
            moved += u32::from(ring.owner(&key) != grown.owner(&key));
        }
        let mean = f64::from(KEYS) / count as f64;
        let most = f64::from(*loads.iter().max().unwrap()) / mean;
        assert!(most <= 1.03, "{count} members: max/mean {most}");
        let moved = f64::from(moved) / mean;
        assert!(moved <= 1.05, "{count} members: moved {moved} / N");
    }
}

/// Across the number of members from which lookups read a table: owners stay the same.
#[test]
fn growing_past_the_table_threshold_moves_keys_only_to_the_newcomer() {
    let few = Ring::new(Profile::Gaggle, peers(24)).unwrap();
    let many = few.with("http://10.0.0.25:8001").unwrap();
    let back = many.without("http://10.0.0.25:8001").unwrap();
    for n in 0..5_000u32 {
        let key = n.to_le_bytes();
        let now = many.owner(&key);
        assert!(now == few.owner(&key) || now == Some("http://10.0.0.25:8001"));
        assert_eq!(many.owners(&key, 1).next(), now);
        assert_eq!(back.owner(&key), few.owner(&key));
    }
}

/// The table of a changed ring gives the same answers as one filled from scratch.
#[test]
fn a_large_ring_follows_a_swap_of_members() {
    let old = Ring::new(Profile::Gaggle, peers(40)).unwrap();
    let list = || peers(41).filter(|name| name != "http://10.0.0.7:8001");
    let (changed, built) = (
        old.with_members(list()).unwrap(),
        Ring::new(Profile::Gaggle, list()).unwrap(),
    );
    assert_eq!(changed.members(), built.members());
    assert_eq!(changed.digest(), built.digest());
    for n in 0..20_000u32 {
        assert_eq!(
            changed.owner(&n.to_le_bytes()),
            built.owner(&n.to_le_bytes())
        );
    }
}

#[test]
fn an_empty_ring_owns_nothing_and_can_grow() {
    for profile in [Profile::Gaggle, Profile::GROUPCACHE] {
        let ring = Ring::new(profile, Vec::<String>::new()).unwrap();
        assert!(ring.is_empty());
        assert_eq!(ring.owner(b"key"), None);
        assert_eq!(ring.owners(b"key", 3).count(), 0);
        let one = ring.with("only").unwrap();
        assert_eq!(one.owner(b"key"), Some("only"));
        assert!(one.without("only").unwrap().is_empty());
    }
}

#[test]
fn bad_memberships_are_refused() {
    let twice = RingError::DuplicateMember { member: "a".into() };
    let full = RingError::TooManyMembers {
        max: Ring::MAX_MEMBERS,
    };
    for profile in [Profile::Gaggle, Profile::GROUPCACHE] {
        let new = |names: &[&'static str]| Ring::new(profile, names.iter().copied());
        assert_eq!(new(&["a", "b", "a"]).unwrap_err(), twice);
        assert_eq!(
            new(&["a", ""]).unwrap_err(),
            RingError::EmptyMember { position: 1 }
        );
        let ring = new(&["a"]).unwrap();
        assert_eq!(ring.with("a").unwrap_err(), twice);
        assert_eq!(
            ring.with("").unwrap_err(),
            RingError::EmptyMember { position: 1 }
        );
        let unknown = RingError::UnknownMember { member: "b".into() };
        assert_eq!(ring.without("b").unwrap_err(), unknown);
        // Endless input is not read to its end.
        assert_eq!(
            Ring::new(profile, (0..).map(|n: u64| n.to_string())).unwrap_err(),
            full
        );
    }
    for replicas in [0, 1_001] {
        let got = Ring::new(Profile::Groupcache { replicas }, ["a"]).unwrap_err();
        assert_eq!(
            got,
            RingError::Replicas {
                got: replicas,
                max: 1_000
            }
        );
    }
}
