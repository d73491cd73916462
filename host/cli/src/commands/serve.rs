//! `oc-mirror serve`.

use std::path::Path;
use std::sync::Arc;

use oc_mirror_engine::layout::Layout;
use oc_mirror_engine::serve::{Backend, ServeOptions, serve};
use oc_mirror_engine::workflow::serving;

use super::interrupted;
use crate::args::ServeArgs;
use crate::error::CliError;
use crate::output;

/// Serves a directory or an imageset until somebody stops the program.
pub(crate) fn run(args: &ServeArgs) -> Result<u8, CliError> {
    super::runtime()?.block_on(async {
        let backend = backend(&args.dir).await?;
        let failed = |error: std::io::Error| {
            CliError::caused(format!("cannot listen on {}", args.listen), &error)
                .hint("name another address with --listen ADDRESS:PORT; port 0 takes a free one")
        };
        let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        output::status(&format!("serving {}", args.dir.display()));
        output::status(&format!("listening on {address}"));
        serve(listener, backend, ServeOptions::default(), interrupted())
            .await
            .map_err(|error| CliError::from_error(&error))?;
        Ok(0)
    })
}

/// A chunk file, or a directory that holds one, is an imageset; anything else is a directory of images.
async fn backend(dir: &Path) -> Result<Arc<dyn Backend>, CliError> {
    if dir.is_file() || holds_chunks(dir) {
        return Ok(Arc::new(serving::imagesets(dir).await?));
    }
    let layout = Layout::create(dir).map_err(|error| {
        CliError::caused(format!("`{}` cannot be served", dir.display()), &error)
            .hint("serve an OCI image layout, an empty directory, or the directory of an imageset")
    })?;
    Ok(Arc::new(layout))
}

fn holds_chunks(dir: &Path) -> bool {
    oc_mirror_engine::archive::find_imagesets(dir).is_ok_and(|sets| !sets.is_empty())
}
