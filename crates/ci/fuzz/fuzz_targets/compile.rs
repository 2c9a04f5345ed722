//! No text makes a compilation panic, and what is accepted compiles to the same graph once merged.
//!
//! `cargo fuzz run -s none compile corpus ../tests/cases` (stable Rust will do without sanitizer).

#![no_main]

use ci::{Changes, Fetched, Input, Purpose};
use libfuzzer_sys::fuzz_target;
use model::GitRef;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for git_ref in [GitRef::branch("main"), GitRef::tag("v1")] {
        let git_ref = git_ref.expect("the names are right");
        let compile_for = |purpose, text: &str| {
            let mut input = Input::new("ci.yml", text, git_ref.clone());
            input.purpose = purpose;
            input.tree = Some(vec!["a.yml".to_owned()]);
            input.changes = Changes::Files(vec!["src/a.rs".to_owned()]);
            ci::compile_with(input, |_| Fetched::Text("b: {script: x}\n".to_owned()))
        };
        let _ = compile_for(Purpose::Check, text).render();
        let compile = |text: &str| compile_for(Purpose::Create, text);
        let compiled = compile(text);
        let _ = compiled.render();
        if let Some(graph) = &compiled.graph {
            let again = compile(&compiled.merged_yaml());
            assert_eq!(again.graph.as_ref(), Some(graph), "{}", again.render());
        }
    }
});
