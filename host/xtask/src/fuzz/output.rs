//! What libFuzzer prints while it runs, in numbers.

/// The end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How many inputs were tried.
    pub(super) executions: u64,
    /// How many edges of the program's graph were reached, of those that have counters.
    pub(super) coverage: u64,
    /// How many edges have counters: those of all that is compiled in, whether the target has to do with it or not.
    pub(super) counters: u64,
    /// Edges by how often, and values that were compared.
    pub(super) features: u64,
}

/// Reads it. What is not there is zero.
pub(super) fn read(text: &str) -> Found {
    let mut found = Found::default();
    for line in text.lines() {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            found.executions = count.trim().parse().unwrap_or_default();
        } else if let Some(rest) =
            line.split_once("Loaded 1 modules").and_then(|(_, rest)| rest.split_once('('))
        {
            let count = rest.1.split_ascii_whitespace().next();
            found.counters = found.counters.max(count.and_then(|n| n.parse().ok()).unwrap_or_default());
        } else if let Some(rest) = line.strip_prefix('#') {
            let words: Vec<&str> = rest.split_ascii_whitespace().collect();
            let after = |name: &str| {
                let at = words.iter().position(|word| *word == name)?;
                words.get(at + 1)?.parse::<u64>().ok()
            };
            // A run that ends with a crash prints no sum.
            let count = words.first().and_then(|n| n.parse().ok()).unwrap_or_default();
            found.executions = found.executions.max(count);
            found.coverage = after("cov:").unwrap_or(found.coverage);
            found.features = after("ft:").unwrap_or(found.features);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        let text = "INFO: Loaded 1 modules   (1234 inline 8-bit counters): 1234 [0x1, 0x2),\n\
                    #2\tINITED cov: 12 ft: 15 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                    #512\tNEW    cov: 40 ft: 90 corp: 7/99b lim: 8 exec/s: 0 rss: 31Mb L: 5/8 MS: 1 CopyPart-\n";
        let expected = Found { executions: 512, coverage: 40, counters: 1234, features: 90 };
        assert_eq!(read(text), expected);
        let text =
            format!("{text}#900\tDONE   cov: 41 ft: 91 corp: 8/9b\nstat::number_of_executed_units: 901\n");
        assert_eq!(read(&text), Found { executions: 901, coverage: 41, features: 91, ..expected });
        assert_eq!(read("nothing of the kind\n"), Found::default());
    }
}
