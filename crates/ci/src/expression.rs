//! The language of `rules:if`: `$A == "x" && ($B =~ /re/i || $C)`.
//!
//! `||` binds weaker than `&&`, both weaker than comparisons. A variable alone holds when it is
//! defined and not blank; `${A}` is no variable here. Regular expressions are RE2's, whose cost is linear.

mod eval;
mod parse;

pub(crate) use eval::{Patterns, regex};
pub(crate) use parse::parse;

/// A condition.
#[derive(Debug, Clone)]
pub(crate) enum Expression {
    Null,
    Text(String),
    Variable(String),
    Pattern(regex::Regex),
    Compare(Operator, Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equals,
    Differs,
    Matches,
    MatchesNot,
}
