//! Backtraces: which way round they are, and whose code each line is.

use serde_json::Value;

use super::super::lenient::{self, Object};
use super::notifier::Notifier;
use super::put;

/// What stands for the application's folder in paths; version 2 wrote brackets.
const PROJECT_ROOTS: &[&str] = &["/PROJECT_ROOT/", "[PROJECT_ROOT]/"];

/// What stands for folders of other people's code.
/// Source: pybrake (`/SITE_PACKAGES`), airbrake-ruby (`/GEM_ROOT`), gobrake (`/GOPATH`, `/GOROOT`).
const FOREIGN_ROOTS: &[&str] =
    &["/SITE_PACKAGES/", "/GEM_ROOT/", "[GEM_ROOT]/", "/GOPATH/", "/GOROOT/"];

/// Folders of other people's code within the application's.
const FOREIGN_FOLDERS: &[&str] =
    &["node_modules", "site-packages", "dist-packages", "vendor", "gems", "bower_components"];

/// Lines of an error's source that are looked at, at most.
const MOST_CODE_LINES: usize = 100;

/// Where the application's own code is, and which end of a backtrace comes first.
pub(super) struct Layout {
    root: Option<String>,
    is_outermost_first: bool,
}

impl Layout {
    pub(super) fn new(context: &Object, notifier: &Notifier) -> Self {
        let root = context.get("rootDirectory").and_then(Value::as_str);
        let root =
            root.map(|root| root.trim().trim_end_matches('/')).filter(|root| !root.is_empty());
        Self {
            root: root
                .map(|root| if notifier.is_npms() { "/".to_owned() } else { format!("{root}/") }),
            is_outermost_first: notifier.is_outermost_first(),
        }
    }

    /// The path as people read it, and whether the code is the application's own.
    fn place(&self, file: &str) -> (String, Option<bool>) {
        let below = |roots: &[&str]| roots.iter().find_map(|root| file.strip_prefix(root));
        if let Some(within) = below(PROJECT_ROOTS) {
            return (within.to_owned(), Some(!is_foreign(within)));
        }
        if let Some(within) = below(FOREIGN_ROOTS) {
            return (within.to_owned(), Some(false));
        }
        if is_foreign(file) {
            return (self.within(file).unwrap_or(file).to_owned(), Some(false));
        }
        let is_address = file.contains("://");
        match self.within(file) {
            // The address of a script tells more than its path.
            Some(_) if is_address => (file.to_owned(), Some(true)),
            Some(within) => (within.to_owned(), Some(true)),
            // Where the application's folder is known, what lies elsewhere is not its code.
            None if self.root.is_some() && !is_address && is_absolute(file) => {
                (file.to_owned(), Some(false))
            }
            None => (file.to_owned(), None),
        }
    }

    fn within<'a>(&self, file: &'a str) -> Option<&'a str> {
        file.strip_prefix(self.root.as_deref()?)
    }
}

fn is_foreign(file: &str) -> bool {
    file.starts_with("node:")
        || file.split(['/', '\\']).any(|folder| FOREIGN_FOLDERS.contains(&folder))
}

fn is_absolute(file: &str) -> bool {
    file.starts_with('/') || file.get(1..3).is_some_and(|rest| matches!(rest, ":\\" | ":/"))
}

/// The frames of a backtrace, outermost first.
pub(super) fn frames(backtrace: Value, layout: &Layout) -> Vec<Value> {
    let lines = lenient::list(backtrace, "line").unwrap_or_default();
    let mut frames: Vec<Value> = lines
        .into_iter()
        .filter_map(lenient::object)
        .map(|line| Value::Object(frame(line, layout)))
        .collect();
    if !layout.is_outermost_first {
        frames.reverse();
    }
    frames
}

/// Version 2 says `number` for the line and `method` for the function.
fn frame(mut line: Object, layout: &Layout) -> Object {
    let line = &mut line;
    let mut frame = Object::new();
    let function =
        lenient::take_text(line, "function").or_else(|| lenient::take_text(line, "method"));
    put(&mut frame, "function", function);
    if let Some(file) = lenient::take_text(line, "file") {
        let (filename, is_own) = layout.place(&file);
        if filename != file {
            frame.insert("abs_path".to_owned(), file.into());
        }
        frame.insert("filename".to_owned(), filename.into());
        put(&mut frame, "in_app", is_own);
    }
    let number =
        lenient::take_integer(line, "line").or_else(|| lenient::take_integer(line, "number"));
    put(&mut frame, "lineno", number);
    put(&mut frame, "colno", lenient::take_integer(line, "column"));
    if let (Some(number), Some(Value::Object(code))) = (number, lenient::take(line, "code")) {
        put_code(&mut frame, number, code);
    }
    frame
}

