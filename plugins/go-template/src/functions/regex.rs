//! Sprig's regular expressions.

use regex_lite::{NoExpand, Regex};

use super::{Answer, Args, Function, exactly};
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::value::Value;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name.strip_prefix("mustR").map(|rest| format!("r{rest}")).as_deref().unwrap_or(name) {
        "regexMatch" => exactly(2, |_, a| match compile(a.text(0)?) {
            Ok(regex) => Ok(regex.is_match(a.text(1)?).into()),
            Err(_) if !a.name.starts_with("must") => Ok(false.into()),
            Err(failure) => Err(failure),
        }),
        "regexFind" => exactly(2, |_, a| {
            let found = compile(a.text(0)?)?.find(a.text(1)?).map_or("", |found| found.as_str());
            Ok(found.into())
        }),
        "regexFindAll" => exactly(3, |_, a| {
            let regex = compile(a.text(0)?)?;
            let most = usize::try_from(a.int(2)?).unwrap_or(usize::MAX);
            Ok(Value::list(regex.find_iter(a.text(1)?).take(most).map(|found| found.as_str().into())))
        }),
        "regexReplaceAll" => exactly(3, |i, a| replace(i, a, false)),
        "regexReplaceAllLiteral" => exactly(3, |i, a| replace(i, a, true)),
        "regexSplit" => exactly(3, |_, a| {
            let (regex, text) = (compile(a.text(0)?)?, a.text(1)?);
            Ok(match usize::try_from(a.int(2)?) {
                Ok(0) => Value::Nil,
                Ok(most) => Value::list(regex.splitn(text, most).map(Value::from)),
                Err(_) => Value::list(regex.split(text).map(Value::from)),
            })
        }),
        "regexQuoteMeta" => exactly(1, |_, a| Ok(regex_lite::escape(a.text(0)?).into())),
        _ => return None,
    })
}

fn compile(pattern: &str) -> Result<Regex, Failure> {
    // Go writes the end of the text as `\z`, as here.
    Regex::new(pattern).map_err(|error| Failure::fault(format!("error parsing regexp: {error}")))
}

fn replace(interpreter: &mut Interpreter, a: &Args<'_>, literal: bool) -> Answer {
    let (regex, text, new) = (compile(a.text(0)?)?, a.text(1)?, a.text(2)?);
    let matches = regex.find_iter(text).count();
    interpreter.budget().bytes(matches.saturating_mul(new.len().saturating_add(text.len().min(1024))))?;
    Ok(match literal {
        true => regex.replace_all(text, NoExpand(new)),
        false => regex.replace_all(text, new),
    }
    .into_owned()
    .into())
}
