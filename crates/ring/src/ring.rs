//! The ring: a profile, a membership, and the owner of every key.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::circle::Circle;
use crate::rendezvous::Rendezvous;
use crate::{Profile, RingError};

/// An immutable placement of keys on members. A clone shares it and costs one reference count.
///
/// Members are opaque names, compared byte for byte; peers usually are base URLs. A ring may be
/// empty, and then owns nothing.
#[derive(Clone)]
pub struct Ring {
    inner: Arc<Inner>,
}

struct Inner {
    profile: Profile,
    members: Vec<Arc<str>>,
    placement: Placement,
    digest: u64,
}

#[derive(Clone)]
enum Placement {
    Gaggle(Rendezvous),
    Groupcache(Circle),
}

impl Ring {
    /// The largest number of members.
    pub const MAX_MEMBERS: usize = 16_384;

    /// Places keys on `members` by the rule of `profile`.
    ///
    /// Under [`Profile::Gaggle`] the order of members has no effect. Under [`Profile::Groupcache`]
    /// it decides which member owns a virtual node that two members hash to: the one listed last.
    ///
    /// From 25 members on, [`Profile::Gaggle`] fills a table of 8 MiB, which takes on the order of
    /// 100 ms: prefer [`with_members`](Self::with_members) to follow a membership, and keep either
    /// off an async executor's threads.
    ///
    /// # Errors
    ///
    /// A duplicate member, an empty name, more than [`MAX_MEMBERS`](Self::MAX_MEMBERS), or a
    /// number of virtual nodes that is 0 or over [`Profile::MAX_REPLICAS`].
    pub fn new<M: Into<Arc<str>>>(
        profile: Profile,
        members: impl IntoIterator<Item = M>,
    ) -> Result<Self, RingError> {
        profile.check()?;
        let members = checked(profile, members)?;
        let placement = Placement::new(profile, &members);
        Ok(Self::from_parts(profile, members, placement))
    }

    /// The owner's name; `None` only if the ring is empty. Allocates nothing.
    #[inline]
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<&str> {
        self.owner_index(key)
            .and_then(|index| self.inner.members.get(index))
            .map(|name| &**name)
    }

    /// The owner as an index into [`members`](Self::members). Allocates nothing.
    #[inline]
    #[must_use]
    pub fn owner_index(&self, key: &[u8]) -> Option<usize> {
        match &self.inner.placement {
            Placement::Gaggle(rendezvous) => rendezvous.owner(key),
            Placement::Groupcache(circle) => circle.owner(crc32fast::hash(key)),
        }
        .map(usize::from)
    }

    /// The first `limit` members for a key, all different, the owner first. The second is the one
    /// that owns the key once the owner has left, and so on.
    ///
    /// Ranks every member (`Gaggle`) or walks the circle (`Groupcache`): microseconds at a
    /// thousand members, so use it for failures and replicas, not for every request.
    pub fn owners(&self, key: &[u8], limit: usize) -> impl Iterator<Item = &str> {
        self.owner_indices(key, limit)
            .into_iter()
            .filter_map(|index| self.inner.members.get(index).map(|name| &**name))
    }

    /// Like [`owners`](Self::owners), as indexes into [`members`](Self::members).
    #[must_use]
    pub fn owner_indices(&self, key: &[u8], limit: usize) -> Vec<usize> {
        let limit = limit.min(self.len());
        let owners = match &self.inner.placement {
            Placement::Gaggle(rendezvous) => rendezvous.owners(key, limit),
            Placement::Groupcache(circle) => circle.owners(crc32fast::hash(key), limit),
        };
        owners.into_iter().map(usize::from).collect()
    }

    /// This ring with one additional member. Keys move only to the new member.
    ///
    /// The result equals [`Ring::new`] of the larger membership, the new member last.
    ///
    /// # Errors
    ///
    /// The member is in the ring already, its name is empty, or the ring is full.
    pub fn with(&self, member: impl Into<Arc<str>>) -> Result<Self, RingError> {
        let name = member.into();
        let Inner {
            profile,
            members,
            placement,
            ..
        } = &*self.inner;
        if name.is_empty() {
            return Err(RingError::EmptyMember {
                position: members.len(),
            });
        }
        if members.contains(&name) {
            return Err(RingError::DuplicateMember {
                member: name.to_string(),
            });
        }
        if members.len() >= Self::MAX_MEMBERS {
            return Err(RingError::TooManyMembers {
                max: Self::MAX_MEMBERS,
            });
        }
        let mut members = members.clone();
        let placement = match placement {
            Placement::Gaggle(rendezvous) => {
                let at = members.partition_point(|other| *other < name);
                members.insert(at, Arc::clone(&name));
                Placement::Gaggle(rendezvous.with(short(at), &name))
            }
            Placement::Groupcache(_) => {
                members.push(name);
                Placement::new(*profile, &members)
            }
        };
        Ok(Self::from_parts(*profile, members, placement))
    }

    /// This ring without one of its members. Only that member's keys move.
    ///
    /// # Errors
    ///
    /// The member is not in the ring.
    pub fn without(&self, member: &str) -> Result<Self, RingError> {
        let Inner {
            profile,
            members,
            placement,
            ..
        } = &*self.inner;
        let at = members
            .iter()
            .position(|other| &**other == member)
            .ok_or_else(|| RingError::UnknownMember {
                member: member.to_owned(),
            })?;
        let mut members = members.clone();
        members.remove(at);
        let placement = match placement {
            Placement::Gaggle(rendezvous) => Placement::Gaggle(rendezvous.without(short(at))),
            Placement::Groupcache(_) => Placement::new(*profile, &members),
        };
        Ok(Self::from_parts(*profile, members, placement))
    }

