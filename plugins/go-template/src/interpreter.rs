//! [`Interpreter`]: executes syntax trees as Go's `text/template` does.

use std::collections::HashMap;
use std::rc::Rc;

use gotmpl::parse::{
    BranchNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, Pos, SmolStr, TemplateNode,
};

use crate::budget::Budget;
use crate::failure::Failure;
use crate::functions::{self, Args};
use crate::print;
use crate::templates::{Defined, Source, Template, Templates, parse, show};
use crate::value::Value;

/// What Go prints where there is no value, and Helm removes again.
const NO_VALUE: &str = "<no value>";

/// Executes templates.
#[derive(Debug)]
pub struct Interpreter {
    templates: Rc<Templates>,
    budget: Rc<Budget>,
    variables: Vec<(SmolStr, Value)>,
    source: Option<Rc<Source>>,
    depth: usize,
    /// Texts that `tpl` was given before.
    parsed: HashMap<Rc<str>, Rc<(Rc<Template>, Defined)>>,
    /// Counts what in Helm is random.
    pub(crate) counter: u64,
}

/// Where execution goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl Interpreter {
    /// Makes one for templates, within a budget.
    pub fn new(templates: Rc<Templates>, budget: Rc<Budget>) -> Self {
        Self {
            templates,
            budget,
            variables: Vec::new(),
            source: None,
            depth: 0,
            parsed: HashMap::new(),
            counter: 0,
        }
    }

    /// Executes a template and returns its text as Helm does, without `<no value>`.
    pub fn render(&mut self, name: &str, data: &Value) -> Result<String, Failure> {
        self.execute_named(name, data).map(|text| text.replace(NO_VALUE, ""))
    }

    /// Returns what is left of the budget.
    pub fn budget(&self) -> &Rc<Budget> {
        &self.budget
    }

    /// Executes a template: `include`.
    pub(crate) fn execute_named(&mut self, name: &str, data: &Value) -> Result<String, Failure> {
        let mut out = String::new();
        self.execute_into(name, data, &mut out)?;
        Ok(out)
    }

    fn execute_into(&mut self, name: &str, data: &Value, out: &mut String) -> Result<(), Failure> {
        let template = self.templates.get(name).cloned();
        let template =
            template.ok_or_else(|| Failure::fault(format!("template {} not defined", print::quote(name))))?;
        self.execute(&template, data, out)
    }

    /// Executes a text as a template: `tpl`. What it defines is known inside of it only.
    pub(crate) fn execute_text(&mut self, text: &Rc<str>, data: &Value) -> Result<String, Failure> {
        if !text.contains("{{") {
            self.budget.bytes(text.len())?;
            return Ok(text.replace(NO_VALUE, ""));
        }
        let parsed = match self.parsed.get(text) {
            Some(parsed) => Rc::clone(parsed),
            None => {
                self.budget.bytes(text.len())?;
                let from = self.source.as_ref().map_or("tpl", |source| &source.name);
                let from = if from.ends_with(" (tpl)") { from.to_owned() } else { format!("{from} (tpl)") };
                let (body, defined) = parse(&from, text)?;
                let parsed = Rc::new((Rc::new(body), defined));
                self.parsed.insert(Rc::clone(text), Rc::clone(&parsed));
                parsed
            }
        };
        let (body, defined) = &*parsed;
        let before = Rc::clone(&self.templates);
        if !defined.is_empty() {
            let mut templates = (*before).clone();
            for (name, template) in defined {
                templates.define(Rc::clone(name), Rc::clone(template));
            }
            self.templates = Rc::new(templates);
        }
        let mut out = String::new();
        let ended = self.execute(body, data, &mut out);
        self.templates = before;
        ended?;
        Ok(out.replace(NO_VALUE, ""))
    }

    fn execute(&mut self, template: &Rc<Template>, data: &Value, out: &mut String) -> Result<(), Failure> {
        self.enter()?;
        let variables =
            std::mem::replace(&mut self.variables, vec![(SmolStr::new_static("$"), data.clone())]);
        let source = self.source.replace(Rc::clone(&template.source));
        let ended = self.walk(&template.body, data, out);
        self.variables = variables;
        self.source = source;
        self.depth -= 1;
        ended.map(|_| ())
    }

    fn enter(&mut self) -> Result<(), Failure> {
        if self.depth >= self.budget.depth() {
            return Err(Failure::limit(format!(
                "templates are more than {} levels inside each other",
                self.budget.depth()
            )));
        }
        self.depth += 1;
        Ok(())
    }

    fn walk(&mut self, list: &ListNode, dot: &Value, out: &mut String) -> Result<Flow, Failure> {
        self.enter()?;
        let mut flow = Flow::Next;
        for node in &list.nodes {
            flow = self.node(node, dot, out)?;
            if flow != Flow::Next {
                break;
            }
        }
        // Not counted down on an error: nothing is executed after one.
        self.depth -= 1;
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value, out: &mut String) -> Result<Flow, Failure> {
        self.budget.step().map_err(|f| match node {
            Node::Text(text) => self.at(f, text.pos, ""),
            Node::Action(action) => self.at(f, action.pos, ""),
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => self.at(f, branch.pos, ""),
            Node::Template(template) => self.at(f, template.pos, ""),
            _ => f,
        })?;
        match node {
            Node::Text(text) => {
                self.budget.bytes(text.text.len()).map_err(|f| self.at(f, text.pos, ""))?;
                out.push_str(&text.text);
            }
            Node::Action(action) => {
                let value = self.pipe(dot, &action.pipe)?;
                if action.pipe.decl.is_empty() {
                    self.print(&value, out).map_err(|f| self.at(f, action.pos, ""))?;
                }
            }
            Node::If(branch) => return self.conditional(branch, dot, false, out),
            Node::With(branch) => return self.conditional(branch, dot, true, out),
            Node::Range(branch) => return self.range(branch, dot, out),
            Node::Template(template) => self.template(template, dot, out)?,
            Node::List(list) => return self.walk(list, dot, out),
            Node::Define(_) => {}
            Node::Break(_) => return Ok(Flow::Break),
            Node::Continue(_) => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Value, out: &mut String) -> Result<(), Failure> {
        match value {
            Value::Nil => out.push_str(NO_VALUE),
            Value::Text(text) => {
                self.budget.bytes(text.len())?;
                out.push_str(text);
            }
            Value::Object(object) => {
                let text = object.text();
                self.budget.bytes(text.len())?;
                out.push_str(&text);
            }
            other => out.push_str(&print::print(other, &self.budget)?),
        }
        Ok(())
    }

    fn conditional(
        &mut self,
        branch: &BranchNode,
        dot: &Value,
        is_with: bool,
        out: &mut String,
    ) -> Result<Flow, Failure> {
        let mark = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let flow = match (value.is_true(), &branch.else_body) {
            (true, _) if is_with => self.walk(&branch.body, &value, out)?,
            (true, _) => self.walk(&branch.body, dot, out)?,
            (false, Some(otherwise)) => self.walk(otherwise, dot, out)?,
            (false, None) => Flow::Next,
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, branch: &BranchNode, dot: &Value, out: &mut String) -> Result<Flow, Failure> {
        let mark = self.variables.len();
        let value = self.commands(dot, &branch.pipe)?;
        let is_number = matches!(value, Value::Int(_) | Value::Int64(_));
        if is_number && branch.pipe.decl.len() > 1 {
            let failure = Failure::fault("a number is iterated over with one variable only");
            return Err(self.at(failure, branch.pos, ""));
        }
        let items: Box<dyn Iterator<Item = (Value, Value)>> = match value {
            Value::Nil => Box::new(std::iter::empty()),
            Value::List(list) => {
                let length = list.items().len();
                Box::new((0..length).map(move |at| (Value::length(at), list.items()[at].clone())))
            }
            Value::Map(map) => {
                Box::new(map.entries().into_iter().map(|(key, item)| (Value::Text(key), item)))
            }
            Value::Int(number) => Box::new((0..number).map(|at| (Value::Int(at), Value::Int(at)))),
            Value::Int64(number) => Box::new((0..number).map(|at| (Value::Int64(at), Value::Int64(at)))),
            Value::Object(ref object) if object.entries().is_some() => {
                Box::new(object.entries().unwrap_or_default().into_iter())
            }
            other => {
                let shown = print::print(&other, &self.budget)?;
                let shown: String = shown.chars().take(60).collect();
                let failure = Failure::fault(format!("range can't iterate over {shown}"));
                return Err(self.at(failure, branch.pos, ""));
            }
        };
        let mut is_empty = true;
        for (index, item) in items {
            is_empty = false;
            self.budget.step().map_err(|f| self.at(f, branch.pos, ""))?;
            match (branch.pipe.decl.as_slice(), branch.pipe.is_assign) {
                ([], _) => {}
                ([one], true) => self.assign(one, item.clone(), branch.pos)?,
                ([one], false) => self.variables.push((one.clone(), item.clone())),
                ([first, second, ..], true) => {
                    self.assign(first, index, branch.pos)?;
                    self.assign(second, item.clone(), branch.pos)?;
                }
                ([first, second, ..], false) => {
                    self.variables.push((first.clone(), index));
                    self.variables.push((second.clone(), item.clone()));
                }
            }
            let flow = self.walk(&branch.body, &item, out)?;
            self.variables.truncate(mark);
            if flow == Flow::Break {
                break;
            }
        }
        let flow = match (is_empty, &branch.else_body) {
            (true, Some(otherwise)) => self.walk(otherwise, dot, out)?,
            _ => Flow::Next,
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn template(&mut self, node: &TemplateNode, dot: &Value, out: &mut String) -> Result<(), Failure> {
        let data = match &node.pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Nil,
        };
        self.execute_into(&node.name, &data, out).map_err(|f| self.at(f, node.pos, &node.name))
    }

    /// Evaluates a pipeline and sets the variable that it declares.
    fn pipe(&mut self, dot: &Value, pipe: &PipeNode) -> Result<Value, Failure> {
        let value = self.commands(dot, pipe)?;
        match (pipe.decl.as_slice(), pipe.is_assign) {
            ([], _) => {}
            ([name, ..], true) => self.assign(name, value.clone(), pipe.pos)?,
            ([name, ..], false) => self.variables.push((name.clone(), value.clone())),
        }
        Ok(value)
    }

    fn commands(&mut self, dot: &Value, pipe: &PipeNode) -> Result<Value, Failure> {
        self.enter()?;
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        self.depth -= 1;
        Ok(value.unwrap_or_default())
    }

    fn assign(&mut self, name: &SmolStr, value: Value, at: Pos) -> Result<(), Failure> {
        let variable = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match variable {
            Some((_, place)) => {
                let before = std::mem::replace(place, value);
                drop(before);
                Ok(())
            }
            None => Err(self.at(Failure::fault(format!("undefined variable \"{name}\"")), at, name)),
        }
    }

    fn variable(&self, name: &SmolStr, at: Pos) -> Result<Value, Failure> {
        let variable = self.variables.iter().rev().find(|(known, _)| known == name);
        variable
            .map(|(_, value)| value.clone())
            .ok_or_else(|| self.at(Failure::fault(format!("undefined variable \"{name}\"")), at, name))
    }

    fn command(&mut self, dot: &Value, command: &CommandNode, last: Option<Value>) -> Result<Value, Failure> {
        self.budget.step()?;
        let Some((first, rest)) = command.args.split_first() else { return Ok(Value::Nil) };
        match first {
            Expr::Identifier(pos, name) => self.call(dot, *pos, name, rest, last),
            Expr::Field(pos, names) => self.fields(dot.clone(), names, dot, rest, last, *pos, first),
            Expr::Variable(pos, name, names) if !names.is_empty() => {
                let start = self.variable(name, *pos)?;
                self.fields(start, names, dot, rest, last, *pos, first)
            }
            Expr::Chain(pos, inner, names) => {
                let start = self.argument(dot, inner)?;
                self.fields(start, names, dot, rest, last, *pos, first)
            }
            Expr::Nil(pos) => Err(self.at(Failure::fault("nil is not a command"), *pos, "nil")),
            other if !rest.is_empty() || last.is_some() => {
                let failure = Failure::fault(format!("can't give argument to non-function {}", show(other)));
                Err(self.at(failure, other.pos(), &show(other)))
            }
            other => self.argument(dot, other),
        }
    }

    fn argument(&mut self, dot: &Value, expr: &Expr) -> Result<Value, Failure> {
        match expr {
            Expr::Dot(_) => Ok(dot.clone()),
            Expr::Field(pos, names) => self.fields(dot.clone(), names, dot, &[], None, *pos, expr),
            Expr::Variable(pos, name, names) => {
                let start = self.variable(name, *pos)?;
                self.fields(start, names, dot, &[], None, *pos, expr)
            }
            Expr::Identifier(pos, name) => self.call(dot, *pos, name, &[], None),
            Expr::String(_, text) => Ok(Value::text(&**text)),
            Expr::Number(pos, number) => match *number {
                Number::Int(number) => Ok(Value::Int(number)),
                Number::Float(number) => Ok(Value::Float(number)),
                Number::Uint(number) => {
                    Err(self.at(Failure::fault(format!("{number} overflows int")), *pos, ""))
                }
            },
            Expr::Bool(_, value) => Ok(Value::Bool(*value)),
            Expr::Nil(_) => Ok(Value::Nil),
            Expr::Pipe(_, pipe) => self.pipe(dot, pipe),
            Expr::Chain(pos, inner, names) => {
                let start = self.argument(dot, inner)?;
                self.fields(start, names, dot, &[], None, *pos, expr)
            }
        }
    }

    /// Goes down fields. Arguments go to the last one, if it is a method.
    #[expect(clippy::too_many_arguments, reason = "the parts of one expression")]
    fn fields(
        &mut self,
        start: Value,
        names: &[SmolStr],
        dot: &Value,
        rest: &[Expr],
        last: Option<Value>,
        pos: Pos,
        whole: &Expr,
    ) -> Result<Value, Failure> {
        let mut value = start;
        let mut last = last;
        for (place, name) in names.iter().enumerate() {
            let mut arguments = Vec::new();
            if place + 1 == names.len() {
                for expr in rest {
                    arguments.push(self.argument(dot, expr)?);
                }
                arguments.extend(last.take());
            }
            value = field(&value, name, &arguments, place > 0).map_err(|f| self.at(f, pos, &show(whole)))?;
        }
        Ok(value)
    }

    fn call(
        &mut self,
        dot: &Value,
        pos: Pos,
        name: &SmolStr,
        rest: &[Expr],
        last: Option<Value>,
    ) -> Result<Value, Failure> {
        if matches!(name.as_str(), "and" | "or") {
            return self.short_circuit(dot, pos, name, rest, last);
        }
        let Some(function) = functions::find(name) else {
            return Err(self.at(Failure::fault(format!("function \"{name}\" not defined")), pos, name));
        };
        let mut values = Vec::with_capacity(rest.len() + 1);
        for expr in rest {
            values.push(self.argument(dot, expr)?);
        }
        values.extend(last);
        let arguments = Args { name, values: &values };
        let value = function.call(self, &arguments).map_err(|f| {
            let shown = rest.iter().fold(name.to_string(), |text, expr| text + " " + &show(expr));
            self.at(f, pos, &shown)
        })?;
        if let Value::Text(text) = &value {
            self.budget.bytes(text.len()).map_err(|f| self.at(f, pos, name))?;
        }
        Ok(value)
    }

    /// `and` and `or` evaluate no more arguments than they need.
    fn short_circuit(
        &mut self,
        dot: &Value,
        pos: Pos,
        name: &str,
        rest: &[Expr],
        last: Option<Value>,
    ) -> Result<Value, Failure> {
        let mut value = None;
        for expr in rest {
            let next = self.argument(dot, expr)?;
            if next.is_true() == (name == "or") {
                return Ok(next);
            }
            value = Some(next);
        }
        last.or(value).ok_or_else(|| {
            let failure = Failure::fault(format!("wrong number of args for {name}: want at least 1 got 0"));
            self.at(failure, pos, name)
        })
    }

    fn at(&self, failure: Failure, pos: Pos, node: &str) -> Failure {
        match &self.source {
            Some(source) => failure.at(|| source.place(pos, node)),
            None => failure,
        }
    }
}

/// Returns a field. Below a field that is not there, there is none: an error, as it is in Go; but anything may be asked of
/// a variable or of parentheses that are nothing.
fn field(value: &Value, name: &str, arguments: &[Value], below: bool) -> Result<Value, Failure> {
    match value {
        Value::Object(object) => object.member(name, arguments).unwrap_or_else(|| {
            Err(Failure::fault(format!("can't evaluate field {name} in type {}", object.type_name())))
        }),
        Value::Map(map) => match arguments {
            [] => Ok(map.get(name).unwrap_or_default()),
            _ => Err(Failure::fault(format!("{name} is not a method but has arguments"))),
        },
        Value::Nil if below => Err(Failure::fault(format!("nil pointer evaluating interface {{}}.{name}"))),
        Value::Nil => Ok(Value::Nil),
        other => Err(Failure::fault(format!("can't evaluate field {name} in type {}", other.type_name()))),
    }
}
