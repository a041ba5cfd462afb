//! What Asana shows: the blocks of a task as its XML, and the lines by which Airlock finds again what
//! it wrote.
//!
//! Source: Asana's guide to rich text. A text that is no valid XML is refused as a whole.

use std::fmt::Write as _;

use crate::domain::task::Block;

/// The longest piece of a task's text, in characters.
pub(in crate::tracker) const MOST_PIECE_CHARS: usize = 2_000;

/// The longest text of a task, in characters of XML; what is beyond is left out.
pub(in crate::tracker) const MOST_CHARS: usize = 50_000;

/// The longest comment, in characters.
pub(in crate::tracker) const MOST_COMMENT_CHARS: usize = 8_000;

/// What the line begins with that names the key of a task or comment.
const MARK: &str = "Airlock · ";

/// The line at the end of a task by which it is found.
pub(in crate::tracker) fn mark_of_task(key: &str) -> String {
    format!("{MARK}{key}")
}

/// The line at the end of a comment by which it is found: the end of its key, which is random.
pub(in crate::tracker) fn mark_of_comment(key: &str) -> String {
    let n_chars = key.chars().count();
    format!("{MARK}{}", key.chars().skip(n_chars.saturating_sub(12)).collect::<String>())
}

/// Whether a text ends with a line. What came in a report is before it, and people may add space.
pub(in crate::tracker) fn ends_with_line(text: &str, line: &str) -> bool {
    text.trim_end().lines().next_back().is_some_and(|last| last.trim() == line)
}

/// A title without what Asana would refuse.
pub(in crate::tracker) fn title(text: &str) -> String {
    cut(&clean(text), crate::domain::task::MOST_TITLE_CHARS)
}

/// A comment with its key.
pub(super) fn comment(key: &str, text: &str) -> String {
    format!("{}\n\n{}", cut(&clean(text), MOST_COMMENT_CHARS), mark_of_comment(key))
}

/// The text of a task with its key.
pub(super) fn html(key: &str, blocks: &[Block]) -> String {
    let mut html = String::from("<body>");
    for block in blocks {
        let shown = shown(block);
        if html.len() + shown.len() > MOST_CHARS {
            html.push_str("…\n\n");
            break;
        }
        html.push_str(&shown);
    }
    html.push_str(&escaped(&mark_of_task(key)));
    html.push_str("</body>");
    html
}

fn shown(block: &Block) -> String {
    let mut html = String::new();
    match block {
        Block::Text(text) => {
            html.push_str(&piece(text));
            html.push('\n');
        }
        Block::Facts(facts) => {
            html.push_str("<ul>");
            for (name, value) in facts {
                // Writing into a text cannot fail.
                let _ = write!(html, "<li><strong>{}</strong>: {}</li>", piece(name), piece(value));
            }
            html.push_str("</ul>\n");
        }
        Block::Code(lines) => {
            for line in lines {
                let _ = writeln!(html, "<code>{}</code>", piece(line));
            }
        }
        Block::Link { text, url } => {
            let _ = writeln!(html, "<a href=\"{}\">{}</a>", piece(url), piece(text));
        }
    }
    html.push('\n');
    html
}

fn piece(text: &str) -> String {
    escaped(&cut(&clean(text), MOST_PIECE_CHARS))
}

/// Without what XML does not allow, however it is written.
pub(in crate::tracker) fn clean(text: &str) -> String {
    let is_allowed =
        |c: char| (!c.is_control() || c == '\n') && !matches!(c, '\u{fffe}' | '\u{ffff}');
    let plain = text.chars().map(|c| if matches!(c, '\t' | '\r') { ' ' } else { c });
    plain.filter(|c| is_allowed(*c)).collect()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            c => escaped.push(c),
        }
    }
    escaped
}

pub(in crate::tracker) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::*;

    /// The plain text of XML that Asana takes.
    fn plain(html: &str) -> String {
        let (mut reader, mut text) = (Reader::from_str(html), String::new());
        reader.config_mut().check_end_names = true;
        loop {
            match reader.read_event().expect("valid XML") {
                Event::Text(part) => text.push_str(&part.xml10_content()),
                Event::GeneralRef(part) => {
                    let whole = format!("&{};", part.xml10_content());
                    text.push_str(&quick_xml::escape::unescape(&whole).expect("a known name"));
                }
                Event::Eof => return text,
                Event::Start(start) => {
                    assert!(start.attributes().all(|one| one.is_ok()), "{html}");
                }
                Event::End(_) => {}
                Event::Empty(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_) => panic!("what nobody wrote is in {html}"),
            }
        }
    }

    #[test]
    fn a_task_shows_its_blocks_and_its_key() {
        let blocks = [
            Block::Text("shop.cart <in> checkout".to_owned()),
            Block::Facts(vec![("Events".to_owned(), "17 & more".to_owned())]),
            Block::Code(vec!["cart.py:7 in <lambda>".to_owned(), "\u{1b}[2J".to_owned()]),
            Block::Link { text: "SHOP-1".to_owned(), url: "https://a.example/?a=\"b\"".to_owned() },
        ];
        insta::assert_snapshot!(html("0192/1", &blocks), @r#"
        <body>shop.cart &lt;in&gt; checkout

        <ul><li><strong>Events</strong>: 17 &amp; more</li></ul>

        <code>cart.py:7 in &lt;lambda&gt;</code>
        <code>[2J</code>

        <a href="https://a.example/?a=&quot;b&quot;">SHOP-1</a>

        Airlock · 0192/1</body>
        "#);
    }

    #[test]
    fn only_the_last_line_counts() {
        let line = mark_of_task("1");
        assert!(ends_with_line(&format!("text\n{line}\n \n"), &line));
        assert!(!ends_with_line(&format!("{line}\ntext"), &line));
        assert!(!ends_with_line(&format!("text {line}"), &line));
        assert!(!ends_with_line(&mark_of_task("11"), &line));
        assert!(ends_with_line(&comment("1-0192abcdefghijkl", "x"), "Airlock · abcdefghijkl"));
    }

    proptest! {
        #[test]
        fn any_text_is_valid(text in any::<String>(), lines in prop::collection::vec(any::<String>(), 0..4)) {
            let blocks = [
                Block::Text(text.clone()),
                Block::Facts(vec![(text.clone(), text.clone())]),
                Block::Code(lines),
                Block::Link { text: text.clone(), url: text.clone() },
            ];
            let html = html("key", &blocks);
            prop_assert!(html.chars().all(|c| !c.is_control() || c == '\n'));
            prop_assert!(ends_with_line(&plain(&html), &mark_of_task("key")));
        }
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        let blocks: Vec<Block> = (0..100).map(|_| Block::Text("<".repeat(9_000))).collect();
        let html = html("key", &blocks);
        assert!(html.len() < MOST_CHARS + 200, "{}", html.len());
        assert!(ends_with_line(&plain(&html), &mark_of_task("key")));
    }
}
