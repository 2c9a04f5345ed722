//! Texts with variables in them: `$V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+r} ${V+r} $$`, nested.
//!
//! The rules are those of the Compose specification, "Interpolation". What a variable's value is,
//! and what to do about those without one, is decided by whoever asks.

/// Templates inside each other.
const MAX_DEPTH: usize = 20;

/// A text with its variables replaced, and all that was found on the way. Offsets are in characters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    pub(crate) flaws: Vec<(usize, Flaw)>,
    /// Variables without value that count as empty.
    pub(crate) unset: Vec<(usize, String)>,
}

/// Why a text is no template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A `$` that starts nothing.
    LoneDollar,
    /// `${` without its `}`.
    Open,
    /// `${` without a name after it.
    Name,
    /// Something after the name that is no operator.
    Operator(String),
    /// Too many levels.
    Depth,
    /// `${V:?e}` and V has no value.
    Required(String, String),
    /// The result is longer than it may be.
    TooLarge,
}

/// Replaces the variables of a text. The result grows by at most `budget` bytes, which is reduced.
pub(crate) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    budget: &mut usize,
) -> Expanded {
    let mut expander = Expander {
        characters: text.chars().collect(),
        at: 0,
        lookup,
        budget,
        depth: 0,
        found: Expanded::default(),
    };
    let text = expander.until_end(false, true);
    expander.found.text = text;
    expander.found
}

struct Expander<'e> {
    characters: Vec<char>,
    at: usize,
    lookup: &'e dyn Fn(&str) -> Option<String>,
    budget: &'e mut usize,
    depth: usize,
    found: Expanded,
}

