//! The one place that writes to the standard output and the standard error.
//!
//! Whoever reads may go away at any time, as `head` does; what a run does and ends with stays the same. Below the lines on a
//! terminal there may be a block of others that change: it is moved down by what is written meanwhile.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What is taken for the size of a terminal that does not tell its own.
const USUAL: Size = Size { columns: 80, rows: 24 };

static SCREEN: Mutex<Screen> = Mutex::new(Screen { block: Vec::new(), failure: None });

/// What is on the terminal, and what could not be written.
struct Screen {
    /// The lines that change, as they were written last. The cursor is in the line below.
    block: Vec<String>,
    failure: Option<io::Error>,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// How many fit into a line.
    pub columns: usize,
    /// How many lines there are.
    pub rows: usize,
}

/// Writes to the standard output.
pub(crate) fn out(text: &str) {
    let mut screen = screen();
    let is_in_the_way = !screen.block.is_empty() && io::stdout().is_terminal();
    let block = screen.block.clone();
    if is_in_the_way {
        screen.show(Vec::new());
    }
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe && screen.failure.is_none() => {
            screen.failure = Some(error);
        }
        // Whoever reads has seen enough.
        _ => {}
    }
    if is_in_the_way {
        screen.show(block);
    }
}

/// Writes to the standard error. There is nobody to tell if that fails.
pub(crate) fn err(text: &str) {
    let screen = screen();
    let above = repaint(&screen.block, &[], size().columns);
    let below = repaint(&[], &screen.block, size().columns);
    let text = match screen.block.is_empty() {
        true => text.to_owned(),
        false => format!("{above}{text}{below}"),
    };
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Shows these lines below all others, in place of those that were shown so before. No line may be longer than the
/// terminal is wide.
pub(crate) fn show(lines: Vec<String>) {
    let mut screen = screen();
    if screen.block != lines {
        screen.show(lines);
    }
}

/// Returns what has kept data from being written to the standard output, unless nobody read it any more.
pub(crate) fn failure() -> Option<io::Error> {
    screen().failure.take()
}

/// Returns the size of the terminal that the standard error is.
pub(crate) fn size() -> Size {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
        }
        _ => USUAL,
    }
}

/// Returns how wide the terminal is that the standard output is, or what is usual for one.
pub(crate) fn columns_of_output() -> usize {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => USUAL.columns,
    }
}

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Screen {
    fn show(&mut self, lines: Vec<String>) {
        // In one piece, so that nothing is seen in between.
        let text = repaint(&self.block, &lines, size().columns);
        let _ = io::stderr().write_all(text.as_bytes());
        self.block = lines;
    }
}

/// Returns what makes a terminal show `lines` where it shows `old`. Each line is written over what was there before anything
/// is erased, so that nothing flickers.
fn repaint(old: &[String], lines: &[String], columns: usize) -> String {
    let mut text = String::new();
    // A terminal that has become narrower has broken lines that are too long for it by now.
    let rows: usize = old.iter().map(|line| line.width().div_ceil(columns.max(1)).max(1)).sum();
    if rows > 0 {
        write!(text, "\r\x1b[{rows}A").expect("a string takes it");
    }
    lines.iter().for_each(|line| writeln!(text, "{line}\x1b[K").expect("a string takes it"));
    if rows > lines.len() {
        text.push_str("\x1b[J");
    }
    text
}

/// Cuts a text to so many columns, at its end.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let mut width = 0;
    text.chars()
        .take_while(|c| {
            width += c.width().unwrap_or(0);
            width <= columns
        })
        .collect()
}

/// Cuts a text to so many columns, at its beginning: names differ at their end.
pub(crate) fn cut_front(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut width = 2;
    let kept = text.chars().rev().take_while(|c| {
        width += c.width().unwrap_or(0);
        width <= columns
    });
    let kept: Vec<char> = kept.collect();
    cut(&format!("..{}", kept.into_iter().rev().collect::<String>()), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(of: &[&str]) -> Vec<String> {
        of.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_block_is_written_over_itself() {
        assert_eq!(repaint(&[], &lines(&["a", "b"]), 80), "a\x1b[K\nb\x1b[K\n");
        assert_eq!(repaint(&lines(&["a", "b"]), &lines(&["c", "d"]), 80), "\r\x1b[2Ac\x1b[K\nd\x1b[K\n");
        assert_eq!(repaint(&lines(&["a", "b"]), &lines(&["c"]), 80), "\r\x1b[2Ac\x1b[K\n\x1b[J");
        assert_eq!(repaint(&lines(&["a"]), &[], 80), "\r\x1b[1A\x1b[J");
        // Written when there were 80 columns, 12 characters take two lines of ten.
        assert_eq!(repaint(&lines(&["abcdefghijkl", ""]), &[], 10), "\r\x1b[3A\x1b[J");
    }

    #[test]
    fn texts_are_cut_by_what_they_take_on_a_screen() {
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("日本語", 5), "日本");
        assert_eq!(cut_front("quay.io/team/app:v1", 30), "quay.io/team/app:v1");
        assert_eq!(cut_front("quay.io/team/app:v1", 9), "../app:v1");
        assert_eq!(cut_front("日本語", 5), "..語");
        assert_eq!(cut_front("abcdef", 1), ".");
    }
}
