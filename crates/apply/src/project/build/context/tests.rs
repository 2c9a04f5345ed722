//! What a builder gets of a folder.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use super::*;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
    folder
}

fn recipe(folder: &Path) -> Recipe {
    Recipe {
        context: folder.to_str().unwrap().to_owned(),
        ..Recipe::default()
    }
}

fn archive(recipe: &Recipe) -> Vec<u8> {
    let (context, _) = Context::of(recipe).unwrap();
    let mut bytes = Vec::new();
    context.write(&mut bytes).unwrap();
    bytes
}

/// The paths of what is sent, with content or target.
fn sent(recipe: &Recipe) -> Vec<(String, String)> {
    let bytes = archive(recipe);
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let target = entry.link_name().unwrap();
        let mut content = target.map_or(String::new(), |target| format!("-> {}", target.display()));
        entry.read_to_string(&mut content).unwrap();
        (path, content)
    });
    entries.collect()
}

fn paths(recipe: &Recipe) -> Vec<String> {
    sent(recipe).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn what_is_left_out_and_what_never_is() {
    let folder = folder(&[
        ("Dockerfile", "FROM a"),
        (".dockerignore", "*\n!src/**/keep.c\n"),
        ("src/deep/keep.c", ""),
        ("src/deep/other.c", ""),
        ("src/empty/x", ""),
        ("web/a", ""),
    ]);
    let expected = [
        ".dockerignore",
        "Dockerfile",
        "src/",
        "src/deep/",
        "src/deep/keep.c",
    ];
    assert_eq!(paths(&recipe(folder.path())), expected);
}

#[test]
fn links_go_as_links_and_sockets_not_at_all() {
    let outside = folder(&[("secret", "hunter2")]);
    let folder = folder(&[("Dockerfile", "FROM a"), ("run.sh", "#!/bin/sh")]);
    let executable = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(folder.path().join("run.sh"), executable).unwrap();
    symlink(outside.path(), folder.path().join("out")).unwrap();
    let _socket = UnixListener::bind(folder.path().join("sock")).unwrap();
    let found = sent(&recipe(folder.path()));
    assert!(
        found
            .iter()
            .all(|(path, content)| path != "sock" && !content.contains("hunter2"))
    );
    let link = found.iter().find(|(path, _)| path == "out").unwrap();
    assert_eq!(link.1, format!("-> {}", outside.path().display()));

    let bytes = archive(&recipe(folder.path()));
    let mut archive = tar::Archive::new(bytes.as_slice());
    let script = archive.entries().unwrap().map(Result::unwrap);
    let mut script = script.filter(|entry| entry.path().unwrap() == Path::new("run.sh"));
    let script = script.next().unwrap();
    let header = script.header();
    assert_eq!(header.mode().unwrap(), 0o755);
    assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
}

#[test]
fn a_dockerfile_from_elsewhere_is_sent_and_not_copied() {
    let elsewhere = folder(&[("Dockerfile", "FROM b")]);
    let folder = folder(&[("a", ""), (".dockerignore", "b")]);
    let mut recipe = recipe(folder.path());
    recipe.dockerfile = Some(format!("{}/Dockerfile", elsewhere.path().display()));
    let found: BTreeMap<_, _> = sent(&recipe).into_iter().collect();
    let name = found.keys().find(|name| name.starts_with(".dockerfile."));
    let name = name.unwrap();
    assert_eq!(found[name], "FROM b");
    assert_eq!(found[".dockerignore"], format!("b\n{name}\n"));
    assert_eq!(found.len(), 3);
    // Twice the same is twice the same name.
    assert_eq!(archive(&recipe), archive(&recipe));
    recipe.dockerfile = None;
    recipe.dockerfile_inline = Some("FROM c".to_owned());
    let found = sent(&recipe);
    assert!(
        found.iter().any(|(_, content)| content == "FROM c"),
        "{found:?}"
    );
}

#[test]
fn a_dockerfile_may_have_rules_of_its_own() {
    let folder = folder(&[
        ("web.Dockerfile", "FROM a"),
        ("web.Dockerfile.dockerignore", "a\n"),
        (".dockerignore", "b\n"),
        ("a", ""),
        ("b", ""),
    ]);
    let mut recipe = recipe(folder.path());
    recipe.dockerfile = Some("web.Dockerfile".to_owned());
    let found = paths(&recipe);
    assert!(
        !found.contains(&"a".to_owned()) && found.contains(&"b".to_owned()),
        "{found:?}"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let check = |recipe: &Recipe, expected: &str| {
        let error = Context::of(recipe).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    let bad = folder(&[("Dockerfile", "FROM a"), (".dockerignore", "a\n[")]);
    check(&recipe(bad.path()), ".dockerignore: line 2: `[`");
    check(&recipe(&bad.path().join("none")), "none cannot be read");
    check(&recipe(&bad.path().join("Dockerfile")), "is no folder");
}

#[tokio::test]
async fn a_large_context_is_sent_as_it_is_wanted() {
    let large = folder(&[("Dockerfile", "FROM a")]);
    let file = fs_err::File::create(large.path().join("large")).unwrap();
    // It takes no place on the disk.
    file.set_len(1 << 40).unwrap();
    let (context, _) = Context::of(&recipe(large.path())).unwrap();
    let (archive, packing) = context.pack();
    // Nobody wants more of it, so it ends.
    drop(archive);
    assert_eq!(packing.why_not().await, None);
}

#[test]
fn a_pipe_is_refused_before_it_is_waited_for() {
    let folder = folder(&[("Dockerfile", "FROM a")]);
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
    let (context, _) = Context::of(&recipe(folder.path())).unwrap();
    let error = context.write(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("pipe is neither"), "{error}");
    fs_err::write(folder.path().join(".dockerignore"), "pipe").unwrap();
    assert!(!paths(&recipe(folder.path())).contains(&"pipe".to_owned()));
}
