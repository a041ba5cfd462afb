//! Notices as gems wrote them, cut, nested, and anything.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::domain::title;

fn received() -> Received<'static> {
    Received {
        event_id: EventId::parse("00112233445566778899aabbccddeeff").expect("an id"),
        received_at: Timestamp::parse("2026-11-21T02:30:00Z").expect("a time"),
        sent_at: None,
        remote_addr: None,
        sdk: None,
        n_cut: 0,
    }
}

fn read(xml: &str) -> Event {
    parse_notice(xml.as_bytes(), &received()).expect("an event").into_whole()
}

const NOTICE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<notice version="2.4">
  <api-key>76fdb93ab2cf276ec080671a8b3d3866</api-key>
  <notifier><name>Airbrake Notifier</name><version>4.3.8</version><url>http://x</url></notifier>
  <error>
    <class>CartError</class>
    <message>CartError: Summe &lt; 0 &#8211; &quot;M&#xFC;ller &amp; S&#246;hne&quot;</message>
    <backtrace>
      <line method="total" file="[PROJECT_ROOT]/app/models/cart.rb" number="53"/>
      <line method="call" file="[GEM_ROOT]/gems/rack-1.6/lib/rack.rb" number="7"/>
    </backtrace>
  </error>
  <request>
    <url>http://shop.example/carts/7?token=x</url>
    <component>carts</component>
    <action>show</action>
    <params><var key="id">7</var><var key="cart"><var key="sku">sku-77</var></var></params>
    <session><var key="theme">dark</var></session>
    <cgi-data>
      <var key="REQUEST_METHOD">POST</var>
      <var key="HTTP_USER_AGENT">curl/8</var>
    </cgi-data>
  </request>
  <server-environment>
    <project-root>/srv/shop</project-root>
    <environment-name>beta</environment-name>
    <app-version>2.4.1</app-version>
    <hostname>web-1</hostname>
  </server-environment>
  <current-user><id>8841</id><name>Zoë</name></current-user>
  <framework>Rails: 4.2.11</framework>
</notice>"#;

#[test]
fn a_notice_of_a_gem_is_an_event_like_any_other() {
    let event = read(NOTICE);
    assert_eq!(title::title(&event), "CartError: Summe < 0 – \"Müller & Söhne\"");
    assert_eq!(title::culprit(&event), "models/cart.rb in total");
    let frames = &event.raised().expect("an exception").frames;
    let places: Vec<_> =
        frames.iter().map(|frame| (frame.filename.as_deref(), frame.in_app)).collect();
    assert_eq!(
        places,
        [
            (Some("gems/rack-1.6/lib/rack.rb"), Some(false)),
            (Some("app/models/cart.rb"), Some(true)),
        ]
    );
    assert_eq!(frames.last().and_then(|frame| frame.lineno), Some(53));
    assert_eq!((event.platform.as_str(), event.environment.as_str()), ("ruby", "beta"));
    assert_eq!(event.release.as_deref(), Some("2.4.1"));
    assert_eq!(event.server_name.as_deref(), Some("web-1"));
    assert_eq!(event.transaction.as_deref(), Some("carts#show"));
    assert_eq!(event.user.as_ref().and_then(|user| user.id.as_deref()), Some("8841"));
    let request = event.request.as_ref().expect("a request");
    assert_eq!(request.url.as_deref(), Some("http://shop.example/carts/7"));
    assert_eq!(request.method.as_deref(), Some("POST"));
    assert_eq!(request.env["HTTP_USER_AGENT"], "curl/8");
    assert_eq!(event.extra["params"], json!({"id": "7", "cart": {"sku": "sku-77"}}));
    assert_eq!(event.extra["session_values"]["theme"], "dark");
    assert_eq!(event.contexts["airbrake"]["framework"], "Rails: 4.2.11");
    assert_eq!(event.notes, Vec::<String>::new());
}

