//! No text makes a load panic, and what is printed reads back as the same.
//!
//! `cargo fuzz run -s none load corpus ../tests/corpus` (stable Rust will do without sanitizer).

#![no_main]

use std::collections::BTreeMap;

use compose::{Loaded, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // What follows a line of equals signs is a second file, and a file of variables.
    let (first, second) = text.split_once("\n====\n").unwrap_or((text, ""));
    let loaded = load(first, second);
    let _ = loaded.render();
    assert_eq!(loaded.project.is_none(), loaded.has_errors());
    if loaded.project.is_some() {
        let printed = loaded.config();
        let again = load(&printed, "");
        assert!(!again.has_errors(), "{printed}\n{}", again.render());
        assert_eq!(again.config(), printed);
    }
});

fn load(first: &str, second: &str) -> Loaded {
    let mut files = BTreeMap::from([("/p/compose.yml".to_owned(), first.to_owned())]);
    if !second.is_empty() {
        files.insert("/p/compose.override.yml".to_owned(), second.to_owned());
        files.insert("/p/base.yml".to_owned(), second.to_owned());
        files.insert("/p/.env".to_owned(), second.to_owned());
    }
    let request = Request {
        directory: "/p".to_owned(),
        ..Request::default()
    };
    compose::load(&request, &files)
}
