//! The placements, each as its documentation makes one, behind the operations that all of them
//! have.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot run says so and ends"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gaggle_ring::{Profile, Ring};
use hashring::HashRing;
use pingora_ketama::{Bucket, Continuum, DEFAULT_POINT_MULTIPLE};
use xxhash_rust::xxh3::xxh3_64;

/// A member is its number; the address is made of it.
pub(crate) type Member = u16;

pub(crate) fn address(member: Member) -> SocketAddr {
    let [high, low] = member.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, high, low)), 8001)
}

fn url(member: Member) -> String {
    format!("http://{}", address(member))
}

/// Keys on members `0..members`, all of one weight.
pub(crate) trait Placement: Sized {
    const NAME: &'static str;
    fn new(members: Member) -> Self;

    /// Finds the owner in the form in which a program would want it. What it returns only keeps
    /// the compiler from dropping the work.
    fn look_up(&self, key: &[u8]) -> usize;

    /// The owner's number.
    fn owner(&self, key: &[u8]) -> Member;

    /// What it takes to have one member more, `members` being those there are. Others may be
    /// reading, so nothing is changed in place.
    fn joined(&self, members: Member) -> Self;
}

pub(crate) struct Gaggle(Ring);
pub(crate) struct Groupcache(Ring);

/// The number in the member's URL.
fn number(url: &str) -> Member {
    let address: SocketAddr = url
        .strip_prefix("http://")
        .and_then(|address| address.parse().ok())
        .expect("a member's own URL");
    number_of(address)
}

fn number_of(address: SocketAddr) -> Member {
    match address.ip() {
        IpAddr::V4(ip) => {
            let [_, _, high, low] = ip.octets();
            Member::from_be_bytes([high, low])
        }
        IpAddr::V6(_) => Member::MAX,
    }
}

impl Placement for Gaggle {
    const NAME: &'static str = "gaggle";

    fn new(members: Member) -> Self {
        Self(Ring::new(Profile::Gaggle, (0..members).map(url)).expect("members that differ"))
    }

    #[inline]
    fn look_up(&self, key: &[u8]) -> usize {
        self.0.owner(key).map_or(0, str::len)
    }

    fn owner(&self, key: &[u8]) -> Member {
        number(self.0.owner(key).expect("members"))
    }

    fn joined(&self, members: Member) -> Self {
        Self(self.0.with(url(members)).expect("a new member"))
    }
}

impl Placement for Groupcache {
    const NAME: &'static str = "gaggle's groupcache profile";

    fn new(members: Member) -> Self {
        Self(Ring::new(Profile::GROUPCACHE, (0..members).map(url)).expect("members that differ"))
    }

    #[inline]
    fn look_up(&self, key: &[u8]) -> usize {
        self.0.owner(key).map_or(0, str::len)
    }

    fn owner(&self, key: &[u8]) -> Member {
        number(self.0.owner(key).expect("members"))
    }

    fn joined(&self, members: Member) -> Self {
        Self(self.0.with(url(members)).expect("a new member"))
    }
}

/// nginx's ring: CRC-32, 160 points for each member.
pub(crate) struct Ketama(Continuum);

impl Placement for Ketama {
    const NAME: &'static str = "pingora-ketama";

    fn new(members: Member) -> Self {
        let buckets: Vec<Bucket> = (0..members)
            .map(|member| Bucket::new(address(member), 1))
            .collect();
        Self(Continuum::new(&buckets))
    }

    #[inline]
    fn look_up(&self, key: &[u8]) -> usize {
        self.0.node(key).map_or(0, |node| node.port().into())
    }

    fn owner(&self, key: &[u8]) -> Member {
        number_of(self.0.node(key).expect("members"))
    }

    /// It knows no other way.
    fn joined(&self, members: Member) -> Self {
        Self::new(members + 1)
    }
}

/// A ring of `SipHash`, which leaves virtual nodes to its user; here as many as ketama's. The node
/// is that of its documentation.
pub(crate) struct Hashring(HashRing<VirtualNode>);

#[derive(Clone, Copy, Hash)]
struct VirtualNode {
    id: u32,
    address: SocketAddr,
}

impl Hashring {
    fn points(member: Member) -> impl Iterator<Item = VirtualNode> {
        (0..DEFAULT_POINT_MULTIPLE).map(move |id| VirtualNode {
            id,
            address: address(member),
        })
    }
}

impl Placement for Hashring {
    const NAME: &'static str = "hashring";

    fn new(members: Member) -> Self {
        let mut ring = HashRing::new();
        ring.batch_add((0..members).flat_map(Self::points).collect());
        Self(ring)
    }

    #[inline]
    fn look_up(&self, key: &[u8]) -> usize {
        self.0
            .get(&key)
            .map_or(0, |node| node.address.port().into())
    }

    fn owner(&self, key: &[u8]) -> Member {
        number_of(self.0.get(&key).expect("members").address)
    }

    fn joined(&self, members: Member) -> Self {
        let mut ring = self.0.clone();
        ring.batch_add(Self::points(members).collect());
        Self(ring)
    }
}

/// Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014, figure 1, over
/// xxh3: the hash that the gaggle profile uses, so that the two differ in the placement alone.
/// (The crate `jumphash` has the same loop over `SipHash`.) Its members are numbers, and only the
/// last of them can leave.
pub(crate) struct Jump {
    addresses: Vec<SocketAddr>,
}

impl Jump {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "as the paper has it: a quotient of 2^31 is below 2^53"
    )]
    #[inline]
    fn bucket(&self, key: &[u8]) -> usize {
        let buckets = self.addresses.len() as u64;
        let mut state = xxh3_64(key);
        let (mut bucket, mut next) = (0, 0);
        while next < buckets {
            bucket = next;
            state = state
                .wrapping_mul(2_862_933_555_777_941_757)
                .wrapping_add(1);
            let divisor = ((state >> 33) + 1) as f64;
            next = ((bucket + 1) as f64 * ((1_u64 << 31) as f64 / divisor)) as u64;
        }
        bucket as usize
    }
}

impl Placement for Jump {
    const NAME: &'static str = "jump";

    fn new(members: Member) -> Self {
        Self {
            addresses: (0..members).map(address).collect(),
        }
    }

    #[inline]
    fn look_up(&self, key: &[u8]) -> usize {
        self.addresses[self.bucket(key)].port().into()
    }

    fn owner(&self, key: &[u8]) -> Member {
        number_of(self.addresses[self.bucket(key)])
    }

    fn joined(&self, members: Member) -> Self {
        Self::new(members + 1)
    }
}
