/// Where a scan goes on. The default is the beginning.
///
/// Only the store that gave a cursor knows what it means; given to another store, it lets a scan
/// begin anywhere. The bits are for stores of other kinds behind the same interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cursor(u128);

impl Cursor {
    /// The cursor of these bits, whose meaning is the store's; zero is the beginning.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits that it was made of.
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        self.0
    }
}
