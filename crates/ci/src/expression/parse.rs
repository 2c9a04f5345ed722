//! From text to condition.

use super::{Expression, Operator, Patterns};

/// Parentheses inside each other.
const MAX_DEPTH: usize = 50;
/// Characters of a condition.
const MAX_LENGTH: usize = 20_000;

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParseError {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Reads a condition.
pub(crate) fn parse(text: &str, patterns: &Patterns) -> Result<Expression, ParseError> {
    if text.len() > MAX_LENGTH {
        return fail(format!("it is longer than {MAX_LENGTH} bytes"), None);
    }
    let mut parser = Parser {
        tokens: tokens(text, patterns)?,
        at: 0,
        depth: 0,
    };
    if parser.tokens.is_empty() {
        return fail("it is empty", Some("write for instance `$CI_COMMIT_TAG`"));
    }
    let expression = parser.or()?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => fail(
            format!("{} is not expected there", token.name()),
            Some("join conditions with `&&` or `||`"),
        ),
    }
}

fn fail<T>(message: impl Into<String>, hint: Option<&str>) -> Result<T, ParseError> {
    Err(ParseError {
        message: message.into(),
        hint: hint.map(str::to_owned),
    })
}

#[derive(Debug, Clone)]
enum Token {
    Value(Expression),
    Compare(Operator),
    And,
    Or,
    Open,
    Close,
}

impl Token {
    fn name(&self) -> String {
        match self {
            Self::Value(Expression::Null) => "`null`".to_owned(),
            Self::Value(Expression::Text(text)) => format!("the text \"{text}\""),
            Self::Value(Expression::Variable(name)) => format!("`${name}`"),
            Self::Value(_) => "the regular expression".to_owned(),
            Self::Compare(Operator::Equals) => "`==`".to_owned(),
            Self::Compare(Operator::Differs) => "`!=`".to_owned(),
            Self::Compare(Operator::Matches) => "`=~`".to_owned(),
            Self::Compare(Operator::MatchesNot) => "`!~`".to_owned(),
            Self::And => "`&&`".to_owned(),
            Self::Or => "`||`".to_owned(),
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn or(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.and()?;
        while matches!(self.peek(), Some(Token::Or)) {
            self.at += 1;
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.comparison()?;
        while matches!(self.peek(), Some(Token::And)) {
            self.at += 1;
            left = Expression::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.value()?;
        while let Some(&Token::Compare(operator)) = self.peek() {
            self.at += 1;
            left = Expression::Compare(operator, Box::new(left), Box::new(self.value()?));
        }
        Ok(left)
    }

    fn value(&mut self) -> Result<Expression, ParseError> {
        let Some(token) = self.peek().cloned() else {
            return fail(
                "it ends too early",
                Some("a variable, a text in quotes, a `/regex/` or `null` must follow"),
            );
        };
        self.at += 1;
        match token {
            Token::Value(value) => Ok(value),
            Token::Open => self.group(),
            token => fail(
                format!("{} is not expected there", token.name()),
                Some("a variable, a text in quotes, a `/regex/` or `null` must stand there"),
            ),
        }
    }

    fn group(&mut self) -> Result<Expression, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return fail(
                format!("more than {MAX_DEPTH} parentheses inside each other"),
                None,
            );
        }
        let inner = self.or()?;
        self.depth -= 1;
        if !matches!(self.peek(), Some(Token::Close)) {
            return fail("a `(` is never closed", Some("add the `)`"));
        }
        self.at += 1;
        Ok(inner)
    }
}

/// Conditions have at most so many tokens: chains of `&&` are trees as deep as they are long.
const MAX_TOKENS: usize = 2_000;

fn tokens(text: &str, patterns: &Patterns) -> Result<Vec<Token>, ParseError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (token, length) = token(rest, patterns)?;
        tokens.push(token);
        if tokens.len() > MAX_TOKENS {
            return fail(format!("it has more than {MAX_TOKENS} parts"), None);
        }
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The token a text begins with, and its length in bytes.
fn token(text: &str, patterns: &Patterns) -> Result<(Token, usize), ParseError> {
    for (symbol, token) in [
        ("&&", Token::And),
        ("||", Token::Or),
        ("==", Token::Compare(Operator::Equals)),
        ("!=", Token::Compare(Operator::Differs)),
        ("=~", Token::Compare(Operator::Matches)),
        ("!~", Token::Compare(Operator::MatchesNot)),
        ("(", Token::Open),
        (")", Token::Close),
    ] {
        if text.starts_with(symbol) {
            return Ok((token, symbol.len()));
        }
    }
    match text.as_bytes()[0] {
        b'$' => variable(text),
        quote @ (b'"' | b'\'') => quoted(text, char::from(quote)),
        b'/' => pattern(text, patterns),
        _ => word(text),
    }
}

fn variable(text: &str) -> Result<(Token, usize), ParseError> {
    if let Some(rest) = text.strip_prefix("${") {
        let name: String = rest.chars().take_while(|&c| c != '}').collect();
        return fail(
            "`${…}` is no variable here",
            Some(&format!("write `${name}` without braces")),
        );
    }
    let name = &text[1..1 + word_length(&text[1..])];
    if name.is_empty() {
        return fail(
            "a `$` without a name",
            Some("write the variable's name behind it"),
        );
    }
    let value = Expression::Variable(name.to_owned());
    Ok((Token::Value(value), 1 + name.len()))
}

fn quoted(text: &str, quote: char) -> Result<(Token, usize), ParseError> {
    match text[1..].find(quote) {
        Some(end) => {
            let value = Expression::Text(text[1..=end].to_owned());
            Ok((Token::Value(value), end + 2))
        }
        None => fail(
            format!("the text that starts with {quote} never ends"),
            Some("close the quote"),
        ),
    }
}

fn pattern(text: &str, patterns: &Patterns) -> Result<(Token, usize), ParseError> {
    let mut escaped = false;
    let end = text[1..].find(|c| {
        let ends = c == '/' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some(end) = end else {
        return fail(
            "the regular expression never ends",
            Some("close it with `/`"),
        );
    };
    let flags = &text[end + 2..];
    let flags = &flags[..word_length(flags)];
    match patterns.regex(&text[1..=end], flags) {
        Ok(regex) => Ok((
            Token::Value(Expression::Pattern(regex)),
            end + 2 + flags.len(),
        )),
        Err(message) => fail(message, None),
    }
}

fn word(text: &str) -> Result<(Token, usize), ParseError> {
    let length = word_length(text);
    match &text[..length] {
        "null" => Ok((Token::Value(Expression::Null), length)),
        "" => {
            let start: String = text.chars().take(1).collect();
            let hint = match start.as_str() {
                "=" => "compare with `==`, match with `=~`",
                "&" => "join with `&&`",
                "|" => "join with `||`",
                "!" => "there is no negation of a whole condition: use `!=`, `!~` or `== null`",
                _ => "texts need quotes, variables a `$`",
            };
            fail(format!("`{start}` has no meaning there"), Some(hint))
        }
        word => fail(
            format!("`{word}` is neither a variable nor a text"),
            Some(&format!(
                "write `${word}` for the variable, `\"{word}\"` for the text"
            )),
        ),
    }
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}
