//! What every type that is a checked text has in common.

/// Ways into and out of a type that is a checked text: from the text of a file
/// (`#[serde(try_from = "String", into = "String")]`), and out again to be shown.
///
/// The type is a struct around a `String` with `FromStr`; its error is the second argument.
#[macro_export]
macro_rules! text_conversions {
    ($name:ty, $error:ty) => {
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}