/// Source lines come by their numbers, which are texts.
fn put_code(frame: &mut Object, number: i64, code: Object) {
    let mut lines: Vec<(i64, Value)> = code
        .into_iter()
        .take(MOST_CODE_LINES)
        .filter_map(|(number, text)| Some((number.trim().parse().ok()?, text)))
        .collect();
    lines.sort_by_key(|(number, _)| *number);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (own, text) in lines {
        match own.cmp(&number) {
            std::cmp::Ordering::Less => before.push(text),
            std::cmp::Ordering::Equal => {
                frame.insert("context_line".to_owned(), text);
            }
            std::cmp::Ordering::Greater => after.push(text),
        }
    }
    frame.insert("pre_context".to_owned(), before.into());
    frame.insert("post_context".to_owned(), after.into());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layout(root: Option<&str>, notifier: &str) -> Layout {
        let context = root.map(|root| ("rootDirectory".to_owned(), root.into()));
        let name = ("name".to_owned(), notifier.into());
        Layout::new(&Object::from_iter(context), &Notifier::read(Object::from_iter([name])))
    }

    #[test]
    fn whose_code_it_is_and_where() {
        for (root, file, expected) in [
            (None, "/PROJECT_ROOT/shop/cart.py", ("shop/cart.py", Some(true))),
            (None, "/PROJECT_ROOT/vendor/gems/x.rb", ("vendor/gems/x.rb", Some(false))),
            (None, "/SITE_PACKAGES/flask/app.py", ("flask/app.py", Some(false))),
            (None, "/GEM_ROOT/gems/rack-3/lib/rack.rb", ("gems/rack-3/lib/rack.rb", Some(false))),
            (Some("/srv/shop"), "/srv/shop/lib/cart.js", ("lib/cart.js", Some(true))),
            (Some("/srv/shop/"), "/srv/shop/lib/cart.js", ("lib/cart.js", Some(true))),
            (
                Some("/srv/shop"),
                "/srv/shop/node_modules/x/y.js",
                ("node_modules/x/y.js", Some(false)),
            ),
            (Some("/srv/shop"), "/srv/shopping/x.js", ("/srv/shopping/x.js", Some(false))),
            (
                Some("/srv/shop"),
                "/usr/lib/python3/json.py",
                ("/usr/lib/python3/json.py", Some(false)),
            ),
            (None, "/usr/lib/python3/json.py", ("/usr/lib/python3/json.py", None)),
            (None, "node:internal/timers", ("node:internal/timers", Some(false))),
            (Some("C:\\shop"), "C:\\shop\\cart.cs", ("C:\\shop\\cart.cs", Some(false))),
            (
                Some("http://shop.example"),
                "http://shop.example/app.js",
                ("http://shop.example/app.js", Some(true)),
            ),
            (
                Some("http://shop.example"),
                "https://cdn.example/lib.js",
                ("https://cdn.example/lib.js", None),
            ),
            (Some("/srv/shop"), "<anonymous>", ("<anonymous>", None)),
        ] {
            let (filename, is_own) = layout(root, "").place(file);
            assert_eq!((filename.as_str(), is_own), expected, "{root:?} {file}");
        }
    }

    #[test]
    fn frames_are_outermost_first_whichever_way_they_came() {
        let functions = |notifier: &str, backtrace: Value| -> Vec<Value> {
            let frames = frames(backtrace, &layout(None, notifier));
            frames.into_iter().map(|mut frame| frame["function"].take()).collect()
        };
        let inner_first = json!([{"function": "charge"}, {"function": "main"}]);
        for notifier in ["pybrake", "airbrake-js/node", "airbrake-ruby", ""] {
            assert_eq!(functions(notifier, inner_first.clone()), ["main", "charge"], "{notifier}");
        }
        let outer_first = json!([{"function": "main"}, null, 7, {"function": "charge"}]);
        assert_eq!(functions("airbrake-python", outer_first), ["main", "charge"]);
    }

    #[test]
    fn source_lines_come_by_number_and_in_any_order() {
        let line = json!([{
            "line": "10",
            "code": {"11": "after", "9": "before", "100": "far", "10": "it", "x": "none", "8": ""},
        }]);
        let frames = frames(line, &layout(None, ""));
        assert_eq!(
            frames,
            [json!({
                "lineno": 10,
                "pre_context": ["", "before"],
                "context_line": "it",
                "post_context": ["after", "far"],
            })]
        );
    }
}
