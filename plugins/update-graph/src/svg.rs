//! [`draw`]: a graph and a path through it as a picture that needs nothing else.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::graph::{Edge, Graph, Node, Risk};
use crate::path::UpdatePath;

/// With more updates than this, only those of releases on the path are drawn: nobody can follow more lines.
const MOST_LINES: usize = 800;
/// How many releases stand below each other.
const ROWS: usize = 40;
const ROW_HEIGHT: usize = 22;
const COLUMN_WIDTH: usize = 210;
/// Where in a column the dots are; labels are left of them, curves right.
const DOT: usize = 130;
const TOP: usize = 90;

const STYLE: &str = "text{font:12px sans-serif;fill:#1f2933}.label{text-anchor:end;paint-order:stroke;stroke:#fff;stroke-width:3px}.head{font-size:14px;\
    font-weight:bold}.line{fill:none;stroke:#9fb3c8;stroke-width:1;stroke-opacity:.55}.risk{stroke:#c99a2e;\
    stroke-dasharray:5 4}.step{stroke:#0b69a3;stroke-width:3;stroke-opacity:1}.risk.step{stroke:#c2410c}\
    .dot{fill:#9fb3c8}.on{fill:#0b69a3;font-weight:bold}";

/// Draws a graph as SVG: a column or more for each minor version, recommended updates as light lines, conditional
/// ones dashed with their risks as a tooltip, and the path on top. The same input always makes the same text.
pub fn draw(graph: &Graph, path: &UpdatePath) -> String {
    Drawing::new(graph, path).draw()
}

struct Drawing<'a> {
    graph: &'a Graph,
    path: &'a UpdatePath,
    /// Where each node is.
    points: Vec<(usize, usize)>,
    /// The headings of columns, and where they are.
    headings: Vec<(String, usize)>,
    on_path: BTreeSet<usize>,
    steps: BTreeSet<(usize, usize)>,
    size: (usize, usize),
}

impl<'a> Drawing<'a> {
    fn new(graph: &'a Graph, path: &'a UpdatePath) -> Self {
        let ends = [&path.from, &path.to].into_iter();
        let stops = path.steps.iter().flat_map(|step| [&step.from, &step.to]);
        let on_path = ends.chain(stops).filter_map(|version| graph.place(version)).collect();
        let pair = |step: &crate::path::Step| graph.place(&step.from).zip(graph.place(&step.to));
        let steps = path.steps.iter().filter_map(pair).collect();
        let (points, headings, size) = layout(graph);
        Self { graph, path, points, headings, on_path, steps, size }
    }

    fn draw(&self) -> String {
        let (width, height) = self.size;
        let title = escape(&format!("Update path from {} to {}", self.path.from, self.path.to));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
        );
        let all = self.graph.edge_count() <= MOST_LINES;
        text(&mut svg, 20, 28, "head", &format!("{title}: {}", escape(&self.path.channels.join(", "))));
        text(&mut svg, 20, 48, "", self.legend(all));
        for (heading, x) in &self.headings {
            text(&mut svg, *x, TOP - 18, "head label", &escape(heading));
        }
        self.lines(&mut svg, all);
        for (place, node) in self.graph.nodes().iter().enumerate() {
            self.node(&mut svg, place, node);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, all: bool) -> &'static str {
        match (self.graph.is_empty(), all) {
            (true, _) => "no releases",
            (false, true) => "dashed: conditional updates; bold: the path",
            (false, false) => {
                "dashed: conditional updates; bold: the path; only updates from and to its releases are drawn"
            }
        }
    }

    fn lines(&self, svg: &mut String, all: bool) {
        let is_drawn = |from, to| all || self.on_path.contains(&from) || self.on_path.contains(&to);
        // The lines that have nothing to tell are one element, since there are many.
        let (mut light, mut risky, mut steps) = (String::new(), String::new(), String::new());
        for from in 0..self.graph.nodes().len() {
            for edge in self.graph.updates(from) {
                let to = edge.to as usize;
                let is_step = self.steps.contains(&(from, to));
                let is_risky = edge.condition().is_some();
                match (is_step, is_risky) {
                    (false, _) if !is_drawn(from, to) => {}
                    (false, false) => light.push_str(&self.curve(from, to)),
                    (false, true) => self.line(&mut risky, from, edge, "line risk"),
                    (true, false) => self.line(&mut steps, from, edge, "line step"),
                    (true, true) => self.line(&mut steps, from, edge, "line risk step"),
                }
            }
        }
        if !light.is_empty() {
            line_of(svg, "line", &light, "");
        }
        svg.push_str(&risky);
        svg.push_str(&steps);
    }

    fn line(&self, svg: &mut String, from: usize, edge: &Edge, class: &str) {
        let to = edge.to as usize;
        let [start, end] = [from, to].map(|place| &self.graph.nodes()[place].version);
        let mut title = format!("{start} → {end}");
        for risk in self.graph.risks_of(*edge) {
            title.push_str(&describe(risk));
        }
        line_of(svg, class, &self.curve(from, to), &title);
    }

    /// Returns a curve, in whole pixels: right around the dots between the ends, or across columns.
    fn curve(&self, from: usize, to: usize) -> String {
        let ((x1, y1), (x2, y2)) = (self.points[from], self.points[to]);
        if x1 == x2 {
            let bulge = x1 + (20 + y1.abs_diff(y2) / 4).min(2 * (COLUMN_WIDTH - DOT) - 40);
            return format!("M{x1} {y1}Q{bulge} {} {x2} {y2}", y1.midpoint(y2));
        }
        let (right, left) = (x1 + 60, x2.saturating_sub(60));
        format!("M{x1} {y1}C{right} {y1} {left} {y2} {x2} {y2}")
    }

    fn node(&self, svg: &mut String, place: usize, node: &Node) {
        let (x, y) = self.points[place];
        let is_on = self.on_path.contains(&place);
        let (class, radius) = if is_on { ("on", 6) } else { ("dot", 4) };
        let label = if is_on { "label on" } else { "label" };
        let title = escape(&format!("{}\n{}\n{}", node.version, node.channels().join(", "), node.payload));
        add(
            svg,
            format_args!(
                "<g><title>{title}</title><circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>"
            ),
        );
        add(svg, format_args!("<text class=\"{label}\" x=\"{}\" y=\"{}\">", x - 10, y + 4));
        add(svg, format_args!("{}</text></g>\n", escape(&node.version.to_string())));
    }
}

