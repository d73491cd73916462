//! Helm's own functions, and those that end a template.

use super::{Answer, Args, Function, exactly};
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::value::{Map, Value};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "include" => exactly(2, |i, a| i.execute_named(a.text(0)?, a.any(1)).map(Value::from)),
        "tpl" => exactly(2, tpl),
        "required" => exactly(2, required),
        "fail" => exactly(1, |_, a| Err(Failure::refusal(a.text(0)?))),
        // There is no cluster to look into.
        "lookup" => exactly(4, |_, _| Ok(Value::Map(Map::new()))),
        _ => return None,
    })
}

fn tpl(interpreter: &mut Interpreter, a: &Args<'_>) -> Answer {
    a.text(0)?;
    match a.any(0) {
        Value::Text(text) => interpreter.execute_text(text, a.any(1)).map(Value::from),
        _ => Ok(Value::Nil),
    }
}

fn required(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    let warning = a.text(0)?;
    match a.any(1) {
        Value::Nil => Err(Failure::refusal(warning)),
        Value::Text(text) if text.is_empty() => Err(Failure::refusal(warning)),
        value => Ok(value.clone()),
    }
}
