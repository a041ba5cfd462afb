//! Events of real clients, from `tests/fixtures/events`.

use super::*;

fn fixture(bytes: &[u8]) -> Event {
    let event = parse_event(bytes, &received()).expect("an event").into_whole();
    assert!(json_bytes(&event) < MOST_EVENT_BYTES);
    let stored = serde_json::to_string(&event).expect("events are JSON");
    let mut again: Event = serde_json::from_str(&stored).expect("an event");
    // serde_json may read the last digit of a float differently; only `extra` has such floats.
    again.extra.clone_from(&event.extra);
    assert_eq!(again, event);
    event
}

macro_rules! fixture {
    ($name:literal) => {
        fixture(include_bytes!(concat!("../../../../tests/fixtures/events/", $name, ".json")))
    };
}

fn chain(event: &Event) -> Vec<(&str, Option<bool>)> {
    let of = |exception: &Exception| exception.mechanism.as_ref().and_then(|how| how.handled);
    event
        .exceptions
        .iter()
        .map(|exception| (exception.kind.as_deref().unwrap_or("–"), of(exception)))
        .collect()
}

fn pretty(event: &Event) -> String {
    serde_json::to_string_pretty(event).expect("events are JSON")
}

#[test]
#[expect(clippy::too_many_lines, reason = "the snapshot is the test")]
fn a_python_chain() {
    let event = fixture!("python-chain");
    insta::assert_snapshot!(pretty(&event), @r#"
    {
      "event_id": "00112233445566778899aabbccddeeff",
      "timestamp": "2026-11-21T01:52:51.373972Z",
      "level": "error",
      "platform": "python",
      "handled": true,
      "environment": "production",
      "release": "shop@7c9e6679a4d34c6ab0f0c1e5d2b8a91f3e6d5c4b",
      "server_name": "web-3.shop.example",
      "exceptions": [
        {
          "type": "KeyError",
          "value": "'coupon'",
          "mechanism": {
            "type": "generic",
            "handled": true
          },
          "frames": [
            {
              "function": "discount",
              "module": "shop.billing",
              "filename": "shop/billing.py",
              "abs_path": "/srv/shop/app/shop/billing.py",
              "lineno": 53,
              "in_app": true,
              "pre_context": [
                "    return result",
                "",
                "",
                "def discount(order):",
                "    try:"
              ],
              "context_line": "        return order[\"coupon\"][\"percent\"]",
              "post_context": [
                "    except KeyError:",
                "        return int(order[\"coupon_raw\"])  # ValueError while handling KeyError: implicit context"
              ],
              "vars": {
                "order": {
                  "coupon_raw": "'zehn Prozent'"
                }
              }
            }
          ]
        },
        {
          "type": "ValueError",
          "value": "invalid literal for int() with base 10: 'zehn Prozent'",
          "mechanism": {
            "type": "generic",
            "handled": true
          },
          "frames": [
            {
              "function": "main",
              "module": "__main__",
              "filename": "plain.py",
              "abs_path": "/srv/shop/app/plain.py",
              "lineno": 21,
              "in_app": true,
              "pre_context": [
                "        sentry_setup.init(); scope()",
                "        billing.charge({\"id\": 5512, \"total\": 148.98}, \"4111111111111111\")",
                "    elif what == \"handled\":",
                "        sentry_setup.init(); scope()",
                "        try:"
              ],
              "context_line": "            billing.discount({\"coupon_raw\": \"zehn Prozent\"})",
              "post_context": [
                "        except ValueError as e:",
                "            print(\"id\", sentry_sdk.capture_exception(e))",
                "        sentry_sdk.capture_message(\"Stock low for sku-77 – 在庫不足 🥲\", level=\"warning\")",
                "        with sentry_sdk.new_scope() as s:",
                "            s.fingerprint = [\"stock-low\", \"sku-77\"]; s.set_tag(\"sku\", \"sku-77\"); s.level = \"info\""
              ],
              "vars": {
                "e": "ValueError(\"invalid literal for int() with base 10: 'zehn Prozent'\")",
                "what": "'handled'"
              }
            },
            {
              "function": "discount",
              "module": "shop.billing",
              "filename": "shop/billing.py",
              "abs_path": "/srv/shop/app/shop/billing.py",
              "lineno": 55,
              "in_app": true,
              "pre_context": [
                "",
                "def discount(order):",
                "    try:",
                "        return order[\"coupon\"][\"percent\"]",
                "    except KeyError:"
              ],
              "context_line": "        return int(order[\"coupon_raw\"])  # ValueError while handling KeyError: implicit context",
              "vars": {
                "order": {
                  "coupon_raw": "'zehn Prozent'"
                }
              }
            }
          ]
        }
      ],
      "user": {
        "id": "8841",
        "username": "zoë",
        "email": "zoë@shop.example",
        "ip_address": "203.0.113.7"
      },
      "tags": {
        "region": "eu-west-1",
        "tenant": "großhandel"
      },
      "breadcrumbs": [
        {
          "timestamp": "2026-11-21T01:52:51.373156Z",
          "type": "default",
          "category": "auth",
          "level": "info",
          "message": "User zoë logged in"
        },
        {
          "timestamp": "2026-11-21T01:52:51.373177Z",
          "type": "http",
          "category": "http",
          "data": {
            "method": "POST",
            "status_code": 402,
            "url": "https://api.pay.example/v1/charges?api_key=FAKEKEY123"
          }
        },
        {
          "timestamp": "2026-11-21T01:52:51.373182Z",
          "type": "default",
          "category": "query",
          "message": "SELECT id, total FROM orders WHERE id = %s",
          "data": {
            "db.params": [
              5512
            ]
          }
        }
      ],
      "contexts": {
        "order": {
          "card": "4111 1111 1111 1111",
          "id": 5512,
          "password": "hunter2"
        },
        "runtime": {
          "build": "3.11.7 (main, May  9 2026, 07:35:25) [GCC 12.2.0]",
          "name": "CPython",
          "version": "3.11.7"
        },
        "trace": {
          "parent_span_id": null,
          "span_id": "8ca73da023eb7f05",
          "trace_id": "f177cd25439b42bfb7e0aa6cbd63e8c9"
        }
      },
      "extra": {
        "api_token": "tok_FAKE_2f9a8b",
        "cart": [
          {
            "price": 9.99,
            "qty": 2,
            "sku": "sku-77"
          },
          {
            "price": 129,
            "qty": 1,
            "sku": "sku-é"
          }
        ],
        "sys.argv": [
          "plain.py",
          "handled"
        ]
      },
      "modules": {
        "asgiref": "3.13.0",
        "blinker": "1.9.0",
        "certifi": "2026.10.18",
        "click": "8.5.1",
        "django": "5.2.19",
        "flask": "3.1.3",
        "itsdangerous": "2.2.0",
        "jinja2": "3.1.6",
        "markupsafe": "3.0.4",
        "pip": "23.2.1",
        "sentry-sdk": "2.75.0",
        "setuptools": "65.5.0",
        "sqlparse": "0.6.1",
        "urllib3": "2.8.0",
        "werkzeug": "3.1.9"
      },
      "sdk": {
        "name": "sentry.python.django",
        "version": "2.75.0"
      }
    }
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "the snapshot is the test")]
fn a_rust_panic() {
    let mut event = fixture!("rust-panic");
    let [panic] = event.exceptions.as_mut_slice() else { panic!("one exception") };
    assert_eq!(panic.frames.len(), 37);
    // The runtime's frames around the application's own are all alike.
    panic.frames.retain(|frame| frame.in_app == Some(true));
    event.threads.clear();
    insta::assert_snapshot!(pretty(&event), @r##"
    {
      "event_id": "00112233445566778899aabbccddeeff",
      "timestamp": "2026-11-21T02:01:06.7638Z",
      "level": "fatal",
      "platform": "native",
      "handled": false,
      "environment": "production",
      "release": "checkout@9f1c2d3e4b5a69788796a5b4c3d2e1f009182736",
      "server_name": "web-3.shop.example",
      "exceptions": [
        {
          "type": "panic",
          "value": "index out of bounds: the len is 2 but the index is 7",
          "mechanism": {
            "type": "panic",
            "handled": false
          },
          "frames": [
            {
              "function": "<unknown>",
              "in_app": true,
              "instruction_addr": "0x0"
            },
            {
              "function": "__libc_start_main_impl",
              "filename": "libc-start.c",
              "abs_path": "./csu/../csu/libc-start.c",
              "lineno": 360,
              "in_app": true,
              "instruction_addr": "0x7f2a35a45305"
            },
            {
              "function": "__libc_start_call_main",
              "filename": "libc_start_call_main.h",
              "abs_path": "./csu/../sysdeps/nptl/libc_start_call_main.h",
              "lineno": 58,
              "in_app": true,
              "instruction_addr": "0x7f2a35a4524a"
            },
            {
              "function": "main",
              "in_app": true,
              "instruction_addr": "0x562ff1460c7e"
            },
            {
              "function": "<&dyn core::ops::function::Fn<(), Output = i32> + core::marker::Sync + core::panic::unwind_safe::RefUnwindSafe as core::ops::function::FnOnce<()>>::call_once",
              "filename": "function.rs",
              "abs_path": "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/ops/function.rs",
              "lineno": 287,
              "in_app": true,
              "instruction_addr": "0x562ff196f2d4"
            },
            {
              "function": "checkout::main",
              "filename": "main.rs",
              "abs_path": "/srv/shop/checkout-rs/src/main.rs",
              "package": "checkout",
              "lineno": 51,
              "in_app": true,
              "instruction_addr": "0x562ff14608a8"
            },
            {
              "function": "checkout::line_total",
              "filename": "main.rs",
              "abs_path": "/srv/shop/checkout-rs/src/main.rs",
              "package": "checkout",
              "lineno": 24,
              "in_app": true,
              "instruction_addr": "0x562ff145fdaa"
            },
            {
              "function": "__rustc::rust_begin_unwind",
              "filename": "panicking.rs",
              "abs_path": "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs",
              "package": "__rustc",
              "lineno": 689,
              "in_app": true,
              "instruction_addr": "0x562ff195daed"
            },
            {
              "function": "<sentry_panic::PanicIntegration as sentry_core::integration::Integration>::setup::{{closure}}::{{closure}}",
              "package": "sentry_panic",
              "in_app": true,
              "instruction_addr": "0x562ff14d35ff"
            },
            {
              "function": "sentry_panic::panic_handler",
              "package": "sentry_panic",
              "in_app": true,
              "instruction_addr": "0x562ff14d1877"
            },
            {
              "function": "sentry_panic::panic_handler::{{closure}}",
              "package": "sentry_panic",
              "in_app": true,
              "instruction_addr": "0x562ff14d189d"
            },
            {
              "function": "sentry_panic::PanicIntegration::event_from_panic_info",
              "package": "sentry_panic",
              "in_app": true,
              "instruction_addr": "0x562ff14d1cb9"
            }
          ]
        }
      ],
      "user": {
        "id": "8841",
        "username": "zoë",
        "email": "zoë@shop.example",
        "ip_address": "203.0.113.7"
      },
      "tags": {
        "region": "eu-west-1"
      },
      "breadcrumbs": [
        {
          "timestamp": "2026-11-21T02:01:06.730682Z",
          "type": "query",
          "category": "db",
          "message": "SELECT * FROM orders WHERE id = 5512"
        }
      ],
      "contexts": {
        "device": {
          "arch": "x86_64",
          "type": "device"
        },
        "order": {
          "authorization": "Bearer sk_test_FAKE_51H",
          "order_id": 5512,
          "password": "hunter2",
          "type": "unknown"
        },
        "os": {
          "kernel_version": "#1 SMP PREEMPT_DYNAMIC @0",
          "name": "Linux",
          "type": "os",
          "version": "6.18.44-fc-v595"
        },
        "rust": {
          "channel": "stable",
          "name": "rustc",
          "type": "runtime",
          "version": "1.95.0"
        },
        "trace": {
          "span_id": "a8f6dc52c61d5ac4",
          "trace_id": "4f93ff078f084144f9fab29f6609d915",
          "type": "trace"
        }
      },
      "sdk": {
        "name": "sentry.rust",
        "version": "0.49.5"
      }
    }
    "##);
}

#[test]
fn an_uncaught_python_exception_is_unhandled() {
    let event = fixture!("python-unhandled");
    assert_eq!(event.handled, Some(false));
    assert_eq!(event.level, Level::Error);
    assert_eq!(chain(&event), [("PaymentDeclined", Some(false)), ("OrderError", Some(false))]);
    let value = event.exceptions[0].value.as_deref().expect("a message");
    assert!(value.contains("カードが拒否されました 💳"), "{value}");

    let old = fixture!("python-1.5-unhandled");
    assert_eq!(old.handled, Some(false));
    assert!(old.raised().is_some_and(|raised| !raised.frames.is_empty()));
}

#[test]
fn a_python_exception_group_is_a_tree() {
    let event = fixture!("python-group");
    let tree: Vec<_> = event
        .exceptions
        .iter()
        .filter_map(|exception| exception.mechanism.as_ref())
        .map(|how| (how.exception_id, how.parent_id, how.is_exception_group))
        .collect();
    assert_eq!(
        tree,
        [
            (Some(4), Some(3), false),
            (Some(3), Some(0), true),
            (Some(2), Some(0), false),
            (Some(1), Some(0), false),
            (Some(0), None, true),
        ]
    );
}

#[test]
fn text_that_no_store_takes() {
    let event = fixture!("python-odd-text");
    let raised = event.raised().expect("an exception");
    assert_eq!(raised.kind.as_deref(), Some("ValueError"));
    assert_eq!(event.extra["nul"], "a\u{fffd}b\u{1b}[31mred\u{2028}\u{202e}");
    assert!(event.extra["big"].to_string().starts_with("1.18059162071741"));
    assert!(event.extra["neg"].to_string().starts_with("-9.22337203685477"));
    assert_eq!(event.tags["bool"], "true");
    assert_eq!(event.tags["key with spaces & ünïcode"], "line1 line2");
    assert_eq!(event.tags["long"].chars().count(), 200);
    assert!(!event.tags.contains_key("none") && !event.tags.contains_key(""));
    let user = event.user.expect("a user");
    assert_eq!(user.ip_address.as_deref(), Some("198.51.100.7"));
    assert_eq!(user.data["custom"], json!({"a": [1]}));
    assert_eq!(event.breadcrumbs.len(), 100);
}

#[test]
fn fields_that_make_no_sense() {
    let event = fixture!("python-odd-fields");
    assert_eq!(event.level, Level::Error);
    assert_eq!(event.platform, "klingon");
    assert_eq!(event.release.as_deref(), Some("x/y z 1"));
    assert_eq!(event.environment, "a/b");
    assert_eq!(event.tags, [("a".to_owned(), "c".to_owned())].into());
    assert_eq!(event.fingerprint, Vec::<String>::new());
    assert_eq!(event.timestamp, received().received_at);
    assert_eq!(event.main_stack().len(), 1);
    assert_eq!(
        event.notes,
        [
            "time 2099-01-01T00:00:00Z lies in the future: the time of arrival was taken",
            "level \"catastrophic\" is not known: taken as error",
        ]
    );
}

#[test]
fn an_event_of_2010_and_one_of_nothing() {
    let old = fixture!("python-old");
    assert_eq!(old.message_text(), Some("very old"));
    assert_eq!(old.exceptions, []);
    assert!(old.notes.iter().any(|note| note.contains("over 30 days old")), "{:?}", old.notes);

    let empty = fixture!("python-empty");
    assert_eq!(empty.message, None);
    assert_eq!(empty.handled, None);
    assert_eq!(empty.notes, Vec::<String>::new());
}

#[test]
fn requests_of_flask_and_express() {
    let flask = fixture!("python-flask").request.expect("a request");
    assert_eq!(flask.method.as_deref(), Some("POST"));
    assert!(flask.headers.iter().any(|(name, _)| name == "User-Agent"));
    assert!(flask.env.contains_key("SERVER_NAME"));

    let express = fixture!("node-express");
    assert_eq!(express.handled, Some(false));
    assert_eq!(express.transaction.as_deref(), Some("GET /stock/:sku"));
    let request = express.request.expect("a request");
    assert_eq!(request.url.as_deref(), Some("http://127.0.0.1:9502/stock/sku-77"));
    assert_eq!(request.query_string.as_deref(), Some("q=schön"));
    assert_eq!(request.cookies["theme"], "dark");
}

#[test]
fn javascript_of_node_and_browsers() {
    let node = fixture!("node-unhandled");
    assert_eq!(node.handled, Some(false));
    assert!(node.raised().is_some_and(|raised| !raised.frames.is_empty()));

    let browser = fixture!("browser");
    assert_eq!(browser.handled, Some(false));
    assert_eq!(chain(&browser), [("CartError", Some(false))]);

    let raven = fixture!("browser-raven");
    assert_eq!(chain(&raven), [("TypeError", Some(true))], "the mechanism of the whole chain");
    assert_eq!(raven.handled, Some(true));
    assert_eq!(raven.sdk, Some(Sdk { name: "sentry.test".into(), version: Some("1.0".into()) }));
}

#[test]
fn the_ravens() {
    let python = fixture!("python-raven");
    assert_eq!(python.level, Level::Error, "sent as the number 40");
    assert_eq!(chain(&python), [("KeyError", None), ("ValueError", None)]);
    assert_eq!(python.handled, None);

    let message = fixture!("python-raven-message").message.expect("a message");
    assert_eq!(message.formatted, "Stock low for 'sku-77' – 在庫不足 🥲");
    assert_eq!(message.template.as_deref(), Some("Stock low for %s – 在庫不足 🥲"));

    let ruby = fixture!("ruby-raven");
    assert_eq!(ruby.user.and_then(|user| user.id).as_deref(), Some("8841"));
    assert_eq!(ruby.timestamp.to_string(), "2026-11-21T02:16:08Z", "a time without an offset");
}

#[test]
fn sentry_cli_leaves_the_message_to_be_filled_in() {
    let event = fixture!("sentry-cli");
    assert_eq!(
        event.message,
        Some(Message {
            formatted: "Backup failed on db-1".to_owned(),
            template: Some("Backup failed on %s".to_owned()),
            params: vec![json!("db-1")],
        })
    );
    assert_eq!(event.fingerprint, ["backup"]);
    assert_eq!(event.platform, "native");
}
