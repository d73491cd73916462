//! The functions that templates call: [`find`] knows all of them by name.

mod builtin;
mod convert;
mod crypto;
mod dates;
mod dicts;
mod encoding;
mod helm;
mod lists;
mod math;
mod paths;
mod regex;
mod strings;
mod toml;
mod urls;
mod versions;

use crate::budget::Budget;
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::value::{Map, Value};

pub(crate) use paths::glob;

/// A function, and how many arguments it takes.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    run: fn(&mut Interpreter, &Args<'_>) -> Answer,
    least: usize,
    most: usize,
}

type Answer = Result<Value, Failure>;

/// A function of exactly so many arguments.
const fn exactly(count: usize, run: fn(&mut Interpreter, &Args<'_>) -> Answer) -> Function {
    Function { run, least: count, most: count }
}

/// A function of at least so many arguments.
const fn at_least(count: usize, run: fn(&mut Interpreter, &Args<'_>) -> Answer) -> Function {
    Function { run, least: count, most: usize::MAX }
}

/// Finds a function by its name.
pub(crate) fn find(name: &str) -> Option<Function> {
    const ROOMS: [fn(&str) -> Option<Function>; 14] = [
        builtin::find,
        strings::find,
        dicts::find,
        helm::find,
        lists::find,
        convert::find,
        math::find,
        encoding::find,
        toml::find,
        regex::find,
        paths::find,
        versions::find,
        dates::find,
        crypto::find,
    ];
    ROOMS.iter().find_map(|room| room(name)).or_else(|| urls::find(name))
}

impl Function {
    /// Calls it.
    pub(crate) fn call(self, interpreter: &mut Interpreter, arguments: &Args<'_>) -> Answer {
        let count = arguments.values.len();
        if (self.least..=self.most).contains(&count) {
            return (self.run)(interpreter, arguments);
        }
        let wanted = match self.most {
            usize::MAX => format!("at least {}", self.least),
            _ => self.least.to_string(),
        };
        Err(Failure::fault(format!("wrong number of args for {}: want {wanted} got {count}", arguments.name)))
    }
}

/// The arguments of a call.
pub(crate) struct Args<'a> {
    pub(crate) name: &'a str,
    pub(crate) values: &'a [Value],
}

impl<'a> Args<'a> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn any(&self, at: usize) -> &'a Value {
        const NIL: &Value = &Value::Nil;
        self.values.get(at).unwrap_or(NIL)
    }

    fn wrong_type(&self, at: usize, wanted: &str) -> Failure {
        Failure::fault(match self.any(at) {
            Value::Nil => format!("invalid value; expected {wanted}"),
            other => format!("wrong type for value; expected {wanted}; got {}", other.type_name()),
        })
    }

    fn text(&self, at: usize) -> Result<&'a str, Failure> {
        self.any(at).as_str().ok_or_else(|| self.wrong_type(at, "string"))
    }

    fn int(&self, at: usize) -> Result<i64, Failure> {
        match self.any(at) {
            Value::Int(number) | Value::Int64(number) => Ok(*number),
            _ => Err(self.wrong_type(at, "int")),
        }
    }

    fn bool(&self, at: usize) -> Result<bool, Failure> {
        match self.any(at) {
            Value::Bool(value) => Ok(*value),
            _ => Err(self.wrong_type(at, "bool")),
        }
    }

    fn map(&self, at: usize) -> Result<&'a Map, Failure> {
        self.any(at).as_map().ok_or_else(|| self.wrong_type(at, "map[string]interface {}"))
    }

    /// The items of a list; what is none is an error that says what cannot be done with it.
    fn list(&self, at: usize, what: &str) -> Result<&'a [Value], Failure> {
        let value = self.any(at);
        value.as_list().ok_or_else(|| Failure::fault(format!("Cannot {what} on type {}", value.kind())))
    }
}

/// Writes a value as a string, as Sprig does.
fn string_of(value: &Value, budget: &Budget) -> Result<String, Failure> {
    crate::print::print(value, budget)
}

/// Cuts at most so many bytes, and no character in two.
fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
