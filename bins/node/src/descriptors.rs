//! Descriptors: how many a node may have, and how many of them the connections of each port may
//! take.

use std::io;

/// More are useless: the kernel and the runtime keep tables of them.
const MOST: u64 = 1 << 20;
/// Descriptors for other uses than connections to this node's ports: connections to peers and
/// origins, files, the runtime's own.
const OTHERS: u64 = 1_024;

/// How many connections each port may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caps {
    pub(crate) front_door: usize,
    pub(crate) peers: usize,
    pub(crate) admin: usize,
}

/// How many descriptors this process may have open.
#[cfg(unix)]
pub(crate) fn limit() -> u64 {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.unwrap_or(MOST)
}

/// Raises the limit of descriptors to what this process may ask for, at most 1,048,576, and
/// returns it. A limit that is higher stays.
///
/// # Errors
///
/// The system's error. The [`limit`] is then as it was.
#[cfg(unix)]
pub(crate) fn raise() -> io::Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(MOST).min(MOST);
    match current {
        Some(current) if current < wanted => {
            let raised = Rlimit {
                current: Some(wanted),
                maximum,
            };
            setrlimit(Resource::Nofile, raised)?;
            Ok(wanted)
        }
        Some(current) => Ok(current),
        None => Ok(MOST),
    }
}

/// As many as can be of use: there is no such limit here.
#[cfg(not(unix))]
pub(crate) fn limit() -> u64 {
    MOST
}

/// As many as can be of use: there is no such limit here.
#[cfg(not(unix))]
pub(crate) fn raise() -> io::Result<u64> {
    Ok(limit())
}

/// The part of `wanted` that fits into `available` descriptors, besides those for connections to
/// peers and origins and for files: a quarter of them, at most 1,024.
///
/// The front door is reduced first, down to a quarter of the descriptors for ports: its clients
/// can ask another node. A cluster cannot work without its peers' ports, and a node without an
/// admin port cannot be examined. An eighth is reserved for the admin port. No port gets less than
/// one.
pub(crate) fn caps(available: u64, wanted: Caps) -> Caps {
    let ports = available - (available / 4).min(OTHERS);
    let ports = usize::try_from(ports).unwrap_or(usize::MAX);
    let least = wanted.front_door.min(ports / 4);
    let admin = wanted.admin.min(ports / 8);
    let peers = wanted.peers.min(ports - least - admin);
    let front_door = wanted.front_door.min(ports - admin - peers);
    // In addition to its reserve, it gets what the other ports did not want.
    let admin = wanted.admin.min(ports - peers - front_door);
    Caps {
        front_door: front_door.max(1),
        peers: peers.max(1),
        admin: admin.max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Caps = Caps {
        front_door: 10_000,
        peers: 10_000,
        admin: 100,
    };

    #[test]
    fn what_fits_stays() {
        assert_eq!(caps(MOST, USUAL), USUAL);
        assert_eq!(caps(20_100 + OTHERS, USUAL), USUAL);
        let all = Caps {
            admin: 10_000,
            ..USUAL
        };
        assert_eq!(caps(30_000 + OTHERS, all), all);
        assert_eq!(caps(u64::MAX, all), all);
    }

    #[test]
    fn the_front_door_is_reduced_first() {
        assert_eq!(
            caps(16_384, USUAL),
            Caps {
                front_door: 16_384 - 1_024 - 10_000 - 100,
                ..USUAL
            }
        );
    }

    #[test]
    fn then_the_peers_and_each_keeps_something() {
        for (available, front_door, peers, admin) in [
            (4_096, 768, 2_204, 100),
            (1_024, 192, 480, 96),
            (256, 48, 120, 24),
            (64, 12, 30, 6),
        ] {
            let expected = Caps {
                front_door,
                peers,
                admin,
            };
            assert_eq!(caps(available, USUAL), expected, "{available}");
        }
    }

    #[test]
    fn what_is_given_is_never_more_than_there_is() {
        for wanted in [0, 1, 10, 1_000, 1_000_000] {
            let wanted = Caps {
                front_door: wanted,
                peers: wanted,
                admin: wanted,
            };
            for available in (8..100_000).step_by(7) {
                let caps = caps(available, wanted);
                let all = caps.front_door + caps.peers + caps.admin;
                assert!(u64::try_from(all).unwrap() <= available, "{caps:?}");
            }
            for available in 0..8 {
                assert!(caps(available, wanted).admin >= 1);
            }
        }
    }

    #[test]
    fn the_limit_is_raised_once() {
        let before = limit();
        let raised = raise().unwrap();
        assert!(raised >= before.min(MOST));
        assert_eq!((raised, raised), (limit().min(MOST), raise().unwrap()));
    }
}
