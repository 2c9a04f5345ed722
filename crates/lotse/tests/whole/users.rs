//! An administrator makes users, says what they may do, and removes them, by `lotse` alone.

use reqwest::Method;
use serde_json::json;
use testkit::lotse::Lotse;

use crate::serve;

/// What a command prints that must do its duty.
async fn ok(lotse: &Lotse, arguments: &[&str]) -> String {
    let ran = lotse.run(arguments).await;
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.text());
    ran.stdout
}

/// What a command says that must not.
async fn refused(lotse: &Lotse, token: &str, arguments: &[&str]) -> String {
    let ran = lotse.run_as(token, arguments).await;
    assert_eq!(ran.code, 1, "{arguments:?}: {}", ran.text());
    assert_eq!(ran.stdout, "", "{arguments:?}");
    ran.stderr
}

#[tokio::test]
async fn from_the_first_token_to_the_last_right() {
    let lotse = serve().await;
    let (_repository, _) = lotse.pushed("site/web", "build: {script: [make]}").await;
    let made = lotse.run(&["user", "add", "editor"]).await;
    assert_eq!(made.code, 0, "{}", made.text());
    let token = made.stdout.trim();
    assert!(
        !made.stderr.contains(token),
        "only a script's output has it"
    );
    assert!(
        made.stderr.contains("lotse member set editor"),
        "{}",
        made.stderr
    );

    // a user without a role sees nothing, and with one what the role allows
    let show = ["project", "show", "site/web"];
    let unseen = refused(&lotse, token, &show).await;
    assert!(unseen.contains("there is no project site/web"), "{unseen}");
    let set = ["member", "set", "editor", "reporter", "--group", "site"];
    assert_eq!(ok(&lotse, &set).await, "editor is reporter of site\n");
    assert_eq!(lotse.run_as(token, &show).await.code, 0);
    let theirs = lotse.repository_as("site/web", token).await;
    theirs.commit("mine").await;
    assert!(!theirs.push(&["main:theirs"]).await.ok);
    let set = ["member", "set", "editor", "developer", "-p", "site/web"];
    ok(&lotse, &set).await;
    assert!(theirs.push(&["main:theirs"]).await.ok);
    let members = ok(&lotse, &["member", "list", "-p", "site/web"]).await;
    let rows: Vec<_> = members.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{members}");
    assert!(
        rows[0].contains("reporter") && rows[0].ends_with("site"),
        "{members}"
    );
    assert!(
        rows[1].contains("developer") && rows[1].ends_with("site/web"),
        "{members}"
    );

    // a right is taken away where it was given
    let remove = ["member", "remove", "editor", "--project", "site/web"];
    ok(&lotse, &remove).await;
    let again = refused(&lotse, lotse.token(), &remove).await;
    assert!(again.contains("hint: `lotse member list`"), "{again}");
    theirs.commit("more").await;
    assert!(!theirs.push(&["main:theirs"]).await.ok);

    // a lost token is replaced
    let second = ok(&lotse, &["token", "create", "laptop", "--user", "editor"]).await;
    let second = second.trim();
    let tokens = ok(&lotse, &["token", "list", "--user", "editor", "--json"]).await;
    let tokens: serde_json::Value = serde_json::from_str(&tokens).unwrap();
    let lost = tokens.as_array().unwrap().iter();
    let lost = lost.clone().find(|one| one["name"] == "made with the user");
    let lost = lost.unwrap()["id"].to_string();
    ok(&lotse, &["token", "revoke", &lost]).await;
    let old = refused(&lotse, token, &show).await;
    assert!(old.contains("revoked"), "{old}");
    assert_eq!(lotse.run_as(second, &show).await.code, 0);

    // and in the end nothing opens anything
    assert_eq!(
        ok(&lotse, &["user", "remove", "editor", "--yes"]).await,
        "editor was removed\n"
    );
    refused(&lotse, second, &show).await;
    let users = ok(&lotse, &["user", "list"]).await;
    assert!(
        !users.contains("editor") && users.contains("administrator"),
        "{users}"
    );
    ok(&lotse, &["user", "add", "editor"]).await;
    let members = ok(&lotse, &["member", "list", "--group", "site"]).await;
    assert!(!members.contains("editor"), "{members}");
}

#[tokio::test]
async fn what_may_not_be_says_why() {
    let lotse = serve().await;
    let developer = ok(&lotse, &["user", "add", "developer"]).await;
    let developer = developer.trim();
    let set = [
        "member",
        "set",
        "developer",
        "maintainer",
        "--group",
        "site",
    ];
    let no_group = refused(&lotse, lotse.token(), &set).await;
    assert!(no_group.contains("there is no group site"), "{no_group}");
    ok(&lotse, &["project", "create", "site/web"]).await;
    ok(&lotse, &set).await;

    for (token, arguments, said) in [
        (
            lotse.token(),
            vec!["user", "add", "developer"],
            "exists already",
        ),
        (
            lotse.token(),
            vec!["user", "add", "two words"],
            "1 to 64 letters",
        ),
        (
            lotse.token(),
            vec!["user", "remove", "root", "-y"],
            "you cannot remove yourself",
        ),
        (
            lotse.token(),
            vec!["user", "remove", "nobody", "-y"],
            "hint: `lotse user list`",
        ),
        (developer, vec!["user", "list"], "only an administrator"),
        (
            developer,
            vec!["user", "add", "friend", "--admin"],
            "only an administrator",
        ),
        (
            developer,
            vec!["user", "remove", "root", "-y"],
            "only an administrator",
        ),
        (
            developer,
            vec!["token", "list", "--user", "root"],
            "only an administrator",
        ),
        (
            developer,
            vec!["token", "create", "x", "--user", "root"],
            "only an administrator",
        ),
        (
            developer,
            vec!["token", "revoke", "1"],
            "there is no token 1 of yours",
        ),
        (
            developer,
            vec!["member", "set", "nobody", "reporter", "-g", "site"],
            "there is no user nobody",
        ),
        (
            developer,
            vec!["member", "set", "developer", "maintainer", "-g", "other"],
            "there is no group other",
        ),
    ] {
        let error = refused(&lotse, token, &arguments).await;
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    // root's token is not developer's to look at either, whatever its number
    let theirs = lotse
        .bare_request(Method::GET, "/api/v4/personal_access_tokens?user_id=1")
        .header("private-token", developer);
    assert_eq!(lotse.ask(theirs).await.status, 403);
    let odd = json!({ "username": "developer", "access_level": 41 });
    let odd = lotse
        .request(Method::POST, "/groups/site/members")
        .json(&odd);
    assert_eq!(lotse.ask(odd).await.status, 400);
    // a project of the same name, made later, is not the same project
    let project = ["project", "delete", "site/web", "--yes"];
    let member = ["member", "set", "developer", "reporter", "-p", "site/web"];
    ok(&lotse, &["member", "remove", "developer", "-g", "site"]).await;
    ok(&lotse, &member).await;
    ok(&lotse, &project).await;
    ok(&lotse, &["project", "create", "site/web"]).await;
    let shown = refused(&lotse, developer, &["project", "show", "site/web"]).await;
    assert!(shown.contains("there is no project"), "{shown}");
}
