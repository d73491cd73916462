//! Sprig's arithmetic.

use super::convert::{to_float, to_int};
use super::{Answer, Args, Function, at_least, exactly};
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::value::Value;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "add" => at_least(0, |_, a| Ok(Value::Int64(ints(a).fold(0, i64::wrapping_add)))),
        "add1" => exactly(1, |_, a| Ok(Value::Int64(to_int(a.any(0)).wrapping_add(1)))),
        "sub" => exactly(2, |_, a| Ok(Value::Int64(to_int(a.any(0)).wrapping_sub(to_int(a.any(1)))))),
        "mul" => at_least(1, |_, a| Ok(Value::Int64(ints(a).fold(1, i64::wrapping_mul)))),
        "div" => exactly(2, |_, a| divided(a, i64::wrapping_div)),
        "mod" => exactly(2, |_, a| divided(a, i64::wrapping_rem)),
        "max" | "biggest" => at_least(1, |_, a| Ok(Value::Int64(ints(a).max().unwrap_or(0)))),
        "min" => at_least(1, |_, a| Ok(Value::Int64(ints(a).min().unwrap_or(0)))),
        "addf" => at_least(0, |_, a| Ok(Value::Float(tidy(floats(a).sum())))),
        "add1f" => exactly(1, |_, a| Ok(Value::Float(tidy(to_float(a.any(0)) + 1.0)))),
        "subf" => at_least(1, |_, a| folded(a, |x, y| tidy(x - y))),
        "mulf" => at_least(1, |_, a| folded(a, |x, y| tidy(x * y))),
        "divf" => at_least(1, |_, a| folded(a, |x, y| format!("{:.16}", x / y).parse().unwrap_or(f64::NAN))),
        "maxf" => at_least(1, |_, a| folded_plainly(a, f64::max)),
        "minf" => at_least(1, |_, a| folded_plainly(a, f64::min)),
        "ceil" => exactly(1, |_, a| Ok(Value::Float(to_float(a.any(0)).ceil()))),
        "floor" => exactly(1, |_, a| Ok(Value::Float(to_float(a.any(0)).floor()))),
        "round" => at_least(2, round),
        "until" => exactly(1, |i, a| {
            let count = a.int(0)?;
            Ok(Value::list(steps(i, 0, count, if count < 0 { -1 } else { 1 })?.into_iter().map(Value::Int)))
        }),
        "untilStep" => exactly(3, |i, a| {
            Ok(Value::list(steps(i, a.int(0)?, a.int(1)?, a.int(2)?)?.into_iter().map(Value::Int)))
        }),
        "seq" => at_least(0, sequence),
        _ => return None,
    })
}

fn ints<'a>(a: &'a Args<'_>) -> impl Iterator<Item = i64> + 'a {
    a.values.iter().map(to_int)
}

fn floats<'a>(a: &'a Args<'_>) -> impl Iterator<Item = f64> + 'a {
    a.values.iter().map(to_float)
}

fn divided(a: &Args<'_>, divide: fn(i64, i64) -> i64) -> Answer {
    match to_int(a.any(1)) {
        0 => Err(Failure::fault("integer divide by zero")),
        divisor => Ok(Value::Int64(divide(to_int(a.any(0)), divisor))),
    }
}

/// Sprig reckons with decimals, of which `0.1 + 0.2` makes 0.3. Fifteen digits are what both kinds agree in.
fn tidy(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

fn folded(a: &Args<'_>, reckon: fn(f64, f64) -> f64) -> Answer {
    let number = floats(a).reduce(reckon).unwrap_or(0.0);
    match number.is_finite() {
        true => Ok(Value::Float(number)),
        false => Err(Failure::fault("decimal division by 0")),
    }
}

fn folded_plainly(a: &Args<'_>, reckon: fn(f64, f64) -> f64) -> Answer {
    Ok(Value::Float(floats(a).reduce(reckon).unwrap_or(0.0)))
}

fn round(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    let on = if a.len() > 2 { to_float(a.any(2)) } else { 0.5 };
    let places = i32::try_from(a.int(1)?).map_err(|_| Failure::fault("there are no so many digits"))?;
    let power = 10_f64.powi(places);
    let shifted = power * to_float(a.any(0));
    let rounded = if shifted.fract() >= on { shifted.ceil() } else { shifted.floor() };
    Ok(Value::Float(rounded / power))
}

fn steps(interpreter: &Interpreter, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Failure> {
    if step == 0 || (stop < start) != (step < 0) {
        return Ok(Vec::new());
    }
    let count = start.abs_diff(stop).div_ceil(step.unsigned_abs());
    interpreter.budget().steps(count)?;
    let numbers = std::iter::successors(Some(start), |at| at.checked_add(step));
    Ok(numbers.take_while(|at| if step > 0 { *at < stop } else { *at > stop }).collect())
}

fn sequence(interpreter: &mut Interpreter, a: &Args<'_>) -> Answer {
    let (start, step, end) = match a.len() {
        1 => (1, None, a.int(0)?),
        2 => (a.int(0)?, None, a.int(1)?),
        3 => (a.int(0)?, Some(a.int(1)?), a.int(2)?),
        _ => return Ok("".into()),
    };
    let direction = if end < start { -1 } else { 1 };
    let step = step.unwrap_or(direction);
    if direction < 0 && step > 0 {
        return Ok("".into());
    }
    let numbers = steps(interpreter, start, end.saturating_add(direction), step)?;
    Ok(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ").into())
}
