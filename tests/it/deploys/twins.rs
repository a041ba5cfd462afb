//! Commits whose names begin alike: nobody guesses which one is meant.

use serde_json::json;

use super::{Shop, active, kinds};
use crate::git::Repository;
use crate::support::{Answer, Engine, both, crash, with};

/// The beginning that the names of both have, which are made by [`TWINS`].
const SAME: &str = "fb98fa3";

/// A base, and a word for its two children: everything that their names come from is written here and
/// in the prelude.
const TWINS: &str = r#"
    base() { c base; }
    twin() {
      tick
      local sha=$(git commit-tree -p "$(sha base)" -m "try $2" "$(sha base)^{tree}")
      git branch "$1" "$sha"
      echo "$1 $sha" >> "$NAMES"
    }
    one() { twin one 10856; }
    two() { twin two 32229; }
"#;

const RELEASES: &str = "/api/v1/projects/shop/releases";

/// A shop with these of them.
async fn shop(engine: Engine, script: &str) -> Shop {
    Shop::start(engine, &format!("{TWINS}\n{script}")).await
}

/// That it is refused, because several begin so.
fn assert_ambiguous(answer: &Answer) {
    assert_eq!(answer.problem(), (422, "invalid".to_owned()));
    let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("is the beginning of several commits"), "{detail}");
}

both!(the_beginning_of_two_commits_names_none, |engine: Engine| async move {
    let shop = shop(engine, "base; one; T=1790000060; two").await;
    let (one, two) = (shop.sha("one"), shop.sha("two"));
    assert!(one != two && one.starts_with(SAME) && two.starts_with(SAME), "{one} {two}");
    shop.app.crashed(&shop.project, "KeyError").await;
    let lock = shop.lock("beta", &json!({"issue": "SHOP-1"})).await;

    assert_ambiguous(&shop.fix("SHOP-1", SAME).await);
    assert_eq!(shop.state("SHOP-1").await, ("open".to_owned(), "-".to_owned()));
    // One digit more tells them apart.
    let more: String = one.chars().take(8).collect();
    let fixed = shop.fix("SHOP-1", &more).await.ok();
    assert_eq!(fixed["fix"]["commits"], json!([{"repository": "web", "commit": one}]));

    let gate = |commit: &str| Shop::environment("beta", &format!("gate?commit={commit}"));
    assert_ambiguous(&shop.app.get(&gate(SAME)).await);
    assert_ambiguous(&shop.app.get(&format!("{}&wait=1", gate(SAME))).await);
    assert_ambiguous(&shop.app.get(&format!("{}&repository=web", gate(SAME))).await);
    assert_eq!(shop.gate("beta", &more).await["verdict"], "clear");
    let gate = shop.gate("beta", &two).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["issue_lock"]));

    let deploys = Shop::environment("beta", "deploys");
    for more in [
        json!({}),
        json!({"repository": "web"}),
        json!({"override": "it burns"}),
        json!({"key": "run 7"}),
        json!({"status": "succeeded", "version": "1.0"}),
    ] {
        let wish = with(json!({"commit": SAME}), &more);
        assert_ambiguous(&shop.app.post(&deploys, &wish).await);
    }
    assert!(shop.app.all("/api/v1/projects/shop/deploys").await.is_empty());
    assert_eq!(active(&shop.app, "beta").await, [lock["id"].as_str().expect("an id")]);

    assert_ambiguous(&shop.app.post(RELEASES, &json!({"version": "1", "commit": SAME})).await);
    assert_eq!(shop.app.get(&format!("{RELEASES}/1")).await.problem().0, 404);
    shop.stop().await;
});

both!(
    an_event_of_one_of_two_commits_waits_until_somebody_says_which,
    |engine: Engine| async move {
        let shop = shop(engine, "base; one; T=1790000060; two").await;
        let (one, two) = (shop.sha("one"), shop.sha("two"));
        shop.app.crashed(&shop.project, "KeyError").await;
        shop.fix("SHOP-1", &one).await.ok();
        let field = json!({"settings": {"commit_field": "tags.git_commit"}});
        shop.app.patch("/api/v1/projects/shop", &field).await.ok();
        let release = format!("web@{SAME}");
        let named = shop.crash_in("KeyError", &release).await;
        let fields = json!({"release": "web", "tags": {"git_commit": SAME},
        "timestamp": shop.app.clock.now().to_string()});
        let carried = shop.app.send(&shop.project, &with(crash("KeyError"), &fields)).await;
        // These are told apart.
        let other = shop.crash_in("KeyError", &format!("web@{two}")).await;
        assert_eq!(shop.settled(&other).await.0, "suppressed");
        for event in [&named, &carried] {
            let (verdict, reason) = shop.app.verdict(event).await;
            assert_eq!(verdict, "undetermined", "{reason}");
            assert!(reason.contains("no commit is known of release"), "{reason}");
        }
        let shown = shop.app.get(&format!("{RELEASES}/{release}")).await.ok();
        assert_eq!((&shown["commits"], &shown["rule"]), (&json!([]), &json!(null)));
        let issue = shop.app.issue("SHOP-1").await;
        assert_eq!((&issue["undetermined"], &issue["suppressed"]), (&json!(2), &json!(1)));

        let said = json!({"version": release, "commit": two});
        shop.app.post(RELEASES, &said).await.ok();
        assert_eq!(shop.settled(&named).await.0, "suppressed");
        let said = json!({"version": format!("web+commit.{SAME}"), "commit": one});
        shop.app.post(RELEASES, &said).await.ok();
        assert_eq!(shop.settled(&carried).await.0, "regression");
        shop.stop().await;
    }
);

