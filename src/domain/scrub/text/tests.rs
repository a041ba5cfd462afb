//! Texts with secrets, and texts without.

use proptest::prelude::*;

use super::super::rules::{Pattern, check};
use super::*;

fn scrub_kind(text: &str, kind: Kind) -> String {
    let rules = ScrubRules::default();
    let found = Texts::new(&rules, Vec::new()).find(&Names::new(&rules), text, kind);
    marked(text, &found)
}

fn scrub(text: &str) -> String {
    scrub_kind(text, Kind::Prose)
}

#[test]
fn values_of_secret_names() {
    for (text, expected) in [
        ("password=hunter2", "password=[scrubbed]"),
        (r#"pw= "password": "hunter2" tail"#, r#"pw= "[scrubbed]": "[scrubbed]" tail"#),
        (
            "{'pw': 'hunter2', 'db_pw': 'b2', 'pwd': 'c3'}",
            "{'pw': '[scrubbed]', 'db_pw': '[scrubbed]', 'pwd': '[scrubbed]'}",
        ),
        ("retrying with password=hunter2 now", "retrying with password=[scrubbed] now"),
        ("password=hunter2&token=abc123&x=1", "password=[scrubbed]&token=[scrubbed]&x=1"),
        ("https://x.example/cart?session=abc&q=1", "https://x.example/cart?session=[scrubbed]&q=1"),
        ("q=sch%C3%B6n&user%5Bpassword%5D=a%20b", "q=sch%C3%B6n&user%5Bpassword%5D=[scrubbed]"),
        ("next=%2Fa%3Ftoken%3Dabc%26b%3D1", "next=%2Fa%3Ftoken%3D[scrubbed]%26b%3D1"),
        (r#"{"a":1,"password":"hun\"ter2","b":2}"#, r#"{"a":1,"password":"[scrubbed]","b":2}"#),
        (r#"{"token": ["a", "b"], "b": {"c": 1}}"#, r#"{"token": [scrubbed], "b": {"c": 1}}"#),
        (r#"{"pin": 1234, "n": 5}"#, r#"{"pin": [scrubbed], "n": 5}"#),
        (r#"{\"password\":\"hunter2\",\"a\":1}"#, r#"{\"password\":\"[scrubbed]\",\"a\":1}"#),
        ("{'api_key': 'abc', 'b': 1}", "{'api_key': '[scrubbed]', 'b': 1}"),
        ("Config(api_key='abc', debug=True)", "Config(api_key='[scrubbed]', debug=True)"),
        ("Gateway key=FAKE-live-0123456789 timeout=3", "Gateway key=[scrubbed] timeout=3"),
        (
            "Authorization: Digest username=\"x\", response=\"y\"\nHost: z",
            "Authorization: [scrubbed]\nHost: z",
        ),
        ("curl -H 'Cookie: a=b' https://h", "curl -H 'Cookie: [scrubbed]' https://h"),
        ("password=$ecret1 {hunter2}", "password=[scrubbed] {hunter2}"),
        (r#"{"password": "$2b$12$KIXQ"}"#, r#"{"password": "[scrubbed]"}"#),
        (r#"{\"password\":\"hun\\\"ter2\"}"#, r#"{\"password\":\"[scrubbed]\"}"#),
        (
            r#"[{"name": "password", "value": "hunter2"}]"#,
            r#"[{"name": "password", "value": "[scrubbed]"}]"#,
        ),
        ("next=postgres%3A%2F%2Fu%3Apw%40db", "next=postgres%3A%2F%2Fu%3A[scrubbed]%40db"),
        ("h=%20Bearer%20abc123", "h=%20Bearer%20[scrubbed]"),
        (
            "spring.cloud.config.server.vault.authentication.approle.datasource.password=hunter2",
            "spring.cloud.config.server.vault.authentication.approle.datasource.password=[scrubbed]",
        ),
        (
            "password.........................................................: hunter2",
            "password.........................................................: [scrubbed]",
        ),
        ("Cookie: a=b; c=d\r\nHost: x", "Cookie: [scrubbed]\r\nHost: x"),
        ("{'Cookie': 'a=b; c=d', 'x': 1}", "{'Cookie': '[scrubbed]', 'x': 1}"),
        (
            "<user><password>hunter2</password></user>",
            "<user><password>[scrubbed]</password></user>",
        ),
        ("<var key=\"password\">hunter2</var>", "<var key=\"password\">[scrubbed]</var>"),
        (
            "Content-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n--x",
            "Content-Disposition: form-data; name=\"password\"\r\n\r\n[scrubbed]\r\n--x",
        ),
        ("mysqldump --password hunter2 shop", "mysqldump --password [scrubbed] shop"),
        ("deploy --api-token=abc shop", "deploy --api-token=[scrubbed] shop"),
        (
            "[('Authorization', 'xyz 1'), ('Host', 'x')]",
            "[('Authorization', '[scrubbed]'), ('Host', 'x')]",
        ),
        ("password: hunter2, user: x", "password: [scrubbed], user: x"),
        ("token: Bearer abc.def", "token: [scrubbed]"),
        ("line one\\npassword=hunter2\\nline", "line one\\npassword=[scrubbed]\\nline"),
        ("password=größe💳", "password=[scrubbed]"),
        ("&quot;password&quot;:&quot;hunter2&quot;", "&quot;password&quot;:&quot;[scrubbed]&quot;"),
        ("password='unclosed", "password='[scrubbed]"),
        ("form[plainPassword][first]=hunter2&a=1", "form[plainPassword][first]=[scrubbed]&a=1"),
        (
            "form%5BplainPassword%5D%5Bfirst%5D=hunter2&a=1",
            "form%5BplainPassword%5D%5Bfirst%5D=[scrubbed]&a=1",
        ),
        ("password[]=hunter2&a=1", "password[]=[scrubbed]&a=1"),
        (
            "<wsse:Password Type=\"#PasswordText\">hunter2</wsse:Password>",
            "<wsse:Password Type=\"#PasswordText\">[scrubbed]</wsse:Password>",
        ),
        ("<soap:Password>x1</soap:Password>", "<soap:Password>[scrubbed]</soap:Password>"),
        ("<password type=\"p\">x1</password>", "<password type=\"p\">[scrubbed]</password>"),
        (
            "<password><![CDATA[hun<ter2]]></password>",
            "<password><![CDATA[[scrubbed]]]></password>",
        ),
        ("datasource.password           = hunter2", "datasource.password           = [scrubbed]"),
        ("password=$UMMER2024", "password=[scrubbed]"),
        (r#"{"password": "$UMMER2024"}"#, r#"{"password": "[scrubbed]"}"#),
        ("otpCode=123456&cvv_code=123", "otpCode=[scrubbed]&cvv_code=[scrubbed]"),
        ("auth_header: Token 9944b0", "auth_header: [scrubbed]"),
        (
            "https://x.blob.example/a?sv=2020-08-04&sp=r&sig=kXq%2BfA%2F9bw%3D&b=1",
            "https://x.blob.example/a?sv=2020-08-04&sp=r&sig=[scrubbed]&b=1",
        ),
        (
            "?X-Goog-Signature=7f&X-Amz-Signature=8e",
            "?X-Goog-Signature=[scrubbed]&X-Amz-Signature=[scrubbed]",
        ),
        (r#"{"signature":"c2lnbmVkIQ9aZ0=="}"#, r#"{"signature":"[scrubbed]"}"#),
    ] {
        assert_eq!(scrub(text), expected, "{text}");
        assert_eq!(scrub(expected), expected, "again: {text}");
    }
}

#[test]
fn values_that_give_themselves_away() {
    for (text, expected) in [
        ("sent Bearer abc123FAKE to x", "sent Bearer [scrubbed] to x"),
        ("basic c2hvcDpodW50ZXIy", "basic [scrubbed]"),
        ("see eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_9!", "see [scrubbed]!"),
        ("cut eyJhbGciOiJIUzI1NiJ9eyJzd…", "cut [scrubbed]…"),
        ("postgres://shop:hunter2@db.example/shop", "postgres://shop:[scrubbed]@db.example/shop"),
        ("redis://:p/w#1@cache:6379", "redis://:[scrubbed]@cache:6379"),
        (
            "{\"dsn\":\"mysql:\\/\\/root:hunter2@db\\/shop\"}",
            "{\"dsn\":\"mysql:\\/\\/root:[scrubbed]@db\\/shop\"}",
        ),
        ("shop:hun@ter2@tcp(db:3306)/x", "shop:[scrubbed]@tcp(db:3306)/x"),
        ("dsn=shop:hunter2@unix(/run/db)/x", "dsn=shop:[scrubbed]@unix(/run/db)/x"),
        ("https://ghp_0123456789abcdefghij@github.com/x", "https://[scrubbed]@github.com/x"),
        ("id AKIAIOSFODNN7EXAMPLE!", "id [scrubbed]!"),
        ("sk_live_abc123def456 and ghp_abcdefghij0123456789", "[scrubbed] and [scrubbed]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nx", "[scrubbed]\nx"),
        ("a -----BEGIN PRIVATE KEY-----\\nMIIabc", "a [scrubbed]"),
        ("for 4111 1111 1111 1111.", "for [scrubbed]."),
        ("x&cc=4111111111111111'", "x&cc=[scrubbed]'"),
    ] {
        assert_eq!(scrub(text), expected, "{text}");
        assert_eq!(scrub(expected), expected, "again: {text}");
    }
}

#[test]
fn texts_without_secrets_stay() {
    for text in [
        "",
        "KeyError: 'token'",
        "the password is wrong",
        "Unexpected token < in JSON at position 0",
        "author=jane&shipping=1&compass=n",
        "basic functionality of the bearer of this",
        "Basic Authentication failed",
        "http://host:8080/x@y and https://x.example/a?email=a@b.example",
        "https://jane@example.org/x",
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
        "monkey=banana cache_key=user:5512",
        "password=[Filtered]&token=********&secret=",
        "{\"password\": null, \"has_token\": true}",
        "total_tokens=512 token_type=bearer max_tokens: 5",
        "1795226466700001 0.4111111111111111",
        "key=value",
        "sk-learn and sk-very-long-words-with-hyphens",
        "passed: 12, failed: 3",
        "<password type=\"p\"/><b>x</b>",
        "dial tcp(db:3306): refused, see user@tcp(db:3306)",
        "json:\\/\\/example.com\\/a",
        "password=$PASSWORD and token='${TOKEN}' and pin=$1 or token=${TOKEN}, x",
        "killed: sig=11, signature: invalid, JWT signature: verification failed",
        "no match for signature: (int64, str), signature: rsa-sha256",
        "design=flat assign: 7 signal: 9",
        "upward=1 npw: 2 pwa=installed cpw-a",
        "status_code=401 spin_code=7 session_number: 3",
        "order ORD-41-1 of 2026.01.02 at 1.50 each",
    ] {
        assert_eq!(scrub(text), text);
    }
}

#[test]
fn lines_of_source() {
    for (text, expected) in [
        ("    password = \"hunter2\"", "    password = \"[scrubbed]\""),
        ("  const password = 'hunter2';", "  const password = '[scrubbed]';"),
        ("    gw = Gateway(api_key=\"FAKE-live\")", "    gw = Gateway(api_key=\"[scrubbed]\")"),
        ("  throw 'a string, password=hunter2';", "  throw 'a string, password=[scrubbed]';"),
        ("f({ code: 17, token: 'FAKE' });", "f({ code: 17, token: '[scrubbed]' });"),
        ("s.set_extra(\"api_token\", \"tok_2f\")", "s.set_extra(\"api_token\", \"[scrubbed]\")"),
        (
            "log.warning(\"retrying with password=%s\", \"hunter2\")",
            "log.warning(\"retrying with password=%s\", \"[scrubbed]\")",
        ),
        (
            "{\"nested\": [{\"authorization\": \"Bearer FAKE\"}]}",
            "{\"nested\": [{\"authorization\": \"[scrubbed]\"}]}",
        ),
        ("PASSWORD=hunter2 ./run", "PASSWORD=[scrubbed] ./run"),
        ("password: str = \"hunter2\"", "password: str = \"[scrubbed]\""),
        ("password: Optional[str] = 'hunter2'", "password: Optional[str] = '[scrubbed]'"),
        ("const password: string = 'hunter2';", "const password: string = '[scrubbed]';"),
        (
            "let password: &'static str = \"hunter2\";",
            "let password: &'static str = \"[scrubbed]\";",
        ),
        ("    user.set_password(\"hunter2\")", "    user.set_password(\"[scrubbed]\")"),
        ("ds.setPassword(\"hunter2\");", "ds.setPassword(\"[scrubbed]\");"),
        (
            "requests.get(url, auth=(\"admin\", \"hunter2\"), timeout=\"3\")",
            "requests.get(url, auth=(\"[scrubbed]\", \"[scrubbed]\"), timeout=\"3\")",
        ),
        (
            "auth = HTTPBasicAuth('admin', 'hunter2')",
            "auth = HTTPBasicAuth('[scrubbed]', '[scrubbed]')",
        ),
        ("secret = String::from(\"hunter2\");", "secret = String::from(\"[scrubbed]\");"),
        ("PASSWORDS = [\"hunter2\", 'b2']", "PASSWORDS = [\"[scrubbed]\", '[scrubbed]']"),
        (
            "passwords = {\"shop\": \"hunter2\", \"b\": 1}",
            "passwords = {\"shop\": \"[scrubbed]\", \"b\": 1}",
        ),
        (
            "const pwSecret = process.env.PW || 'hunter2';",
            "const pwSecret = process.env.PW || '[scrubbed]';",
        ),
        (
            "password = os.environ.get(\"SHOP_PW\", \"hunter2\")",
            "password = os.environ.get(\"SHOP_PW\", \"[scrubbed]\")",
        ),
        (
            "config[\"password\"] = given or b'hunter2'",
            "config[\"password\"] = given or b'[scrubbed]'",
        ),
        ("passwords[user] = \"hunter2\"", "passwords[user] = \"[scrubbed]\""),
        ("if password == \"hunter2\":", "if password == \"[scrubbed]\":"),
        (
            "h = ['Authorization: ApiKey s3cr3t', 'X: y']",
            "h = ['Authorization: [scrubbed]', 'X: y']",
        ),
        ("h.add(\"Cookie: a=b; c=d\");", "h.add(\"Cookie: [scrubbed]\");"),
    ] {
        assert_eq!(scrub_kind(text, Kind::Source), expected, "{text}");
    }
    for text in [
        "    token = request.headers[\"X-Token\"]",
        "    password = get_password(user)",
        "    login(password=password, token=token)",
        "def login(user: User, password: str) -> Token:",
        "    if token == expected:",
        "    amount = cart[\"total\"]",
        "    password = get_password(\"shop\")",
        "    secret = System.getenv(\"SHOP_SECRET\");",
        "    let token = std::env::var(\"SHOP_TOKEN\")?;",
        "    password = os.environ[\"SHOP_PASSWORD\"]  # not 'hunter2'",
        "    raise TokenError(\"it has expired\")",
        "    with track_session(scope, session_mode=\"application\"):",
        "    password = form.cleaned_data['password'], name = 'x'",
        "    if token in (\"a\", \"b\"): pass",
        "  const { token } = await import('./token.js');",
        "import { token } from './auth';",
        "fn token(&self) -> &str { \"x\" }",
    ] {
        assert_eq!(scrub_kind(text, Kind::Source), text);
    }
}

#[test]
fn patterns_of_a_project() {
    let pattern = |name: &str, regex: &str| Pattern { name: name.into(), regex: regex.into() };
    let rules = ScrubRules {
        patterns: vec![pattern("badge", r"B-\d{4}"), pattern("seat", r"seat (\d+[A-F])")],
        ..ScrubRules::OFF
    };
    let patterns = check(&rules).expect("patterns");
    let texts = Texts::new(&rules, patterns);
    let text = "B-1234 in seat 12C, password=x";
    let found = texts.find(&Names::new(&rules), text, Kind::Prose);
    assert_eq!(marked(text, &found), "[scrubbed] in seat [scrubbed], password=x");
}

proptest! {
    #[test]
    fn any_text_can_be_scrubbed(text: String) {
        scrub(&text);
        scrub_kind(&text, Kind::Source);
    }

    #[test]
    fn any_text_of_such_pieces_can_be_scrubbed(
        text in r#"([a-z]{1,4}|password|token|api_key|Cookie|Bearer |eyJ|://|@|\\|%3D|["'=:&,;<>{}()\[\] \n]|4111111111111111|-----BEGIN PRIVATE KEY-----|%s|--){0,25}"#
    ) {
        for kind in [Kind::Prose, Kind::Source] {
            scrub_kind(&text, kind);
        }
    }

    #[test]
    fn a_quoted_password_never_stays(before in "[a-z =\"']{0,20}", secret in "[a-z0-9]{6,12}") {
        let text = format!("{before} \"password\": \"Q{secret}\" tail");
        prop_assert!(!scrub(&text).contains(&format!("Q{secret}")), "{}", text);
    }
}
