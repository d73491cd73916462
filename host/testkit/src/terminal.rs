//! Commands on a terminal: [`on_terminal`] runs one on a terminal of its own, and [`Screen`] shows what one would see of it.

use std::process::Command;

/// Returns a command that runs another one, with its environment, on a terminal of this size, and writes to the standard output what
/// the terminal gets. Nothing, with a word about it, where there is no `script` of util-linux.
#[allow(clippy::print_stderr)]
pub fn on_terminal(command: &Command, columns: u16, rows: u16) -> Option<Command> {
    let version = Command::new("script").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux")) {
        eprintln!("skipped: no script of util-linux");
        return None;
    }
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> =
        words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))).collect();
    let line = format!("stty columns {columns} rows {rows} && exec {}", words.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            script.env(name, value);
        }
    }
    script.env("SHELL", "/bin/sh").env("TERM", "xterm").stdin(std::process::Stdio::null());
    if let Some(dir) = command.get_current_dir() {
        script.current_dir(dir);
    }
    Some(script)
}

/// What is on a terminal, lines that have gone off its upper edge included. It knows the control sequences that this program
/// uses, and fails at any other.
#[derive(Clone, Debug)]
pub struct Screen {
    columns: usize,
    height: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    /// Makes an empty one.
    pub fn new(columns: usize, height: usize) -> Self {
        Self { columns, height, lines: vec![Vec::new()], row: 0, column: 0 }
    }

    /// Writes to it.
    pub fn write(&mut self, text: &str) {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\r' => self.column = 0,
                '\n' => self.down(),
                '\u{1b}' => {
                    assert_eq!(chars.next(), Some('['), "a control sequence of another kind");
                    let mut count = 0;
                    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                        count = count * 10 + digit as usize;
                        chars.next();
                    }
                    match chars.next() {
                        Some('A') => self.row = self.row.saturating_sub(count).max(self.top()),
                        Some('K') => self.lines[self.row].truncate(self.column),
                        Some('J') => {
                            self.lines.truncate(self.row + 1);
                            self.lines[self.row].truncate(self.column);
                        }
                        other => panic!("a control sequence that ends with {other:?}"),
                    }
                }
                c => self.put(c),
            }
        }
    }

    /// Returns the lines, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        let texts = self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned());
        let mut texts: Vec<String> = texts.collect();
        while texts.last().is_some_and(String::is_empty) {
            texts.pop();
        }
        texts
    }

    /// The uppermost line that can still be written to.
    fn top(&self) -> usize {
        self.lines.len().saturating_sub(self.height)
    }

    fn put(&mut self, c: char) {
        assert!(!c.is_control(), "{c:?} on a terminal");
        if self.column == self.columns {
            self.column = 0;
            self.down();
        }
        let line = &mut self.lines[self.row];
        line.resize(line.len().max(self.column + 1), ' ');
        line[self.column] = c;
        self.column += 1;
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_what_a_terminal_would() {
        let mut screen = Screen::new(5, 3);
        screen.write("one\r\ntwo\r\n");
        screen.write("\r\u{1b}[1ATWO!\u{1b}[K\r\nthree-\r\n");
        assert_eq!(screen.lines(), ["one", "TWO!", "three", "-"]);
        // No further up than the terminal is high.
        screen.write("\u{1b}[9A\rx\u{1b}[J");
        assert_eq!(screen.lines(), ["one", "TWO!", "x"]);
    }
}
