//! What a request waits for: loads, room in flight, other nodes.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use gaggle_group::{
    Answer, ByteBudget, Entry, Error, Freshness, Group, Key, OverBudget, Removal, SPAN_TARGET,
    Window,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{Instrument as _, Span, debug_span, info, warn};

use super::{Connection, Ended, SOFT};
use crate::commands::{Later, Named};
use crate::error::{Text, no_room};
use crate::reads::One;
use crate::scratch::Scratch;
use crate::server::Shared;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) async fn finish(&mut self, what: Later, s: &mut Scratch) -> Result<(), Ended> {
        match what {
            Later::Values(keys) => self.values(&keys, s).await?,
            Later::Held(group, value, part) => {
                if let Some(group) = self.shared.keys.group(group).cloned() {
                    self.write_part(&group, value, part, &mut None, s).await?;
                }
            }
            Later::Exist(keys, there) => self.exist(&keys, there, s).await,
            Later::One(what, group, key) => self.one(what, group, &key, s).await?,
            Later::Put(group, key, value, ttl) => self.put(group, &key, value, ttl, s).await,
            Later::PutNothing(group, key) => {
                if self.remove(vec![(group, key)], s).await {
                    s.output.ok();
                }
            }
            Later::Remove(keys) => {
                let many = i64::try_from(keys.len()).unwrap_or(i64::MAX);
                if self.remove(keys, s).await {
                    s.output.int(many);
                }
            }
            Later::Flush(groups) => {
                if self.empty(groups, s).await {
                    s.output.ok();
                }
            }
        }
        Ok(())
    }

    /// The values of keys, in order. Those that are not in memory are loaded side by side, as many
    /// at a time as there is to be in memory of values that wait for the client.
    async fn values(&mut self, keys: &[Named], s: &mut Scratch) -> Result<(), Ended> {
        let shared = self.shared.clone();
        let mut window = window(&shared, keys);
        let mut rest = keys;
        // Where the budget is full, one wait is enough for all of them.
        let mut refused = None;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(window.size().min(rest.len()));
            rest = later;
            let mut bytes = 0;
            // Loads wait for bytes, too.
            if s.output.has_holds() {
                self.flush(s).await?;
            }
            for ((group, answer), key) in self.lookup(now).await.into_iter().zip(now) {
                let proto = self.session.proto;
                match answer {
                    Ok(answer) => {
                        let loaded = !answer.source.is_hit();
                        let Some(value) = answer.value else {
                            s.output.null(proto);
                            continue;
                        };
                        bytes += value.len() as u64;
                        let Some(group) = group else { continue };
                        self.write_value(&group, value, loaded, &mut refused, s)
                            .await?;
                    }
                    Err(Failed::Group(error)) => s.output.error(Text(&error)),
                    Err(Failed::NoGroup) => {
                        let text = key.as_ref().err().map_or(&[][..], |text| text);
                        s.output.error_bytes(text);
                    }
                }
                if s.output.waiting() >= SOFT {
                    self.relieve(s).await?;
                }
            }
            window.brought(now.len(), bytes);
        }
        Ok(())
    }

    async fn write_value(
        &mut self,
        group: &Group,
        value: Bytes,
        loaded: bool,
        refused: &mut Option<OverBudget>,
        s: &mut Scratch,
    ) -> Result<(), Ended> {
        if value.len() < ByteBudget::SMALL {
            s.output.bulk(&value);
            return Ok(());
        }
        // One that was just loaded takes its memory already.
        let hold = loaded.then(|| group.in_flight().hold_loaded(&value));
        if let Some(hold) = hold.flatten() {
            s.output.value(value, hold);
            return Ok(());
        }
        self.write_part(group, value.clone(), value, refused, s)
            .await
    }

    /// Writes a part of a value, or all of it, once there is room for the value. Waits for that
    /// unless there was none before, and keeps no bytes in flight while it waits.
    async fn write_part(
        &mut self,
        group: &Group,
        value: Bytes,
        part: Bytes,
        refused: &mut Option<OverBudget>,
        s: &mut Scratch,
    ) -> Result<(), Ended> {
        let budget = group.in_flight();
        let held = match (budget.try_hold(&value), &*refused) {
            (Some(hold), _) => Ok(hold),
            (None, Some(over)) => Err(over.clone()),
            (None, None) => {
                self.flush(s).await?;
                budget.hold(&value).await
            }
        };
        match held {
            Ok(hold) => s.output.value(part, hold),
            Err(over) => {
                s.output.error(Text(&no_room(group, &over)));
                *refused = Some(over);
            }
        }
        Ok(())
    }

    /// What there is of keys, in order.
    async fn lookup(&self, keys: &[Named]) -> Vec<(Option<Group>, Result<Answer, Failed>)> {
        let shared = &self.shared;
        // The places of the keys of each group.
        let mut asked: Vec<(Group, Vec<usize>, Vec<&Key>)> = Vec::new();
        for (place, named) in keys.iter().enumerate() {
            let Ok((at, key)) = named else { continue };
            let Some(group) = shared.keys.group(*at) else {
                continue;
            };
            let known = asked.iter_mut().find(|(of, ..)| of.name() == group.name());
            match known {
                Some((_, places, keys)) => {
                    places.push(place);
                    keys.push(key);
                }
                None => asked.push((group.clone(), vec![place], vec![key])),
            }
        }
        let answered = join_all(asked.iter().map(|(group, _, keys)| {
            let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            async move { group.get_many(&keys).await }.instrument(span(group))
        }));
        let answered = answered.await;
        let mut answers: Vec<_> = keys.iter().map(|_| (None, Err(Failed::NoGroup))).collect();
        for ((group, places, _), found) in asked.into_iter().zip(answered) {
            for (place, answer) in places.into_iter().zip(found) {
                if let Some(to) = answers.get_mut(place) {
                    *to = (Some(group.clone()), answer.map_err(Failed::Group));
                }
            }
        }
        answers
    }

    /// How many of the keys there are. The first failure is the answer.
    async fn exist(&self, keys: &[Named], mut there: i64, s: &mut Scratch) {
        let shared = &self.shared;
        let mut window = window(shared, keys);
        let mut rest = keys;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(window.size().min(rest.len()));
            rest = later;
            let mut bytes = 0;
            for ((_, answer), key) in self.lookup(now).await.into_iter().zip(now) {
                match answer {
                    Ok(answer) => {
                        there += i64::from(answer.value.is_some());
                        bytes += answer.value.map_or(0, |value| value.len() as u64);
                    }
                    Err(Failed::Group(error)) => return s.output.error(Text(&error)),
                    Err(Failed::NoGroup) => {
                        let text = key.as_ref().err().map_or(&[][..], |text| text);
                        return s.output.error_bytes(text);
                    }
                }
            }
            window.brought(now.len(), bytes);
        }
        s.output.int(there);
    }

    async fn one(
        &mut self,
        what: One,
        group: usize,
        key: &Key,
        s: &mut Scratch,
    ) -> Result<(), Ended> {
        let Some(group) = self.shared.keys.group(group).cloned() else {
            return Ok(());
        };
        match group.lookup_missed(key).instrument(span(&group)).await {
            Ok(answer) => {
                let held = what.write(&group, &answer, self.session.proto, &mut s.output);
                if let Some((value, part)) = held {
                    self.write_part(&group, value, part, &mut None, s).await?;
                }
            }
            Err(error) => s.output.error(Text(&error)),
        }
        Ok(())
    }

    /// Has the key's owner keep a value. The group sees to it that this goes on to its end though
    /// the client hangs up.
    async fn put(
        &self,
        group: usize,
        key: &Key,
        value: Bytes,
        ttl: Option<Duration>,
        s: &mut Scratch,
    ) {
        let Some(group) = self.shared.keys.group(group) else {
            return;
        };
        let policy = group.freshness();
        let freshness = ttl
            .or(policy.ttl)
            .map_or_else(Freshness::default, Freshness::for_ttl)
            .stale_while_revalidate(policy.stale_while_revalidate)
            .stale_if_error(policy.stale_if_error);
        let entry = Entry::value(value).with_freshness(freshness);
        match group.put(key, entry).await {
            Ok(removal) => {
                if reached_all(group, "put a value", &removal, s) {
                    s.output.ok();
                }
            }
            Err(error) => s.output.error(Text(&error)),
        }
    }

    /// Removes keys from all nodes; whether all of them were told.
    async fn remove(&self, keys: Vec<(usize, Key)>, s: &mut Scratch) -> bool {
        let mut by_group: Vec<(usize, Vec<Key>)> = Vec::new();
        for (at, key) in keys {
            match by_group.iter_mut().find(|(of, _)| *of == at) {
                Some((_, keys)) => keys.push(key),
                None => by_group.push((at, vec![key])),
            }
        }
        let removals = by_group.into_iter().filter_map(|(at, keys)| {
            let group = self.shared.keys.group(at)?;
            Some(async move {
                let mut removals = Vec::new();
                for keys in notices(&keys) {
                    removals.push(group.remove_many(keys).await);
                }
                (group, removals)
            })
        });
        let mut all = true;
        for (group, removals) in join_all(removals).await {
            for removal in removals {
                all = all && reached_all(group, "removed keys", &removal, s);
            }
        }
        all
    }

    /// Removes whole groups from all nodes; whether all of them were told.
    async fn empty(&self, groups: Vec<usize>, s: &mut Scratch) -> bool {
        let groups = groups.into_iter();
        let removals = groups.filter_map(|at| {
            let group = self.shared.keys.group(at)?;
            Some(async move { (group, group.remove_group().await) })
        });
        let mut all = true;
        for (group, removal) in join_all(removals).await {
            all = all && reached_all(group, "removed all keys", &removal, s);
        }
        all
    }
}