type Points = Vec<(usize, usize)>;

/// Puts each minor version into columns of its own, the lowest version first.
fn layout(graph: &Graph) -> (Points, Vec<(String, usize)>, (usize, usize)) {
    let mut points = vec![(0, 0); graph.nodes().len()];
    let mut headings = Vec::new();
    let (mut column, mut row, mut deepest) = (0, 0, 0);
    let mut last = None;
    for (place, node) in graph.placed_ascending() {
        let line = node.version.line();
        if last.is_some() && (last != Some(line) || row == ROWS) {
            (column, row) = (column + 1, 0);
        }
        let x = column * COLUMN_WIDTH + DOT;
        if last != Some(line) {
            headings.push((format!("{}.{}", line.0, line.1), x));
            last = Some(line);
        }
        points[place] = (x, TOP + row * ROW_HEIGHT);
        row += 1;
        deepest = deepest.max(row);
    }
    // Wide enough for the legend.
    let size = (((column + 1) * COLUMN_WIDTH + 20).max(640), TOP + deepest * ROW_HEIGHT + 10);
    (points, headings, size)
}

fn describe(risk: &Risk) -> String {
    let rules = risk.rules.join("; ");
    format!("\n{}: {}\n{}\nwhen: {rules}", risk.name, risk.message, risk.url)
}

fn text(svg: &mut String, x: usize, y: usize, class: &str, escaped: &str) {
    add(svg, format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{escaped}</text>\n"));
}

fn line_of(svg: &mut String, class: &str, curve: &str, title: &str) {
    add(svg, format_args!("<path class=\"{class}\" d=\"{curve}\">"));
    if !title.is_empty() {
        add(svg, format_args!("<title>{}</title>", escape(title)));
    }
    svg.push_str("</path>\n");
}

fn add(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("writing to a string cannot fail");
}

/// Escapes text for XML, which has no way to write most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{Question, path};
    use crate::search::Accept;
    use crate::testing::{Channels, version};

    fn picture(edges: &str, from: &str, to: &str) -> (String, UpdatePath) {
        let question = Question {
            from: version(from),
            to: version(to),
            channel: Some("c-1.3".to_owned()),
            okd: false,
            accept: Accept::Nothing,
        };
        let path = path(&question, &mut Channels::new(&format!("c-1.3: {edges}"))).expect("a path");
        (draw(&path.graph, &path), path)
    }

    #[test]
    fn path_and_risks_are_shown() {
        let (svg, path) = picture("1.0.0>1.1.0 1.1.0>1.3.0 1.0.0?A&B>1.3.0 1.0.0>1.2.0", "1.0.0", "1.3.0");
        assert_eq!(svg.matches("<path class=\"line step\"").count(), 2);
        assert_eq!(svg.matches("<path class=\"line risk\"").count(), 1);
        assert_eq!(svg.matches("<path class=\"line\"").count(), 1);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains("A&amp;B: A&amp;B breaks") && svg.contains("PromQL: up == 1"), "{svg}");
        assert_eq!(svg, draw(&path.graph, &path));
    }

    #[test]
    fn many_updates_are_thinned_out() {
        let versions: Vec<String> = (0..60).map(|patch| format!("1.2.{patch}")).collect();
        let mut edges = String::new();
        for (place, from) in versions.iter().enumerate() {
            for to in &versions[place + 1..] {
                edges.push_str(&format!("{from}>{to} "));
            }
        }
        let (svg, _) = picture(&edges, "1.2.0", "1.2.59");
        assert!(svg.contains("only updates from and to"));
        // All updates of 1.2.0 and 1.2.59, once each.
        assert_eq!(svg.matches('M').count(), 59 + 58);
    }

    #[test]
    fn nothing_to_draw() {
        let (_, path) = picture("1.3.0", "1.3.0", "1.3.0");
        assert!(draw(&Graph::empty(), &path).contains("no releases"));
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a b='\"'>&\u{1}"), "&lt;a b=&#39;&quot;&#39;&gt;&amp;\u{fffd}");
    }
}
