//! [`Templates`]: named templates, parsed.

use std::collections::BTreeMap;
use std::rc::Rc;

use gotmpl::parse::{Expr, ListNode, Parser, Pos};

use crate::comments;
use crate::failure::{Failure, Place};

/// How much of an expression an error shows.
const SHOWN: usize = 40;

/// A file of templates.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: Rc<str>,
    text: Rc<str>,
}

/// One template.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) source: Rc<Source>,
    pub(crate) body: ListNode,
}

/// Templates by name: those of files, and those that they define.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    named: BTreeMap<Rc<str>, Rc<Template>>,
}

impl Templates {
    /// Parses the templates of a file. Of two of one name the later one counts, unless it is empty.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        let (body, defined) = parse(name, text)?;
        self.define(Rc::from(name), Rc::new(body));
        for (name, template) in defined {
            self.define(name, template);
        }
        Ok(())
    }

    pub(crate) fn define(&mut self, name: Rc<str>, template: Rc<Template>) {
        if template.body.is_empty_tree() && self.named.contains_key(&name) {
            return;
        }
        self.named.insert(name, template);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Rc<Template>> {
        self.named.get(name)
    }
}

/// Templates that a text defines, by name.
pub(crate) type Defined = Vec<(Rc<str>, Rc<Template>)>;

/// Parses a text into its own template and those that it defines.
pub(crate) fn parse(name: &str, text: &str) -> Result<(Template, Defined), Failure> {
    let fit = comments::fit(text);
    let parsed = Parser::with_name(None, &fit, "{{", "}}").and_then(Parser::parse);
    let (body, defines) = parsed.map_err(|error| {
        // `template: LINE:COLUMN: MESSAGE`; the name is ours to say.
        let text = error.to_string();
        let text = text.strip_prefix("template: ").unwrap_or(&text);
        Failure::fault(format!("{name}:{text}"))
    })?;
    if !comments::is_closed(text) {
        let line = text.matches('\n').count() + 1;
        return Err(Failure::fault(format!("{name}:{line}: unexpected EOF: a block has no `end`")));
    }
    let source = Rc::new(Source { name: name.into(), text: text.into() });
    let template = |body| Template { source: Rc::clone(&source), body };
    let defined =
        defines.into_iter().map(|define| (Rc::from(define.name.as_str()), Rc::new(template(define.body))));
    let defined = defined.collect();
    Ok((template(body), defined))
}

impl Source {
    /// Says where something is in the file.
    pub(crate) fn place(&self, at: Pos, node: &str) -> Place {
        let before = self.text.get(..at.offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = at.offset.min(self.text.len()) - before.rfind('\n').map_or(0, |at| at + 1) + 1;
        let shown: String = node.chars().take(SHOWN).collect();
        let node = if shown.len() < node.len() { format!("{shown}...") } else { shown };
        Place { template: self.name.to_string(), line, column, node }
    }
}

/// Writes an expression as it stands in a template.
pub(crate) fn show(expr: &Expr) -> String {
    let dotted =
        |names: &[gotmpl::parse::SmolStr]| names.iter().map(|name| format!(".{name}")).collect::<String>();
    match expr {
        Expr::Dot(_) => ".".to_owned(),
        Expr::Field(_, names) => dotted(names),
        Expr::Variable(_, name, names) => format!("{name}{}", dotted(names)),
        Expr::Identifier(_, name) => name.to_string(),
        Expr::String(_, text) => crate::print::quote(text),
        Expr::Number(_, number) => match number {
            gotmpl::parse::Number::Int(number) => number.to_string(),
            gotmpl::parse::Number::Uint(number) => number.to_string(),
            gotmpl::parse::Number::Float(number) => number.to_string(),
        },
        Expr::Bool(_, value) => value.to_string(),
        Expr::Nil(_) => "nil".to_owned(),
        Expr::Pipe(_, pipe) => {
            let commands: Vec<String> =
                pipe.commands.iter().map(|c| c.args.iter().map(show).collect::<Vec<_>>().join(" ")).collect();
            format!("({})", commands.join(" | "))
        }
        Expr::Chain(_, inner, names) => format!("{}{}", show(inner), dotted(names)),
    }
}
