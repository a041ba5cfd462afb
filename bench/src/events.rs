//! Events like those of real SDKs: theirs, with other ids, users, addresses, values and times.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Failure;

/// Events of which others are made, as far as they are small enough: of six SDKs, with stack traces,
/// breadcrumbs and contexts.
const MODELS: [&str; 6] = [
    "browser-raven",
    "node-unhandled",
    "python-1.5-unhandled",
    "python-chain",
    "ruby-raven",
    "browser",
];

/// Words of what is made up.
const WORDS: [&str; 48] = [
    "order",
    "cart",
    "payment",
    "gateway",
    "refused",
    "timeout",
    "retry",
    "customer",
    "invoice",
    "stock",
    "warehouse",
    "shipping",
    "label",
    "address",
    "coupon",
    "discount",
    "checkout",
    "session",
    "cache",
    "miss",
    "hit",
    "queue",
    "worker",
    "job",
    "finished",
    "started",
    "failed",
    "mail",
    "sent",
    "template",
    "render",
    "product",
    "catalogue",
    "search",
    "index",
    "update",
    "delete",
    "insert",
    "select",
    "commit",
    "rollback",
    "upload",
    "image",
    "resize",
    "thumbnail",
    "export",
    "import",
    "report",
];

/// Numbers that look random and are the same in each run.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Source: Steele and others, "Fast splittable pseudorandom number generators" (`SplitMix64`).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `most`, which is not 0.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn one_of(&mut self, texts: &[&'static str]) -> &'static str {
        let index = usize::try_from(self.below(texts.len() as u64)).unwrap_or_default();
        texts.get(index).copied().unwrap_or_default()
    }

    fn word(&mut self) -> &'static str {
        self.one_of(&WORDS)
    }

    fn words(&mut self, n: usize) -> String {
        (0..n).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(
            (u128::from(self.next()) << 64 | u128::from(self.next())).to_le_bytes(),
        )
        .into_uuid()
    }
}

/// What the made events are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Bytes of each as JSON, about.
    pub(crate) n_bytes: usize,
    /// Issues they are of.
    pub(crate) n_issues: u64,
    /// When the first happened, in seconds since the epoch; they are a millisecond apart.
    pub(crate) begin: u64,
}

/// Makes events.
#[derive(Debug)]
pub(crate) struct Events {
    models: Vec<Value>,
    shape: Shape,
    random: Random,
    n_made: u64,
}

impl Events {
    pub(crate) fn new(shape: Shape, seed: u64) -> Result<Self, Failure> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/events");
        let mut models = Vec::new();
        for name in MODELS {
            let bytes = std::fs::read(folder.join(format!("{name}.json")))?;
            if bytes.len() < shape.n_bytes {
                models.push(serde_json::from_slice(&bytes)?);
            }
        }
        if models.is_empty() {
            return Err(format!("no event is as small as {} bytes", shape.n_bytes).into());
        }
        Ok(Self { models, shape, random: Random::new(seed), n_made: 0 })
    }

    /// The next event as JSON, with its id.
    pub(crate) fn make(&mut self) -> (Uuid, Vec<u8>) {
        let random = &mut self.random;
        let issue = random.below(self.shape.n_issues);
        let n_models = self.models.len() as u64;
        let model = usize::try_from(issue % n_models).unwrap_or_default();
        let mut event = self.models.get(model).cloned().unwrap_or_default();
        let id = random.uuid();
        let seconds = self.shape.begin + self.n_made / 1_000;
        self.n_made += 1;
        let at = seconds as f64 + (self.n_made % 1_000) as f64 / 1_000.0;
        let user = random.below(5_000);
        let order = random.below(1_000_000);
        event["event_id"] = id.simple().to_string().into();
        event["timestamp"] = at.into();
        event["release"] = format!("shop@1.{}.0", random.below(20)).into();
        event["environment"] = (if random.below(10) == 0 { "beta" } else { "production" }).into();
        event["server_name"] = format!("web-{}", random.below(12)).into();
        event["user"] = json!({
            "id": user.to_string(),
            "email": format!("{}.{user}@customers.example", random.word()),
            "ip_address": format!("10.{}.{}.{}", user / 256, user % 256, random.below(255)),
        });
        event["request"] = json!({
            "method": "POST",
            "url": format!("https://shop.example/orders/{order}/{}", random.word()),
            "query_string": format!("page={}&ref={:x}", random.below(50), random.next()),
            "headers": {
                "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
                "Accept-Language": "en-US,en;q=0.5",
                "X-Request-Id": random.uuid().to_string(),
            },
        });
        event["contexts"]["trace"] = json!({
            "trace_id": format!("{:032x}", random.uuid().as_u128()),
            "span_id": format!("{:016x}", random.next()),
        });
        name(&mut event, issue);
        let frames = frames(&mut event);
        for frame in frames {
            let values = (0..4).map(|_| (random.word().to_owned(), local(random))).collect();
            frame["vars"] = Value::Object(values);
        }
        fill(&mut event, self.shape.n_bytes, random, at);
        (id, event.to_string().into_bytes())
    }

    /// The next event in an envelope, compressed as SDKs do it.
    pub(crate) fn make_body(&mut self) -> Result<Vec<u8>, Failure> {
        let (id, event) = self.make();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        writeln!(encoder, "{{\"event_id\":\"{}\"}}", id.simple())?;
        writeln!(encoder, "{{\"type\":\"event\",\"length\":{}}}", event.len())?;
        encoder.write_all(&event)?;
        encoder.write_all(b"\n")?;
        Ok(encoder.finish()?)
    }
}

