//! Texts with rules of their own.

use super::Text;
use crate::expression::Patterns;

/// What is wrong with a text, and the mend.
pub(crate) type Wrong = (String, Option<String>);

pub(crate) fn fits(text: &str, rule: Text, patterns: &Patterns) -> Result<(), Wrong> {
    let wrong = |message: &str, hint: &str| Err((message.to_owned(), Some(hint.to_owned())));
    match rule {
        Text::Any | Text::Scalar => Ok(()),
        Text::NotEmpty if text.is_empty() => Err(("is an empty text".to_owned(), None)),
        Text::NotEmpty => Ok(()),
        Text::AtMost(max) if text.chars().count() > max => Err((
            format!(
                "has {} characters; at most {max} are allowed",
                text.chars().count()
            ),
            None,
        )),
        Text::AtMost(_) => Ok(()),
        Text::ProjectPath if is_project(text) => Ok(()),
        Text::ProjectPath => wrong(
            &format!("cannot be `{text}`: that is no path of a project"),
            "write `group/project`, without a `/` at either end",
        ),
        Text::CacheKey if text.contains('/') => {
            wrong("contains a `/`", "use `-` in its place: a key names a file")
        }
        Text::CacheKey if !text.is_empty() && text.chars().all(|c| c == '.') => {
            wrong("consists of dots alone", "add a name: a key names a file")
        }
        Text::CacheKey => Ok(()),
        Text::Duration if text.contains('$') || duration(text).is_some() => Ok(()),
        Text::Duration => wrong(
            &format!("cannot be `{text}`: that is no time"),
            "write for instance `30 minutes`, `1h 30m` or `2 days`",
        ),
        Text::Variable if text.starts_with('$') => Ok(()),
        Text::Variable => wrong("must be a variable", "write `$NAME`"),
        Text::Pattern if text.len() >= 2 && text.starts_with('/') && text.ends_with('/') => {
            pattern(&text[1..text.len() - 1])
        }
        Text::Pattern => wrong(
            "must be a regular expression",
            "write it between slashes: `/…/`",
        ),
        Text::Expression => match crate::expression::parse(text, patterns) {
            Ok(_) => Ok(()),
            Err(error) => Err((
                format!("is no valid condition: {}", error.message),
                error.hint,
            )),
        },
    }
}

fn pattern(text: &str) -> Result<(), Wrong> {
    match crate::expression::regex(text, "") {
        Ok(_) => Ok(()),
        Err(message) => Err((message, None)),
    }
}

/// `group/project`, where each part may also be a variable.
fn is_project(text: &str) -> bool {
    let part = |part: &str| {
        let word = |c: char| {
            c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '$' | '{' | '}' | '%')
        };
        !part.is_empty() && part.chars().all(word)
    };
    let parts: Vec<_> = text.split('/').collect();
    parts.iter().all(|one| part(one)) && (parts.len() >= 2 || text.contains('$'))
}

/// Seconds of a time as GitLab writes it (`1 hour 30 minutes`, `1h30m`, `2 mos`, `90`); `never` is 0.
pub(crate) fn duration(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    if text == "never" {
        return Some(0);
    }
    let mut rest = text.as_str();
    let mut total = 0.0_f64;
    let mut any = false;
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
        if rest.is_empty() {
            break;
        }
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        total += number * unit(&rest[..end])?;
        rest = &rest[end..];
        any = true;
    }
    (any && total < 1e12).then_some(total.round() as u64)
}

fn unit(word: &str) -> Option<f64> {
    let seconds = match word {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        "w" | "wk" | "wks" | "week" | "weeks" => 604_800,
        "mo" | "mos" | "mth" | "mths" | "month" | "months" => 2_592_000,
        "y" | "yr" | "yrs" | "year" | "years" => 31_557_600,
        _ => return None,
    };
    Some(f64::from(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("30 minutes", Some(1800)),
            ("1h 30m", Some(5400)),
            ("1h30m", Some(5400)),
            ("1 hour and 30 minutes", Some(5400)),
            ("2 days", Some(172_800)),
            ("1 week", Some(604_800)),
            ("3 mins 4 sec", Some(184)),
            ("never", Some(0)),
            ("90 ", Some(90)),
            ("42", Some(42)),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(duration(text), seconds, "{text}");
        }
    }
}
