//! What went wrong, as the contract has it.

use oc_mirror_chart::ChartError;
use oc_mirror_plugin_sdk::{Error, other, with_hint};

/// How many versions a message names.
const NAMED: usize = 8;

/// Makes an error of what is wrong with a chart.
pub(crate) fn of_chart(error: ChartError) -> Error {
    let text = error.to_string();
    if error.is_limit() {
        return with_hint(
            Error::Limit(text),
            "a chart that needs more than this is most likely broken, or made to do harm",
        );
    }
    match error {
        ChartError::Archive(_) | ChartError::File(..) => other("helm.chart", text),
        ChartError::KubeVersion(..) => with_hint(
            other("helm.kube-version", text),
            "name the version of your clusters: `kubeVersion: 1.33.0`, beside the chart's name",
        ),
        ChartError::Values(_) => other("helm.values", text),
        ChartError::Schema(_) => with_hint(
            other("helm.schema", text),
            "set what is asked for in a file under `valuesFiles`, beside the chart's name, as for `helm install`",
        ),
        ChartError::Template(_) => with_hint(
            other("helm.template", text),
            "a chart that needs values to be rendered gets them from `valuesFiles`, beside the chart's name",
        ),
        ChartError::Manifest(..) => other("helm.manifest", text),
    }
}

/// There is no version that is wanted.
pub(crate) fn no_version(wanted: Option<&str>, known: &[&str]) -> Error {
    let what = wanted.map_or_else(|| "no version".to_owned(), |wanted| format!("no version `{wanted}`"));
    let mut named = known.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if known.len() > NAMED {
        named.push_str(", …");
    }
    let there_is = if named.is_empty() { "there is none".to_owned() } else { format!("there are {named}") };
    Error::NotFound(format!("{what}; {there_is}"))
}
