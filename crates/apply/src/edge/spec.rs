//! The edge's container: the host's network, its state in a volume, and otherwise as little as
//! there can be: of root's powers only that to bind low ports, and no file to write.

use docker::container::spec::{Logging, Mount, Networking};
use docker::container::{Container, ContainerSpec};
use docker::{ImageRef, Name};
use model::Digest;

use super::{EdgeOptions, MARGIN};

/// Where the edge keeps its state and its socket, as by default outside of containers.
const STATE: &str = "/var/lib/lotse/edge";

const MARK: &str = "lotse.edge";
const OPTIONS: &str = "lotse.edge.options";
const SPEC: &str = "lotse.edge.spec";

/// The container of an edge. It does not come back by itself until it has once served.
pub(super) fn of(name: &Name, image: &ImageRef, options: &EdgeOptions) -> ContainerSpec {
    let mut spec = ContainerSpec::new(image.clone());
    spec.entrypoint = Some(vec![super::image::PROGRAM.to_owned()]);
    let run = ["edge", "run", "--takeover"].map(str::to_owned);
    let arguments = options.arguments.iter().cloned();
    spec.command = Some(run.into_iter().chain(arguments).collect());
    spec.networking = Networking::Host;
    spec.mounts = mounts(name, options);
    spec.security.read_only = true;
    spec.security.cap_drop = vec!["ALL".to_owned()];
    spec.security.cap_add = vec!["NET_BIND_SERVICE".to_owned()];
    spec.security.options = vec!["no-new-privileges".to_owned()];
    spec.stop_grace = Some(options.grace + MARGIN);
    spec.logging = Some(logging());
    spec.labels.insert(MARK.to_owned(), name.to_string());
    let options = serde_json::json!(options).to_string();
    spec.labels.insert(OPTIONS.to_owned(), options);
    let digest = Digest::of(serde_json::json!(spec).to_string().as_bytes());
    spec.labels.insert(SPEC.to_owned(), digest.to_string());
    spec
}

/// Whether a container was made by [`of`].
pub(super) fn is_edge(container: &Container) -> bool {
    container.labels.contains_key(MARK)
}

/// Whether a container was made from this spec.
pub(super) fn is_same(container: &Container, spec: &ContainerSpec) -> bool {
    container.labels.get(SPEC) == spec.labels.get(SPEC)
}

/// How a container's edge runs; as by default when another version of Lotse wrote it down in
/// another form.
pub(super) fn options_of(container: &Container) -> EdgeOptions {
    let label = container.labels.get(OPTIONS);
    label
        .and_then(|options| serde_json::from_str(options).ok())
        .unwrap_or_default()
}

fn mounts(name: &Name, options: &EdgeOptions) -> Vec<Mount> {
    let folders = options.folders.iter().map(|folder| Mount {
        read_only: true,
        ..Mount::bind(folder, folder)
    });
    let state = Mount::volume(name.clone(), STATE);
    std::iter::once(state).chain(folders).collect()
}

/// Logs that can be read by the deployer, and that do not fill the disk.
fn logging() -> Logging {
    let options = [("max-size", "10m"), ("max-file", "3")];
    Logging {
        driver: "json-file".to_owned(),
        options: options
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_change_makes_another_spec() {
        let name: Name = "edge".parse().unwrap();
        let image: ImageRef = "lotse-edge:1".parse().unwrap();
        let mark = |image: &ImageRef, options: &EdgeOptions| {
            of(&name, image, options).labels[SPEC].clone()
        };
        let usual = EdgeOptions::default();
        let longer = EdgeOptions {
            grace: Duration::from_secs(60),
            ..EdgeOptions::default()
        };
        assert_eq!(mark(&image, &usual), mark(&image, &usual));
        assert_ne!(mark(&image, &usual), mark(&image, &longer));
        assert_ne!(
            mark(&image, &usual),
            mark(&"lotse-edge:2".parse().unwrap(), &usual)
        );
    }
}
