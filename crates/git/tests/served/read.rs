//! Reading what was pushed.

use git::{GitError, Repositories, RepositoryKey};
use model::{CommitId, GitRef};

use crate::common::{Server, User};

#[tokio::test]
async fn refs_commits_and_files() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let user = User::new().await;
    user.write("dir/with space/ä.txt", b"content");
    user.write("-option", b"x");
    let first: CommitId = user
        .commit(".gitlab-ci.yml", "job:\n")
        .await
        .parse()
        .unwrap();
    user.ok(&["tag", "-m", "one", "v1"]).await;
    user.ok(&["tag", "-m", "a tag of a tag", "nested", "v1"])
        .await;
    user.ok(&["tag", "tree", "HEAD^{tree}"]).await;
    user.ok(&["rm", "-q", "README"]).await;
    let second: CommitId = user
        .commit(".gitlab-ci.yml", "other:\n")
        .await
        .parse()
        .unwrap();
    user.ok(&["push", "-q", &server.url("p1"), "main", "--tags"])
        .await;

    let refs = repository.refs().await.unwrap();
    let found: Vec<_> = refs.iter().map(|r| (r.name.as_str(), &r.commit)).collect();
    assert_eq!(
        found,
        [
            ("refs/heads/main", &second),
            ("refs/tags/nested", &first),
            ("refs/tags/v1", &first)
        ]
    );
    let tree = server.pushes()[0]
        .updates
        .iter()
        .find(|u| u.name == "refs/tags/tree")
        .cloned();
    assert_eq!(tree.unwrap().commit, None);
    let main = GitRef::branch("main").unwrap();
    assert_eq!(
        repository.resolve(&main).await.unwrap(),
        Some(second.clone())
    );
    assert_eq!(
        repository
            .resolve(&GitRef::tag("main").unwrap())
            .await
            .unwrap(),
        None
    );

    let commit = repository.commit(&second).await.unwrap().unwrap();
    assert_eq!(commit.title, "Change .gitlab-ci.yml");
    assert_eq!(commit.description, "With a reason.");
    assert_eq!(
        commit.author.name_and_email(),
        "Developer <developer@site.example>"
    );
    assert_eq!(commit.committer.name, "Integrator");
    assert_eq!(commit.parents, std::slice::from_ref(&first));

    for (path, expected) in [
        (".gitlab-ci.yml", Some("other:\n")),
        ("dir/with space/ä.txt", Some("content")),
        ("-option", Some("x")),
        ("README", None),
        ("dir", None),
        ("", None),
        ("../p1.git/config", None),
        ("/etc/passwd", None),
        ("a\nb", None),
    ] {
        let content = repository.read_file(&second, path, 1000).await.unwrap();
        assert_eq!(content.as_deref(), expected.map(str::as_bytes), "{path:?}");
    }
    let error = repository
        .read_file(&second, ".gitlab-ci.yml", 3)
        .await
        .unwrap_err();
    assert!(matches!(error, GitError::TooLarge { .. }), "{error}");

    let files = repository.list_files(&second).await.unwrap();
    assert_eq!(files, ["-option", ".gitlab-ci.yml", "dir/with space/ä.txt"]);
    let changed = repository
        .changed_files(Some(&first), &second)
        .await
        .unwrap();
    assert_eq!(changed, [".gitlab-ci.yml", "README"]);
    assert_eq!(
        repository.changed_files(None, &second).await.unwrap().len(),
        3
    );
}

#[tokio::test]
async fn what_is_not_there() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let missing: CommitId = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    assert_eq!(repository.commit(&missing).await.unwrap(), None);
    assert_eq!(repository.read_file(&missing, "a", 10).await.unwrap(), None);
    assert!(repository.list_files(&missing).await.is_err());
    assert!(repository.refs().await.unwrap().is_empty());
    assert_eq!(repository.default_branch().await.unwrap().name(), "main");
    let tag = GitRef::tag("v1").unwrap();
    assert_eq!(repository.tag_message(&tag).await.unwrap(), None);
    repository.delete_ref(&tag).await.unwrap();
    assert!(repository.set_default_branch(&tag).await.is_err());
}

#[tokio::test]
async fn repositories_come_and_go_whole() {
    let folder = tempfile::tempdir().unwrap();
    let repositories = Repositories::open(folder.path()).await.unwrap();
    let key: RepositoryKey = "p1".parse().unwrap();
    assert!(matches!(
        repositories.get(&key),
        Err(GitError::NotFound { .. })
    ));
    let both = tokio::join!(repositories.create(&key), repositories.create(&key));
    assert!(both.0.is_ok() && both.1.is_ok());
    let again = Repositories::open(folder.path()).await.unwrap();
    assert!(again.exists(&key));
    again.remove(&key).await.unwrap();
    again.remove(&key).await.unwrap();
    assert!(!repositories.exists(&key));
    let left = fs_err::read_dir(folder.path().join("tmp")).unwrap().count();
    assert_eq!(left, 0, "nothing stays in tmp");
}