#[test]
fn a_notice_that_breaks_off_anywhere_behind_its_error_is_still_read() {
    let behind_error = NOTICE.find("<request>").expect("a request");
    for end in behind_error..NOTICE.len() {
        let Some(cut) = NOTICE.get(..end) else { continue };
        let event = read(cut);
        assert_eq!(title::culprit(&event), "models/cart.rb in total", "{end}");
        assert!(event.notes[0].starts_with("the XML "), "{end}: {:?}", event.notes);
    }
    // Its last bytes are missing, as with umlauts that were counted as one byte each.
    let cut = NOTICE.get(..NOTICE.len() - 2).expect("ASCII at the end");
    assert_eq!(read(cut).user, read(NOTICE).user);
}

#[test]
fn a_cut_in_the_middle_of_a_character_costs_no_more() {
    let start = NOTICE.find("Zoë").expect("a name") + 3;
    let event =
        parse_notice(&NOTICE.as_bytes()[..start], &received()).expect("an event").into_whole();
    assert_eq!(event.user.and_then(|user| user.name), Some("Zo\u{fffd}".to_owned()));
}

/// "Billion laughs": each entity stands for ten of the one before.
#[test]
fn entities_do_not_multiply() {
    let mut declarations = "<!ENTITY lol0 \"lol\">".to_owned();
    for level in 1..10 {
        let inner = format!("&lol{};", level - 1).repeat(10);
        write!(declarations, "<!ENTITY lol{level} \"{inner}\">").expect("a text");
    }
    declarations += "<!ENTITY file SYSTEM \"file:///etc/passwd\">";
    let event = read(&format!(
        "<!DOCTYPE notice [{declarations}]><notice><error><class>Boom</class>\
         <message>&lol9; &file; &lt;</message></error></notice>"
    ));
    assert_eq!(title::title(&event), "Boom: &lol9; &file; <");
}

#[test]
fn depth_and_number_of_elements_are_bounded() {
    let beginning = "<notice><error><class>Boom</class></error><request><params>";
    for (filler, said) in [
        ("<var key=\"a\">".repeat(1_000_000), "nested more than 32 levels"),
        ("<var key=\"a\"/>".repeat(1_000_000), "more than 20000 elements"),
    ] {
        let event = read(&format!("{beginning}{filler}"));
        assert_eq!(title::title(&event), "Boom");
        assert!(event.notes[0].contains(said), "{:?}", event.notes);
    }
}

#[test]
fn what_is_no_notice_is_refused() {
    for bytes in [&b""[..], b"{}", b"<error/>", b"\xff\xfe<", b"<", b"notice", b"<!-- <notice> -->"]
    {
        let refused = parse_notice(bytes, &received()).expect_err("no notice").to_string();
        assert_eq!(refused, "event payload is XML without an element `notice`");
    }
}

#[test]
fn the_key_is_known_before_the_notice_is_whole() {
    let end = NOTICE.find("</api-key>").expect("a key") + "</api-key>".len();
    assert_eq!(key_in(&NOTICE.as_bytes()[..end - 1]), None);
    assert_eq!(key_in(&NOTICE.as_bytes()[..end]), Some("76fdb93ab2cf276ec080671a8b3d3866"));
    assert_eq!(key_in(b"<notice><api-key/>"), None);
    assert_eq!(key_in("<api-key>a</api-key>ü".as_bytes()), Some("a"));
    let late = format!("{}<api-key>a</api-key>", " ".repeat(MOST_BYTES_BEFORE_KEY));
    assert_eq!(key_in(late.as_bytes()), None);
}

#[test]
fn answers_are_xml() {
    assert!(
        accepted("1", "http://a/?b&c")
            .ends_with("<notice><id>1</id><url>http://a/?b&amp;c</url></notice>\n")
    );
    assert!(refused("a < b").ends_with("<errors><error>a &lt; b</error></errors>\n"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = parse_notice(&bytes, &received()).map(Outline::into_whole);
        let _ = key_in(&bytes);
    }

    #[test]
    fn no_change_of_a_notice_makes_it_panic(at in 0..NOTICE.len(), n in 0_usize..40, with: Vec<u8>) {
        let mut bytes = NOTICE.as_bytes().to_vec();
        let end = (at + n).min(bytes.len());
        bytes.splice(at..end, with);
        let _ = parse_notice(&bytes, &received()).map(Outline::into_whole);
    }
}
