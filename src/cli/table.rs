//! Aligned columns for people, no wider than their terminal.

use std::io::IsTerminal as _;

use anstyle::Style;
use terminal_size::{Height, Width, terminal_size_of};

/// What an unknown terminal is taken for.
const USUAL: Screen = Screen { width: 80, height: 24 };
/// Columns that may be shortened keep so many characters, unless the terminal is too narrow for
/// even that.
const LEAST: usize = 8;
/// Blanks between two columns.
const GAP: &str = "  ";

/// The terminal that standard output goes to.
#[derive(Clone, Copy)]
pub(super) struct Screen {
    /// In characters.
    width: usize,
    /// In lines.
    pub(super) height: usize,
}

impl Screen {
    /// None where standard output is no terminal: programs get everything in full.
    pub(super) fn of_stdout() -> Option<Self> {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return None;
        }
        let mut screen =
            terminal_size_of(stdout).map_or(USUAL, |(Width(width), Height(height))| Self {
                width: width.into(),
                height: height.into(),
            });
        // As other programs do: whoever sets it knows better.
        let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        screen.width = told.filter(|width| *width > 0).unwrap_or(screen.width);
        Some(screen)
    }
}

/// Prints rows under a header; every column is as wide as its widest cell, and the last one ends
/// where its text ends. Colour reaches a terminal only.
pub(super) fn print<const N: usize>(header: [&str; N], rows: &[[String; N]]) {
    print_on(None, header.map(|title| (title, false)), rows);
}

/// The same, within a screen: where the lines are too long, the columns that say so in the header
/// are shortened, the widest ones first.
pub(super) fn print_on<const N: usize>(
    screen: Option<Screen>,
    header: [(&str, bool); N],
    rows: &[[String; N]],
) {
    let mut widths = header.map(|(title, _)| length(title));
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(length(cell));
        }
    }
    if let Some(screen) = screen {
        let available = screen.width.saturating_sub(GAP.len() * (N - 1));
        fit(&mut widths, header.map(|(_, yields)| yields), LEAST, available);
        fit(&mut widths, [true; N], 1, available);
    }
    let bold = Style::new().bold();
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths);
        let padded = cells.map(|(cell, width)| format!("{:width$}", shortened(cell, width)));
        padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    anstream::println!("{bold}{}{bold:#}", line(header.map(|(title, _)| title)));
    for row in rows {
        anstream::println!("{}", line(row.each_ref().map(String::as_str)));
    }
}

/// Takes from the widest of the columns that yield until all fit, or have their least.
fn fit<const N: usize>(widths: &mut [usize; N], yields: [bool; N], least: usize, available: usize) {
    while widths.iter().sum::<usize>() > available {
        let able = (0..N).filter(|column| yields[*column] && widths[*column] > least);
        let Some(widest) = able.max_by_key(|column| widths[*column]) else { return };
        widths[widest] -= 1;
    }
}

/// A text without its middle where it is too long: what tells names apart is often at the end.
fn shortened(text: &str, width: usize) -> String {
    let length = length(text);
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let front = kept - kept / 2;
    let front = text.chars().take(front);
    front.chain(['…']).chain(text.chars().skip(length - kept / 2)).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_of_those_that_yield_give_way() {
        let fitted = |mut widths: [usize; 4], available| {
            fit(&mut widths, [true, true, false, true], LEAST, available);
            widths
        };
        assert_eq!(fitted([20, 10, 15, 5], 50), [20, 10, 15, 5], "it fits as it is");
        assert_eq!(fitted([20, 10, 15, 5], 42), [12, 10, 15, 5]);
        assert_eq!(fitted([20, 10, 15, 5], 10), [8, 8, 15, 5], "no further");
    }

    #[test]
    fn a_shortened_text_keeps_both_ends() {
        assert_eq!(shortened("shop-checkout-api-12", 20), "shop-checkout-api-12");
        assert_eq!(shortened("shop-checkout-api-12", 11), "shop-…pi-12");
        assert_eq!(shortened("shop-checkout-api-12", 1), "…");
    }
}
