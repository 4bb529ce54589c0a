//! The second column: for how long the value is fresh.

use std::time::Duration;

use gaggle_group::Hint;
#[cfg(feature = "sqlite")]
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _, sqlite::SqliteRow};

#[cfg(feature = "sqlite")]
use crate::error::said;

/// The longest time that a number can mean, 68 years: HTTP allows as much, and it leaves room for
/// additions.
const LONGEST: Duration = Duration::from_secs((1 << 31) - 1);

/// The freshness in the second column of a row; the group decides if there is none, or it is
/// `NULL`.
#[cfg(feature = "sqlite")]
pub(crate) fn hint(row: &SqliteRow) -> Result<Hint, String> {
    let Some(column) = row.columns().get(1) else {
        return Ok(Hint::default());
    };
    let unusable = |what: &str| {
        let name = column.name();
        format!("the column {name:?} is {what}, where a number of seconds is needed")
    };
    let value = row.try_get_raw(1).map_err(|error| said(&error))?;
    if value.is_null() {
        return Ok(Hint::default());
    }
    // The type of the value, not of the column as declared.
    let seconds = match value.type_info().name() {
        // Its nearest real is near enough: it differs only far beyond the longest time.
        "INTEGER" | "REAL" => row.try_get_unchecked::<f64, _>(1),
        "TEXT" => return Err(unusable("a text")),
        "BLOB" => return Err(unusable("a blob")),
        other => return Err(unusable(other)),
    };
    Ok(for_seconds(seconds.map_err(|error| said(&error))?))
}

/// The freshness of a number of seconds, if there is one.
#[cfg(feature = "_server")]
pub(crate) fn hint_of(seconds: Option<f64>) -> Hint {
    seconds.map_or_else(Hint::default, for_seconds)
}

fn for_seconds(seconds: f64) -> Hint {
    let ttl = if seconds > 0.0 {
        Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST)
    } else {
        Duration::ZERO
    };
    if ttl.is_zero() {
        Hint::none()
    } else {
        Hint::ttl(ttl.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_a_time() {
        assert_eq!(for_seconds(60.0), Hint::ttl(Duration::from_secs(60)));
        assert_eq!(for_seconds(0.25), Hint::ttl(Duration::from_millis(250)));
        for nothing in [
            0.0,
            -0.0,
            -1.0,
            1e-300,
            f64::MIN,
            f64::NEG_INFINITY,
            f64::NAN,
        ] {
            assert_eq!(for_seconds(nothing), Hint::none(), "{nothing}");
        }
        for endless in [2_147_483_648.0, 1e19, 1e20, f64::MAX, f64::INFINITY] {
            assert_eq!(for_seconds(endless), Hint::ttl(LONGEST), "{endless}");
        }
    }
}