both!(what_named_one_commit_once_means_it_when_another_begins_so, |engine: Engine| async move {
    let shop = shop(engine, "base; one; c other").await;
    let one = shop.sha("one");
    for kind in ["KeyError", "ValueError"] {
        shop.app.crashed(&shop.project, kind).await;
    }
    let fixed = shop.fix("SHOP-1", SAME).await.ok();
    assert_eq!(fixed["fix"]["commits"][0]["commit"], one);
    shop.fix("SHOP-2", &shop.sha("other")).await.ok();
    let release = format!("web@{SAME}");
    let event = shop.crash_in("ValueError", &release).await;
    assert_eq!(shop.settled(&event).await.0, "suppressed");
    let path = Shop::environment("beta", "deploys");
    let wish = json!({"commit": SAME, "key": "run 7"});
    let started = shop.app.post(&path, &wish).await.ok();
    assert_eq!(started["commit"], one);

    shop.push(&format!("{TWINS}\nT=1790000060; two")).await;
    assert!(shop.sha("two").starts_with(SAME));
    assert_ambiguous(&shop.fix("SHOP-1", SAME).await);
    assert_eq!(shop.app.issue("SHOP-1").await["fix"]["commits"][0]["commit"], one);
    let shown = shop.app.get(&format!("{RELEASES}/{release}")).await.ok();
    assert_eq!(
        (&shown["rule"], &shown["commits"][0]["commit"]),
        (&json!("short_sha"), &json!(one))
    );
    // The answer to the start was lost: the same key is the same deploy.
    assert_eq!(shop.app.post(&path, &wish).await.ok()["id"], started["id"]);
    assert_eq!(shop.finish(&started, "succeeded").await["resolved"], json!(["SHOP-1"]));
    let event = shop.crash_in("ValueError", &release).await;
    assert_eq!(shop.settled(&event).await.0, "suppressed");
    // What nobody asked for before is not known any more.
    let event = shop.crash_in("ValueError", &format!("shop@{SAME}")).await;
    assert_eq!(shop.app.verdict(&event).await.0, "undetermined");
    shop.stop().await;
});

both!(the_repository_tells_two_commits_apart, |engine: Engine| async move {
    let shop = shop(engine, "base; one").await;
    let api = Repository::new();
    api.run(&format!("{TWINS}\nbase; two"));
    let wish = json!({"name": "api", "url": api.path()});
    shop.app.post("/api/v1/projects/shop/repositories", &wish).await.ok();
    shop.app.post("/api/v1/projects/shop/repositories/api/fetch", &json!({})).await.ok();
    let (one, two) = (shop.sha("one"), api.names()["two"].to_string());
    shop.app.crashed(&shop.project, "KeyError").await;
    shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    assert_ambiguous(&shop.fix("SHOP-1", SAME).await);
    let named = json!({"commit": SAME, "repository": "api"});
    let fixed = shop.app.put("/api/v1/issues/SHOP-1/fix", &named).await.ok();
    assert_eq!(fixed["fix"]["commits"], json!([{"repository": "api", "commit": two}]));

    let gate = |rest: &str| Shop::environment("beta", &format!("gate?commit={SAME}{rest}"));
    assert_ambiguous(&shop.app.get(&gate("")).await);
    let web = shop.app.get(&gate("&repository=web")).await.ok();
    assert_eq!((&web["commit"], &web["verdict"]), (&json!(one), &json!("unknown")));
    let of_api = shop.app.get(&gate("&repository=api")).await.ok();
    assert_eq!((&of_api["commit"], &of_api["verdict"]), (&json!(two), &json!("clear")));
    assert_ambiguous(&shop.start_deploy("beta", SAME).await);
    let deploy = shop.app.post(&Shop::environment("beta", "deploys"), &named).await.ok();
    assert_eq!((&deploy["commit"], &deploy["repository"]), (&json!(two), &json!("api")));
    shop.stop().await;
});
