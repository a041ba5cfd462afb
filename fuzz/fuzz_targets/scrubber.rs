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
            scrubbed(&parsed.value.into());
        }
    }
    if text.contains(SECRET) {
        return;
    }
    // By a name, and by its value behind any text that ends its line.
    let planted = json!({
        "text": format!("{text}\n!5500005555555559!"),
        "nested": [{"db_password": SECRET}],
    });
    let planted = scrubbed(&planted);
    assert!(!planted.contains(SECRET), "{planted}");
    assert!(!planted.contains("!5500005555555559!"), "{planted}");
    assert_eq!(planted.matches(MARK).count().min(2), 2, "{planted}");
});
