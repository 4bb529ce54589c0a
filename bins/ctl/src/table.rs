//! Tables for people: cells in columns, two blanks apart.

/// Aligns the cells of each column. The first `texts` columns are text and align on the left; the
/// others are numbers and align on the right.
pub(crate) fn align<const COLUMNS: usize>(rows: &[[String; COLUMNS]], texts: usize) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut table = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            let padded = if column < texts {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            };
            line.push_str(&padded);
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

/// A share in percent, rounded down: 100 % is all of them. A node's counters are not of one
/// instant, so there may be more hits than gets.
pub(crate) fn percent(hits: u64, gets: u64) -> String {
    let tenths = (u128::from(hits.min(gets)) * 1000).checked_div(u128::from(gets));
    tenths.map_or("-".to_owned(), |tenths| {
        format!("{}.{}%", tenths / 10, tenths % 10)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_whole_only_when_all_gets_are_hits() {
        assert_eq!(percent(0, 0), "-");
        assert_eq!(percent(0, 7), "0.0%");
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!(percent(999_999, 1_000_000), "99.9%");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.0%");
        assert_eq!(percent(8, 7), "100.0%");
    }

    #[test]
    fn texts_align_on_the_left_and_numbers_on_the_right() {
        let rows = [["NODE", "GETS"], ["a", "1000"], ["gaggle-0", "7"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            align(&rows, 1),
            "NODE      GETS\na         1000\ngaggle-0     7\n"
        );
    }
}