/// Makes the event one of this issue.
fn name(event: &mut Value, issue: u64) {
    for exception in exceptions(event) {
        let kind = exception["type"].as_str().unwrap_or("Error").to_owned();
        exception["type"] = format!("{kind}{issue}").into();
    }
}

fn frames(event: &mut Value) -> Vec<&mut Value> {
    let mut found = Vec::new();
    for exception in exceptions(event) {
        if let Some(Value::Array(frames)) = exception.pointer_mut("/stacktrace/frames") {
            found.extend(frames);
        }
    }
    found
}

/// Old SDKs send them as a list, new ones as `{"values": […]}`.
fn exceptions(event: &mut Value) -> &mut [Value] {
    let exception = &mut event["exception"];
    let list = if exception.is_array() { exception } else { &mut exception["values"] };
    list.as_array_mut().map_or(&mut [], Vec::as_mut_slice)
}

/// The value of a local variable.
fn local(random: &mut Random) -> Value {
    match random.below(4) {
        0 => random.below(100_000).into(),
        1 => format!("'{}'", random.words(3)).into(),
        2 => format!("<{} object at 0x{:012x}>", random.word(), random.next() >> 16).into(),
        _ => json!({random.word(): random.below(1_000), random.word(): random.words(2)}),
    }
}

/// Adds breadcrumbs, and where there are enough of them local variables, up to the wanted size.
fn fill(event: &mut Value, n_bytes: usize, random: &mut Random, at: f64) {
    event["breadcrumbs"] = Value::Null;
    let mut missing = n_bytes.saturating_sub(event.to_string().len());
    let mut crumbs = Vec::new();
    while missing > 0 && crumbs.len() < 90 {
        let crumb = json!({
            "timestamp": at - f64::from(u32::try_from(crumbs.len()).unwrap_or_default()),
            "category": random.one_of(&["query", "httplib", "ui.click", "console"]),
            "level": "info",
            "message": format!("{} {} {}", random.words(5), random.below(1_000_000), random.words(3)),
            "data": {
                "url": format!("https://api.example/{}/{}", random.word(), random.below(100_000)),
                "status_code": 200 + random.below(5),
            },
        });
        missing = missing.saturating_sub(crumb.to_string().len() + 1);
        crumbs.push(crumb);
    }
    if !crumbs.is_empty() {
        event["breadcrumbs"] = json!({ "values": crumbs });
    }
    let mut locals = serde_json::Map::new();
    while missing > 0 {
        let value = random.words(12);
        let name = format!("{}_{}", random.word(), random.below(10_000));
        missing = missing.saturating_sub(value.len() + name.len() + 6);
        locals.insert(name, value.into());
    }
    if let Some(frame) = frames(event).pop()
        && let Some(vars) = frame["vars"].as_object_mut()
    {
        vars.extend(locals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_wanted_size_and_are_all_different() {
        for n_bytes in [3_000, 8_000, 50_000] {
            let shape = Shape { n_bytes, n_issues: 100, begin: 1_795_219_200 };
            let mut events = Events::new(shape, 7).expect("the fixtures");
            let made: Vec<_> = (0..50).map(|_| events.make()).collect();
            let ids: std::collections::BTreeSet<_> = made.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids.len(), 50);
            let mean = made.iter().map(|(_, event)| event.len()).sum::<usize>() / 50;
            assert!(mean.abs_diff(n_bytes) < n_bytes / 8, "{mean} of {n_bytes}");
        }
    }
}
