//! The files of a mirror stay few, and nothing in it is lost.

use std::fs;
use std::path::Path;
use std::process::Command;

use airlock::domain::commit::Sha;
use airlock::git::command::Limits;
use airlock::git::graph_file::Commits;
use airlock::git::mirror::{FetchError, Mirror};
use airlock::git::upkeep::{Files, MOST_LOOSE_REFS, MOST_PACKS};

use super::Repository;

/// Runs a script in the mirror's own repository, with the working copy's path as `$1`.
fn in_mirror(repository: &Repository, script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euc", &format!("export GIT_DIR=$PWD\n{script}"), "-"])
        .arg(repository.path())
        .current_dir(repository.mirror.repository())
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A mirror after many fetches of one commit each, of which each left a pack and a tag; one commit is
/// kept that is on no branch any more, and one lies about that nothing leads to.
fn worn() -> (Repository, Commits) {
    let repository = Repository::new();
    let n_fetches = MOST_PACKS + 5;
    repository
        .run(&format!("c base; for i in $(seq {n_fetches}); do c c$i same; git tag t$i; done"));
    repository.run("on topic base; c kept; c forgotten; git checkout -q main");
    let mut commits = Commits::default();
    repository.fetch(&mut commits).expect("a fetch");
    let writing = repository.writing();
    repository.mirror.keep(&writing, [&repository.names()["kept"]]).expect("kept");
    drop(writing);
    repository.run("git branch -q -D topic");
    // The same objects as they would lie after small fetches.
    in_mirror(
        &repository,
        r"
        mv objects/pack ../packs; mkdir objects/pack
        for pack in ../packs/*.pack; do git unpack-objects -q < $pack; done
        ",
    );
    in_mirror(
        &repository,
        r#"
        before=
        for commit in $(git rev-list --reverse refs/heads/main); do
            (echo $commit; test -z "$before" || echo "^$before") | git pack-objects -q --revs objects/pack/pack > /dev/null
            before=$commit
        done
        git prune-packed -q
        "#,
    );
    repository.fetch(&mut commits).expect("a fetch");
    (repository, commits)
}

fn has(mirror: &Mirror, sha: &Sha) -> bool {
    let opened = mirror.open().expect("a repository");
    opened.find_commit(git2::Oid::from_bytes(&sha.0).expect("a name")).is_ok()
}

#[test]
fn many_packs_and_refs_become_few_and_nothing_is_lost() {
    let (repository, commits) = worn();
    let mirror = &repository.mirror;
    for number in 0..=MOST_LOOSE_REFS {
        let refs = mirror.repository().join("refs/heads/many");
        fs::create_dir_all(&refs).expect("a folder");
        let main = repository.names()["c1"].to_string();
        fs::write(refs.join(number.to_string()), format!("{main}\n")).expect("a file");
    }
    let before = mirror.files();
    assert!(before.packs > MOST_PACKS && before.loose_objects > 0, "{before:?}");
    let all = in_mirror(&repository, "git cat-file --batch-all-objects --batch-check | sort");
    let refs = in_mirror(&repository, "git for-each-ref");
    // Somebody reads meanwhile: what is opened before goes on.
    let reading = mirror.open().expect("a repository");
    let objects = reading.odb().expect("objects");
    let first = git2::Oid::from_bytes(&repository.names()["base"].0).expect("a name");
    reading.find_commit(first).expect("a commit");

    let writing = repository.writing();
    assert!(mirror.tend(&writing).expect("tended"));
    let after = mirror.files();
    assert!(after.packs < 10, "{after:?}");
    assert_eq!((after.loose_objects, after.loose_refs), (0, 0), "{after:?}");
    for line in all.lines() {
        let name = line.split(' ').next().expect("a name").parse().expect("a name");
        objects.read(name).expect("it is read as before");
    }
    let names = ["kept", "forgotten", "base"].map(|name| repository.names()[name]);
    assert!(names.iter().all(|sha| has(mirror, sha)));
    let now = in_mirror(&repository, "git cat-file --batch-all-objects --batch-check | sort");
    assert_eq!(now, all);
    assert_eq!(in_mirror(&repository, "git for-each-ref"), refs);
    in_mirror(&repository, "git fsck --full --strict");
    assert!(!mirror.repository().join("objects/pack/multi-pack-index").exists());
    assert!(!mirror.tend(&writing).expect("nothing to do"));
    assert_eq!(mirror.files(), after);
    drop(writing);

    // It is fetched as before.
    let mut commits = commits;
    repository.run("c after");
    repository.fetch(&mut commits).expect("a fetch");
    assert!(commits.history.find(&repository.names()["after"]).is_some());
    assert!(!mirror.branches().expect("branches").contains_key("many/1"));
    assert!(has(mirror, &repository.names()["kept"]));
}

#[test]
fn upkeep_that_ends_badly_costs_nothing_and_is_done_the_next_time() {
    let (repository, mut commits) = worn();
    let mirror = &repository.mirror;
    let before = mirror.files();
    // As the machine would have it: no room, no git, a disk that fails.
    let broken = tempfile::tempdir().expect("a folder");
    let git = broken.path().join("git");
    let script = "#!/bin/sh\ntouch objects/pack/.tmp-1-pack-x.pack\nexit 1\n";
    fs::write(&git, script).expect("a file");
    fs::set_permissions(&git, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let environment = vec![("PATH".into(), broken.path().into())];
    let limits = Limits { environment, ..repository.limits.clone() };
    let failing = Mirror::new(&repository.path().join("../mirror"), limits);
    let writing = failing.lock().expect("a lock");
    let said = failing.tend(&writing);
    assert!(matches!(said, Err(FetchError::Refused(_))), "{said:?}");
    drop(writing);
    assert_eq!(mirror.files(), before);
    // What a kill leaves behind holds up nobody.
    let own = mirror.repository();
    for left in ["packed-refs.new", "packed-refs.lock", "objects/pack/.tmp-7-pack-abc.pack"] {
        fs::write(own.join(left), b"x").expect("a file");
    }
    repository.fetch(&mut commits).expect("a fetch");
    assert!(!own.join("objects/pack/.tmp-7-pack-abc.pack").exists());
    in_mirror(&repository, "git pack-refs --all --prune");
    let writing = repository.writing();
    assert!(mirror.tend(&writing).expect("tended"));
    assert!(mirror.files().packs < 10, "{:?}", mirror.files());
}

#[test]
fn files_that_are_few_are_left_alone() {
    let repository = Repository::new();
    repository.run("c base; c fix");
    repository.fetch(&mut Commits::default()).expect("a fetch");
    let before = repository.mirror.files();
    assert_eq!(before, Files { packs: 0, loose_objects: 6, loose_refs: 1 });
    let writing = repository.writing();
    assert!(!repository.mirror.tend(&writing).expect("nothing to do"));
    assert_eq!(repository.mirror.files(), before);
    assert!(Path::new(&repository.mirror.repository()).join("refs/heads/main").exists());
}
