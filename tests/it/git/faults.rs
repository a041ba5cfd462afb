//! Repositories that are not as they should be, and fetches that end badly.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use airlock::domain::commit::Sha;
use airlock::domain::history::Reach;
use airlock::domain::remote::RemoteUrl;
use airlock::git::command::{Credential, Limits};
use airlock::git::graph_file::Commits;
use airlock::git::mirror::{FetchError, Mirror};

use super::{Repository, url};

/// A repository with the commits `base`, `fix` and `later`, fetched.
fn fetched() -> (Repository, Commits) {
    let repository = Repository::new();
    repository.run("c base; c fix; c later; git tag v1 HEAD");
    let mut commits = Commits::default();
    repository.fetch(&mut commits).expect("a fetch");
    (repository, commits)
}

fn refused(result: Result<(), FetchError>) -> String {
    result.expect_err("a refusal").to_string()
}

/// What another process sees that reads the mirror's file anew.
fn anew(mirror: &Mirror) -> Commits {
    let mut commits = Commits::default();
    commits.catch_up(mirror).expect("a file");
    commits
}

#[test]
fn an_empty_repository_has_no_commits_and_is_no_error() {
    let repository = Repository::new();
    let mut commits = Commits::default();
    repository.fetch(&mut commits).expect("a fetch");
    assert!(commits.history.is_empty());
    repository.run("c base");
    repository.fetch(&mut commits).expect("a fetch");
    assert_eq!(commits.history.len(), 1);
}

#[test]
fn a_shallow_repository_is_refused() {
    let (repository, _) = fetched();
    let shallow = repository.path().join("../shallow");
    repository.run("git clone -q --bare --depth 1 \"file://$PWD\" ../shallow");
    let mirror = Mirror::new(&repository.path().join("../other"), repository.limits.clone());
    let writing = repository.writing();
    let url = url(&shallow, &repository.limits);
    let fetched = mirror.fetch(&writing, &url, &Credential::default());
    assert!(matches!(fetched, Err(FetchError::Shallow)), "{fetched:?}");
}

#[test]
fn a_repository_of_sha_256_is_refused() {
    let repository = Repository::new();
    repository.run("rm -rf .git; git init -q --object-format=sha256 -b main .; echo a > a; git add a; git commit -qm a");
    let said = repository.fetch(&mut Commits::default());
    assert!(matches!(said, Err(FetchError::Sha256)), "{said:?}");
}

#[test]
fn a_repository_that_is_away_leaves_what_was_there() {
    let (repository, mut commits) = fetched();
    fs::rename(repository.path(), repository.path().with_file_name("gone")).expect("moved");
    let said = refused(repository.fetch(&mut commits));
    assert!(said.contains("does not appear to be a git repository"), "{said}");
    assert_eq!(anew(&repository.mirror).history.len(), 3);
    assert_eq!(repository.mirror.branches().expect("branches").len(), 1);
}

