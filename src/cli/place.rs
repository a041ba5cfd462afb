//! TARGET: the environment of a project that a command is about, `shop/production`.

use std::fmt;
use std::str::FromStr;

/// An environment of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) project: String,
    pub(super) environment: String,
}

impl Place {
    /// The path of something of this environment.
    pub(super) fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["projects", &self.project, "environments", &self.environment], rest].concat()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.project, self.environment)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (project, environment) = text
            .split_once('/')
            .filter(|(project, environment)| !project.is_empty() && !environment.is_empty())
            .ok_or("not a project and one of its environments, like shop/production")?;
        Ok(Self { project: project.to_owned(), environment: environment.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_and_one_of_its_environments() {
        let place: Place = "shop/production".parse().expect("a place");
        assert_eq!(place.to_string(), "shop/production");
        let path = ["projects", "shop", "environments", "production", "gate"];
        assert_eq!(place.path(&["gate"]), path);
        for text in ["", "shop", "/", "shop/", "/beta"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
