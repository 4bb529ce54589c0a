use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn keys(tokens: &[&str]) -> Option<Keys> {
    let tokens: Vec<Vec<u8>> = tokens
        .iter()
        .map(|token| token.as_bytes().to_vec())
        .collect();
    Some(Arc::new(move || tokens.clone()))
}

fn at(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

fn seal(tokens: &[&str], session: u64) -> Seal {
    Seal::new(keys(tokens), "gaggle", session)
}

/// `a`, at port 1, and `b`, at port 2, with sessions of these numbers, each of which knows the
/// other's.
fn pair() -> (Seal, Seal) {
    let (mut a, mut b) = (seal(&["secret"], 1), seal(&["secret"], 2));
    a.learn(&Id {
        generation: 2,
        address: at(2),
    });
    b.learn(&Id {
        generation: 1,
        address: at(1),
    });
    (a, b)
}

#[track_caller]
fn message(opened: Opened<'_>) -> (u64, Vec<u8>) {
    match opened {
        Opened::Message { session, bytes } => (session, bytes.to_vec()),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn dropped(opened: Opened<'_>) -> Reason {
    match opened {
        Opened::Dropped(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_message_is_taken_once() {
    let (mut a, mut b) = pair();
    let datagram = a.seal(at(2), b"news").unwrap();
    assert_eq!(message(b.open(at(1), &datagram)), (1, b"news".to_vec()));
    assert_eq!(dropped(b.open(at(1), &datagram)), Reason::Replayed);
    assert_eq!(dropped(b.open(at(9), &datagram)), Reason::Replayed);
}

#[test]
fn every_bit_is_covered() {
    let (mut a, mut b) = pair();
    let datagram = a.seal(at(2), b"news").unwrap();
    for bit in 0..datagram.len() * 8 {
        let mut flipped = datagram.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        dropped(b.open(at(1), &flipped));
    }
    for length in 0..datagram.len() {
        dropped(b.open(at(1), &datagram[..length]));
    }
    message(b.open(at(1), &datagram));
}

#[test]
fn an_unknown_session_is_announced() {
    let (mut a, mut b) = (seal(&["secret"], 1), seal(&["secret"], 2));
    let blind = a.seal(at(2), b"news").unwrap();
    let Opened::Answer(hello) = b.open(at(1), &blind) else {
        panic!("not answered");
    };
    assert!(
        hello.len() < blind.len(),
        "nobody can have more sent than they send"
    );
    assert!(matches!(a.open(at(2), &hello), Opened::Nothing));
    let told = a.seal(at(2), b"news").unwrap();
    message(b.open(at(1), &told));
    // The same hello again changes nothing, and is not answered.
    assert_eq!(dropped(a.open(at(2), &hello)), Reason::Replayed);
    // From the datagrams that it received, b knows the session of a.
    let back = b.seal(at(1), b"more").unwrap();
    message(a.open(at(2), &back));
}

#[test]
fn what_was_sent_before_a_start_has_no_effect_after_it() {
    let (mut a, mut b) = pair();
    let recorded = a.seal(at(2), b"news").unwrap();
    message(b.open(at(1), &recorded));
    let mut again = seal(&["secret"], 3);
    assert!(matches!(again.open(at(1), &recorded), Opened::Answer(_)));
    // Nor at another node.
    let mut c = seal(&["secret"], 4);
    assert!(matches!(c.open(at(1), &recorded), Opened::Answer(_)));
}

#[test]
fn the_first_token_signs_and_each_is_accepted() {
    let (mut b, address) = (seal(&["old", "new"], 2), at(1));
    for (session, tokens, accepted) in [
        (11, &["old"][..], true),
        (12, &["new"][..], true),
        (13, &["new", "old"][..], true),
        (14, &["other", "old"][..], false),
        (15, &["", "old"][..], true), // an empty one signs nothing
    ] {
        let mut a = seal(tokens, session);
        a.learn(&Id {
            generation: 2,
            address: at(2),
        });
        let datagram = a.seal(at(2), b"news").unwrap();
        match b.open(address, &datagram) {
            Opened::Message { .. } => assert!(accepted, "{tokens:?}"),
            other => {
                assert_eq!(dropped(other), Reason::Signature);
                assert!(!accepted, "{tokens:?}");
            }
        }
    }
    assert_eq!(seal(&[], 1).seal(at(2), b"news"), None);
    assert_eq!(seal(&[""], 1).seal(at(2), b"news"), None);
}

#[test]
fn an_empty_token_verifies_nothing() {
    let mut b = seal(&[""], 2);
    let mut a = seal(&["secret"], 1);
    a.learn(&Id {
        generation: 2,
        address: at(2),
    });
    let mut datagram = a.seal(at(2), b"news").unwrap();
    assert_eq!(dropped(b.open(at(1), &datagram)), Reason::Signature);
    let end = datagram.len() - TAG;
    let mut forged = Hmac::<Sha256>::new_from_slice(b"").unwrap();
    forged.update(PURPOSE);
    let mut forged = Hmac::<Sha256>::new_from_slice(&forged.finalize().into_bytes()).unwrap();
    forged.update(&datagram[..end]);
    datagram[end..].copy_from_slice(&forged.finalize().into_bytes());
    assert_eq!(dropped(b.open(at(1), &datagram)), Reason::Signature);
}

#[test]
fn signed_and_unsigned_nodes_do_not_mix() {
    let (mut signed, mut plain) = (seal(&["secret"], 1), Seal::new(None, "gaggle", 2));
    let datagram = plain.seal(at(1), b"news").unwrap();
    assert_eq!(dropped(signed.open(at(2), &datagram)), Reason::Signature);
    let datagram = signed.seal(at(2), b"news").unwrap();
    assert_eq!(dropped(plain.open(at(1), &datagram)), Reason::Signature);
    let mut other = Seal::new(None, "gaggle", 3);
    let datagram = other.seal(at(2), b"news").unwrap();
    assert_eq!(message(plain.open(at(3), &datagram)), (3, b"news".to_vec()));
}

#[test]
fn another_cluster_is_distinguished_even_with_the_same_token() {
    let mut other = Seal::new(keys(&["secret"]), "other", 1);
    let mut b = seal(&["secret"], 2);
    let datagram = other.seal(at(2), b"news").unwrap();
    assert_eq!(dropped(b.open(at(1), &datagram)), Reason::OtherCluster);
}

#[test]
fn own_datagrams_are_nothing() {
    let mut a = seal(&["secret"], 1);
    let datagram = a.seal(at(1), b"news").unwrap();
    assert!(matches!(a.open(at(1), &datagram), Opened::Nothing));
}

#[test]
fn a_session_ends_before_a_sender_could_be_forgotten() {
    let mut b = seal(&["secret"], 2);
    let mut sent = Vec::new();
    for session in 100.. {
        let mut a = seal(&["secret"], session);
        a.learn(&Id {
            generation: 2,
            address: at(2),
        });
        let datagram = a.seal(at(2), b"news").unwrap();
        match b.open(at(1), &datagram) {
            Opened::Message { .. } => sent.push(datagram),
            Opened::Answer(hello) => {
                // It announces the new session, in which nothing of the old one counts.
                assert!(matches!(a.open(at(2), &hello), Opened::Nothing));
                let datagram = a.seal(at(2), b"news").unwrap();
                message(b.open(at(1), &datagram));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(sent.len() > 1000, "{}", sent.len());
    for datagram in sent {
        assert!(!matches!(b.open(at(1), &datagram), Opened::Message { .. }));
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_dropped(
        bytes in vec(any::<u8>(), 0..200),
        headed in any::<bool>(),
        kind in 0_u8..4,
    ) {
        let mut signed = seal(&["secret"], 2);
        let mut datagram = bytes.clone();
        if headed {
            datagram = [&MAGIC[..], &[kind], &signed.cluster, &bytes].concat();
        }
        prop_assert!(matches!(signed.open(at(1), &datagram), Opened::Dropped(_)));
        // Without a token any bytes after a header may be a message.
        let _opened = Seal::new(None, "gaggle", 2).open(at(1), &datagram);
    }
}