#[test]
fn a_server_that_nobody_reaches_is_named() {
    let repository = Repository::new();
    let url = RemoteUrl::parse("https://127.0.0.1:9/shop/web", &repository.limits.protocols);
    let writing = repository.writing();
    let secret = Credential(Some("s3cret-token".to_owned()));
    let said = refused(repository.mirror.fetch(&writing, &url.expect("a url"), &secret));
    assert!(said.contains("127.0.0.1"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn private_addresses_are_not_called() {
    let repository = Repository::new();
    let limits = Limits { protocols: "https,ssh".parse().expect("protocols"), ..Limits::default() };
    let strict = Mirror::new(&repository.path().join("../strict"), limits.clone());
    let writing = strict.lock().expect("a lock");
    for address in [
        "https://127.0.0.1:9/shop",
        "https://localhost/shop",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/shop",
        "https://0x7f000001/shop",
        "ssh://git@127.0.0.1:9/shop",
        "git@localhost:shop",
    ] {
        let url = RemoteUrl::parse(address, &limits.protocols).expect("a url");
        let said = strict.fetch(&writing, &url, &Credential::default());
        assert!(matches!(said, Err(FetchError::Private(_))), "{address}: {said:?}");
    }
}

#[test]
fn a_protocol_that_is_not_allowed_is_not_used_by_git_either() {
    let (repository, _) = fetched();
    let limits = Limits { protocols: "https".parse().expect("protocols"), ..Limits::default() };
    let strict = Mirror::new(&repository.path().join("../strict"), limits);
    let writing = strict.lock().expect("a lock");
    let said = refused(strict.fetch(&writing, &repository.url(), &Credential::default()));
    assert!(said.contains("transport 'file' not allowed"), "{said}");
}

#[test]
fn what_a_repository_configures_does_not_run() {
    let (repository, mut commits) = fetched();
    let marker = repository.path().join("../ran");
    let config = format!(
        "[core]\n\tfsmonitor = touch {0}\n\thooksPath = {0}\n\tsshCommand = touch {0}\n[uploadpack]\n\tpackObjectsHook = touch {0} ;\n",
        marker.display()
    );
    let own = repository.mirror.repository().join("config");
    let before = fs::read_to_string(&own).expect("a config");
    fs::write(&own, before + &config).expect("a config");
    repository.run("c more");
    repository.fetch(&mut commits).expect("a fetch");
    assert_eq!(commits.history.len(), 4);
    assert!(!marker.exists());
}

#[test]
fn a_fetch_that_takes_too_long_is_ended_with_all_it_started() {
    let repository = Repository::new();
    // Accepts connections and never says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let limits = Limits {
        protocols: "http".parse().expect("protocols"),
        allow_networks: "127.0.0.1".parse().expect("networks"),
        fetch_time: Duration::from_millis(500),
        ..Limits::default()
    };
    let mirror = Mirror::new(&repository.path().join("../slow"), limits.clone());
    let url = RemoteUrl::parse(&format!("http://{address}/shop"), &limits.protocols);
    let writing = repository.writing();
    let said = mirror.fetch(&writing, &url.expect("a url"), &Credential::default());
    assert!(matches!(said, Err(FetchError::TimedOut(_))), "{said:?}");
    let running = Command::new("pgrep").args(["-f", &address.to_string()]).output().expect("pgrep");
    assert_eq!(String::from_utf8_lossy(&running.stdout), "");
}

#[test]
fn a_repository_that_is_too_large_is_refused() {
    let repository = Repository::new();
    repository.run(
        "for i in 1 2 3 4 5 6; do head -c 3000000 /dev/urandom > $i; git add $i; done; c base",
    );
    let limits = Limits { most_bytes: 100_000, ..repository.limits.clone() };
    let mirror = Mirror::new(&repository.path().join("../small"), limits);
    let writing = repository.writing();
    let said = mirror.fetch(&writing, &repository.url(), &Credential::default());
    assert!(matches!(said, Err(FetchError::TooLarge(100_000))), "{said:?}");
}

#[test]
fn one_process_at_a_time_changes_a_mirror() {
    let (repository, _) = fetched();
    let other = Mirror::new(&repository.path().join("../mirror"), repository.limits.clone());
    let writing = other.lock().expect("a lock");
    let said = repository.mirror.lock();
    assert!(matches!(said, Err(FetchError::Busy)), "{said:?}");
    drop(writing);
    repository.writing();
}

#[test]
fn two_processes_that_share_a_mirror_see_what_either_read() {
    let (repository, mut one) = fetched();
    let mut other = anew(&repository.mirror);
    repository.run("c by_one");
    repository.fetch(&mut one).expect("a fetch");
    repository.run("c by_other");
    repository.fetch(&mut other).expect("a fetch");
    one.catch_up(&repository.mirror).expect("a file");
    for commits in [&one, &other, &anew(&repository.mirror)] {
        assert_eq!(commits.history.len(), 5);
        assert!(repository.names().values().all(|sha| commits.history.find(sha).is_some()));
    }
}

#[test]
fn a_file_that_was_cut_or_damaged_anywhere_is_read_as_far_as_it_is_whole_and_mended() {
    let (repository, _) = fetched();
    repository.run("c more; c still_more");
    let mut commits = Commits::default();
    repository.fetch(&mut commits).expect("a fetch");
    let path = repository.mirror.graph();
    let whole = fs::read(&path).expect("a file");
    let writing = repository.writing();
    for at in (0..whole.len()).step_by(7) {
        for is_cut in [true, false] {
            let mut bytes = whole.clone();
            if is_cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 0x55;
            }
            fs::write(&path, &bytes).expect("a file");
            let mut commits = anew(&repository.mirror);
            assert!(commits.history.len() <= 5);
            commits.extend(&repository.mirror, &repository.limits, &writing).expect("mended");
            assert_eq!(commits.history.len(), 5, "at {at}");
            assert_eq!(anew(&repository.mirror).history.len(), 5, "at {at}");
        }
    }
}

#[test]
fn a_mirror_that_lost_its_objects_gets_them_again() {
    let (repository, mut commits) = fetched();
    let own = repository.mirror.repository();
    fs::remove_dir_all(own.join("objects")).expect("removed");
    assert_eq!(anew(&repository.mirror).history.len(), 3, "commits that were read are known");
    let said = repository.fetch(&mut commits);
    assert!(matches!(said, Err(FetchError::Damaged(_))), "{said:?}");
    let writing = repository.writing();
    let (url, none) = (repository.url(), Credential::default());
    repository.mirror.renew(&writing, &url, &none, &BTreeSet::new()).expect("renewed");
    commits.extend(&repository.mirror, &repository.limits, &writing).expect("read");
    assert_eq!(commits.history.len(), 3);
    let fix = repository.names()["fix"].to_string();
    let opened = repository.mirror.open().expect("a repository");
    opened.find_commit(fix.parse().expect("a name")).expect("a commit");
}

#[test]
fn what_was_kept_in_a_damaged_mirror_is_kept_in_the_new_one() {
    let (repository, mut commits) = fetched();
    repository.run("on topic base; c rewritten; c rewritten_too; on other base; c asked_for; git checkout -q main");
    repository.fetch(&mut commits).expect("a fetch");
    let names = repository.names();
    let of = |name: &str| names[name];
    let kept = ["fix", "rewritten", "rewritten_too", "asked_for"].map(of);
    let own = repository.mirror.repository();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&own).args(arguments).stderr(Stdio::null());
        git.status().expect("git").success()
    };
    let renewed = || {
        let writing = repository.writing();
        let broken = own.join("refs/heads/main");
        fs::write(broken, "no commit\n").expect("a file");
        let (url, none) = (repository.url(), Credential::default());
        let pins = kept.into();
        repository.mirror.renew(&writing, &url, &none, &pins).expect("renewed")
    };
    repository
        .run("git branch -q -D topic; git reflog expire --expire=now --all; git gc -q --prune=now");
    // The host has forgotten all of `topic`, and gives nothing that is on no branch: the old copy does.
    repository.mirror.keep(&repository.writing(), &kept).expect("kept");
    assert!(renewed().is_empty());
    for sha in kept {
        assert!(git(&["cat-file", "-e", &format!("refs/airlock/keep/{sha}")]), "{sha}");
    }
    assert!(git(&["fsck", "--strict"]));
    // The host gives what it still has, and what cannot be read anywhere is lost.
    repository.run("git config uploadpack.allowAnySHA1InWant true; git checkout -q --detach other; git branch -q -D other");
    assert!(git(&["repack", "-a", "-d", "-q"]));
    let unpack = "cd \"$1\"; mv objects/pack/*.pack ..; rm -f objects/pack/*; \
        for pack in ../*.pack; do git --git-dir=. unpack-objects -q < $pack; rm -f $pack; done";
    let unpacked = Command::new("bash").args(["-c", unpack, "-"]).arg(&own).status().expect("bash");
    assert!(unpacked.success());
    for name in ["rewritten_too", "asked_for"] {
        let sha = of(name).to_string();
        let (folder, rest) = sha.split_at(2);
        let object = own.join("objects").join(folder).join(rest);
        fs::remove_file(object).expect("removed");
    }
    assert_eq!(renewed(), [of("rewritten_too")].into());
    for name in ["fix", "rewritten", "asked_for"] {
        assert!(git(&["cat-file", "-e", &format!("refs/airlock/keep/{}", of(name))]), "{name}");
    }
    let writing = repository.writing();
    commits.extend(&repository.mirror, &repository.limits, &writing).expect("read");
    assert_eq!(anew(&repository.mirror).history.len(), commits.history.len());
}

