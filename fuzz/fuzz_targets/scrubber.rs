//! Texts and JSON with secrets in them, and secrets planted among whatever comes.

#![no_main]

use airlock_fuzz::domain::scrub::{MARK, Scrubber};
use airlock_fuzz::protocol::json;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const SECRET: &str = "Sw0rdf1sh-9f3";

thread_local! {
    static SCRUBBER: Scrubber = Scrubber::default();
}

fn scrubbed(value: &Value) -> String {
    let mut value = value.clone();
    SCRUBBER.with(|scrubber| scrubber.scrub_json(&mut value));
    value.to_string()
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    for is_cut in [false, true] {
        if let Ok(parsed) = json::parse(data, is_cut) {
            scrubbed(&parsed.value);
        }
    }
    if text.contains(SECRET) {
        return;
    }
    scrubbed(&Value::from(text.as_ref()));
    // By a name, whatever is around it.
    let planted = scrubbed(&json!({"a": text, "db_password": SECRET, "b": [text, {"token": SECRET}]}));
    assert!(!planted.contains(SECRET), "{planted}");
    // By its value, behind any text that ends its line.
    let card = scrubbed(&Value::from(format!("{text}\n!5500005555555559!")));
    assert!(!card.contains("!5500005555555559!"), "{card}");
    assert!(card.contains(MARK), "{card}");
});
