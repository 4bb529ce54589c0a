//! How many columns a query has, and what the second one may be.

/// Whether a query may have that many columns; if not, why.
pub(crate) fn usable(columns: usize) -> Result<(), String> {
    if (1..=2).contains(&columns) {
        return Ok(());
    }
    Err(format!(
        "it returns {columns} columns, where one or two are needed: the value, and the seconds for which it is fresh"
    ))
}

/// Why a second column of this type cannot be used.
#[cfg(feature = "_server")]
pub(crate) fn not_seconds(column: &str, kind: &str) -> String {
    format!("the column {column:?} is {kind}, where a number of seconds is needed")
}