#[test]
fn a_kill_while_a_new_mirror_takes_the_place_of_the_old_one_leaves_a_whole_one() {
    let (repository, mut commits) = fetched();
    let own = repository.mirror.repository();
    let dir = own.parent().expect("a folder").to_owned();
    let (old, fresh) = (dir.join("old.git"), dir.join("fresh/repository.git"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        let copied = Command::new("cp").arg("-R").args([from, to]).status().expect("cp");
        assert!(copied.success());
    };
    let is_whole = || {
        let found = anew(&repository.mirror).history.len();
        let branches = repository.mirror.branches().expect("branches").len();
        assert!(!old.exists() && !dir.join("fresh").exists());
        (found, branches) == (3, 1)
    };
    // Between the two: the old one is aside, the new one is not there yet.
    copy(&own, &fresh);
    fs::rename(&own, &old).expect("renamed");
    drop(repository.writing());
    assert!(is_whole(), "the new one");
    // Before the first, with the new one half made.
    fs::create_dir_all(fresh.join("objects")).expect("a folder");
    drop(repository.writing());
    assert!(own.exists() && repository.mirror.branches().expect("branches").len() == 1);
    repository.fetch(&mut commits).expect("a fetch");
    // After the second, with the old one half removed.
    fs::create_dir_all(old.join("objects")).expect("a folder");
    fs::create_dir_all(dir.join("fresh")).expect("a folder");
    drop(repository.writing());
    repository.fetch(&mut commits).expect("a fetch");
    assert!(is_whole(), "after the second");
    // Somebody took the new one away.
    fs::rename(&own, &old).expect("renamed");
    drop(repository.writing());
    assert!(is_whole(), "the old one");
}

#[test]
fn what_a_force_push_left_behind_is_kept_where_it_is_needed() {
    let (repository, mut commits) = fetched();
    let names = repository.names();
    let writing = repository.writing();
    repository.mirror.keep(&writing, [&names["fix"]]).expect("kept");
    drop(writing);
    repository.run("git tag -d v1; git reset -q --hard \"$(sha base)\"; c anew; git reflog expire --expire=now --all; git gc -q --prune=now");
    repository.fetch(&mut commits).expect("a fetch");
    let own = repository.mirror.repository();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&own).args(arguments).stderr(Stdio::null());
        git.status().expect("git").success()
    };
    assert!(git(&["gc", "-q", "--prune=now"]));
    let has = |sha: &Sha| git(&["cat-file", "-e", &sha.to_string()]);
    assert!(has(&names["fix"]) && !has(&names["later"]));
    // Forgotten or not, what was read is known.
    let history = &anew(&repository.mirror).history;
    let place = |name: &str| history.find(&repository.names()[name]).expect("a place");
    assert_eq!(history.reach(place("fix"), place("later")), Reach::Yes);
    assert_eq!(history.reach(place("fix"), place("anew")), Reach::No);
    assert!(repository.mirror.tags().expect("tags").is_empty());
}

