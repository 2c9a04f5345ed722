//! Starting the server where that is impossible, and stopping it.

use std::net::TcpListener;

use crate::serve;

#[tokio::test]
async fn where_it_cannot_it_says_why() {
    let lotse = serve().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let fresh = lotse.data().join("../fresh").display().to_string();
    let used = lotse.data().display().to_string();
    let file = lotse.data().join("first-token").display().to_string();
    for (arguments, code, texts) in [
        (
            ["--data", &fresh, "--listen", &taken],
            1,
            &[
                "the server cannot start",
                &format!("cannot listen on {taken}"),
                "in use",
            ][..],
        ),
        (
            ["--data", &used, "--listen", "127.0.0.1:0"],
            1,
            &["another `lotse serve` uses the data folder", &used],
        ),
        (
            ["--data", &file, "--listen", "127.0.0.1:0"],
            1,
            &["cannot use the data folder", &file],
        ),
        (
            ["--data", &fresh, "--listen", "nowhere"],
            2,
            &["nowhere", "--listen"],
        ),
        (
            ["--data", &fresh, "--url", "ftp://lotse.example"],
            2,
            &["an address starts with http:// or https:// and a host"],
        ),
        (["--data", &fresh, "--url", "http://"], 2, &["and a host"]),
    ] {
        let ran = lotse.run_bare(&[&["serve"], &arguments[..]].concat()).await;
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.text());
        for text in texts {
            assert!(ran.stderr.contains(text), "{arguments:?}: {}", ran.stderr);
        }
    }
    // the server whose folder was asked for is not troubled
    lotse.get("/projects").await;
}

#[tokio::test]
async fn the_first_start_tells_how_to_log_in_and_no_secret() {
    let lotse = serve().await;
    let log = lotse.server_log();
    assert!(
        log.contains(&format!("lotse login {}", lotse.url())),
        "{log}"
    );
    assert!(log.contains("first-token"), "{log}");
    assert!(!log.contains(lotse.token()), "{log}");
    let token = lotse.data().join("first-token");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs_err::metadata(&token).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    lotse.kill();
    lotse.start_again().await;
    let again = &lotse.server_log()[log.len()..];
    assert!(!again.contains("first start"), "{again}");
}
