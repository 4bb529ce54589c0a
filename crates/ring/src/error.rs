//! Errors in the description of a ring.

/// Why a ring could not be built or changed. A retry with the same input never helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The same name was given twice; placement would silently count it once.
    #[error("member {member:?} is listed twice")]
    DuplicateMember {
        /// The duplicate name.
        member: String,
    },
    /// A member without a name cannot be addressed.
    #[error("member number {position} (counted from 0) has an empty name")]
    EmptyMember {
        /// Place in the list given, counted from 0.
        position: usize,
    },
    /// More members than a ring takes.
    #[error("the ring takes at most {max} members, and more were given")]
    TooManyMembers {
        /// The limit: [`Ring::MAX_MEMBERS`](crate::Ring::MAX_MEMBERS).
        max: usize,
    },
    /// A member that was to be removed is not in the ring.
    #[error("member {member:?} is not in the ring")]
    UnknownMember {
        /// The name that was to be removed.
        member: String,
    },
    /// The number of virtual nodes for each member is out of bounds.
    #[error("{got} virtual nodes for each member: must be 1 to {max}")]
    Replicas {
        /// The number asked for.
        got: u32,
        /// The limit: [`Profile::MAX_REPLICAS`](crate::Profile::MAX_REPLICAS).
        max: u32,
    },
    /// No profile of that name.
    #[error(
        "no such ring profile: {name:?} (there are \"gaggle\", \"groupcache\" and \"groupcache:N\")"
    )]
    UnknownProfile {
        /// The text that was read.
        name: String,
    },
}
