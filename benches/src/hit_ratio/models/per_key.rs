use std::ops::{Index, IndexMut};

/// A value for each key of a trace, by the key's number.
#[derive(Default)]
pub(super) struct PerKey<T>(Vec<T>);

impl<T: Clone + Default> PerKey<T> {
    /// As many as the trace has keys; `access` extends it where a key is beyond.
    pub(super) fn extend_to(&mut self, key: u64) {
        let key = place(key);
        if key >= self.0.len() {
            self.0.resize((key + 1).next_power_of_two(), T::default());
        }
    }
}

impl<T> Index<u64> for PerKey<T> {
    type Output = T;

    fn index(&self, key: u64) -> &T {
        &self.0[place(key)]
    }
}

impl<T> IndexMut<u64> for PerKey<T> {
    fn index_mut(&mut self, key: u64) -> &mut T {
        &mut self.0[place(key)]
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "keys are numbered from zero"
)]
fn place(key: u64) -> usize {
    key as usize
}
