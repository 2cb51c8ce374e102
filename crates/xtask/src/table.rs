//! The table above the last line.

use crate::count::Counts;
use std::time::Duration;

/// One line of the table.
pub(crate) struct Row {
    /// Tier.
    pub(crate) name: String,
    /// Its counts.
    pub(crate) counts: Counts,
    /// How long it took; `None` when it was left out.
    pub(crate) time: Option<Duration>,
}

/// Lays the rows out in columns, with a heading and without a sum: the last line is the sum.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut lines = vec![["tier", "passed", "failed", "skipped", "time"].map(String::from)];
    for row in rows {
        lines.push([
            row.name.clone(),
            row.counts.passed.to_string(),
            row.counts.failed.to_string(),
            row.counts.skipped.to_string(),
            row.time.map_or_else(|| "left out".into(), seconds),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for [name, passed, failed, skipped, time] in &lines {
        let [n, p, f, s, t] = widths;
        text.push_str(&format!("{name:<n$}  {passed:>p$}  {failed:>f$}  {skipped:>s$}  {time:>t$}\n"));
    }
    text
}

/// The line that CI and people look for.
pub(crate) fn last_line(counts: Counts) -> String {
    format!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped)
}

/// A time as a person reads it: `0.4 s`, `12 s`, `3 min 05 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    match whole {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{whole} s"),
        _ => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            Row {
                name: "unit".into(),
                counts: Counts { passed: 120, failed: 1, skipped: 0 },
                time: Some(Duration::from_millis(65_000)),
            },
            Row { name: "peers".into(), counts: Counts::SKIPPED, time: None },
        ];
        let expected = [
            "tier   passed  failed  skipped        time",
            "unit      120       1        0  1 min 05 s",
            "peers       0       0        1    left out",
            "",
        ];
        assert_eq!(render(&rows), expected.join("\n"));
    }

    #[test]
    fn the_last_line_is_exact() {
        assert_eq!(last_line(Counts { passed: 3, failed: 0, skipped: 1 }), "3 passed, 0 failed, 1 skipped");
    }
}
