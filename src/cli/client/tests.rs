//! What answers mean, from a server that says what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::super::connection::Connection;
use super::*;

/// A server that gives these answers, one a connection, and then tells what it was asked.
fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serve = move || {
        let answer = |text: &String| {
            let (stream, _) = listener.accept().expect("a connection");
            let mut reader = BufReader::new(stream);
            let (mut head, mut n_bytes) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                let line = line.trim().to_lowercase();
                if let Some(length) = line.strip_prefix("content-length: ") {
                    n_bytes = length.parse().expect("a length");
                }
                if line.is_empty() {
                    break;
                }
                head = head + &line + "\n";
            }
            let mut body = vec![0; n_bytes];
            reader.read_exact(&mut body).expect("the body");
            reader.get_mut().write_all(text.as_bytes()).expect("a reader");
            head + &String::from_utf8_lossy(&body)
        };
        answers.iter().map(answer).collect()
    };
    (url, std::thread::spawn(serve))
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    let n_bytes = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {n_bytes}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

fn api(url: &str) -> Api {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection {
        url: Some(url.to_owned()),
        token_file: None,
        token: Some("airlock_ci".to_owned()),
        data: "/nowhere".into(),
    };
    Api::new(connection.target().expect("a target")).unwrap_or_else(|failure| panic!("{failure}"))
}

#[tokio::test]
async fn what_an_answer_means() {
    let problem = |status: u16, detail: &str| {
        json!({
            "type": "about:blank", "title": "No", "status": status, "detail": detail,
            "code": "a-code", "request_id": "r1",
        })
        .to_string()
    };
    let detail = "no issue \x1b[31mSHOP-9";
    let said = "no issue \\u{1b}[31mSHOP-9 (a-code, request r1)";
    let json_problem = "application/problem+json";
    for (status, kind, body, code, expected) in [
        ("404 Not Found", json_problem, problem(404, detail), 1, said),
        ("409 Conflict", json_problem, problem(409, detail), 1, said),
        ("422 Unprocessable", json_problem, problem(422, ""), 1, "No (a-code, request r1)"),
        ("401 Unauthorized", json_problem, problem(401, detail), 2, "AIRLOCK_TOKEN"),
        ("403 Forbidden", json_problem, problem(403, detail), 2, "AIRLOCK_TOKEN"),
        ("500 Internal", json_problem, problem(500, detail), 5, said),
        ("503 Unavailable", "text/html", "<h1>Nginx</h1>".to_owned(), 5, "in trouble"),
        ("403 Forbidden", "text/html", "<h1>Nginx</h1>".to_owned(), 5, "not as Airlock"),
        ("404 Not Found", "application/json", "{}".to_owned(), 5, "not as Airlock"),
        ("200 OK", "text/html", "<h1>Sign in</h1>".to_owned(), 5, "not as Airlock"),
        ("200 OK", "application/json", "{\"items\":".to_owned(), 5, "not as Airlock"),
    ] {
        let (url, asked) = server(vec![answer(status, kind, &body)]);
        let failure = api(&url).get(&["issues", "SHOP-9"]).await.expect_err(status);
        assert_eq!(failure.exit_code(), code, "{status} {body}");
        assert!(failure.to_string().contains(expected), "{failure}");
        let asked = asked.join().expect("served").concat();
        assert!(asked.starts_with("get /api/v1/issues/shop-9 http/1.1\n"), "{asked}");
        assert!(asked.contains("authorization: bearer airlock_ci\n"), "{asked}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let failure = api(&url).get(&["projects"]).await.expect_err("nobody there");
    assert_eq!(failure.exit_code(), 5);
    assert!(failure.to_string().starts_with(&format!("cannot reach {url}/: ")), "{failure}");
}

#[tokio::test]
async fn a_merged_issue_is_found_where_it_went() {
    let moved = "HTTP/1.1 307 Temporary Redirect\r\nLocation: /api/v1/issues/SHOP-2/comment\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n";
    let found = answer("200 OK", "application/json", r#"{"id":"SHOP-2"}"#);
    let (url, asked) = server(vec![moved.to_owned(), found]);
    let body = json!({ "text": "hello" });
    let issue = api(&url).post(&["issues", "SHOP-1", "comment"], body).await.expect("an issue");
    assert_eq!(issue, json!({ "id": "SHOP-2" }));
    let asked = asked.join().expect("served");
    assert!(asked[1].starts_with("post /api/v1/issues/shop-2/comment "), "{asked:?}");
    assert!(asked[1].contains("authorization: bearer airlock_ci\n"), "{asked:?}");
    assert!(asked[1].ends_with(r#"{"text":"hello"}"#), "{asked:?}");
}

#[tokio::test]
async fn a_list_goes_on_until_there_is_enough() {
    let page = |items: std::ops::Range<u32>, next: Option<&str>| {
        let body = json!({ "items": items.collect::<Vec<_>>(), "next": next }).to_string();
        answer("200 OK", "application/json", &body)
    };
    let (url, asked) = server(vec![page(0..100, Some("a&b")), page(100..120, Some("c"))]);
    let query = [("q", Some("größe".to_owned())), ("status", None)];
    let list = api(&url).list(&["projects", "a/b", "issues"], &query, 120).await.expect("a list");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(120));
    assert_eq!(list["next"], "c");
    let asked = asked.join().expect("served");
    let path = "get /api/v1/projects/a%2fb/issues?q=gr%c3%b6%c3%9fe";
    assert!(asked[0].starts_with(&format!("{path}&limit=100 ")), "{asked:?}");
    assert!(asked[1].starts_with(&format!("{path}&limit=20&cursor=a%26b ")), "{asked:?}");
}

#[tokio::test]
async fn no_path_is_named_by_dots() {
    for name in ["", ".", ".."] {
        let failure = api("http://127.0.0.1:8460").get(&["projects", name]).await.expect_err(name);
        assert_eq!(failure.exit_code(), 2);
    }
}
