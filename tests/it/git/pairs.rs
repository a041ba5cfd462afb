//! Whether one commit descends from another, beside git itself.

use std::process::Command;

use airlock::domain::history::{Place, Reach};
use airlock::git::graph_file::Commits;

use super::large::{Numbers, make};
use super::{Repository, url};

#[test]
fn commits_descend_from_each_other_as_git_says() {
    const N_COMMITS: usize = 5_000;
    const N_PAIRS: usize = 1_000;
    let repository = Repository::new();
    let origin = repository.path().join("large.git");
    make(&origin, N_COMMITS).expect("a repository");
    let mut commits = Commits::default();
    let writing = repository.writing();
    let url = url(&origin, &repository.limits);
    repository.mirror.fetch(&writing, &url, &super::Credential::default()).expect("a fetch");
    commits.extend(&repository.mirror, &repository.limits, &writing).expect("commits");
    let history = &commits.history;
    assert!(history.len() > N_COMMITS * 9 / 10, "{}", history.len());
    let places: Vec<Place> = history.places_from(0).collect();
    let mut numbers = Numbers(42);
    let mut n_yes = 0;
    for _ in 0..N_PAIRS {
        let earlier = places[numbers.below(places.len())];
        let later = places[numbers.below(places.len())];
        let status = Command::new("git")
            .arg("--git-dir")
            .arg(&origin)
            .args(["merge-base", "--is-ancestor"])
            .arg(history.sha(earlier).to_string())
            .arg(history.sha(later).to_string())
            .status()
            .expect("git");
        let expected = if status.success() { Reach::Yes } else { Reach::No };
        assert_eq!(history.reach(earlier, later), expected);
        n_yes += usize::from(status.success());
    }
    assert!((N_PAIRS / 10..N_PAIRS * 9 / 10).contains(&n_yes), "{n_yes}");
}
