//! Which operators are wanted of which catalogs.

use oc_mirror_model::config::{Operator, Package, PackageChannel};

use crate::args::Chosen;
use crate::error::CliError;

/// Returns the catalog of Red Hat's operators for the version that a channel of releases is of.
pub(super) fn usual(channel: &str) -> Option<String> {
    let (_, version) = channel.rsplit_once('-')?;
    let (major, minor) = version.split_once('.')?;
    let are_numbers = [major, minor].iter().all(|part| part.parse::<u32>().is_ok());
    are_numbers.then(|| format!("registry.redhat.io/redhat/redhat-operator-index:v{version}"))
}

/// Puts operators and catalogs together. `channel` is the first channel of releases that is wanted.
pub(super) fn operators(chosen: &[Chosen], channel: Option<&str>) -> Result<Vec<Operator>, CliError> {
    let named = chosen.iter().filter(|chosen| matches!(chosen, Chosen::Catalog(_))).count();
    let mut found: Vec<Operator> = Vec::new();
    // With one catalog there is no doubt, whatever the order.
    let (first, rest): (Vec<&Chosen>, Vec<&Chosen>) =
        chosen.iter().partition(|chosen| named == 1 && matches!(chosen, Chosen::Catalog(_)));
    for chosen in first.into_iter().chain(rest) {
        match chosen {
            Chosen::Catalog(catalog) => found.push(of_catalog(catalog)),
            Chosen::Operator(operator) => {
                if found.is_empty() {
                    found.push(of_catalog(&catalog_for(operator, named, channel)?));
                }
                let catalog = found.last_mut().expect("one was just put there if there was none");
                add(catalog, operator)?;
            }
        }
    }
    Ok(found)
}

pub(super) fn of_catalog(catalog: &str) -> Operator {
    Operator { catalog: catalog.to_owned(), ..Operator::default() }
}

fn catalog_for(operator: &str, named: usize, channel: Option<&str>) -> Result<String, CliError> {
    if named > 1 {
        return Err(CliError::new(format!("--operator {operator} stands before the first --catalog"))
            .hint("with several of them, write each --operator after the --catalog that it belongs to"));
    }
    channel.and_then(usual).ok_or_else(|| {
        CliError::new(format!("it is not said which catalog `{operator}` is from")).hint(
            "name it with --catalog, or a version of OpenShift with --release-channel stable-X.Y for the catalog of Red Hat",
        )
    })
}

/// Adds `PACKAGE[@CHANNEL]` to a catalog.
pub(super) fn add(catalog: &mut Operator, operator: &str) -> Result<(), CliError> {
    let (name, channel) = operator.split_once('@').map_or((operator, None), |(name, c)| (name, Some(c)));
    if name.is_empty() || channel == Some("") || operator.contains(char::is_whitespace) {
        return Err(CliError::new(format!("`{operator}` is no operator"))
            .hint("write the name of its package, and the channel behind `@`: web-terminal@fast"));
    }
    let place = catalog.packages.iter().position(|package| package.name == name).unwrap_or_else(|| {
        catalog.packages.push(Package { name: name.to_owned(), ..Package::default() });
        catalog.packages.len() - 1
    });
    let channels = &mut catalog.packages[place].channels;
    if let Some(channel) = channel.filter(|name| channels.iter().all(|channel| channel.name != *name)) {
        channels.push(PackageChannel { name: channel.to_owned(), ..PackageChannel::default() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// `+a` is catalog `a`; other words are operators.
    fn shown(words: &str, channel: Option<&str>) -> Result<String, String> {
        let chosen = words.split_whitespace().map(|word| match word.strip_prefix('+') {
            Some(catalog) => Chosen::Catalog(catalog.to_owned()),
            None => Chosen::Operator(word.to_owned()),
        });
        let found = operators(&chosen.collect::<Vec<_>>(), channel).map_err(|error| error.heading)?;
        let package = |package: &Package| {
            let channels: Vec<&str> = package.channels.iter().map(|channel| channel.name.as_str()).collect();
            format!(" {}({})", package.name, channels.join(","))
        };
        let catalog = |operator: &Operator| {
            format!("{}:{}", operator.catalog, operator.packages.iter().map(package).collect::<String>())
        };
        Ok(found.iter().map(catalog).collect::<Vec<_>>().join("; "))
    }

    #[rstest]
    #[case("", "")]
    #[case("+a x y@one y@two y@one", "a: x() y(one,two)")]
    #[case("x +a", "a: x()")]
    #[case("+a +b x", "a:; b: x()")]
    #[case("x@one", "registry.redhat.io/redhat/redhat-operator-index:v4.20: x(one)")]
    fn operators_belong_to_the_catalog_before_them(#[case] words: &str, #[case] expected: &str) {
        assert_eq!(shown(words, Some("stable-4.20")).as_deref(), Ok(expected));
    }

    #[rstest]
    #[case("x +a +b", Some("stable-4.20"), "--operator x stands before the first --catalog")]
    #[case("x", None, "it is not said which catalog `x` is from")]
    #[case("x", Some("mine"), "it is not said which catalog `x` is from")]
    #[case("+a x@", None, "`x@` is no operator")]
    #[case("+a @x", None, "`@x` is no operator")]
    fn mistakes(#[case] words: &str, #[case] channel: Option<&str>, #[case] expected: &str) {
        assert_eq!(shown(words, channel), Err(expected.to_owned()));
    }
}
