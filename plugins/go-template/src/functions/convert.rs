//! Sprig's conversions, defaults and questions about types.

use super::{Answer, Args, Function, at_least, exactly, string_of};
use crate::interpreter::Interpreter;
use crate::value::Value;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "default" => at_least(1, |_, a| {
            let given = a.any(1);
            Ok(if given.is_true() { given } else { a.any(0) }.clone())
        }),
        "empty" => exactly(1, |_, a| Ok((!a.any(0).is_true()).into())),
        "coalesce" => {
            at_least(0, |_, a| Ok(a.values.iter().find(|value| value.is_true()).cloned().unwrap_or_default()))
        }
        "all" => at_least(0, |_, a| Ok(a.values.iter().all(Value::is_true).into())),
        "any" => at_least(0, |_, a| Ok(a.values.iter().any(Value::is_true).into())),
        "ternary" => exactly(3, |_, a| Ok(a.any(usize::from(!a.bool(2)?)).clone())),
        "int" => exactly(1, |_, a| Ok(Value::Int(to_int(a.any(0))))),
        "int64" => exactly(1, |_, a| Ok(Value::Int64(to_int(a.any(0))))),
        "float64" => exactly(1, |_, a| Ok(Value::Float(to_float(a.any(0))))),
        "atoi" => exactly(1, |_, a| {
            let text = a.text(0)?;
            Ok(Value::Int(text.strip_prefix('+').unwrap_or(text).parse().unwrap_or(0)))
        }),
        "toDecimal" => exactly(1, |i, a| {
            Ok(Value::Int64(i64::from_str_radix(&string_of(a.any(0), i.budget())?, 8).unwrap_or(0)))
        }),
        "typeOf" => exactly(1, |_, a| Ok(a.any(0).type_name().into())),
        "kindOf" => exactly(1, |_, a| Ok(a.any(0).kind().into())),
        "typeIs" => exactly(2, |_, a| Ok((a.text(0)? == a.any(1).type_name()).into())),
        "typeIsLike" => exactly(2, type_is_like),
        "kindIs" => exactly(2, |_, a| Ok((a.text(0)? == a.any(1).kind()).into())),
        _ => return None,
    })
}

fn type_is_like(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    let (wanted, name) = (a.text(0)?, a.any(1).type_name());
    Ok((wanted == name || name.strip_prefix('*') == Some(wanted)).into())
}

/// An integer of anything, as `cast` makes it; 0 of what is none.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number,
        // Like Go on the usual processors, but for what does not fit.
        Value::Float(number) => *number as i64,
        Value::Bool(value) => i64::from(*value),
        Value::Text(text) => text_to_int(text),
        _ => 0,
    }
}

/// `cast` cuts off `.0`, and reads the rest with the prefix that tells its base.
fn text_to_int(text: &str) -> i64 {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    crate::number::integer(whole).and_then(|number| i64::try_from(number).ok()).unwrap_or(0)
}

/// A number of anything, as `cast` makes it; 0 of what is none.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Text(text) => text.parse().unwrap_or(0.0),
        _ => 0.0,
    }
}