impl Expander<'_> {
    /// Reads to the end, or to the brace that ends a default. Without `live` nothing is looked up.
    fn until_end(&mut self, in_braces: bool, live: bool) -> String {
        let mut out = String::new();
        let mut braces = 0_usize;
        while let Some(c) = self.peek(0) {
            match c {
                '}' if in_braces && braces == 0 => break,
                '$' => {
                    let start = self.at;
                    let value = self.dollar(live);
                    self.push(start, &value, &mut out);
                    continue;
                }
                '{' => braces += 1,
                '}' => braces = braces.saturating_sub(1),
                _ => {}
            }
            out.push(c);
            self.at += 1;
        }
        out
    }

    fn push(&mut self, start: usize, value: &str, out: &mut String) {
        match self.budget.checked_sub(value.len()) {
            Some(rest) => {
                *self.budget = rest;
                out.push_str(value);
            }
            None if self
                .found
                .flaws
                .iter()
                .any(|(_, flaw)| *flaw == Flaw::TooLarge) => {}
            None => self.flaw(start, Flaw::TooLarge),
        }
    }

    /// What starts with `$`.
    fn dollar(&mut self, live: bool) -> String {
        let start = self.at;
        self.at += 1;
        match self.peek(0) {
            Some('$') => {
                self.at += 1;
                "$".to_owned()
            }
            Some('{') => {
                self.at += 1;
                self.braced(start, live)
            }
            Some(c) if is_start(c) => {
                let name = self.name();
                self.value(start, &name, live)
            }
            _ => {
                self.flaw(start, Flaw::LoneDollar);
                "$".to_owned()
            }
        }
    }

    /// What follows `${`.
    fn braced(&mut self, start: usize, live: bool) -> String {
        let name = self.name();
        if name.is_empty() {
            self.flaw(start, Flaw::Name);
            self.skip();
            return String::new();
        }
        let empty_counts = self.peek(0) == Some(':');
        let operator = self.peek(usize::from(empty_counts));
        let Some(operator) = operator.filter(|c| "-?+}".contains(*c)) else {
            let flaw = match self.peek(0) {
                None => Flaw::Open,
                Some(_) => Flaw::Operator(name),
            };
            self.flaw(start, flaw);
            self.skip();
            return String::new();
        };
        if operator == '}' {
            if empty_counts {
                self.flaw(start, Flaw::Operator(name));
                self.skip();
                return String::new();
            }
            self.at += 1;
            return self.value(start, &name, live);
        }
        self.at += usize::from(empty_counts) + 1;
        self.operation(start, &name, operator, empty_counts, live)
    }

    fn operation(
        &mut self,
        start: usize,
        name: &str,
        operator: char,
        empty_counts: bool,
        live: bool,
    ) -> String {
        if self.depth >= MAX_DEPTH {
            self.flaw(start, Flaw::Depth);
            self.at = self.characters.len();
            return String::new();
        }
        let value = live.then(|| (self.lookup)(name)).flatten();
        let value = value.filter(|value| !(empty_counts && value.is_empty()));
        self.depth += 1;
        let needed = live && (operator == '+') == value.is_some();
        let word = self.until_end(true, needed);
        self.depth -= 1;
        if self.peek(0).is_none() {
            self.flaw(start, Flaw::Open);
            return String::new();
        }
        self.at += 1;
        match (operator, value) {
            ('+', Some(_)) => word,
            ('+', None) => String::new(),
            (_, Some(value)) => value,
            ('?', None) if live => {
                self.flaw(start, Flaw::Required(name.to_owned(), word));
                String::new()
            }
            (_, None) => word,
        }
    }

    fn value(&mut self, start: usize, name: &str, live: bool) -> String {
        if !live {
            return String::new();
        }
        (self.lookup)(name).unwrap_or_else(|| {
            self.found.unset.push((start, name.to_owned()));
            String::new()
        })
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek(0)
            && (is_start(c) || !name.is_empty() && c.is_ascii_digit())
        {
            name.push(c);
            self.at += 1;
        }
        name
    }

    /// Behind the brace that ends what is wrong.
    fn skip(&mut self) {
        while let Some(c) = self.peek(0) {
            self.at += 1;
            if c == '}' {
                break;
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn flaw(&mut self, at: usize, flaw: Flaw) {
        self.found.flaws.push((at, flaw));
    }
}

fn is_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "_u1" => Some("u".to_owned()),
            _ => None,
        }
    }

    fn run(text: &str) -> Expanded {
        expand(text, &lookup, &mut 1000)
    }

    #[test]
    fn values() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$SET", "value"),
            ("a${SET}b", "avalueb"),
            ("$SET-x", "value-x"),
            ("$_u1.", "u."),
            ("$$SET $${SET}", "$SET ${SET}"),
            ("${SET:-d}", "value"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${NOT-d}", "d"),
            ("${NOT:-d}", "d"),
            ("${NOT:-}", ""),
            ("${SET:?e}", "value"),
            ("${EMPTY?e}", ""),
            ("${SET:+r}", "r"),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${NOT+r}", ""),
            ("${NOT:-${SET}}", "value"),
            ("${NOT:-${ALSO_NOT:-x}}y", "xy"),
            ("${NOT:-a$SET}", "avalue"),
            ("${NOT:-{\"a\": 1}}", "{\"a\": 1}"),
            ("${SET:-${NEVER:?e}}", "value"),
            ("${NOT:-a:b-c?d}", "a:b-c?d"),
            ("}{", "}{"),
            ("ü${SET}", "üvalue"),
        ] {
            let found = run(text);
            assert_eq!(found.text, expected, "{text}");
            assert_eq!(found.flaws, [], "{text}");
            assert_eq!(found.unset, [], "{text}");
        }
    }

    #[test]
    fn flaws() {
        let required = |name: &str, word: &str| Flaw::Required(name.to_owned(), word.to_owned());
        for (text, at, expected) in [
            ("a$", 1, Flaw::LoneDollar),
            ("ü$1", 1, Flaw::LoneDollar),
            ("${SET", 0, Flaw::Open),
            ("${SET:-x", 0, Flaw::Open),
            ("${}", 0, Flaw::Name),
            ("${1}", 0, Flaw::Name),
            ("${SET x}", 0, Flaw::Operator("SET".to_owned())),
            ("${SET:}", 0, Flaw::Operator("SET".to_owned())),
            ("x ${NOT:?give it}", 2, required("NOT", "give it")),
            ("${NOT?}", 0, required("NOT", "")),
            ("${EMPTY:?e}", 0, required("EMPTY", "e")),
        ] {
            assert_eq!(run(text).flaws, [(at, expected)], "{text}");
        }
        assert_eq!(run("a $NOT").unset, [(2, "NOT".to_owned())]);
        let both = run("${NOT:?a} ${NOT:?b} $");
        assert_eq!(both.flaws.len(), 3);
    }

    #[test]
    fn bounded() {
        let deep = "${A:-".repeat(100) + &"}".repeat(100);
        assert!(run(&deep).flaws.contains(&(0, Flaw::Depth)) || !run(&deep).flaws.is_empty());
        let long = "$SET".repeat(1000);
        let found = run(&long);
        assert!(found.text.len() <= 1000);
        assert_eq!(found.flaws.len(), 1);
    }
}
