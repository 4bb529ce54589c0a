//! What counts as in flight until it is written, or its client is gone.

use bytes::Bytes;
use gaggle_group::{ByteBudget, Error, Group, Hold};

use crate::patience::Patience;
use crate::reply::{self, Refusal};

/// Bytes that own something for as long as they exist. The body that they are sent in does not
/// live as long: a connection takes the last bytes out of it, and writes them when the client
/// reads.
pub(crate) fn owning<H: Send + 'static>(bytes: Bytes, hold: H) -> Bytes {
    struct Owning<H> {
        bytes: Bytes,
        _hold: H,
    }
    impl<H> AsRef<[u8]> for Owning<H> {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Owning { bytes, _hold: hold })
}

/// The same bytes, counted until they are written; not a copy. Waits for room as the budget says,
/// or as long as the client waits, if that is less. Small ones cost nothing.
pub(crate) async fn counted(
    group: &Group,
    bytes: Bytes,
    patience: Option<Patience>,
) -> Result<Bytes, Refusal> {
    if bytes.len() < ByteBudget::SMALL {
        return Ok(bytes);
    }
    match hold(group, &bytes, patience).await {
        Ok(hold) => Ok(owning(bytes, hold)),
        Err(error) => Err(Refusal::failed(&error)),
    }
}

/// A hold on a value, which waits in the same way.
pub(crate) async fn hold(
    group: &Group,
    value: &Bytes,
    patience: Option<Patience>,
) -> Result<Hold, Error> {
    let holding = group.in_flight().hold(value);
    let held = match patience {
        None => holding.await,
        Some(patience) => patience.bound(group, holding).await?,
    };
    held.map_err(|over| reply::no_room(group, &over))
}

/// A hold on a value that has just been loaded. It takes memory already and has waited for room
/// while it came, so it does not queue behind loads that have yet to begin: each of those would
/// become a value that waits, and none of them would count. So the budget can be exceeded by one
/// value; beyond that there is none.
pub(crate) fn of_loaded(group: &Group, value: &Bytes) -> Option<Hold> {
    group.in_flight().hold_loaded(value)
}

/// The same bytes, counted until they are written, whether or not there is room: they are a part
/// of an answer that has begun.
pub(crate) fn counted_at_once(group: &Group, bytes: Bytes) -> Bytes {
    if bytes.len() < ByteBudget::SMALL {
        return bytes;
    }
    // Nothing is always free.
    match group.in_flight().try_reserve(0) {
        Some(room) => {
            let hold = room.into_hold(&bytes);
            owning(bytes, hold)
        }
        None => bytes,
    }
}
