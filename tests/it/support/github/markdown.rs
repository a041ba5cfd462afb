//! What a text of GitHub does beside being shown: whom it names, and what it refers to.

/// Names of people and teams, issues, commits and addresses outside of code; as GitHub finds them, or
/// more.
pub(crate) fn effects(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fence: Option<(char, usize)> = None;
    for line in text.lines() {
        let inner = line.trim_start();
        let is_indented = line.len() - inner.len() > 3;
        let sign = inner.chars().next().filter(|c| matches!(c, '~' | '`'));
        let run = sign.map_or(0, |sign| inner.chars().take_while(|c| *c == sign).count());
        match fence {
            Some((own, length)) => {
                let is_end = !is_indented
                    && sign == Some(own)
                    && run >= length
                    && inner.chars().skip(run).all(char::is_whitespace);
                if is_end {
                    fence = None;
                }
            }
            None if !is_indented && run >= 3 => fence = sign.map(|sign| (sign, run)),
            None => found.extend(words(line)),
        }
    }
    assert_eq!(fence, None, "a fence without an end: {text}");
    found
}

fn words(line: &str) -> Vec<String> {
    let is_hex = |word: &str| word.len() >= 7 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let does = |word: &&str| {
        let has = |sign: char| {
            word.split(sign).skip(1).any(|rest| rest.starts_with(char::is_alphanumeric))
        };
        has('@') || has('#') || word.to_lowercase().starts_with("gh-") || is_hex(word)
    };
    let is_address = |word: &&str| word.contains("://") || word.starts_with("www.");
    let all = line.split(|c: char| c.is_whitespace() || "()[]<>,;".contains(c));
    all.filter(|word| does(word) || is_address(word)).map(str::to_owned).collect()
}
