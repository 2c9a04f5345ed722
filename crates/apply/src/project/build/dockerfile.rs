//! Which Dockerfile a build has: one in the context, one beside it, or the words of the compose
//! file. What is not in the context is put into it under a name that nobody has.

use std::path::{Path, PathBuf};

use compose::project::Build as Recipe;
use model::Digest;

use crate::resolve::bounded;

/// No Dockerfile, and no `.dockerignore`, is larger, in bytes.
const LARGEST: u64 = 4 << 20;

/// A Dockerfile.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dockerfile {
    /// Its path in the context.
    pub(super) path: String,
    /// Its content, where the context does not have it.
    pub(super) content: Option<Vec<u8>>,
    /// The file itself, where it is one.
    pub(super) file: Option<PathBuf>,
}

impl Dockerfile {
    /// `folder` is the context, without symbolic links on its way.
    pub(super) fn of(recipe: &Recipe, folder: &Path) -> Result<Self, String> {
        if let Some(inline) = &recipe.dockerfile_inline {
            return Ok(Self::placed(inline.as_bytes().to_vec(), None));
        }
        let given = match &recipe.dockerfile {
            Some(given) => folder.join(given),
            None => usual(folder),
        };
        let file = given.canonicalize().map_err(|error| {
            let why = error.kind();
            format!("its Dockerfile {} cannot be read: {why}", given.display())
        })?;
        match file.strip_prefix(folder).ok().and_then(Path::to_str) {
            Some(path) => Ok(Self {
                path: path.to_owned(),
                content: None,
                file: Some(file),
            }),
            None => Ok(Self::placed(read(&file)?, Some(file))),
        }
    }

    fn placed(content: Vec<u8>, file: Option<PathBuf>) -> Self {
        // The same words have the same name, so that the builder knows the context again.
        let digest = Digest::of(&content);
        Self {
            path: format!(".dockerfile.{}", &digest.hex()[..20]),
            content: Some(content),
            file,
        }
    }
}

fn usual(folder: &Path) -> PathBuf {
    let small = folder.join("dockerfile");
    let usual = folder.join("Dockerfile");
    match usual.exists() || !small.exists() {
        true => usual,
        false => small,
    }
}

/// The content of a small file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let read = bounded(path, LARGEST);
    let read = read.and_then(|read| read.ok_or_else(|| "it is larger than 4 MiB".to_owned()));
    read.map_err(|why| format!("{} cannot be read: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A context `app` beside a folder `docker`.
    fn check(files: &[&str], dockerfile: Option<&str>) -> Result<Dockerfile, String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["app/sub", "docker"] {
            fs_err::create_dir_all(root.join(name)).unwrap();
        }
        for file in files {
            fs_err::write(root.join(file), "FROM a").unwrap();
        }
        std::os::unix::fs::symlink(root.join("docker/Dockerfile"), root.join("app/link")).unwrap();
        let recipe = Recipe {
            dockerfile: dockerfile.map(str::to_owned),
            ..Recipe::default()
        };
        Dockerfile::of(&recipe, &root.join("app"))
    }

    #[test]
    fn where_it_is() {
        let path = |files, given| check(files, given).unwrap().path;
        assert_eq!(
            path(&["app/Dockerfile", "app/dockerfile"], None),
            "Dockerfile"
        );
        assert_eq!(path(&["app/dockerfile"], None), "dockerfile");
        assert_eq!(path(&["app/sub/D"], Some("sub/D")), "sub/D");
        assert_eq!(path(&["app/sub/D"], Some("../app/sub/D")), "sub/D");
        for outside in ["../docker/Dockerfile", "link"] {
            let found = check(&["docker/Dockerfile"], Some(outside)).unwrap();
            assert!(found.path.starts_with(".dockerfile."), "{found:?}");
            assert_eq!(found.content.as_deref(), Some(b"FROM a".as_slice()));
        }
        let error = check(&[], None).unwrap_err();
        assert!(error.contains("app/Dockerfile cannot be read"), "{error}");
        let error = check(&[], Some("../docker")).unwrap_err();
        assert!(error.contains("it is no file"), "{error}");
    }
}
