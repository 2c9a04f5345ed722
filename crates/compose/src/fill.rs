//! Variables in texts that are no compose files, by the same rules but for one: a variable that has
//! no value, and no default where it is used, is a mistake here.

use crate::template::{Expanded, Flaw, expand};

/// A text does not grow by more than this.
const MAX_GROWTH: usize = 1 << 20;

/// The text with its variables replaced.
///
/// # Errors
/// All that is wrong with it, in words.
pub fn fill(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Vec<String>> {
    let Expanded { text, flaws, unset } = expand(text, lookup, &mut MAX_GROWTH.clone());
    let mut wrong: Vec<String> = flaws.into_iter().map(|(_, flaw)| words(flaw)).collect();
    wrong.extend(
        unset
            .into_iter()
            .map(|(_, name)| format!("`{name}` is not set")),
    );
    match wrong.is_empty() {
        true => Ok(text),
        false => Err(wrong),
    }
}

fn words(flaw: Flaw) -> String {
    match flaw {
        Flaw::LoneDollar => "a `$` starts no variable: write `$$` for a dollar sign".to_owned(),
        Flaw::Open => "a `${` has no `}`".to_owned(),
        Flaw::Name => "after `${` comes a variable's name".to_owned(),
        Flaw::Operator(name) => format!("`${{{name}` does not go on like this"),
        Flaw::Depth => "there are too many variables inside each other".to_owned(),
        Flaw::Required(name, said) if said.is_empty() => format!("`{name}` is not set"),
        Flaw::Required(name, said) => format!("`{name}` is not set: {said}"),
        Flaw::TooLarge => format!("with its variables it grows by over {MAX_GROWTH} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &[&str]>) {
        let lookup = |name: &str| (name == "TAG").then(|| "v1".to_owned());
        let filled = fill(text, &lookup);
        let expected = expected.map(str::to_owned);
        let expected = expected.map_err(|all| all.iter().map(ToString::to_string).collect());
        assert_eq!(filled, expected, "{text}");
    }

    #[test]
    fn variables_have_values() {
        check("${TAG}-$TAG", Ok("v1-v1"));
        check("${OTHER:-x} $$5", Ok("x $5"));
        check(
            "${OTHER} ${MORE:?say it}",
            Err(&["`MORE` is not set: say it", "`OTHER` is not set"]),
        );
        check("${TAG", Err(&["a `${` has no `}`"]));
    }
}
