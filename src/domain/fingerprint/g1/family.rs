//! Runtimes whose stacks are read alike.

/// A family of platforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Js,
    Python,
    Jvm,
    Ruby,
    Php,
    Go,
    Dotnet,
    Native,
    Other,
}

impl Family {
    /// The family of a platform as SDKs name it.
    pub(super) fn of(platform: &str) -> Self {
        match platform {
            "javascript" | "node" => Self::Js,
            "python" => Self::Python,
            "java" | "kotlin" | "android" | "scala" | "groovy" | "clojure" => Self::Jvm,
            "ruby" => Self::Ruby,
            "php" => Self::Php,
            "go" => Self::Go,
            "csharp" | "dotnet" => Self::Dotnet,
            "rust" | "native" | "c" | "cpp" | "cocoa" | "objc" | "swift" => Self::Native,
            _ => Self::Other,
        }
    }

    /// Its name in hashes.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Js => "js",
            Self::Python => "python",
            Self::Jvm => "jvm",
            Self::Ruby => "ruby",
            Self::Php => "php",
            Self::Go => "go",
            Self::Dotnet => "dotnet",
            Self::Native => "native",
            Self::Other => "other",
        }
    }

    /// Whether the source line is sent from where the program runs, and so takes part.
    pub(super) fn has_source_lines(self) -> bool {
        matches!(self, Self::Js | Self::Python | Self::Ruby | Self::Php)
    }
}
