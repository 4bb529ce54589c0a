/// The position at which a scan continues. The default is the beginning.
///
/// A cursor has a meaning only for the store that returned it; another store begins its scan
/// anywhere. The bits are for stores of other kinds behind the same interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cursor(u128);

impl Cursor {
    /// The cursor of these bits, whose meaning is the store's; zero is the beginning.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits of the cursor.
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        self.0
    }
}