    /// A ring of the same profile for a new list of members; equals [`Ring::new`] of that list.
    ///
    /// This is the cheapest way to follow a membership: an unchanged list shares this ring, and a
    /// few changes to a large ring are applied one by one instead of filling a table from scratch.
    ///
    /// # Errors
    ///
    /// As for [`Ring::new`].
    pub fn with_members<M: Into<Arc<str>>>(
        &self,
        members: impl IntoIterator<Item = M>,
    ) -> Result<Self, RingError> {
        let Inner {
            profile,
            members: old,
            placement,
            ..
        } = &*self.inner;
        let new = checked(*profile, members)?;
        if new == *old {
            return Ok(self.clone());
        }
        if let Placement::Gaggle(_) = placement {
            // One change costs about half of filling the table at 25 members, a tenth at 1,000.
            let changes = (new.len() / 16).min(10);
            // Both lists are sorted.
            let missing = |from: &[Arc<str>], of: &[Arc<str>]| -> Vec<Arc<str>> {
                let is_new = |name: &&Arc<str>| of.binary_search(name).is_err();
                from.iter()
                    .filter(is_new)
                    .take(changes + 1)
                    .cloned()
                    .collect()
            };
            let (left, joined) = (missing(old, &new), missing(&new, old));
            if left.len() + joined.len() <= changes {
                let mut ring = self.clone();
                for name in left {
                    ring = ring.without(&name)?;
                }
                for name in joined {
                    ring = ring.with(name)?;
                }
                return Ok(ring);
            }
        }
        let placement = Placement::new(*profile, &new);
        Ok(Self::from_parts(*profile, new, placement))
    }

    /// The members: sorted by name under [`Profile::Gaggle`], in the order in which they were
    /// added under [`Profile::Groupcache`].
    #[must_use]
    pub fn members(&self) -> &[Arc<str>] {
        &self.inner.members
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.members.len()
    }

    /// Whether the ring has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.members.is_empty()
    }

    /// The rule of placement.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.inner.profile
    }

    /// A fingerprint of everything that decides placement: the profile, the set of members, and
    /// their order if two of them collide on a virtual node. Nodes with different digests disagree
    /// about owners; the same digest means the same placement. Format it with `{:016x}`.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.inner.digest
    }

    fn from_parts(profile: Profile, members: Vec<Arc<str>>, placement: Placement) -> Self {
        let digest = digest(profile, &members, &placement);
        Self {
            inner: Arc::new(Inner {
                profile,
                members,
                placement,
                digest,
            }),
        }
    }
}

impl Placement {
    fn new(profile: Profile, members: &[Arc<str>]) -> Self {
        let names = members.iter().map(|name| &**name);
        match profile {
            Profile::Gaggle => Self::Gaggle(Rendezvous::new(names)),
            Profile::Groupcache { replicas } => {
                Self::Groupcache(Circle::new((0..).zip(names), replicas, crc32fast::hash))
            }
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("profile", &format_args!("{}", self.profile()))
            .field("members", &self.members())
            .field("digest", &format_args!("{:016x}", self.digest()))
            .finish()
    }
}

/// The members in the form that a ring keeps, or the error.
fn checked<M: Into<Arc<str>>>(
    profile: Profile,
    members: impl IntoIterator<Item = M>,
) -> Result<Vec<Arc<str>>, RingError> {
    let mut list: Vec<Arc<str>> = members
        .into_iter()
        .take(Ring::MAX_MEMBERS + 1)
        .map(Into::into)
        .collect();
    if list.len() > Ring::MAX_MEMBERS {
        return Err(RingError::TooManyMembers {
            max: Ring::MAX_MEMBERS,
        });
    }
    if let Some(position) = list.iter().position(|name| name.is_empty()) {
        return Err(RingError::EmptyMember { position });
    }
    let mut seen = HashSet::with_capacity(list.len());
    if let Some(twice) = list.iter().find(|name| !seen.insert(&***name)) {
        return Err(RingError::DuplicateMember {
            member: twice.to_string(),
        });
    }
    if profile == Profile::Gaggle {
        list.sort_unstable();
    }
    Ok(list)
}

fn digest(profile: Profile, members: &[Arc<str>], placement: &Placement) -> u64 {
    fn push(text: &mut Vec<u8>, part: &str) {
        // The length prefix distinguishes ["ab"] from ["a", "b"].
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    let mut text = Vec::new();
    push(&mut text, "gaggle-ring 1");
    push(&mut text, &profile.to_string());
    let mut sorted: Vec<&str> = members.iter().map(|name| &**name).collect();
    sorted.sort_unstable();
    sorted.iter().for_each(|name| push(&mut text, name));
    if let Placement::Groupcache(circle) = placement {
        for (point, owners) in circle.collisions() {
            push(&mut text, "collision");
            text.extend_from_slice(&point.to_le_bytes());
            owners
                .iter()
                .for_each(|&owner| push(&mut text, &members[usize::from(owner)]));
        }
    }
    xxh3_64(&text)
}

/// An index in the form that the placements keep.
fn short(index: usize) -> u16 {
    const { assert!(Ring::MAX_MEMBERS < u16::MAX as usize) };
    u16::try_from(index).unwrap_or(u16::MAX)
}
