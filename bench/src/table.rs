//! Medians, spread, and tables in Markdown.

use std::time::Duration;

/// The middle one; of an even number the lower one of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// From the least to the most, as a part of the median.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (most - least) / median(values)
}

/// The time that so many hundredths of all did not exceed; they are in order.
pub(crate) fn percentile(sorted: &[Duration], hundredths: usize) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((sorted.len() * hundredths / 100).min(last)).copied()
}

/// Microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Milliseconds as a cell, with so many digits behind the point.
pub(crate) fn millis(time: Option<Duration>, digits: usize) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.digits$}", time.as_secs_f64() * 1e3))
}

/// What half of the times, all but a hundredth, and none exceeded; they are in order.
pub(crate) fn lateness(sorted: &[Duration], digits: usize) -> [String; 3] {
    [50, 99, 100].map(|hundredths| millis(percentile(sorted, hundredths), digits))
}

#[expect(clippy::cast_precision_loss, reason = "no memory is that large")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// A table: the first row is its head.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
    let rule = |head: &Vec<String>| format!("|{}\n", "---|".repeat(head.len()));
    let head = rows.first().map(|head| line(head) + &rule(head));
    head.into_iter().chain(rows.iter().skip(1).map(line)).collect()
}

/// A row of a table.
#[macro_export]
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$($cell.to_string()),*] };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spread_are_of_all_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2f64.to_bits());
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]).to_bits(), 2f64.to_bits());
        assert_eq!(spread(&[1.0, 2.0, 4.0]).to_bits(), 1.5f64.to_bits());
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Some(Duration::from_millis(51)));
        assert_eq!(percentile(&times, 100), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(lateness(&times, 1), ["51.0", "100.0", "100.0"]);
        assert_eq!(lateness(&[], 1), ["-"; 3]);
    }

    #[test]
    fn a_table_has_a_head() {
        let rows = [row!["a", "b"], row![1, 2]];
        assert_eq!(markdown(&rows), "| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
