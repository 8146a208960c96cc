//! Aligned columns for people.

use anstyle::Style;

/// Prints rows under a header; every column is as wide as its widest cell, and the last one ends
/// where its text ends. Colour reaches a terminal only.
pub(super) fn print<const N: usize>(header: [&str; N], rows: &[[String; N]]) {
    let mut widths = header.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let bold = Style::new().bold();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    anstream::println!("{bold}{}{bold:#}", line(header.to_vec()));
    for row in rows {
        anstream::println!("{}", line(row.iter().map(String::as_str).collect()));
    }
}
