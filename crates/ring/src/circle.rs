//! A ring of virtual nodes, as golang/groupcache's `consistenthash` package builds it.

/// Points on a circle of 32-bit hashes, each owned by a member (by index).
///
/// Source: `consistenthash.go` of golang/groupcache. Virtual node `i` of a member lies at
/// `hash(decimal(i) + member)`; a key belongs to the first point at or after its own hash, and
/// past the last point to the first. Karger et al., "Consistent Hashing and Random Trees", 1997.
#[derive(Clone)]
pub(crate) struct Circle {
    /// Ascending, with duplicates. Separate from `owners` so that the binary search stays compact.
    points: Vec<u32>,
    owners: Vec<u16>,
}

impl Circle {
    /// `members` yields indexes and names in the order in which they were added to the ring.
    pub(crate) fn new<'a>(
        members: impl Iterator<Item = (u16, &'a str)>,
        replicas: u32,
        hash: impl Fn(&[u8]) -> u32,
    ) -> Self {
        let mut nodes = Vec::new();
        let mut label = String::new();
        for (index, name) in members {
            for replica in 0..replicas {
                label.clear();
                label.push_str(&replica.to_string());
                label.push_str(name);
                nodes.push((hash(label.as_bytes()), index));
            }
        }
        // groupcache keeps the owners in a map from point to member, so on equal points the member
        // added last wins: it is first here, and the others after it are its successors.
        nodes.sort_unstable_by_key(|&(point, index)| (point, std::cmp::Reverse(index)));
        let (points, owners) = nodes.into_iter().unzip();
        Self { points, owners }
    }

    /// The member that owns a key of this hash; `None` on an empty circle.
    pub(crate) fn owner(&self, hash: u32) -> Option<u16> {
        let at = self.points.partition_point(|&point| point < hash);
        self.owners.get(at).or(self.owners.first()).copied()
    }

    /// The first `limit` different members met from this hash onward, the owner first.
    pub(crate) fn owners(&self, hash: u32, limit: usize) -> Vec<u16> {
        let mut found = Vec::with_capacity(limit);
        let at = self.points.partition_point(|&point| point < hash);
        let (before, after) = self.owners.split_at(at);
        for owner in after.iter().chain(before) {
            if found.len() == limit {
                break;
            }
            if !found.contains(owner) {
                found.push(*owner);
            }
        }
        found
    }

    /// Points that more than one member claims, with the claimants in the order of precedence:
    /// the only places where the order of members decides placement.
    pub(crate) fn collisions(&self) -> impl Iterator<Item = (u32, &[u16])> {
        let mut start = 0;
        self.points.chunk_by(|a, b| a == b).filter_map(move |run| {
            let owners = &self.owners[start..start + run.len()];
            start += run.len();
            owners
                .iter()
                .any(|owner| *owner != owners[0])
                .then_some((run[0], owners))
        })
    }

    #[cfg(test)]
    pub(crate) fn lowest(&self, count: usize) -> Vec<(u32, u16)> {
        self.points
            .iter()
            .copied()
            .zip(self.owners.iter().copied())
            .take(count)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &[u8]) -> u32 {
        std::str::from_utf8(text).unwrap().parse().unwrap()
    }

    fn numbered(members: &[&str]) -> Circle {
        Circle::new((0..).zip(members.iter().copied()), 3, number)
    }

    /// golang/groupcache's and GeeCache's `TestHashing`: points 2, 4, 6, 12, 14, 16, 22, 24, 26.
    #[test]
    fn hashing_example_of_groupcache() {
        let mut members = vec!["6", "4", "2"];
        let owner = |members: &[&str], key: u32| {
            let at = numbered(members).owner(key).unwrap();
            members[usize::from(at)].to_owned()
        };
        for (key, expected) in [(2, "2"), (11, "2"), (23, "4"), (27, "2")] {
            assert_eq!(owner(&members, key), expected, "key {key}");
        }
        members.push("8"); // adds 8, 18, 28
        for (key, expected) in [(2, "2"), (11, "2"), (23, "4"), (27, "8")] {
            assert_eq!(owner(&members, key), expected, "key {key}");
        }
    }

    /// golang/groupcache's `TestConsistency`: the order of members matters nowhere but on a
    /// collision, and there each ring has one owner.
    #[test]
    fn consistency_example_of_groupcache() {
        let crc = crc32fast::hash;
        let first = ["Bill", "Bob", "Bonny"];
        let second = ["Bob", "Bonny", "Bill"];
        let a = Circle::new((0..).zip(first), 1, crc);
        let b = Circle::new((0..).zip(second), 1, crc);
        let owners = |key: &str| {
            let point = crc(key.as_bytes());
            let at = |circle: &Circle| usize::from(circle.owner(point).unwrap());
            (first[at(&a)], second[at(&b)])
        };
        let (left, right) = owners("Ben");
        assert_eq!(left, right);

        let more_first = [first.as_slice(), &["Becky", "Ben", "Bobby"]].concat();
        let more_second = [second.as_slice(), &["Becky", "Ben", "Bobby"]].concat();
        let a = Circle::new((0..).zip(more_first.iter().copied()), 1, crc);
        let b = Circle::new((0..).zip(more_second.iter().copied()), 1, crc);
        for key in ["Ben", "Bob", "Bonny", "Becky", "Bobby"] {
            let point = crc(key.as_bytes());
            let left = more_first[usize::from(a.owner(point).unwrap())];
            let right = more_second[usize::from(b.owner(point).unwrap())];
            assert_eq!(left, right, "{key}");
        }
        // One virtual node each: a key that is "0" + a member's name lies on that member's point.
        assert_eq!(
            more_first[usize::from(a.owner(crc(b"0Ben")).unwrap())],
            "Ben"
        );
    }

    #[test]
    fn lowest_points_of_three_known_peers() {
        let peers = [
            "http://10.0.0.1:8080",
            "http://10.0.0.2:8080",
            "http://10.0.0.3:8080",
        ];
        let circle = Circle::new((0..).zip(peers), 50, crc32fast::hash);
        assert_eq!(
            circle.lowest(3),
            [(9_116_923, 0), (10_365_318, 1), (89_816_192, 0)]
        );
    }

    #[test]
    fn on_equal_points_the_member_added_last_owns() {
        let pair = ["http://cache-3f7f528d:80", "http://cache-efd6ea51:80"];
        for (name, replica) in [(pair[0], 44), (pair[1], 30)] {
            assert_eq!(
                crc32fast::hash(format!("{replica}{name}").as_bytes()),
                839_535_718
            );
        }
        for order in [pair, [pair[1], pair[0]]] {
            let circle = Circle::new((0..).zip(order), 50, crc32fast::hash);
            assert_eq!(circle.owner(839_535_718), Some(1));
            assert_eq!(circle.owners(839_535_718, 2), [1, 0]);
            // CRC-32 is linear: labels of equal length that collide do so with other digits too.
            assert!(circle.collisions().all(|(_, owners)| owners == [1, 0]));
            assert!(circle.collisions().any(|(point, _)| point == 839_535_718));
        }
    }

    #[test]
    fn an_empty_circle_has_no_owner() {
        let circle = numbered(&[]);
        assert_eq!(circle.owner(1), None);
        assert!(circle.owners(1, 3).is_empty());
    }
}
