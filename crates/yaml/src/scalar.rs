//! The types of plain scalars: YAML 1.1, as far as the tools of a language agree on it.

use std::sync::Arc;

use crate::Value;

/// Whose YAML it is: what unquoted words mean, which tags there are, and what `<<` replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// YAML 1.1 as Ruby's Psych reads it, for GitLab's files. `<<` replaces what is written before
    /// it in the same mapping; `!reference` is kept.
    Psych,
    /// As the two Compose read it (PyYAML, go-yaml): only `true` and `false` are booleans and no
    /// number has a colon, so that `no` and `22:22` are what they look like. `<<` never replaces
    /// what the mapping itself says; `!reset` and `!override` are kept, other tags are errors.
    Compose,
}

/// The value of an unquoted scalar.
pub fn plain(text: &str, dialect: Dialect) -> Value {
    match text {
        "" | "~" => return Value::Null,
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Value::Float(f64::INFINITY, None),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY, None),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN, None),
        _ => {}
    }
    if text.len() <= 5 {
        match text.to_ascii_lowercase().as_str() {
            "null" => return Value::Null,
            "true" => return Value::Bool(true),
            "false" => return Value::Bool(false),
            "yes" | "on" if dialect == Dialect::Psych => return Value::Bool(true),
            "no" | "off" if dialect == Dialect::Psych => return Value::Bool(false),
            _ => {}
        }
    }
    number(text, dialect).unwrap_or_else(|| Value::Text(text.into()))
}

fn number(text: &str, dialect: Dialect) -> Option<Value> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) || text.len() > 64 {
        return None;
    }
    if dialect == Dialect::Compose && text.contains([',', ':']) {
        return None;
    }
    if let Some(number) = integer(text, dialect) {
        let differs = number.to_string() != text;
        return Some(Value::Int(number, differs.then(|| Arc::from(text))));
    }
    let number = float(text)?;
    let differs = float_text(number) != text;
    Some(Value::Float(number, differs.then(|| Arc::from(text))))
}

fn integer(text: &str, dialect: Dialect) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let octal = digits.strip_prefix("0o");
    let octal = octal.filter(|_| dialect == Dialect::Compose);
    let radix = |digits: &str, radix: u32| {
        let plain: String = digits.chars().filter(|c| !matches!(c, '_' | ',')).collect();
        let valid = !plain.is_empty() && plain.chars().all(|c| c.is_digit(radix));
        valid.then(|| i64::from_str_radix(&plain, radix).ok())?
    };
    let magnitude = if let Some(rest) = digits.strip_prefix("0b") {
        radix(rest, 2)
    } else if let Some(rest) = octal {
        radix(rest, 8)
    } else if let Some(rest) = digits.strip_prefix("0x") {
        radix(rest, 16)
    } else if digits.contains(':') {
        sexagesimal(digits)
    } else if digits.len() > 1 && digits.starts_with('0') {
        radix(&digits[1..], 8)
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) {
        radix(digits, 10)
    } else {
        None
    };
    magnitude.map(|magnitude| sign * magnitude)
}

/// `1:30` is 90: groups of two digits below 60, at most three groups.
fn sexagesimal(digits: &str) -> Option<i64> {
    let groups: Vec<_> = digits.split(':').collect();
    if groups.len() > 3 {
        return None;
    }
    let mut sum: i64 = 0;
    for (index, group) in groups.iter().enumerate() {
        let value: i64 = group
            .parse()
            .ok()
            .filter(|_| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()))?;
        if index > 0 && (value > 59 || group.len() > 2) {
            return None;
        }
        sum = sum.checked_mul(60)?.checked_add(value)?;
    }
    Some(sum)
}

/// `[-+]?digits?.digits([eE][-+]digits)?`
fn float(text: &str) -> Option<f64> {
    let plain: String = text.chars().filter(|c| !matches!(c, '_' | ',')).collect();
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (plain.as_str(), None),
    };
    let digits = mantissa.trim_start_matches(['+', '-']);
    let (whole, fraction) = digits.split_once('.')?;
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_right = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']);
        digits.is_some_and(|digits| !digits.is_empty() && all_digits(digits))
    });
    let valid = all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent_is_right;
    valid.then(|| plain.parse().ok())?
}

/// A number as Ruby writes it: always with a fraction.
pub fn float_text(number: f64) -> String {
    if number.is_finite() && number.fract() == 0.0 && number.abs() < 1e16 {
        format!("{number:.1}")
    } else if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned()
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_yaml_1_1() {
        let int = |number: i64, text: &str| Value::Int(number, Some(text.into()));
        for (text, expected) in [
            ("012345", int(5349, "012345")),
            ("0x1F", int(31, "0x1F")),
            ("1_000", int(1000, "1_000")),
            ("1:30", int(90, "1:30")),
            ("-7", Value::Int(-7, None)),
            ("0", Value::Int(0, None)),
            ("on", Value::Bool(true)),
            ("No", Value::Bool(false)),
            ("y", Value::Text("y".into())),
            ("~", Value::Null),
            ("1.10", Value::Float(1.1, Some("1.10".into()))),
            ("1.5", Value::Float(1.5, None)),
            ("1e3", Value::Text("1e3".into())),
            ("089", Value::Text("089".into())),
            ("1.2.3", Value::Text("1.2.3".into())),
            ("2024-01-01", Value::Text("2024-01-01".into())),
            ("3.11-slim", Value::Text("3.11-slim".into())),
            (".", Value::Text(".".into())),
            ("-", Value::Text("-".into())),
        ] {
            assert_eq!(plain(text, Dialect::Psych), expected, "{text}");
        }
    }

    #[test]
    fn types_of_compose_files() {
        let int = |number: i64, text: &str| Value::Int(number, Some(text.into()));
        for (text, expected) in [
            ("no", Value::Text("no".into())),
            ("True", Value::Bool(true)),
            ("22:22", Value::Text("22:22".into())),
            ("1,5", Value::Text("1,5".into())),
            ("0440", int(288, "0440")),
            ("0o440", int(288, "0o440")),
            ("8080", Value::Int(8080, None)),
            ("0.50", Value::Float(0.5, Some("0.50".into()))),
        ] {
            assert_eq!(plain(text, Dialect::Compose), expected, "{text}");
        }
    }
}
