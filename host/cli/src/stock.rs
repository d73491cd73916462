//! What was mirrored before as a source, as the arguments and the environment say.

use std::sync::Arc;

use oc_mirror_engine::source::HttpFetch;
use oc_mirror_engine::workflow::images::Origins;
use oc_mirror_engine::workflow::network::Network;
use oc_mirror_engine::workflow::stock::{FromStock, GraphServers, Stock, StockHttp};
use oc_mirror_model::config::ImageSetConfiguration;

use crate::{releases, signatures};

/// Returns where images are found.
pub(crate) fn origins(
    stock: Option<&Arc<Stock>>,
    network: &Arc<Network>,
    is_online: bool,
) -> Arc<dyn Origins> {
    match stock {
        Some(stock) => {
            let registries = network.clone();
            // A name that leads to mirrors only does not lead to the internet.
            let may_ask = move |image: &_| is_online || registries.is_mirrored_only(image);
            Arc::new(FromStock::new(stock.clone(), network.clone(), Box::new(may_ask)))
        }
        None => network.clone(),
    }
}

/// Returns HTTP for plugins. Servers that the environment names may be asked in any case.
pub(crate) fn http(
    stock: Option<&Arc<Stock>>,
    http: Arc<dyn HttpFetch>,
    is_online: bool,
) -> Arc<dyn HttpFetch> {
    let Some(stock) = stock else { return http };
    let (ocp, okd) = releases::graph_servers();
    let named: Vec<String> = releases::named_servers().chain(signatures::named_store()).collect();
    Arc::new(StockHttp::new(stock.clone(), GraphServers { ocp, okd }, http, is_online, &named))
}

/// Takes the image of the update graph's data out of the stock, unless the configuration says where it comes from: it was
/// built once, and what it was built of is not there.
pub(crate) fn complete(configuration: &mut ImageSetConfiguration, stock: &Stock) {
    let Some(platform) = &mut configuration.mirror.platform else { return };
    if platform.graph && platform.graph_image.is_none() && platform.graph_data_url.is_none() {
        platform.graph_image = stock.graph_image().map(str::to_owned);
    }
}
