//! [`Host`]: loads components and makes sources and policies of them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use oc_mirror_engine::content::ImageView;
use oc_mirror_engine::policy::{Mode, OnFailure, Policy};
use oc_mirror_engine::source::{ContentSource, Inspector, Lent, PluginIdentity};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::request::ImageRequest;
use serde_json::Value;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::cache::Cache;
use crate::error::{LoadError, LoadErrorKind, StartError};
use crate::grants::{Grants, Permissions};
use crate::limits::{Limits, human_bytes};
use crate::meta::{Inspection, MAX_COMPONENT_BYTES, PluginMeta};
use crate::plugin::Plugin;
use crate::policy::{CallCost, PluginPolicy};
use crate::source::{PluginInspector, PluginSource};
use crate::state::{Shared, StoreState};
use crate::{builtin, engine, schema};

/// How a host works.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Where compiled components are kept, for this user alone. Nothing: each start compiles.
    pub cache_dir: Option<PathBuf>,
    /// The version of the program: part of what compiled components are kept under.
    pub host_version: String,
    /// What content sources may use up.
    pub source: Limits,
    /// What policies may use up.
    pub policy: Limits,
    /// The most memory that a plugin gets when it asks for more than the usual.
    pub memory_ceiling: usize,
    /// The most time in the guest that a plugin gets when it asks for more than the usual.
    pub time_ceiling: Duration,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            cache_dir: None,
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
            source: Limits::source(),
            policy: Limits::policy(),
            memory_ceiling: 512 << 20,
            time_ceiling: Duration::from_secs(600),
        }
    }
}

/// The bytes of a component.
#[derive(Clone, Debug)]
pub struct Binary {
    name: String,
    bytes: Cow<'static, [u8]>,
}

impl Binary {
    /// Takes the bytes of a component; `name` stands in for its id if it has no metadata.
    pub fn new(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), bytes: bytes.into() }
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns what it says about itself and what it imports, without compiling it.
    pub fn inspect(&self) -> Result<Inspection, crate::meta::MetaError> {
        Inspection::read(&self.bytes, &self.name)
    }
}

/// A plugin as a configuration asks for it.
#[derive(Clone, Debug)]
pub struct PluginSpec {
    /// The name it has in the configuration.
    pub name: String,
    /// The component.
    pub binary: Binary,
    /// Its settings.
    pub settings: Value,
    /// What it may do, of what it asks for.
    pub grants: Grants,
}

/// How long it takes to have all built-in plugins ready.
#[derive(Clone, Debug)]
pub struct WarmStart {
    /// All of them, one after the other.
    pub total: Duration,
    /// Each.
    pub plugins: Vec<WarmPlugin>,
}

/// How long it takes to have one plugin ready.
#[derive(Clone, Debug)]
pub struct WarmPlugin {
    /// Its name.
    pub name: String,
    /// To have its code, compiled or from the cache.
    pub load: Duration,
    /// To link it and bring an instance to life.
    pub instantiate: Duration,
    /// Whether its code came from the cache.
    pub cached: bool,
}

/// Loads plugins. Cheap to clone; everything that was loaded stays usable when it is gone.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    settings: HostSettings,
    cache: Option<Cache>,
    linker: Linker<StoreState>,
    /// Made only when a guest wants it: most do not.
    wasi_linker: OnceLock<Linker<StoreState>>,
}

/// A component that is compiled.
struct Compiled {
    inspection: Inspection,
    digest: Digest,
    component: Component,
    cached: bool,
}

impl Host {
    /// Starts the machinery. No plugin is touched yet.
    pub fn new(settings: HostSettings) -> Result<Self, StartError> {
        let engine = engine::start().map_err(|e| StartError(format!("{e:#}")))?;
        let linker = engine::linker(&engine, false).expect("the interfaces have different names");
        let cache =
            settings.cache_dir.as_deref().and_then(|dir| Cache::open(dir, &engine, &settings.host_version));
        Ok(Self { inner: Arc::new(Inner { engine, settings, cache, linker, wasi_linker: OnceLock::new() }) })
    }

