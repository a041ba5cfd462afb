//! Texts for trackers whose markup does many things: all of it stands as it is, between fences.
//!
//! What comes in a report can so neither name people nor refer to tasks, run macros or end its own
//! fence. Only addresses and the lines by which Airlock finds what it wrote are outside of them.

use super::asana::text::{
    MOST_CHARS, MOST_COMMENT_CHARS, MOST_PIECE_CHARS, clean, cut, mark_of_comment, mark_of_task,
};
use crate::domain::task::Block;
use crate::domain::tracker::Formatting;

/// The shortest fence of Markdown, in characters.
const FENCE_CHARS: usize = 3;

/// What Textile looks for also between fences.
const TAGS: [&str; 4] = ["pre", "code", "kbd", "notextile"];

/// The text of a task with its key.
pub(super) fn task(formatting: Formatting, key: &str, blocks: &[Block]) -> String {
    let (mut text, mut fenced) = (String::new(), String::new());
    for block in blocks {
        if text.len() + fenced.len() > MOST_CHARS {
            fenced.push_str("…\n");
            break;
        }
        if !fenced.is_empty() {
            fenced.push('\n');
        }
        match block {
            Block::Text(words) => line(&mut fenced, words),
            Block::Facts(facts) => {
                for (name, value) in facts {
                    line(&mut fenced, &format!("{name}: {value}"));
                }
            }
            Block::Code(lines) => lines.iter().for_each(|code| line(&mut fenced, code)),
            Block::Link { text: words, url } => {
                line(&mut fenced, words);
                text.push_str(&fence(formatting, &fenced));
                fenced.clear();
                // An address that is none is like any other text.
                let is_address = !url.contains(|c: char| c.is_whitespace() || c.is_control());
                if is_address && url.starts_with("http") {
                    text.push_str(&cut(url, MOST_PIECE_CHARS));
                    text.push_str("\n\n");
                }
            }
        }
    }
    if !fenced.is_empty() {
        text.push_str(&fence(formatting, &fenced));
    }
    text.push_str(&mark_of_task(key));
    text
}

/// A comment with its key.
pub(super) fn comment(formatting: Formatting, key: &str, text: &str) -> String {
    let text = cut(&clean(text), MOST_COMMENT_CHARS);
    format!("{}{}", fence(formatting, &text), mark_of_comment(key))
}

fn line(fenced: &mut String, text: &str) {
    fenced.push_str(&cut(&clean(text), MOST_PIECE_CHARS));
    fenced.push('\n');
}

fn fence(formatting: Formatting, text: &str) -> String {
    let text = text.trim_end();
    match formatting {
        Formatting::Textile => format!("<pre>\n{}\n</pre>\n\n", without_tags(text)),
        Formatting::Markdown => {
            let runs = text.split(|c| c != '~').map(str::len).max().unwrap_or_default();
            let fence = "~".repeat(FENCE_CHARS.max(runs + 1));
            format!("{fence}\n{text}\n{fence}\n\n")
        }
    }
}

/// Tags that Textile looks for have something in them that nobody sees.
fn without_tags(text: &str) -> String {
    let mut parts = text.split('<');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push('<');
        let name = part.strip_prefix('/').unwrap_or(part).to_lowercase();
        if TAGS.iter().any(|tag| name.starts_with(tag)) {
            plain.push('\u{2060}');
        }
        plain.push_str(part);
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tracker::asana::text::ends_with_line;

    #[test]
    fn a_task_shows_its_blocks_and_its_key() {
        let blocks = [
            Block::Text("shop.cart in </PRE> {{x}}".to_owned()),
            Block::Facts(vec![("Events".to_owned(), "17 #3 @zoe".to_owned())]),
            Block::Code(vec!["cart.py:7 in <lambda>".to_owned(), "~~~~".to_owned()]),
            Block::Link { text: "SHOP-1".to_owned(), url: "https://a.example/1".to_owned() },
        ];
        let end = "Airlock · 0192/1";
        assert_eq!(
            task(Formatting::Textile, "0192/1", &blocks),
            format!(
                "<pre>\nshop.cart in <\u{2060}/PRE> {{{{x}}}}\n\nEvents: 17 #3 @zoe\n\n\
                 cart.py:7 in <lambda>\n~~~~\n\nSHOP-1\n</pre>\n\nhttps://a.example/1\n\n{end}"
            )
        );
        let markdown = task(Formatting::Markdown, "0192/1", &blocks);
        assert!(markdown.starts_with("~~~~~\nshop.cart in </PRE>"), "{markdown}");
        assert!(markdown.ends_with(&format!("SHOP-1\n~~~~~\n\nhttps://a.example/1\n\n{end}")));
        assert_eq!(
            comment(Formatting::Textile, "0192abcdefghijkl", "hi <b>"),
            "<pre>\nhi <b>\n</pre>\n\nAirlock · abcdefghijkl"
        );
    }

    proptest! {
        #[test]
        fn nothing_ends_its_own_fence(text in any::<String>(), n in 0_usize..6) {
            let nasty = format!("{text}\n{}\n{text}</pre>", "~".repeat(n));
            let blocks = [Block::Text(nasty.clone()), Block::Code(vec![nasty.clone(); 2])];
            let markdown = task(Formatting::Markdown, "key", &blocks);
            let fence = markdown.lines().next().expect("a fence");
            prop_assert_eq!(markdown.lines().filter(|line| *line == fence).count(), 2);
            let textile = task(Formatting::Textile, "key", &blocks);
            prop_assert_eq!(textile.to_lowercase().matches("</pre>").count(), 1);
            prop_assert!(ends_with_line(&markdown, &mark_of_task("key")));
            prop_assert!(ends_with_line(&comment(Formatting::Textile, "key", &nasty), &mark_of_comment("key")));
        }
    }
}
