//! Whole events with secrets in them.

use serde_json::json;

use super::super::event::{
    Breadcrumb, Exception, Frame, Mechanism, Message, Request, Thread, User,
};
use super::super::fingerprint::tests::event;
use super::rules::{Example, InvalidRules, Pattern, tested};
use super::*;

fn places(event: &Event) -> Vec<(&str, &str)> {
    event.scrubbed.iter().map(|one| (one.at.as_str(), one.rule.as_str())).collect()
}

fn scrubbed(value: &Value) -> Value {
    let mut value = value.clone();
    Scrubber::default().scrub_json(&mut value);
    value
}

#[test]
fn every_part_of_an_event_is_looked_at() {
    let mut event = event();
    event.message = Some(Message {
        formatted: "login with password=hunter2 refused".to_owned(),
        template: Some("login with password=%s refused".to_owned()),
        params: vec![json!("hunter2")],
    });
    event.exceptions = vec![Exception {
        value: Some("declined for 4111111111111111".to_owned()),
        frames: vec![Frame {
            filename: Some("shop/pay.py".to_owned()),
            pre_context: vec![
                "KEY = '''-----BEGIN RSA PRIVATE KEY-----".to_owned(),
                "MIIEowIBAAKCAQEA".to_owned(),
                "-----END RSA PRIVATE KEY-----'''".to_owned(),
            ],
            context_line: Some("password = \"hunter2\"".to_owned()),
            vars: json!({"token": "'abc'", "n": 3}).as_object().cloned().unwrap_or_default(),
            ..Frame::default()
        }],
        ..Exception::default()
    }];
    event.request = Some(Request {
        url: Some("https://x.example/reset".to_owned()),
        query_string: Some("a=1&api_key=abc".to_owned()),
        headers: vec![
            ("Authorization".to_owned(), "Basic abc".to_owned()),
            ("Host".to_owned(), "x".to_owned()),
        ],
        cookies: json!({"theme": "dark"}),
        data: json!("{\"card_number\":\"1\",\"total\":2}"),
        env: json!({"SERVER_NAME": "x", "HTTP_COOKIE": "a=b", "APP_KEYS": "k"})
            .as_object()
            .cloned()
            .unwrap_or_default(),
        ..Request::default()
    });
    event.tags.insert("session".to_owned(), "abc".to_owned());
    Scrubber::default().scrub(&mut event);
    assert_eq!(
        places(&event),
        [
            ("message.formatted", "name"),
            ("message.params[0]", "name"),
            ("exceptions[0].value", "card_number"),
            ("exceptions[0].frames[0].context_line", "name"),
            ("tags.session", "name"),
            ("exceptions[0].frames[0].pre_context[0]", "private_key"),
            ("exceptions[0].frames[0].pre_context[1]", "private_key"),
            ("exceptions[0].frames[0].pre_context[2]", "private_key"),
            ("exceptions[0].frames[0].vars.token", "name"),
            ("request.query_string", "name"),
            ("request.headers.Authorization", "name"),
            ("request.cookies.theme", "name"),
            ("request.data", "name"),
            ("request.env.APP_KEYS", "environment"),
            ("request.env.HTTP_COOKIE", "name"),
        ]
    );
    let text = serde_json::to_string(&event).expect("events are JSON");
    for secret in ["hunter2", "4111111111111111", "MIIEow", "abc", "a=b", "dark"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let before = event.clone();
    Scrubber::default().scrub(&mut event);
    assert_eq!(event, before, "scrubbing twice is scrubbing once");
}

#[test]
fn json_at_any_depth() {
    for (given, expected) in [
        (
            json!({"a": [{"b": {"password": {"old": 1}}}]}),
            json!({"a": [{"b": {"password": MARK}}]}),
        ),
        (
            json!({"headers": [["Authorization", "x"], ["Host", "y"]]}),
            json!({"headers": [["Authorization", MARK], ["Host", "y"]]}),
        ),
        (
            json!({"sys.argv": ["run", "--token", "abc", "-v"]}),
            json!({"sys.argv": ["run", "--token", MARK, "-v"]}),
        ),
        (json!({"card": 4_111_111_111_111_111_u64}), json!({"card": MARK})),
        (
            json!({"n": 1_795_226_466_700_001_u64, "f": 0.411}),
            json!({"n": 1_795_226_466_700_001_u64, "f": 0.411}),
        ),
        (
            json!({"4111111111111111": 1, "5500005555555559": 2}),
            json!({MARK: 1, "[scrubbed] 2": 2}),
        ),
        (json!({"{\"password\":\"hunter2\"}": ""}), json!({"{\"password\":\"[scrubbed]\"}": ""})),
        (json!([{"name": "pin", "value": 1}]), json!([{"name": "pin", "value": MARK}])),
        (
            json!({"has_password": true, "token": null, "password": ""}),
            json!({"has_password": true, "token": null, "password": ""}),
        ),
        (
            json!({"cache_key": "user:7", "key": "abcdef0123456789abcdef"}),
            json!({"cache_key": "user:7", "key": MARK}),
        ),
        (
            json!({"environ": {"PATH": "/bin", "STRIPE": "x", "DATABASE_URL": "y", "HTTP_HOST": "h"}}),
            json!({"environ": {"PATH": "/bin", "STRIPE": MARK, "DATABASE_URL": MARK, "HTTP_HOST": "h"}}),
        ),
        (
            json!({"x": {"PATH": "/bin", "HOME": "/root", "PWD": "/", "OTHER": "x"}}),
            json!({"x": {"PATH": "/bin", "HOME": "/root", "PWD": "/", "OTHER": MARK}}),
        ),
        (
            json!({"h": ["Host", "x", "X-Api-Key", "abc123", "Accept", "token"]}),
            json!({"h": ["Host", "x", "X-Api-Key", MARK, "Accept", "token"]}),
        ),
        (
            json!({"tokens": {"access": "opaque", "n": 5}, "token": 1}),
            json!({"tokens": {"access": MARK, "n": 5}, "token": MARK}),
        ),
        (json!({"tokens": ["opaque", 12, "12"]}), json!({"tokens": [MARK, 12, "12"]})),
        (
            json!({"tokens": "abcdefghijklmnopq", "token_in": "0123456789abcdef0123"}),
            json!({"tokens": MARK, "token_in": MARK}),
        ),
        (
            json!({"auth_header": "Token 9944b0", "signature": "kX9%2Bab%3D", "sig": "t=1,v1=ab"}),
            json!({"auth_header": MARK, "signature": MARK, "sig": MARK}),
        ),
        (json!({"card": 4_111_111_111_111_111.0_f64}), json!({"card": MARK})),
    ] {
        assert_eq!(scrubbed(&given), expected);
    }
}

#[test]
fn harmless_json_stays() {
    for value in [
        json!({"usage": {"total_tokens": 100, "max_tokens": "512", "tokens": 7}}),
        json!({"tokens": "512", "token_type": "bearer", "token_count": 3, "tokenized": ["a", "fox"]}),
        json!({"token_url": "https://auth.example/oauth2/token", "secret_name": "db-main-2024-01-02"}),
        json!({"password_file": "/run/secrets/0123456789abcdef0123", "session_count": "12"}),
        json!({"cookie_names": ["theme", "lang"], "password_policy": {"kind": "strong"}}),
        json!({"public_key": "ssh-ed25519AAAAC3NzaC1lZDI1NTE5AAAAI0123"}),
        json!({"deployment_name": "0123456789abcdef0123", "content_path": "0123456789abcdef0123"}),
        json!({"sig": 11, "signature": "(self, name, value=1)"}),
        json!({"signature": "RSA-SHA256", "signature_version": "s3v4"}),
        json!(["a", "b", "c", "d"]),
        json!(["password", "username", "x"]),
        json!(["a=1", "b=2", "c=3"]),
        json!({"env": "production", "environment": {"name": "prod", "region": "eu"}}),
        json!({"user": "x", "path": "/", "lang": "de", "home": "y", "other": "z"}),
        json!({"USER": "x", "PATH": "y", "name": "shop"}),
        json!({"f": 411.5, "n": -4.0, "big": 1e300}),
        json!("{'PATH': '/bin', 'name': 'shop', 'x': 'y'}"),
        json!("{\"Id\": \"7\", \"Name\": \"shop\"}"),
    ] {
        assert_eq!(scrubbed(&value), value);
    }
}

#[test]
fn environments_in_any_shape() {
    for (given, expected) in [
        (
            json!({"env": {"STRIPE_LIVE": "s3cr3t", "NODE_ENV": "production"}}),
            json!({"env": {"STRIPE_LIVE": MARK, "NODE_ENV": "production"}}),
        ),
        (
            json!({"process.env": {"A": "x"}, "Env-Vars": {"B": "y"}, "environmentVariables": {"C": "z"}}),
            json!({"process.env": {"A": MARK}, "Env-Vars": {"B": MARK}, "environmentVariables": {"C": MARK}}),
        ),
        (
            json!({"x": ["PATH=/bin", "HOME=/root", "STRIPE_LIVE=s3=cr3t", "EMPTY=", "[cut] 5 more"]}),
            json!({"x": ["PATH=/bin", "HOME=/root", "STRIPE_LIVE=[scrubbed]", "EMPTY=", "[cut] 5 more"]}),
        ),
        (
            json!({"Config": {"Env": ["STRIPE_LIVE=s3cr3t", "TZ=UTC"]}}),
            json!({"Config": {"Env": ["STRIPE_LIVE=[scrubbed]", "TZ=UTC"]}}),
        ),
        (
            json!("environ({'PATH': '/bin', 'STRIPE_LIVE': 's3\\'cr3t', 'LANG': 'C', 'X': 'cu"),
            json!(
                "environ({'PATH': '/bin', 'STRIPE_LIVE': '[scrubbed]', 'LANG': 'C', 'X': '[scrubbed]"
            ),
        ),
        (
            json!("{'PATH': '/bin', 'HOME': '/root', 'STRIPE_LIVE': \"s3cr3t\"}"),
            json!("{'PATH': '/bin', 'HOME': '/root', 'STRIPE_LIVE': \"[scrubbed]\"}"),
        ),
        (
            json!({"x": {"Path": "C:", "USERNAME": "a", "APPDATA": "b", "SystemRoot": "c", "LIVE": "d"}}),
            json!({"x": {"Path": "C:", "USERNAME": "a", "APPDATA": "b", "SystemRoot": "c", "LIVE": MARK}}),
        ),
    ] {
        assert_eq!(scrubbed(&given), expected);
        assert_eq!(scrubbed(&expected), expected, "again");
    }
}

#[test]
fn a_projects_own_keys_come_first() {
    let keys = ["hostname", "request method", "число"].map(str::to_owned).to_vec();
    let scrubber = Scrubber::new(&ScrubRules { keys, ..ScrubRules::default() }).expect("rules");
    for (given, expected) in [
        (
            json!({"environ": {"HOSTNAME": "h", "REQUEST_METHOD": "m", "PATH": "/bin"}}),
            json!({"environ": {"HOSTNAME": MARK, "REQUEST_METHOD": MARK, "PATH": "/bin"}}),
        ),
        (
            json!({"Число": "1", "ЧИСЛО": 2, "Дата": 3}),
            json!({"Число": MARK, "ЧИСЛО": MARK, "Дата": 3}),
        ),
        (json!("Число=17, Дата=3"), json!("Число=[scrubbed], Дата=3")),
    ] {
        let mut value = given;
        scrubber.scrub_json(&mut value);
        assert_eq!(value, expected);
    }
}

#[test]
fn many_keys_that_become_the_same_stay_many_and_short() {
    let key = |n: usize| format!("sk_live_{n:08}abc");
    let mut value: Value =
        (0..1_000).map(|n| (key(n), json!(n))).collect::<serde_json::Map<_, _>>().into();
    value["[scrubbed] 7"] = json!("was there");
    let value = scrubbed(&value);
    let object = value.as_object().expect("a map");
    assert_eq!(object.len(), 1_001);
    assert!(object.contains_key(MARK) && object.contains_key("[scrubbed] 1001"));
    assert_eq!(object.keys().map(String::len).max(), Some("[scrubbed] 1001".len()));
}

#[test]
fn texts_that_are_no_messages_are_looked_at_too() {
    let mut event = event();
    let secret = || Some("password=hunter2".to_owned());
    event.exceptions = vec![Exception {
        thread_id: secret(),
        mechanism: Some(Mechanism {
            kind: "password=hunter2".to_owned(),
            source: secret(),
            ..Mechanism::default()
        }),
        frames: vec![Frame { platform: secret(), instruction_addr: secret(), ..Frame::default() }],
        ..Exception::default()
    }];
    event.threads = vec![Thread { id: secret(), ..Thread::default() }];
    event.request = Some(Request { method: secret(), ..Request::default() });
    event.breadcrumbs = vec![Breadcrumb { kind: secret(), ..Breadcrumb::default() }];
    Scrubber::default().scrub(&mut event);
    assert_eq!(event.scrubbed.len(), 8, "{:?}", places(&event));
    assert!(!serde_json::to_string(&event).expect("JSON").contains("hunter2"));
}

#[test]
fn addresses_within_texts_go_if_a_project_says_so() {
    for (ip_addresses, given, expected) in [
        (IpAddresses::Keep, json!("from 203.0.113.7"), json!("from 203.0.113.7")),
        (IpAddresses::Scrub, json!("from 203.0.113.7"), json!("from [scrubbed]")),
        (IpAddresses::Truncate, json!("from 203.0.113.7:80"), json!("from 203.0.113.0:80")),
        (IpAddresses::Truncate, json!("[2001:db8:1:2::3]"), json!("[2001:db8:1::]")),
        (IpAddresses::Scrub, json!("/a?ip=203.0.113.7&b=1"), json!("/a?ip=[scrubbed]&b=1")),
        (
            IpAddresses::Scrub,
            json!({"data": "{\"client_ip\":\"203.0.113.7\"}", "203.0.113.7": 1, "n": "1.2.3"}),
            json!({"data": "{\"client_ip\":\"[scrubbed]\"}", MARK: 1, "n": "1.2.3"}),
        ),
        (
            IpAddresses::Truncate,
            json!({"source_ip": "203.0.113.7", "client.address": "203.0.113.7", "user.ip": "x"}),
            json!({"source_ip": "203.0.113.0", "client.address": "203.0.113.0", "user.ip": MARK}),
        ),
    ] {
        let rules = ScrubRules { ip_addresses, ..ScrubRules::default() };
        let scrubber = Scrubber::new(&rules).expect("rules");
        let mut value = given;
        scrubber.scrub_json(&mut value);
        assert_eq!(value, expected);
        assert_eq!(scrubber.scrub_json(&mut value), [], "once is enough");
    }
}

#[test]
fn addresses_of_people_are_kept_truncated_or_scrubbed() {
    for (ip_addresses, expected) in [
        (IpAddresses::Keep, ["203.0.113.7", "2001:db8:1:2::3", "203.0.113.7, 10.0.0.1"]),
        (IpAddresses::Truncate, ["203.0.113.0", "2001:db8:1::", "203.0.113.0, 10.0.0.0"]),
        (IpAddresses::Scrub, [MARK, MARK, MARK]),
    ] {
        let rules = ScrubRules { ip_addresses, ..ScrubRules::default() };
        let scrubber = Scrubber::new(&rules).expect("rules");
        let mut event = event();
        event.user = Some(User { ip_address: Some("203.0.113.7".to_owned()), ..User::default() });
        event.extra.insert("client_ip".to_owned(), json!("2001:db8:1:2::3"));
        event.request = Some(Request {
            headers: vec![("X-Forwarded-For".to_owned(), "203.0.113.7, 10.0.0.1".to_owned())],
            ..Request::default()
        });
        scrubber.scrub(&mut event);
        let user = event.user.as_ref().and_then(|user| user.ip_address.as_deref());
        let header = event.request.as_ref().and_then(|request| request.headers.first());
        let seen =
            [user, event.extra["client_ip"].as_str(), header.map(|(_, value)| value.as_str())];
        assert_eq!(seen, expected.map(Some));
    }
}

#[test]
fn a_scrubbed_address_tells_no_users_apart() {
    let user = User { ip_address: Some(MARK.to_owned()), ..User::default() };
    assert_eq!(user.identity(), None);
}

#[test]
fn an_event_lists_a_bounded_number_of_places() {
    let mut event = event();
    for n in 0..MOST_PLACES + 7 {
        event.extra.insert(format!("token_{n:03}_x"), json!("abc"));
    }
    Scrubber::default().scrub(&mut event);
    assert_eq!(event.scrubbed.len(), MOST_PLACES + 1);
    assert_eq!(event.scrubbed.last().expect("a place").at, "and 7 more places");
}

fn example(given: Value, expected: Value) -> Example {
    Example { given, expected }
}

#[test]
fn rules_are_tested_before_they_count() {
    let rules = |regex: &str| ScrubRules {
        keys: vec!["tax id".to_owned()],
        safe_keys: vec!["session".to_owned()],
        patterns: vec![Pattern { name: "badge".to_owned(), regex: regex.to_owned() }],
        examples: vec![example(
            json!({"customerTaxId": "1", "session": "s", "note": "badge B-12"}),
            json!({"customerTaxId": MARK, "session": "s", "note": "badge [scrubbed]"}),
        )],
        ..ScrubRules::default()
    };
    assert!(tested(&rules(r"B-\d+")).is_ok());
    let message = |regex: &str| tested(&rules(regex)).expect_err("a refusal").to_string();
    assert_eq!(
        message(r"C-\d+"),
        r#"example 1 becomes {"customerTaxId":"[scrubbed]","note":"badge B-12","session":"s"}, not what it expects"#
    );
    assert!(message("(").starts_with("the pattern \"badge\" cannot be used: "), "{}", message("("));
    assert_eq!(
        message(r"\d*"),
        "the pattern \"badge\" matches the empty text: require at least one character"
    );
    assert!(
        message(r"(?:\w{500}){500}").contains("size limit"),
        "{}",
        message(r"(?:\w{500}){500}")
    );
    assert!(message(r"(a)\1").contains("backreferences"), "{}", message(r"(a)\1"));
    let nameless = ScrubRules { keys: vec!["--".to_owned()], ..ScrubRules::default() };
    assert_eq!(tested(&nameless).err(), Some(InvalidRules::Name("--".to_owned())));
}

#[test]
fn rules_that_are_off_scrub_nothing() {
    let mut event = event();
    event.extra.insert("password".to_owned(), json!("hunter2"));
    let before = event.clone();
    Scrubber::new(&ScrubRules::OFF).expect("rules").scrub(&mut event);
    assert_eq!(event, before);
}

#[test]
fn a_key_around_the_crashing_line_is_hidden() {
    let body = "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgHcTz6sE2I2yPB";
    for line in ["-----BEGIN RSA PRIVATE KEY-----", body] {
        let frame = Frame {
            filename: Some("shop/pay.py".to_owned()),
            context_line: Some(line.to_owned()),
            post_context: vec![body.to_owned(), "-----END RSA PRIVATE KEY-----".to_owned()],
            ..Frame::default()
        };
        let exception = Exception { frames: vec![frame], ..Exception::default() };
        let mut event = Event { exceptions: vec![exception], ..event() };
        Scrubber::default().scrub(&mut event);
        let text = serde_json::to_string(&event).expect("events are JSON");
        assert!(!text.contains("MIIEow"), "{text}");
    }
}