    /// Returns the names of the built-in plugins.
    pub fn builtins() -> impl Iterator<Item = &'static str> {
        builtin::names()
    }

    /// Returns a built-in plugin.
    pub fn builtin(&self, name: &str) -> Result<Binary, LoadError> {
        let bytes = builtin::find(name).ok_or_else(|| LoadError::new(name, LoadErrorKind::NoBuiltin))?;
        Ok(Binary { name: name.to_owned(), bytes: bytes.into() })
    }

    /// Reads a component from a file.
    pub fn load_file(&self, path: &Path) -> Result<Binary, LoadError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let failed = |kind| LoadError::new(&name, kind);
        let file = |cause| failed(LoadErrorKind::File { path: path.to_owned(), cause });
        let size = std::fs::metadata(path).map_err(file)?.len();
        if size > MAX_COMPONENT_BYTES {
            return Err(failed(LoadErrorKind::TooLarge { path: path.to_owned(), size }));
        }
        let bytes = std::fs::read(path).map_err(file)?;
        Ok(Binary { name, bytes: bytes.into() })
    }

    /// Makes a content source: metadata, settings and code are checked; nothing is collected yet.
    pub async fn source(&self, spec: PluginSpec) -> Result<Box<dyn ContentSource>, LoadError> {
        let limits = self.inner.settings.source.clone();
        let name = spec.name.clone();
        let plugin = self.plugin(spec, limits).await?;
        match plugin.exports.source {
            Some(_) => Ok(Box::new(PluginSource { plugin })),
            None => Err(wrong_role(&name, "content source", "source")),
        }
    }

    /// Makes something that answers questions: metadata, settings and code are checked; nothing is asked yet.
    pub async fn inspector(&self, spec: PluginSpec) -> Result<Box<dyn Inspector>, LoadError> {
        let limits = self.inner.settings.source.clone();
        let name = spec.name.clone();
        let plugin = self.plugin(spec, limits).await?;
        match plugin.exports.inspection {
            Some(_) => Ok(Box::new(PluginInspector { plugin })),
            None => Err(wrong_role(&name, "source that answers questions", "inspection")),
        }
    }

    /// Makes a policy: metadata, settings and code are checked; nothing is judged yet.
    pub async fn policy(
        &self,
        spec: PluginSpec,
        mode: Mode,
        on_failure: OnFailure,
    ) -> Result<Arc<dyn Policy>, LoadError> {
        let limits = self.inner.settings.policy.clone();
        let name = spec.name.clone();
        let plugin = self.plugin(spec, limits).await?;
        match (&plugin.exports.image_policy, &plugin.exports.reference_policy) {
            (None, None) => Err(wrong_role(&name, "policy", "image-policy")),
            _ => Ok(Arc::new(PluginPolicy::new(plugin, mode, on_failure))),
        }
    }

    /// Measures what calls of a policy cost beyond what the plugin does in them: it judges an image again and again.
    pub async fn call_cost(
        &self,
        spec: PluginSpec,
        lent: &Arc<Lent>,
        request: &ImageRequest,
        image: &Arc<dyn ImageView>,
        times: usize,
    ) -> Result<CallCost, LoadError> {
        let name = spec.name.clone();
        let plugin = self.plugin(spec, self.inner.settings.policy.clone()).await?;
        let policy = PluginPolicy::new(plugin, Mode::Protect, OnFailure::Deny);
        let cost = policy.cost(lent, request, image, times).await;
        cost.map_err(|error| LoadError::new(&name, LoadErrorKind::Call(error)))
    }

    /// Measures how long it takes to have all built-in plugins ready; the first time, that compiles them.
    pub async fn warm_start(&self) -> Result<WarmStart, LoadError> {
        let start = Instant::now();
        let mut plugins = Vec::new();
        for name in builtin::names() {
            let at = Instant::now();
            let binary = self.builtin(name)?;
            let error = |kind| LoadError::new(name, kind);
            let compiled = self.inner.compile(&binary).map_err(error)?;
            let (load, cached) = (at.elapsed(), compiled.cached);
            let at = Instant::now();
            let spec = PluginSpec {
                name: name.to_owned(),
                binary,
                settings: Value::Null,
                grants: Grants::default(),
            };
            let plugin = self.inner.link(&spec, compiled, Limits::source()).map_err(error)?;
            plugin.instantiate(None).await.map_err(|e| error(LoadErrorKind::Call(e)))?;
            plugins.push(WarmPlugin { name: name.to_owned(), load, instantiate: at.elapsed(), cached });
        }
        Ok(WarmStart { total: start.elapsed(), plugins })
    }

    /// The one way in, for built-in plugins and all others.
    async fn plugin(&self, spec: PluginSpec, limits: Limits) -> Result<Plugin, LoadError> {
        let name = spec.name.clone();
        let inner = Arc::clone(&self.inner);
        let load = tokio::task::spawn_blocking(move || {
            let compiled = inner.compile(&spec.binary)?;
            check_schema(&compiled.inspection.meta, &spec.settings)?;
            inner.link(&spec, compiled, limits)
        });
        let error = |kind| LoadError::new(&name, kind);
        let plugin = match load.await {
            Ok(plugin) => plugin.map_err(error)?,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(error(LoadErrorKind::Compile("the program is ending".to_owned()))),
            },
        };
        let problems = plugin.validate().await.map_err(|e| error(LoadErrorKind::Call(e)))?;
        match problems.is_empty() {
            true => Ok(plugin),
            false => Err(error(LoadErrorKind::Settings(problems))),
        }
    }
}

