//! Defects and limits of groupcache, as they show in a ring with Gaggle in it. A test that fails
//! with a newer groupcache shows that the defect was fixed.

use reqwest::Method;
use serde_json::Value;

use crate::keys::{self, value};
use crate::mixed::{Counts, Kind, Kind::*, Member, Mixed, api};
use crate::support::{Client, Origin, busy};

const KINDS: [Kind; 4] = [Go, Gaggle, Go, Gaggle];

/// A key of that form whose owner is at that place.
fn owned_by(mixed: &Mixed, at: usize, form: impl Fn(usize) -> String) -> Vec<u8> {
    let mut forms = (0..10_000).map(|n| form(n).into_bytes());
    forms.find(|key| mixed.owner(key) == at).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go and golang/groupcache: just interop"]
async fn a_space_is_a_plus_where_go_asks_and_a_space_where_gaggle_asks() {
    let _busy = busy().await;
    let origin = keys::origin().await;
    let mixed = Mixed::start(&KINDS, &origin).await;
    let client = Client::new();
    for (owner, kind) in KINDS.iter().enumerate() {
        let spaced = owned_by(&mixed, owner, |n| format!("a b {n}"));
        let plus: Vec<u8> = spaced
            .iter()
            .map(|byte| if *byte == b' ' { b'+' } else { *byte })
            .collect();
        for (asked, member) in mixed.members.iter().enumerate() {
            let answer = client.get(member.front_door(), &api(&spaced)).await;
            assert_eq!(answer.status, 200);
            let mistaken = member.is_go() && asked != owner;
            let expected = if mistaken { &plus } else { &spaced };
            assert!(
                answer.body == value(expected),
                "a {kind:?} node owns it, {asked} was asked"
            );
        }
        assert_eq!(
            origin.asked_for(&spaced),
            1,
            "by the owner, for itself and for Gaggle"
        );
        assert!(origin.asked_for(&plus) > 0, "for the other Go nodes");
    }
    for member in &mixed.members {
        assert_eq!(member.counts(&client).await.peer_errors, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go and golang/groupcache: just interop"]
async fn a_path_that_go_would_clean_costs_a_load_where_go_owns_it_and_nothing_where_gaggle_does() {
    let _busy = busy().await;
    let origin = keys::origin().await;
    let mixed = Mixed::start(&KINDS, &origin).await;
    let client = Client::new();
    let forms: [fn(usize) -> String; 6] = [
        |n| format!("{n}//x"),
        |n| format!("/{n}"),
        |n| format!("{n}/./x"),
        |n| format!("{n}/../x"),
        |n| format!("{n}/."),
        |n| format!("{n}/.."),
    ];
    let mut keys = vec![b".".to_vec(), b"..".to_vec()];
    for form in forms {
        keys.extend((0..KINDS.len()).map(|owner| owned_by(&mixed, owner, form)));
    }
    let mut errors = [0; 4];
    for key in &keys {
        let owner = mixed.owner(key);
        for (asked, member) in mixed.members.iter().enumerate() {
            let answer = client.get(member.front_door(), &api(key)).await;
            assert!(answer.status == 200 && answer.body == value(key), "{key:?}");
            if KINDS[owner] == Go && asked != owner {
                errors[asked] += 1;
            }
        }
        let expected = if KINDS[owner] == Go { KINDS.len() } else { 1 };
        assert_eq!(
            origin.asked_for(key) as usize,
            expected,
            "{key:?}, of {:?}",
            KINDS[owner]
        );
    }
    for (member, expected) in mixed.members.iter().zip(errors) {
        assert_eq!(member.counts(&client).await.peer_errors, expected);
    }
    println!(
        "{} keys that Go's ServeMux redirects: right everywhere, peer errors {errors:?}",
        keys.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go and golang/groupcache: just interop"]
async fn a_missing_key_is_missing_everywhere_and_only_gaggle_takes_a_peers_word_for_it() {
    let _busy = busy().await;
    let origin = Origin::serve(|_| None).await;
    let mixed = Mixed::start(&KINDS, &origin).await;
    let client = Client::new();
    let mut errors = [0; 4];
    for (owner, owned) in KINDS.iter().enumerate() {
        let key = owned_by(&mixed, owner, |n| format!("nobody-{n}"));
        let mut loads = 0;
        for (asked, member) in mixed.members.iter().enumerate() {
            assert_eq!(
                client.get(member.front_door(), &api(&key)).await.status,
                404
            );
            // The owner asks the origin, and so does a node that does not understand its answer.
            loads += 1;
            if asked != owner && (*owned == Go || KINDS[asked] == Go) {
                loads += 1;
                errors[asked] += 1;
            }
        }
        assert_eq!(origin.asked_for(&key), loads, "a {owned:?} node owns it");
    }
    for (member, peer_errors) in mixed.members.iter().zip(errors) {
        let counts = member.counts(&client).await;
        assert_eq!(
            counts,
            Counts {
                peer_errors,
                ..Counts::default()
            }
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go and golang/groupcache: just interop"]
async fn a_removal_says_that_it_missed_the_go_nodes() {
    let _busy = busy().await;
    let origin = keys::origin().await;
    let mixed = Mixed::start(&KINDS, &origin).await;
    let client = Client::new();
    let Member::Gaggle(node) = &mixed.members[1] else {
        panic!("a Go node");
    };
    let removal = client.send(Method::DELETE, node.admin, "/v1/scores/Tom", String::new());
    let answer = removal.await.unwrap();
    assert_eq!(answer.status, 502);
    let answer = answer.json();
    let names = |rows: &Value, name: fn(&Value) -> &Value| {
        let names = rows.as_array().unwrap().iter().map(name);
        let mut names: Vec<_> = names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let named = |nodes: [usize; 2]| {
        let mut names = nodes.map(|at| mixed.name(at));
        names.sort();
        names
    };
    assert_eq!(names(&answer["removed"], |name| name), named([1, 3]));
    assert_eq!(
        names(&answer["missed"], |missed| &missed["node"]),
        named([0, 2])
    );
}
