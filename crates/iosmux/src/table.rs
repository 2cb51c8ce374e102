//! Columns for people.

use std::fmt::Write as _;

/// Rows with columns as wide as their widest cell; a newline after each.
pub(crate) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A duration as people say it: `7 s`, `3 min`, `2 h 5 min`, `4 d`.
pub(crate) fn lasting(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match (whole / 86_400, whole / 3600, whole / 60) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, ..) => format!("{days} d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [
            (0.4, "0 s"),
            (59.9, "59 s"),
            (60.0, "1 min"),
            (7500.0, "2 h 5 min"),
            (400_000.0, "4 d"),
            (-1.0, "0 s"),
        ] {
            assert_eq!(lasting(seconds), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let rows = [["A", "B"], ["long", "x"], ["", "y"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "A     B\nlong  x\n      y\n");
    }
}