#[test]
fn a_commit_that_no_branch_has_is_fetched_by_its_name() {
    let (repository, mut commits) = fetched();
    repository.run("git config uploadpack.allowAnySHA1InWant true; git checkout -q --detach; c alone; git checkout -q main");
    let alone = repository.names()["alone"];
    repository.fetch(&mut commits).expect("a fetch");
    assert_eq!(commits.history.find(&alone), None);
    let writing = repository.writing();
    let (url, none) = (repository.url(), Credential::default());
    repository.mirror.fetch_commits(&writing, &url, &none, [&alone]).expect("fetched");
    commits.extend(&repository.mirror, &repository.limits, &writing).expect("read");
    assert!(commits.history.find(&alone).is_some());
    let nobodys: Sha = "0123456789012345678901234567890123456789".parse().expect("a name");
    let said = refused(repository.mirror.fetch_commits(&writing, &url, &none, [&nobodys]));
    assert!(said.contains("not our ref"), "{said}");
}

#[test]
fn hostile_names_and_messages_are_only_text() {
    let (repository, mut commits) = fetched();
    repository.run(
        r#"
        sha=$(git rev-parse HEAD)
        git update-ref 'refs/heads/--upload-pack=touch${IFS}ran' $sha
        git update-ref 'refs/heads/$(touch${IFS}ran)'"$(printf '\xff')" $sha
        git update-ref refs/tags/-v1 "$(git rev-parse HEAD:base)"
        tree=$(git rev-parse HEAD^{tree})
        printf 'tree %s\nparent %s\nauthor \xff <\xff> 99999999999999 +9999\ncommitter x <y> -5 -0000\nencoding nonsense\n\n' $tree $sha > ../commit
        printf 'S\n\nThis reverts commit %0100000d.\n\0more' 7 >> ../commit
        odd=$(git hash-object --literally -t commit -w ../commit)
        git update-ref refs/heads/odd $odd
        echo "odd $odd" >> "$NAMES"
        "#,
    );
    repository.fetch(&mut commits).expect("a fetch");
    assert_eq!(commits.history.len(), 4);
    assert!(commits.history.find(&repository.names()["odd"]).is_some());
    assert_eq!(repository.mirror.branches().expect("branches").len(), 4);
}

