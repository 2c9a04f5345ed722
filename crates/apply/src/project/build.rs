//! Images of services, built by the engine from their `build`: what Compose does with the classic
//! builder, which needs nothing beside the engine.

mod context;
mod dockerfile;
mod heard;
mod ignore;

use std::collections::BTreeMap;

use compose::project::{Build as Recipe, Service, ServiceName};
use docker::ImageRef;
use docker::container::spec::{ExtraHost, Ulimit};
use docker::image::{BuildContext, BuildSpec, Credentials};
use model::Secret;
use tokio::sync::OnceCell;

use super::{OnEngine, ProjectError, Tell};
use crate::hands::Logins;
use context::{Context, Packing};
use heard::Heard;

/// What is built, and how.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// These services; all, without one.
    pub services: Vec<ServiceName>,
    /// Those too that they depend on.
    pub with_dependencies: bool,
    /// Build arguments that go before those of the files.
    pub args: BTreeMap<String, Secret>,
    /// Memory of `RUN`, in bytes.
    pub memory: Option<u64>,
    /// Does every step, even if an earlier build did the same.
    pub no_cache: bool,
    /// Pulls base images that are there.
    pub pull: bool,
    /// Does not tell what the builder says.
    pub quiet: bool,
}

/// Builds one service after the other.
pub(super) struct Builder<'a> {
    pub(super) on: &'a OnEngine<'a>,
    pub(super) request: &'a Build,
    pub(super) tell: Tell<'a>,
    pub(super) logins: OnceCell<Logins>,
}

impl OnEngine<'_> {
    /// Builds the images of services.
    ///
    /// # Errors
    /// When one cannot be built: which step failed, and its last lines. Those before it are built.
    pub async fn build(&self, request: &Build, tell: Tell<'_>) -> Result<(), ProjectError> {
        let chosen = self.chosen(&request.services, request.with_dependencies)?;
        let builder = Builder {
            on: self,
            request,
            tell,
            logins: OnceCell::new(),
        };
        for name in &chosen {
            let is_built = self.project.services[name].build.is_some();
            match is_built {
                true => builder.build(name).await?,
                false if request.services.contains(name) => {
                    tell(format!("{name} has no `build`: its image is pulled"));
                }
                false => {}
            }
        }
        Ok(())
    }
}

impl Builder<'_> {
    /// Builds the image of a service that has a `build`.
    pub(super) async fn build(&self, name: &ServiceName) -> Result<(), ProjectError> {
        let service = &self.on.project.services[name];
        let Some(recipe) = &service.build else {
            return Ok(());
        };
        let names = self.names(name, recipe)?;
        (self.tell)(format!("building {} for {name}", names[0]));
        let source = source(recipe).map_err(|why| self.failed(name, why))?;
        let spec = BuildSpec {
            dockerfile: source.dockerfile,
            names,
            credentials: self.credentials().await,
            ..self.spec(source.context, service, recipe)
        };
        let mut heard = Heard::new(self.tell, self.request.quiet);
        let mut is_sent = false;
        let built = self.on.engine.build_image(spec, |said| {
            if !std::mem::replace(&mut is_sent, true) {
                let bytes = source.packing.as_ref().map_or(0, Packing::bytes);
                heard.context_is_sent(bytes);
            }
            heard.hear(said);
        });
        let built = built.await;
        heard.end();
        let Err(error) = built else {
            return Ok(());
        };
        // What could not be read is why the engine did not get it.
        match source.packing {
            Some(packing) => match packing.why_not().await {
                Some(why) => Err(self.failed(name, why)),
                None => Err(heard.error(name, &error)),
            },
            None => Err(heard.error(name, &error)),
        }
    }

    fn names(&self, name: &ServiceName, recipe: &Recipe) -> Result<Vec<ImageRef>, ProjectError> {
        let mut names = vec![self.on.image_name(name)?];
        for tag in &recipe.tags {
            let tag: ImageRef = tag
                .parse()
                .map_err(|error: docker::NameError| self.failed(name, error.to_string()))?;
            if !names.contains(&tag) {
                names.push(tag);
            }
        }
        Ok(names)
    }

    /// As the files and the request say it.
    fn spec(&self, context: BuildContext, service: &Service, recipe: &Recipe) -> BuildSpec {
        let given = recipe.args.iter();
        let given = given.filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        let mut args: BTreeMap<String, Secret> = given.collect();
        args.extend(self.request.args.clone());
        BuildSpec {
            args,
            labels: recipe.labels.clone(),
            cache_from: recipe.cache_from.clone(),
            target: recipe.target.clone(),
            network: recipe.network.clone(),
            shm_size: recipe.shm_size.and_then(|bytes| bytes.try_into().ok()),
            memory: self.request.memory,
            extra_hosts: recipe.extra_hosts.iter().map(extra_host).collect(),
            ulimits: recipe.ulimits.iter().map(ulimit).collect(),
            isolation: recipe.isolation.clone(),
            platform: recipe.platform.clone().or_else(|| service.platform.clone()),
            no_cache: recipe.no_cache || self.request.no_cache,
            pull: recipe.pull || self.request.pull,
            ..BuildSpec::of(context)
        }
    }

    /// A base image may come from any registry that somebody has logged in to.
    async fn credentials(&self) -> BTreeMap<String, Credentials> {
        let asking = async {
            let logins = self.on.keys.all().await;
            for why in &logins.failed {
                (self.tell)(format!("warning: {why}"));
            }
            logins
        };
        self.logins.get_or_init(|| asking).await.known.clone()
    }

    fn failed(&self, service: &ServiceName, why: String) -> ProjectError {
        ProjectError::Build {
            service: service.clone(),
            why,
            words: String::new(),
        }
    }
}

/// Where an image comes from.
struct Source {
    context: BuildContext,
    dockerfile: Option<String>,
    packing: Option<Packing>,
}

fn source(recipe: &Recipe) -> Result<Source, String> {
    if recipe.is_remote() {
        if recipe.dockerfile_inline.is_some() {
            return Err(
                "`dockerfile_inline` needs a folder as `context`: an address has its own Dockerfile"
                    .to_owned(),
            );
        }
        return Ok(Source {
            context: BuildContext::Remote(recipe.context.clone()),
            dockerfile: recipe.dockerfile.clone(),
            packing: None,
        });
    }
    let (context, dockerfile) = Context::of(recipe)?;
    let (archive, packing) = context.pack();
    Ok(Source {
        context: BuildContext::Archive(archive),
        dockerfile: Some(dockerfile),
        packing: Some(packing),
    })
}

fn extra_host(host: &compose::project::ExtraHost) -> ExtraHost {
    ExtraHost {
        name: host.host.clone(),
        address: host.address.clone(),
    }
}

fn ulimit((name, limit): (&String, &compose::project::Ulimit)) -> (String, Ulimit) {
    let limit = Ulimit {
        soft: limit.soft,
        hard: limit.hard,
    };
    (name.clone(), limit)
}