/// Why there is no answer for a key.
enum Failed {
    NoGroup,
    Group(Error),
}

/// Says so where a node was missed: an answer of success would be wrong there.
fn reached_all(group: &Group, done: &'static str, removal: &Removal, s: &mut Scratch) -> bool {
    let missed = removal.missed.len();
    let name = group.name();
    if missed == 0 {
        info!(group = %name, nodes = removal.removed.len(), "{done}");
        return true;
    }
    warn!(group = %name, missed, "{done}, but some nodes were missed");
    s.output.error(format_args!(
        "ERR group {name}: {done}, but {missed} nodes were missed"
    ));
    false
}

/// Keys in so many parts that [`Group::remove_many`] removes them, and not the whole group.
fn notices(keys: &[Key]) -> impl Iterator<Item = &[Key]> {
    /// Half of what that takes, as it counts it.
    const MOST: usize = 2 << 20;
    let mut rest = keys;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|key| {
            bytes += key.len() + 96;
            bytes <= MOST
        });
        // One that is larger alone is the group's to judge.
        let (now, later) = rest.split_at(fits.count().clamp(1.min(rest.len()), rest.len()));
        rest = later;
        (!now.is_empty()).then_some(now)
    })
}

/// The window for keys of one command, by the group of the first of them. One key needs no look at
/// what its group holds.
fn window(shared: &Shared, keys: &[Named]) -> Window {
    let most = shared.options.batch_loads;
    let first = keys.iter().flatten().next().filter(|_| keys.len() > 1);
    match first.and_then(|(at, _)| shared.keys.group(*at)) {
        Some(group) => Window::of(group, most),
        None => Window::unknown(most),
    }
}

/// The span of gets that miss.
fn span(group: &Group) -> Span {
    debug_span!(
        target: SPAN_TARGET,
        "get",
        group = &**group.name(),
        otel.kind = "server",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_are_removed_in_parts_that_name_them() {
        let keys: Vec<Key> = (0..3000_u32)
            .map(|n| Key::from([&n.to_be_bytes()[..], &[0; 2000]].concat()))
            .collect();
        let parts: Vec<&[Key]> = notices(&keys).collect();
        assert_eq!(parts.concat(), keys);
        for part in parts {
            let bytes: usize = part.iter().map(|key| key.len() + 96).sum();
            assert!(bytes <= 4 << 20, "{bytes}");
        }
        assert_eq!(notices(&[]).count(), 0);
        let huge = [Key::from(vec![0; 5 << 20]), Key::from(vec![1])];
        assert_eq!(notices(&huge).count(), 2);
    }
}
