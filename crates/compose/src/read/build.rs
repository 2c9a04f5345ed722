//! `build:` of a service.

use model::Secret;
use yaml::{Node, Problem};

use super::{Reader, entries, extensions, flag, items, text, texts};
use crate::project::Build;
use crate::value::{self, scalar_text};

impl Reader<'_, '_> {
    pub(super) fn build(&mut self, service: &Node) -> Option<Build> {
        let node = service.get("build")?;
        node.as_map()?;
        if let (Some(file), Some(inline)) = (node.get("dockerfile"), node.get("dockerfile_inline"))
        {
            let message = "`dockerfile` and `dockerfile_inline` exclude each other";
            self.add(
                Problem::error("conflict", inline.span, message)
                    .note(file.span, "the file")
                    .hint("remove one of them"),
            );
        }
        if let Some(second) = items(node, "platforms").get(1) {
            let message = "the engine's builder makes an image for one platform";
            self.error(
                "unsupported",
                second.span,
                message,
                "leave one platform here",
            );
        }
        let args = entries(node, "args").iter();
        Some(Build {
            context: text(node, "context").unwrap_or_else(|| self.folder.to_owned()),
            dockerfile: text(node, "dockerfile"),
            dockerfile_inline: text(node, "dockerfile_inline"),
            args: args
                .map(|entry| {
                    let value = scalar_text(&entry.value).map(Secret::from);
                    (entry.key.to_string(), value)
                })
                .collect(),
            labels: super::strings(node, "labels"),
            cache_from: texts(node, "cache_from"),
            target: text(node, "target"),
            network: text(node, "network"),
            shm_size: self.read(node, "shm_size", value::bytes),
            extra_hosts: self.extra_hosts(node),
            isolation: text(node, "isolation"),
            ulimits: self.ulimits(node),
            no_cache: flag(node, "no_cache"),
            pull: flag(node, "pull"),
            tags: texts(node, "tags"),
            platform: texts(node, "platforms").into_iter().next(),
            extensions: extensions(node),
        })
    }
}
