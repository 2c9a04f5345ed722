//! Tests that cannot run here say so aloud, and fail where nothing may be left out.

/// Says that a test is skipped, and why.
///
/// # Panics
/// When the environment has `CI=true`: there, every test must run.
pub fn skip(reason: &str) {
    let must_run = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        !must_run,
        "CI=true, so this test must not be skipped: {reason}"
    );
    eprintln!("skipped: {reason}");
}
