//! Why a project does not run as it shall.

use compose::project::ServiceName;
use docker::DockerError;

use crate::container::Refusal;

/// Why something was not done with a project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The engine did not do something.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The files ask for what is not done. All of it.
    #[error("{}", lines(.0))]
    Refused(Vec<Refusal>),
    /// A name that the command line has, and the project has not.
    #[error("there is no service `{0}`")]
    NoService(ServiceName),
    /// A service shall run several times, and cannot.
    #[error("`{0}` has a `container_name`, so it cannot run more than once")]
    OnlyOne(ServiceName),
    /// A service has no image.
    #[error("service `{service}`: {why}")]
    Image {
        /// The service.
        service: ServiceName,
        /// Why not.
        why: String,
    },
    /// The image of a service is not built.
    #[error("service `{service}` is not built: {why}{}", said(.words))]
    Build {
        /// The service.
        service: ServiceName,
        /// Which step failed, and why.
        why: String,
        /// The step's last lines.
        words: String,
    },
    /// A file of a config or secret.
    #[error("service `{service}`: the file {path} cannot be read: {why}")]
    File {
        /// The service.
        service: ServiceName,
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// Something external is not there.
    #[error(
        "the {what} `{name}` is external, and not there: `docker {what} create {name}` makes it"
    )]
    NotThere {
        /// `network` or `volume`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A name is none for the engine.
    #[error(transparent)]
    Name(#[from] docker::NameError),
    /// A service that others wait for, or that was to be healthy, is not.
    #[error("the container {container} {what}{}", said(.words))]
    NotReady {
        /// Its container.
        container: String,
        /// What it did instead.
        what: String,
        /// Its last lines.
        words: String,
    },
    /// Volumes that were not named have data.
    #[error("{} data, which would be lost: nothing was done", holds(.0))]
    Data(Vec<String>),
}

impl ProjectError {
    /// How to mend it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Docker(error) => crate::reach::hint_of(error),
            // As the engine says it of `RUN --mount` and the like.
            Self::Build { why, .. } if why.contains("requires BuildKit") => Some(
                "the engine's classic builder has none of BuildKit's extras: build with \
                 `docker build`, then `up --no-build`"
                    .to_owned(),
            ),
            Self::Data(volumes) => {
                let named = volumes.iter().map(|name| format!(" --with-data {name}"));
                Some(format!(
                    "leave `-v` out, or name each volume whose data may go: `down -v{}`",
                    named.collect::<String>()
                ))
            }
            _ => None,
        }
    }
}

fn lines(refusals: &[Refusal]) -> String {
    let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn holds(volumes: &[String]) -> String {
    match volumes {
        [one] => format!("the volume `{one}` holds"),
        several => format!("the volumes {} hold", several.join(", ")),
    }
}

fn said(words: &str) -> String {
    match words.trim() {
        "" => String::new(),
        words => format!("; its last words:\n{words}"),
    }
}