impl Inner {
    /// Reads the metadata, then gets the code from the cache or compiles it.
    fn compile(&self, binary: &Binary) -> Result<Compiled, LoadErrorKind> {
        let inspection = binary.inspect().map_err(LoadErrorKind::Meta)?;
        let digest = Digest::of(&binary.bytes);
        let kept = self.cache.as_ref().and_then(|cache| cache.load(&self.engine, &digest));
        if let Some(component) = kept {
            return Ok(Compiled { inspection, digest, component, cached: true });
        }
        let component = Component::from_binary(&self.engine, &binary.bytes)
            .map_err(|e| LoadErrorKind::Compile(e.root_cause().to_string()))?;
        if let Some(cache) = &self.cache {
            cache.store(&digest, &component);
        }
        Ok(Compiled { inspection, digest, component, cached: false })
    }

    fn link(&self, spec: &PluginSpec, compiled: Compiled, limits: Limits) -> Result<Plugin, LoadErrorKind> {
        let Compiled { inspection, digest, component, .. } = compiled;
        let wasi = inspection.imports_wasi();
        let meta = inspection.meta;
        let limits = self.limits(&meta, limits);
        if let Some(needed) = component.resources_required().and_then(|r| r.max_initial_memory_size)
            && needed > limits.memory as u64
        {
            let (needed, limit) = (human_bytes(needed as usize), human_bytes(limits.memory));
            return Err(LoadErrorKind::Memory { needed, limit });
        }
        let pre = self
            .linker(wasi)
            .instantiate_pre(&component)
            .map_err(|e| LoadErrorKind::Link(format!("{e:#}")))?;
        let wanted = Grants::wishes(&meta.wants).map_err(LoadErrorKind::Wishes)?;
        let permissions = Permissions { plugin: spec.name.clone(), wanted, granted: spec.grants.clone() };
        let identity = PluginIdentity { name: spec.name.clone(), id: meta.id, version: meta.version, digest };
        let settings = spec.settings.to_string();
        let judges_content = meta.stage.as_deref() == Some("content");
        let permissions = Arc::new(permissions);
        let shared = Shared { identity, permissions, limits, settings, judges_content };
        Ok(Plugin::new(&self.engine, pre, shared, wasi))
    }

    fn linker(&self, wasi: bool) -> &Linker<StoreState> {
        match wasi {
            false => &self.linker,
            true => self.wasi_linker.get_or_init(|| {
                engine::linker(&self.engine, true).expect("WASI and the contract have different names")
            }),
        }
    }

    /// A plugin may ask for more than the usual, up to a ceiling.
    fn limits(&self, meta: &PluginMeta, mut limits: Limits) -> Limits {
        if let Some(mib) = meta.resources.memory_mib {
            let wish = (mib as usize).saturating_mul(1 << 20).min(self.settings.memory_ceiling);
            limits.memory = limits.memory.max(wish);
        }
        if let Some(ms) = meta.resources.call_ms {
            let wish = Duration::from_millis(ms.into()).min(self.settings.time_ceiling);
            limits.guest_time = limits.guest_time.max(wish);
        }
        limits
    }
}

fn check_schema(meta: &PluginMeta, settings: &Value) -> Result<(), LoadErrorKind> {
    let Some(schema) = &meta.settings_schema else { return Ok(()) };
    let problems = schema::check(schema, settings).map_err(LoadErrorKind::Schema)?;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(LoadErrorKind::Settings(problems)),
    }
}

fn wrong_role(plugin: &str, role: &'static str, interface: &'static str) -> LoadError {
    LoadError::new(plugin, LoadErrorKind::WrongRole { role, interface })
}