#[test]
fn a_kill_in_the_middle_of_a_fetch_costs_only_time() {
    let (repository, mut commits) = fetched();
    repository.run("for i in $(seq 1 40); do c n$i; done");
    // What a killed fetch leaves: half a pack and locks of nobody.
    let own = repository.mirror.repository();
    fs::create_dir_all(own.join("objects/pack")).expect("a folder");
    fs::write(own.join("objects/pack/tmp_pack_abc"), b"PACK").expect("a file");
    fs::write(own.join("shallow.lock"), b"").expect("a file");
    fs::write(own.join("packed-refs.lock"), b"").expect("a file");
    fs::create_dir_all(own.join("refs/heads")).expect("a folder");
    fs::write(own.join("refs/heads/main.lock"), b"").expect("a file");
    repository.fetch(&mut commits).expect("a fetch");
    assert_eq!(commits.history.len(), 43);
    assert!(!own.join("objects/pack/tmp_pack_abc").exists());
}

#[test]
fn commits_that_are_malformed_are_read_as_far_as_they_go() {
    let (repository, mut commits) = fetched();
    repository.run(
        r#"
        tree=$(git rev-parse HEAD^{tree}); parent=$(git rev-parse HEAD)
        make() { printf "tree $tree\nparent $parent\n$2\nMessage\n" > ../commit; sha=$(git hash-object --literally -t commit -w ../commit); echo "$1 $sha" >> "$NAMES"; parent=$sha; }
        make no_author "committer x <y> 5 +0000\n"
        make no_address "author nobody 5 +0000\ncommitter x <y> 5 +0000\n"
        make no_time "author x <y>\ncommitter x <y>\n"
        make nothing ""
        git update-ref refs/heads/odd $parent
        git update-ref refs/heads/tmp_feature $parent
        "#,
    );
    repository.fetch(&mut commits).expect("a fetch");
    let place = |name: &str| commits.history.find(&repository.names()[name]).expect("a place");
    assert_eq!(commits.history.len(), 7);
    assert_eq!(commits.history.reach(place("fix"), place("nothing")), Reach::Yes);
    assert_eq!(repository.mirror.branches().expect("branches").len(), 3);
    // A branch may be called like what a killed fetch leaves behind.
    repository.fetch(&mut commits).expect("a fetch");
    assert_eq!(repository.mirror.branches().expect("branches").len(), 3);
}

#[test]
fn a_key_that_a_kill_left_behind_is_removed() {
    let (repository, _) = fetched();
    let key = repository.path().join("../mirror/key");
    fs::write(&key, "PRIVATE KEY").expect("a file");
    drop(repository.writing());
    assert!(!key.exists());
}

#[test]
fn why_a_repository_cannot_be_fetched_says_what_to_do() {
    let minute = Duration::from_mins(1);
    for (error, what_to_do) in [
        (FetchError::TimedOut(minute), "AIRLOCK_GIT_FETCH_TIMEOUT"),
        (FetchError::TooLarge(1_000), "AIRLOCK_GIT_MOST_BYTES"),
        (FetchError::Shallow, "git fetch --unshallow"),
        (FetchError::Sha256, "--object-format=sha1"),
    ] {
        let said = error.to_string();
        assert!(said.contains(what_to_do), "{said}");
    }
}
