//! Which group a key is of.

use gaggle_group::{Group, Groups};

/// The groups of a port, and how the keys of its clients name them.
#[derive(Debug)]
pub(crate) struct Keyspace {
    /// By name.
    groups: Vec<Group>,
    /// That of keys which name none.
    bare: Option<usize>,
    /// Those whose names have a colon, the longest name first.
    with_colon: Vec<usize>,
    longest: usize,
    /// Where in a key its first colon can be: see [`bit`].
    colons: u64,
}

/// The bit of a place in a key. Places far behind share the last one.
#[inline]
fn bit(place: usize) -> u64 {
    1 << place.min(63)
}

/// A key that is of no group; what it names, if anything.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoGroup<'a>(Option<&'a [u8]>);

impl NoGroup<'_> {
    pub(crate) fn text(&self) -> Vec<u8> {
        match self.0 {
            Some(name) => [b"ERR no such group: ", name].concat(),
            None => b"ERR the key names no group: expected group:key".to_vec(),
        }
    }
}

impl Keyspace {
    /// `bare` is the name of the group of keys that name none.
    ///
    /// # Errors
    ///
    /// The name, if there is no group of that name.
    pub(crate) fn new(groups: &Groups, bare: Option<&str>) -> Result<Self, String> {
        let groups: Vec<Group> = groups.iter().cloned().collect();
        let find = |name: &str| groups.iter().position(|group| **group.name() == *name);
        let bare = match bare {
            Some(name) => Some(find(name).ok_or_else(|| name.to_owned())?),
            None => (groups.len() == 1).then_some(0),
        };
        let len = |at: usize| groups.get(at).map_or(0, |group| group.name().len());
        let mut with_colon: Vec<usize> = (0..groups.len()).collect();
        with_colon.retain(|at| {
            groups
                .get(*at)
                .is_some_and(|group| group.name().contains(':'))
        });
        with_colon.sort_by_key(|at| std::cmp::Reverse(len(*at)));
        let longest = (0..groups.len()).map(len).max().unwrap_or(0);
        let first_colon = |group: &Group| {
            let name = group.name();
            name.find(':').unwrap_or(name.len())
        };
        let colons = groups.iter().map(first_colon).map(bit);
        let colons = colons.fold(0, std::ops::BitOr::bitor);
        Ok(Self {
            bare,
            with_colon,
            longest,
            colons,
            groups,
        })
    }

    pub(crate) fn all(&self) -> &[Group] {
        &self.groups
    }

    pub(crate) fn group(&self, at: usize) -> Option<&Group> {
        self.groups.get(at)
    }

    pub(crate) fn bare(&self) -> Option<usize> {
        self.bare
    }

    /// The group of a key, and the key in it. `group:key` where there is a group of that name;
    /// otherwise all of it is a key of the bare group.
    #[inline]
    pub(crate) fn find<'k>(&self, key: &'k [u8]) -> Result<(usize, &'k [u8]), NoGroup<'k>> {
        // No name is longer than this.
        let named = key.get(..=self.longest).unwrap_or(key);
        let colon = named.iter().position(|byte| *byte == b':');
        if let Some(colon) = colon
            && self.colons & bit(colon) != 0
            && let Some(found) = self.prefixed(key, colon)
        {
            return Ok(found);
        }
        match self.bare {
            Some(bare) => Ok((bare, key)),
            None => Err(NoGroup(
                key.iter()
                    .position(|byte| *byte == b':')
                    .and_then(|colon| key.get(..colon)),
            )),
        }
    }

    fn prefixed<'k>(&self, key: &'k [u8], colon: usize) -> Option<(usize, &'k [u8])> {
        for at in &self.with_colon {
            let name = self.groups.get(*at)?.name().as_bytes();
            if let Some(rest) = key.strip_prefix(name)
                && let Some(rest) = rest.strip_prefix(b":")
            {
                return Some((*at, rest));
            }
        }
        let (name, rest) = (key.get(..colon)?, key.get(colon + 1..)?);
        let found = self
            .groups
            .binary_search_by(|group| group.name().as_bytes().cmp(name));
        Some((found.ok()?, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyspace(names: &[&str], bare: Option<&str>) -> Keyspace {
        let groups = names.iter().map(|name| {
            let none = |_| async { Ok::<Option<&str>, &str>(None) };
            Group::builder(*name).origin_fn(none).build().unwrap()
        });
        Keyspace::new(&Groups::new(groups).unwrap(), bare).unwrap()
    }

    fn found(keys: &Keyspace, key: &str) -> String {
        match keys.find(key.as_bytes()) {
            Ok((at, key)) => format!(
                "{} {}",
                keys.group(at).unwrap().name(),
                String::from_utf8_lossy(key)
            ),
            Err(none) => String::from_utf8(none.text()).unwrap(),
        }
    }

    #[test]
    fn a_key_names_its_group() {
        let two = keyspace(&["scores", "users", "a:b"], None);
        for (key, expected) in [
            ("scores:Tom", "scores Tom"),
            ("users:Tom:1", "users Tom:1"),
            ("users:", "users "),
            ("a:b:c:d", "a:b c:d"),
            ("scorer:Tom", "ERR no such group: scorer"),
            ("s:Tom", "ERR no such group: s"),
            ("a:c", "ERR no such group: a"),
            (
                "a-very-long-name-of-a-group:x",
                "ERR no such group: a-very-long-name-of-a-group",
            ),
            ("Tom", "ERR the key names no group: expected group:key"),
            ("", "ERR the key names no group: expected group:key"),
            (":", "ERR no such group: "),
        ] {
            assert_eq!(found(&two, key), expected, "{key}");
        }
    }

    #[test]
    fn a_bare_key_is_one_that_names_no_group() {
        for keys in [
            keyspace(&["scores"], None),
            keyspace(&["scores", "users"], Some("scores")),
        ] {
            for (key, expected) in [
                ("Tom", "scores Tom"),
                ("scores:Tom", "scores Tom"),
                ("scores:scores:Tom", "scores scores:Tom"),
                ("other:Tom", "scores other:Tom"),
                (":", "scores :"),
            ] {
                assert_eq!(found(&keys, key), expected, "{key}");
            }
        }
        let groups = Groups::new([]).unwrap();
        assert_eq!(
            Keyspace::new(&groups, Some("x")).unwrap_err(),
            "x".to_owned()
        );
    }
}
