//! What each request does.

use serde_json::{Value, json};

use super::super::asana::Asked;
use super::server::{Outcome, Reply};
use super::state::{Comment, Happened, Issue, Label, Place, Role, State, Who};

/// The longest title and text, in characters.
const MOST_TITLE: usize = 256;
const MOST_BODY: usize = 65_536;

#[expect(clippy::unnecessary_wraps, reason = "so that it is what each route ends with")]
fn ok(body: Value) -> Outcome {
    Ok(Reply::new(200, body))
}

fn texts(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    let name = |one: &Value| one.as_str().or_else(|| one["name"].as_str()).map(str::to_owned);
    all.filter_map(name).collect()
}

fn no_field(resource: &str, field: &str) -> Reply {
    Reply::invalid(&[json!({"resource": resource, "code": "missing_field", "field": field})])
}

fn too_long(resource: &str, field: &str, most: usize) -> Reply {
    let message = format!("{field} is too long (maximum is {most} characters)");
    let error = json!({"resource": resource, "code": "custom", "field": field, "message": message});
    Reply::invalid(&[error])
}

impl State {
    /// Answers a request of somebody.
    pub(super) fn route(&mut self, who: &Who, asked: &Asked) -> Outcome {
        let segments = asked.segments.clone();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["user"] if asked.method == "GET" => ok(self.user(&who.login)),
            ["repos", owner, name, rest @ ..] => {
                let full = format!("{owner}/{name}");
                if self.role(&who.login) == Role::None {
                    return Err(Reply::not_found());
                }
                if full.to_lowercase() != self.repository.name.to_lowercase() {
                    // The old name of one that was renamed.
                    let is_old = full.to_lowercase() == super::REPOSITORY;
                    return Err(if is_old { self.moved(rest) } else { Reply::not_found() });
                }
                self.in_repository(who, asked, rest)
            }
            _ => Err(Reply::not_found()),
        }
    }

    fn moved(&self, rest: &[&str]) -> Reply {
        let url = format!("{}/repositories/77/{}", self.url, rest.join("/"));
        let mut reply = Reply::refused(301, "Moved Permanently");
        reply.body["url"] = json!(url);
        reply.headers.push(("location", url));
        reply
    }

    fn in_repository(&mut self, who: &Who, asked: &Asked, path: &[&str]) -> Outcome {
        let is_write = asked.method != "GET";
        if is_write && !who.may_write {
            return Err(Reply::refused(403, "Resource not accessible by personal access token"));
        }
        if is_write && self.repository.is_archived {
            return Err(Reply::refused(403, "Repository was archived so is read-only."));
        }
        if path.first() == Some(&"issues") && !self.repository.has_issues {
            return Err(Reply::refused(410, "Issues are disabled for this repo"));
        }
        let body = asked.json();
        match (asked.method.as_str(), path) {
            ("GET", []) => ok(self.repository_record(&who.login)),
            ("GET", ["issues"]) => self.list(asked),
            ("POST", ["issues"]) => self.create(who, &body),
            ("GET", ["assignees", login]) => {
                if self.role(login) >= Role::Triage {
                    Ok(Reply::new(204, Value::Null))
                } else {
                    Err(Reply::not_found())
                }
            }
            (_, ["labels", ..]) => self.route_label(who, asked, path),
            (_, ["issues", number, rest @ ..]) => {
                let issue = self.find(number, rest)?;
                self.in_issue(who, asked, (issue.number, rest))
            }
            _ => Err(Reply::not_found()),
        }
    }

    fn find(&self, number: &str, rest: &[&str]) -> Result<&Issue, Reply> {
        let found = self.issues.iter().find(|issue| issue.number.to_string() == number);
        let found = found.ok_or_else(Reply::not_found)?;
        if found.place == Place::Deleted {
            return Err(Reply::refused(410, "This issue was deleted"));
        }
        if found.place == Place::Moved {
            return Err(self.moved(&[&["issues", number], rest].concat()));
        }
        Ok(found)
    }

    fn list(&self, asked: &Asked) -> Outcome {
        let query = |name: &str| asked.query.get(name).map_or("", String::as_str);
        let labels: Vec<String> = query("labels").split(',').map(str::to_lowercase).collect();
        let state = if query("state").is_empty() { "open" } else { query("state") };
        // `YYYY-MM-DDTHH:MM:SSZ`.
        if !["".len(), "2026-11-22T12:00:00Z".len()].contains(&query("since").len()) {
            return Err(Reply::invalid(&[json!({"field": "since", "code": "invalid"})]));
        }
        let since = airlock::domain::time::Timestamp::parse(query("since"));
        let is_listed = |issue: &&Issue| {
            let has = |label: &String| issue.labels.iter().any(|own| own.to_lowercase() == *label);
            issue.is_here()
                && (query("labels").is_empty() || labels.iter().all(has))
                && (state == "all" || (state == "closed") == issue.is_closed)
                && since.is_none_or(|since| issue.updated_at >= since)
        };
        let mut found: Vec<&Issue> = self.issues.iter().filter(is_listed).collect();
        if query("sort") == "updated" {
            found.sort_by_key(|issue| issue.updated_at);
        }
        if query("direction") != "asc" {
            found.reverse();
        }
        let records = found.into_iter().map(|issue| self.issue_record(issue)).collect();
        self.page(asked, records)
    }

    /// A page of records. What comes next is told by an address that is not to be made up: its cursor
    /// is no number of a page.
    #[expect(clippy::unnecessary_wraps, reason = "so that it is what each route ends with")]
    fn page(&self, asked: &Asked, records: Vec<Value>) -> Outcome {
        let number = |name: &str| asked.query.get(name).and_then(|text| text.parse().ok());
        let size: usize = number("per_page").unwrap_or(30).min(100);
        let cursor = asked.query.get("after").and_then(|text| text.strip_prefix("cursor"));
        let from = match cursor.and_then(|text| text.parse::<usize>().ok()) {
            Some(from) => from,
            None => (number("page").unwrap_or(1) - 1) * size,
        };
        let n_all = records.len();
        let page: Vec<Value> = records.into_iter().skip(from).take(size).collect();
        let end = from + page.len();
        let mut reply = Reply::new(200, json!(page));
        if end < n_all {
            let kept = asked.target.split('?').nth(1).unwrap_or_default().split('&');
            let kept =
                kept.filter(|pair| !pair.starts_with("after=") && !pair.starts_with("page="));
            let query =
                kept.chain([format!("after=cursor{end}").as_str()]).collect::<Vec<_>>().join("&");
            let url = format!("{}{}?{query}", self.url, asked.path());
            reply.headers.push(("link", format!("<{url}>; rel=\"next\"")));
        }
        Ok(reply)
    }

    fn check_texts(resource: &str, body: &Value) -> Result<(), Reply> {
        for (field, most) in [("title", MOST_TITLE), ("body", MOST_BODY)] {
            if body[field].as_str().is_some_and(|text| text.chars().count() > most) {
                return Err(too_long(resource, field, most));
            }
        }
        Ok(())
    }

    /// Those who may be assigned; others are refused.
    fn assignees(&self, body: &Value) -> Result<Vec<String>, Reply> {
        let known = |login: &String| {
            let mut all = self.roles.iter();
            let found = all.find(|(own, role)| {
                own.to_lowercase() == login.to_lowercase() && **role >= Role::Triage
            });
            found.map(|(own, _)| own.clone()).ok_or_else(|| {
                let error = json!({"value": login, "resource": "Issue", "field": "assignees",
                    "code": "invalid"});
                Reply::invalid(&[error])
            })
        };
        texts(&body["assignees"]).iter().map(known).collect()
    }

    fn create(&mut self, who: &Who, body: &Value) -> Outcome {
        let title = body["title"].as_str().unwrap_or_default().to_owned();
        if title.is_empty() {
            return Err(Reply::refused(422, "Invalid request.\n\n\"title\" wasn't supplied."));
        }
        Self::check_texts("Issue", body)?;
        let (mut assignees, mut labels) = (self.assignees(body)?, texts(&body["labels"]));
        let role = self.role(&who.login);
        let is_new = |name: &String| {
            !self.labels.iter().any(|own| own.name.to_lowercase() == name.to_lowercase())
        };
        if role < Role::Write && labels.iter().any(is_new) {
            return Err(Reply::refused(
                403,
                "You do not have permission to create labels on this repository.",
            ));
        }
        if role < Role::Triage {
            // In silence.
            (assignees, labels) = (Vec::new(), Vec::new());
        }
        let labels = labels.iter().map(|name| self.label(name)).collect();
        let text = body["body"].as_str().unwrap_or_default().to_owned();
        let issue = self.new_issue(&who.login, &title, &text);
        let number = issue.number;
        (issue.assignees, issue.labels) = (assignees.clone(), labels);
        let (labels, of) = (issue.labels.clone(), (number, who.login.as_str()));
        self.note_change(of, ["labeled", "unlabeled"], (&[], &labels));
        self.note_change(of, ["assigned", "unassigned"], (&[], &assignees));
        let issue = self.issue(number).clone();
        let mut reply = Reply::new(201, self.issue_record(&issue));
        let url = reply.body["url"].as_str().unwrap_or_default().to_owned();
        reply.headers.push(("location", url));
        Ok(reply)
    }

    fn in_issue(&mut self, who: &Who, asked: &Asked, (number, path): (u64, &[&str])) -> Outcome {
        let body = asked.json();
        let role = self.role(&who.login);
        let is_own = self.issue_mut(number).user == who.login;
        let may_write = role >= Role::Triage || is_own;
        let (now, id) = (self.time(), self.id());
        let forbidden = || Reply::refused(403, "Must have admin rights to Repository.");
        if asked.method != "GET" {
            self.issue_mut(number).updated_at = now;
        }
        match (asked.method.as_str(), path) {
            ("GET", []) => ok(self.issue_record(self.issue(number))),
            ("PATCH", []) if may_write => self.update(who, number, &body),
            ("GET", [list @ ("timeline" | "events")]) => {
                let mut all = self.timeline(self.issue(number));
                all.retain(|one| *list == "timeline" || one["event"] != "commented");
                self.page(asked, all)
            }
            ("GET", ["comments"]) => {
                let issue = self.issue_mut(number).clone();
                let all = issue.comments.iter().map(|one| self.comment_record(&issue, one));
                self.page(asked, all.collect())
            }
            ("POST", ["comments"]) => {
                let text = body["body"].as_str().filter(|text| !text.is_empty());
                let text = text.ok_or_else(|| no_field("IssueComment", "body"))?.to_owned();
                Self::check_texts("IssueComment", &body)?;
                let issue = self.issue_mut(number);
                if issue.is_locked && role < Role::Write {
                    return Err(Reply::refused(
                        403,
                        "Unable to create comment because issue is locked.",
                    ));
                }
                let comment = Comment { id, user: who.login.clone(), body: text, at: now };
                issue.comments.push(comment.clone());
                let (actor, what) = (who.login.clone(), String::new());
                issue.timeline.push(Happened { id, event: "commented", actor, what, at: now });
                let issue = issue.clone();
                Ok(Reply::new(201, self.comment_record(&issue, &comment)))
            }
            ("GET", ["labels"]) => ok(json!(self.labels_of(self.issue(number)))),
            ("POST", ["labels"]) if role >= Role::Triage => {
                let names: Vec<String> =
                    if body.is_array() { texts(&body) } else { texts(&body["labels"]) };
                for name in names {
                    let name = self.label(&name);
                    if !self.issue(number).labels.contains(&name) {
                        self.note(number, &who.login, "labeled", &name);
                        self.issue_mut(number).labels.push(name);
                    }
                }
                ok(json!(self.labels_of(self.issue(number))))
            }
            ("DELETE", ["labels", name]) if role >= Role::Triage => {
                let before = self.issue(number).labels.clone();
                let mut after = before.clone();
                after.retain(|own| own.to_lowercase() != name.to_lowercase());
                if after == before {
                    return Err(Reply::refused(404, "Label does not exist"));
                }
                let (of, what) = ((number, who.login.as_str()), ["labeled", "unlabeled"]);
                self.note_change(of, what, (&before, &after));
                self.issue_mut(number).labels = after;
                ok(json!(self.labels_of(self.issue(number))))
            }
            ("PUT" | "DELETE", ["lock"]) if role >= Role::Write => {
                self.issue_mut(number).is_locked = asked.method == "PUT";
                Ok(Reply::new(204, Value::Null))
            }
            ("PATCH" | "POST" | "DELETE" | "PUT", _) => Err(forbidden()),
            _ => Err(Reply::not_found()),
        }
    }

    fn update(&mut self, who: &Who, number: u64, body: &Value) -> Outcome {
        Self::check_texts("Issue", body)?;
        let (role, before) = (self.role(&who.login), self.issue(number).clone());
        let (assignees, now) = (self.assignees(body)?, self.time());
        let labels: Vec<String> =
            texts(&body["labels"]).iter().map(|one| self.label(one)).collect();
        let issue = self.issue_mut(number);
        if let Some(title) = body["title"].as_str() {
            title.clone_into(&mut issue.title);
        }
        if let Some(text) = body["body"].as_str() {
            text.clone_into(&mut issue.body);
        }
        if let Some(state) = body["state"].as_str() {
            let is_closed = state == "closed";
            if is_closed != issue.is_closed {
                let usual = if is_closed { "completed" } else { "reopened" };
                let reason = body["state_reason"].as_str().unwrap_or(usual);
                issue.reason = Some(reason.to_owned());
                issue.closed_at = is_closed.then_some(now);
            }
            issue.is_closed = is_closed;
        }
        // In silence otherwise.
        if role >= Role::Triage && !body["assignees"].is_null() {
            issue.assignees = assignees;
        }
        if role >= Role::Triage && !body["labels"].is_null() {
            issue.labels = labels;
        }
        let (issue, of) = (issue.clone(), (number, who.login.as_str()));
        self.note_change(of, ["labeled", "unlabeled"], (&before.labels, &issue.labels));
        self.note_change(of, ["assigned", "unassigned"], (&before.assignees, &issue.assignees));
        if issue.is_closed != before.is_closed {
            let event = if issue.is_closed { "closed" } else { "reopened" };
            self.note(number, &who.login, event, issue.reason.as_deref().unwrap_or_default());
        }
        ok(self.issue_record(&issue))
    }

    fn route_label(&mut self, who: &Who, asked: &Asked, path: &[&str]) -> Outcome {
        let body = asked.json();
        let same = |own: &str, name: &str| own.to_lowercase() == name.to_lowercase();
        let is_write = self.role(&who.login) >= Role::Write;
        match (asked.method.as_str(), path) {
            ("GET", ["labels"]) => {
                let records = self.labels.iter().map(|label| self.label_record(label)).collect();
                self.page(asked, records)
            }
            ("GET", ["labels", name]) => {
                let found = self.labels.iter().find(|label| same(&label.name, name));
                ok(self.label_record(found.ok_or_else(Reply::not_found)?))
            }
            // Who may not is not told so.
            (_, ["labels", ..]) if !is_write => Err(Reply::not_found()),
            ("POST", ["labels"]) => {
                let name = body["name"].as_str().ok_or_else(|| no_field("Label", "name"))?;
                if self.labels.iter().any(|label| same(&label.name, name)) {
                    let error =
                        json!({"resource": "Label", "code": "already_exists", "field": "name"});
                    return Err(Reply::invalid(&[error]));
                }
                let color = body["color"].as_str().unwrap_or("ededed").to_owned();
                let description = body["description"].as_str().map(str::to_owned);
                let label = Label { id: self.id(), name: name.to_owned(), color, description };
                let record = self.label_record(&label);
                self.labels.push(label);
                Ok(Reply::new(201, record))
            }
            ("DELETE", ["labels", name]) => {
                self.labels.retain(|label| !same(&label.name, name));
                for issue in &mut self.issues {
                    issue.labels.retain(|own| !same(own, name));
                }
                Ok(Reply::new(204, Value::Null))
            }
            _ => Err(Reply::not_found()),
        }
    }
}
