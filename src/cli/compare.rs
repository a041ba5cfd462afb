//! `airlock compare`: why two issues are not one.

use clap::Args;

use super::Context;
use super::answer::{self, Comparison};
use super::failure::Failure;
use super::output::{Ink, Style};
use super::text::{counted, one_line};
use crate::domain::id::ShortId;

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// One issue
    #[arg(value_name = "SHOP-1")]
    a: ShortId,
    /// The other
    #[arg(value_name = "SHOP-2")]
    b: ShortId,
}

pub(super) async fn run(context: &Context, args: CompareArgs) -> Result<(), Failure> {
    let (a, b) = (args.a.to_string(), args.b.to_string());
    let found = context.api()?.get(&["issues", &a, "compare", &b]).await?;
    let comparison: Comparison = answer::read(&found)?;
    context.output.result(&found, |style| text(&comparison, style))
}

fn text(comparison: &Comparison, style: Style) -> String {
    let Comparison { a, b, same, differences, shared } = comparison;
    let mut lines: Vec<String> = [a, b]
        .iter()
        .map(|side| {
            let issue = style.ink(Ink::Bold, &one_line(&side.issue));
            format!("{issue}  {}", one_line(&format!("{} ({})", side.title, side.reason)))
        })
        .collect();
    if *same {
        lines.truncate(1);
        lines.push("They are one issue.".to_owned());
        return lines.join("\n") + "\n";
    }
    lines.push(String::new());
    let shared = counted(*shared, "part");
    if differences.is_empty() {
        // Two that were taken apart by hand, or joined and taken apart.
        lines.push(format!("Nothing tells them apart; {shared} they have in common."));
    } else {
        lines.push(format!("They are two issues, although they have {shared} in common:"));
        lines.extend(differences.iter().map(|one| format!("- {}", one_line(&one.words))));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_a_line() {
        let side = |issue: &str| json!({"issue": issue, "title": "KeyError", "reason": "stack"});
        let mut found = json!({
            "a": side("SHOP-1"), "b": side("SHOP-2"), "same": false, "shared": 1,
            "differences": [{"words": "the type: `A`\nin the first"}],
        });
        let read =
            |found: &serde_json::Value| answer::read::<Comparison>(found).expect("a comparison");
        assert_eq!(
            text(&read(&found), Style::default()),
            "SHOP-1  KeyError (stack)\nSHOP-2  KeyError (stack)\n\n\
            They are two issues, although they have 1 part in common:\n\
            - the type: `A`\\nin the first\n"
        );
        found["same"] = true.into();
        assert_eq!(
            text(&read(&found), Style::default()),
            "SHOP-1  KeyError (stack)\nThey are one issue.\n"
        );
    }
}
