//! Whether the image layouts on disk are there, told for all of them at once.

use oc_mirror_plugin_sdk::{Error, explain, other};

/// Makes one error of what the host answered for each layout; none if all are there.
pub(crate) fn check<'a>(
    layouts: &[String],
    answers: impl Iterator<Item = Result<(), &'a Error>>,
) -> Result<(), Error> {
    let failed: Vec<(&String, &Error)> =
        layouts.iter().zip(answers).filter_map(|(layout, answer)| Some((layout, answer.err()?))).collect();
    let Some((_, first)) = failed.first() else { return Ok(()) };
    let text: Vec<String> =
        failed.iter().map(|(layout, error)| format!("`{layout}`: {}", explain(error))).collect();
    let text = text.join("; ");
    // A missing grant is the first thing to repair; the other layouts may be affected by it too.
    let told = failed.iter().map(|(_, e)| *e).find(|e| matches!(e, Error::Denied(_))).unwrap_or(first);
    Err(match told {
        Error::Denied(_) => Error::Denied(text),
        Error::NotFound(_) => Error::NotFound(text),
        Error::Unavailable(_) => Error::Unavailable(text),
        Error::Cancelled => Error::Cancelled,
        Error::Limit(_) => Error::Limit(text),
        Error::Invalid(_) | Error::Other(_) => other("additional.layout", text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_failures_are_told_and_denial_leads() {
        let layouts = ["oci:/a".to_owned(), "oci:/b".to_owned(), "oci:/c".to_owned()];
        let (gone, denied) = (Error::NotFound("no directory".into()), Error::Denied("layout".into()));
        assert_eq!(check(&layouts, [Ok(()), Ok(()), Ok(())].into_iter()), Ok(()));
        let error = check(&layouts, [Ok(()), Err(&gone), Err(&denied)].into_iter());
        assert_eq!(
            error,
            Err(Error::Denied("`oci:/b`: not found: no directory; `oci:/c`: denied: layout".into()))
        );
        let error = check(&layouts, [Err(&gone), Ok(()), Ok(())].into_iter());
        assert_eq!(error, Err(Error::NotFound("`oci:/a`: not found: no directory".into())));
    }
}
