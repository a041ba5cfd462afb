"""A stock client of GitHub's API works against the server, and finds what the published API promises.

    conformance.py issues | pages | comments | labels | people | history | refused | limits | gone

GITHUB_API, GITHUB_TOKEN and GITHUB_REPOSITORY come from the environment. Ends with 0 when all is as it should be.
"""

import datetime
import os
import sys

import github
from github import Auth, Github, GithubException

CLIENT = Github(
    auth=Auth.Token(os.environ["GITHUB_TOKEN"]),
    base_url=os.environ["GITHUB_API"],
    per_page=10,
    retry=None,
    seconds_between_requests=None,
    seconds_between_writes=None,
)


def same(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def repository():
    return CLIENT.get_repo(os.environ["GITHUB_REPOSITORY"])


def refused(status, call, *arguments, **options):
    """The error that a call must end with."""
    try:
        answer = call(*arguments, **options)
    except GithubException as error:
        same(error.status, status)
        return error
    raise AssertionError(f"not refused but {answer!r}")


def names(records):
    return sorted(record.name for record in records)


def issues():
    repo = repository()
    same((repo.has_issues, repo.archived, repo.permissions.push), (True, False, True))
    same(CLIENT.get_user().login, "airlock-bot")
    issue = repo.create_issue("checkout is broken", body="it is", labels=["airlock", "bug"], assignees=["zoe"])
    same((issue.number, issue.state, issue.title, issue.body), (1, "open", "checkout is broken", "it is"))
    same((names(issue.labels), [one.login for one in issue.assignees]), (["airlock", "bug"], ["zoe"]))
    same((issue.user.login, issue.pull_request, issue.closed_at), ("airlock-bot", None, None))
    same(issue.html_url, f"https://github.com/{repo.full_name}/issues/1")
    issue.edit(state="closed", state_reason="completed")
    again = repo.get_issue(1)
    same((again.state, again.state_reason, again.closed_at is None), ("closed", "completed", False))
    again.edit(state="open", title="it is still broken", assignees=[])
    again.update()
    same((again.state, again.state_reason, again.title, again.assignees), ("open", "reopened", "it is still broken", []))
    same(repo.create_issue("no text").body, None)


def pages():
    repo = repository()
    for n in range(25):
        repo.create_issue(f"issue {n}", labels=["airlock"] if n % 2 else [])
    repo.get_issue(3).edit(state="closed")
    same([one.number for one in repo.get_issues(state="all", sort="created", direction="asc")], list(range(1, 26)))
    same([one.number for one in repo.get_issues(state="closed")], [3])
    same(len(list(repo.get_issues())), 24)
    same(len(list(repo.get_issues(labels=["airlock"], state="all"))), 12)
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3_650)
    same(list(repo.get_issues(state="all", since=soon)), [])


def comments():
    issue = repository().create_issue("talk")
    for n in range(12):
        made = issue.create_comment(f"comment {n}")
    same((made.body, made.user.login), ("comment 11", "airlock-bot"))
    same([one.body for one in issue.get_comments()], [f"comment {n}" for n in range(12)])
    issue.lock("resolved")
    same(repository().get_issue(issue.number).locked, True)
    issue.unlock()


def labels():
    repo = repository()
    made = repo.create_label("airlock: lock beta", "5319e7", "what locks beta")
    same((made.name, made.color, made.description), ("airlock: lock beta", "5319e7", "what locks beta"))
    same(repo.get_label("airlock: lock beta").name, "airlock: lock beta")
    same(refused(422, repo.create_label, "Airlock: lock beta", "5319e7").data["errors"][0]["code"], "already_exists")
    issue = repo.create_issue("a lock")
    issue.add_to_labels("airlock: lock beta", "new")
    same(names(issue.get_labels()), ["airlock: lock beta", "new"])
    issue.remove_from_labels("airlock: lock beta")
    same(names(issue.get_labels()), ["new"])
    same(refused(404, issue.remove_from_labels, "airlock: lock beta").data["message"], "Label does not exist")
    repo.get_label("new").delete()
    same(names(repo.get_issue(issue.number).labels), [])


def people():
    repo = repository()
    same((repo.has_in_assignees("zoe"), repo.has_in_assignees("mallory")), (True, False))
    error = refused(422, repo.create_issue, "x", assignees=["mallory"])
    same(error.data["errors"][0]["field"], "assignees")
    same(list(repo.get_issues()), [])


def history():
    """What happened with an issue, who did it, and which issues changed since."""
    repo = repository()
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=3_650)
    issue = repo.create_issue("a lock", labels=["locks"], assignees=["zoe"])
    issue.create_comment("fixed in 4f2c91a")
    issue.edit(state="closed", assignees=[])
    issue.edit(state="open")
    issue.remove_from_labels("locks")
    happened = ["labeled", "assigned", "unassigned", "closed", "reopened", "unlabeled"]
    events = list(issue.get_events())
    same([one.event for one in events], happened)
    same({one.actor.login for one in events}, {"airlock-bot"})
    same((events[0].label.name, events[1].assignee.login), ("locks", "zoe"))
    line = list(issue.get_timeline())
    same([one.event for one in line], happened[:2] + ["commented"] + happened[2:])
    same((line[2].body, line[2].actor.login), ("fixed in 4f2c91a", "airlock-bot"))
    same(line[2].raw_data["author_association"], "COLLABORATOR")
    same(all(one.id and one.created_at for one in line), True)
    same([one.number for one in repo.get_issues(state="all", since=start)], [1])
    same([one.number for one in repo.get_issues(state="all", sort="updated", direction="desc")], [1])
    same([one.comments for one in repo.get_issues(labels=["locks"])], [])


def refusals():
    repo = repository()
    same(refused(422, repo.create_issue, "").data["message"].startswith("Invalid request"), True)
    same(refused(422, repo.create_issue, "x" * 257).data["errors"][0]["field"], "title")
    same(refused(422, repo.create_issue, "x", body="x" * 65_537).data["errors"][0]["field"], "body")
    refused(404, repo.get_issue, 99)
    refused(404, CLIENT.get_repo, "acme/other")
    stranger = Github(auth=Auth.Token("wrong"), base_url=os.environ["GITHUB_API"], retry=None)
    same(type(refused(401, stranger.get_repo, repo.full_name)), github.BadCredentialsException)


def limits():
    """Requests are refused because of limits, which the test plans: each of them once."""
    repo = repository()
    for _ in range(3):
        same(type(refused(403, repo.create_issue, "x")), github.RateLimitExceededException)
    refused(422, repo.create_issue, "x")
    same(repo.create_issue("x").number, 1)


def gone():
    """The test deletes the first issue."""
    refused(410, repository().get_issue, 1)


STEPS = {"issues": issues, "pages": pages, "comments": comments, "labels": labels, "people": people,
         "history": history, "refused": refusals, "limits": limits, "gone": gone}

STEPS[sys.argv[1]]()
