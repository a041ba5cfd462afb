//! What a person would call an error, and where it is.

use super::event::{Event, Exception, Frame};
use super::stack;
use super::text::{bounded, headline};

/// The longest title, in characters.
pub const MOST_TITLE_CHARS: usize = 200;

/// What stands for an event that says nothing.
const UNNAMED: &str = "Report without exception or message";

/// The name of the error: `KeyError: 'total'`, or the first line that was logged.
#[must_use]
pub fn title(event: &Event) -> String {
    let raised = event.raised().map(of_exception).filter(|title| !title.is_empty());
    let logged = || event.message_text().map(headline).filter(|title| !title.is_empty());
    let title = raised.or_else(logged).unwrap_or_else(|| {
        event
            .transaction
            .as_deref()
            .map_or_else(|| UNNAMED.to_owned(), |route| format!("{UNNAMED} in {route}"))
    });
    bounded(&title, MOST_TITLE_CHARS)
}

fn of_exception(exception: &Exception) -> String {
    let value = exception.value.as_deref().map(headline).unwrap_or_default();
    let kind = exception.kind.as_deref().map(str::trim).filter(|kind| !kind.is_empty());
    match kind {
        // An SDK's invented type ("Error" for a thrown string) names nothing: the value does.
        Some(_) if exception.is_synthetic() && !value.is_empty() => value,
        Some(kind) if value.is_empty() || value == kind => kind.to_owned(),
        Some(kind) => format!("{kind}: {value}"),
        None => value,
    }
}

/// Where it is: `shop.cart in checkout`; without a stack the route or the logger; else empty.
#[must_use]
pub fn culprit(event: &Event) -> String {
    let place = stack::crash_frame(event).map(of_frame).filter(|place| !place.is_empty());
    let place = place
        .or_else(|| event.transaction.clone())
        .or_else(|| event.logger.clone())
        .unwrap_or_default();
    bounded(&headline(&place), MOST_TITLE_CHARS)
}

fn of_frame(frame: &Frame) -> String {
    let function =
        frame.function.as_deref().map(str::trim).filter(|name| stack::is_function_name(name));
    // A qualified name (`shop::cart::total`, `Shop\Cart::total`) says the module itself.
    if let Some(function) = function.filter(|name| name.contains("::") || name.contains('\\')) {
        return without_hash(function).to_owned();
    }
    let module =
        frame.module.as_deref().filter(|module| !module.is_empty() && *module != "__main__");
    let file = frame.filename.as_deref().or(frame.abs_path.as_deref()).map(short_path);
    match (module.map(str::to_owned).or(file), function) {
        (Some(place), Some(function)) => format!("{place} in {function}"),
        (Some(place), None) => place,
        (None, Some(function)) => function.to_owned(),
        (None, None) => String::new(),
    }
}

/// A Rust symbol without the hash the compiler appends (`::h0123456789abcdef`).
fn without_hash(function: &str) -> &str {
    match function.rsplit_once("::h") {
        Some((name, hash))
            if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            name
        }
        _ => function,
    }
}

/// The last two segments of a path, without query and fragment.
fn short_path(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let mut segments: Vec<&str> =
        path.rsplit(['/', '\\']).filter(|part| !part.is_empty()).take(2).collect();
    segments.reverse();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::event::{Mechanism, Message};
    use super::super::fingerprint::tests::event;
    use super::*;

    fn exception(kind: Option<&str>, value: Option<&str>) -> Exception {
        Exception {
            kind: kind.map(str::to_owned),
            value: value.map(str::to_owned),
            ..Exception::default()
        }
    }

    #[test]
    fn titles() {
        for (kind, value, expected) in [
            (Some("KeyError"), Some("'total'"), "KeyError: 'total'"),
            (Some("KeyError"), None, "KeyError"),
            (Some("Abort"), Some("Abort"), "Abort"),
            (None, Some("boom"), "boom"),
            (Some("ValueError"), Some("\n first line \n second"), "ValueError: first line"),
            (None, None, UNNAMED),
        ] {
            let mut event = event();
            event.exceptions = vec![exception(kind, value)];
            assert_eq!(title(&event), expected);
        }
    }

    #[test]
    fn an_invented_type_is_no_title() {
        let mut event = event();
        let mut thrown = exception(Some("Error"), Some("Object captured as exception"));
        thrown.mechanism = Some(Mechanism { synthetic: true, ..Mechanism::default() });
        event.exceptions = vec![thrown];
        assert_eq!(title(&event), "Object captured as exception");
    }

    #[test]
    fn the_raised_exception_names_the_error_not_its_cause() {
        let mut event = event();
        event.exceptions =
            vec![exception(Some("KeyError"), None), exception(Some("CartError"), None)];
        event.message = Some(Message { formatted: "logged".to_owned(), ..Message::default() });
        assert_eq!(title(&event), "CartError");
    }

    #[test]
    fn messages_and_silent_reports() {
        let mut event = event();
        event.message =
            Some(Message { formatted: "Stock low\nfor sku-77".to_owned(), ..Message::default() });
        assert_eq!(title(&event), "Stock low");
        event.message = None;
        event.transaction = Some("GET /cart".to_owned());
        assert_eq!(title(&event), format!("{UNNAMED} in GET /cart"));
        assert_eq!(culprit(&event), "GET /cart");
    }

    #[test]
    fn culprits() {
        for (module, file, function, expected) in [
            (Some("shop.cart"), Some("shop/cart.py"), Some("checkout"), "shop.cart in checkout"),
            (Some("__main__"), Some("/srv/app/plain.py"), Some("main"), "app/plain.py in main"),
            (None, Some("https://x.example/js/app.js?v=3"), Some("post"), "js/app.js in post"),
            (None, Some("main.rs"), Some("checkout::total::h0123456789abcdef"), "checkout::total"),
            (None, Some("main.rs"), None, "main.rs"),
            (Some("worker"), Some("/srv/shop/worker.js"), Some("?"), "worker"),
            (Some("worker"), Some("/srv/shop/worker.js"), Some("Object.?"), "worker"),
            (None, None, Some("_gcry_mpi"), "_gcry_mpi"),
        ] {
            let mut event = event();
            let frame = Frame {
                module: module.map(str::to_owned),
                filename: file.map(str::to_owned),
                function: function.map(str::to_owned),
                ..Frame::default()
            };
            event.exceptions = vec![Exception { frames: vec![frame], ..Exception::default() }];
            assert_eq!(culprit(&event), expected);
        }
    }
}
