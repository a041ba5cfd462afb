//! Tasks: those of the tracker that is part of Airlock, and what is on its way to any tracker.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::auth::Bearer;
use super::environments::item_of;
use super::extract::{Json, Query};
use super::page::{Page, PageQuery, page};
use super::{Api, ApiError, Code};
use crate::domain::id::{ProjectId, ProjectItemId};
use crate::domain::lock::{InvalidLock, MOST_REASON_CHARS};
use crate::domain::project::Project;
use crate::domain::task::{Block, By, Did, Patch, Seen, Wanted};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::domain::tracker::{Board, TrackerSettings};
use crate::release::locks::adopt;
use crate::store::Tx;
use crate::store::built_in::{BuiltInAct, BuiltInTask};
use crate::store::outbox::{EffectState, StoredEffect};
use crate::store::task::Task;
use crate::triage::{MOST_ASSIGNEE_CHARS, MOST_COMMENT_CHARS};

/// So many projects are looked through at a time.
const MOST_PROJECTS: i64 = 100;

/// The task of something, wherever it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskReference {
    /// `built_in`, or another kind of tracker.
    tracker: String,
    /// What the tracker calls it; null until it is there.
    id: Option<String>,
    url: Option<String>,
    /// `planned`; `held` while there are so many new ones; `open`, `done`, or `deleted` by somebody.
    state: &'static str,
    /// When it was last in line with what it stands for.
    #[schema(value_type = Option<String>, format = DateTime)]
    synced_at: Option<Timestamp>,
    /// Why it is not.
    error: Option<String>,
}

impl From<Task> for TaskReference {
    fn from(task: Task) -> Self {
        let state = match (&task.remote, task.is_done) {
            _ if task.deleted_at.is_some() => "deleted",
            (None, _) if task.held_at.is_some() => "held",
            (None, _) => "planned",
            (Some(_), false) => "open",
            (Some(_), true) => "done",
        };
        let (id, url) = task.remote.map(|remote| (remote.id, remote.url)).unzip();
        Self { tracker: task.tracker, id, url, state, synced_at: task.synced_at, error: task.error }
    }
}

/// A task of the tracker that is part of Airlock.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskResponse {
    number: i64,
    title: String,
    /// `text`, `facts`, `code` and `link`, in order.
    #[schema(value_type = Vec<Object>)]
    body: Vec<Block>,
    /// `open` or `done`.
    state: &'static str,
    assignee: Option<String>,
    /// `issues`, `locks/…` and `deploys/…` of environments.
    boards: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
    /// What was said on it, the oldest first; in lists empty.
    comments: Vec<CommentResponse>,
    url: String,
}

/// What was said on a task.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CommentResponse {
    /// Null for Airlock.
    author: Option<String>,
    text: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl TaskResponse {
    fn new(
        (api, slug): (&Api, &str),
        task: BuiltInTask,
        boards: Vec<String>,
        acts: Vec<BuiltInAct>,
    ) -> Self {
        let comment = |BuiltInAct { author, did, at, .. }| match did {
            Did::Said(text) => Some(CommentResponse { author, text, at }),
            Did::Completed
            | Did::Reopened
            | Did::Assigned
            | Did::SetFix
            | Did::Moved
            | Did::Other => None,
        };
        Self {
            url: api.url(&format!("/api/v1/projects/{slug}/tasks/{}", task.number)),
            number: task.number,
            title: task.title,
            body: task.body,
            state: if task.is_done { "done" } else { "open" },
            assignee: task.assignee,
            boards,
            created_at: task.created_at,
            changed_at: task.changed_at,
            comments: acts.into_iter().filter_map(comment).collect(),
        }
    }
}

/// Which tasks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TasksQuery {
    /// `open` (by default) or `done`.
    state: Option<String>,
    /// `issues`, `locks/…` or `deploys/…` of an environment; all boards without.
    board: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The tasks of a project in the tracker that is part of Airlock, the newest first.
#[utoipa::path(tag = "tasks", params(TasksQuery),
    responses((status = 200, body = Page<TaskResponse>), (status = 404), (status = 422)))]
#[get("/api/v1/projects/{slug}/tasks")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    query: Query<TasksQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let TasksQuery { state, board, limit, cursor } = query.0;
    let is_done = match state.as_deref() {
        None | Some("open") => false,
        Some("done") => true,
        Some(_) => return Err(ApiError::invalid("state must be open or done")),
    };
    let no_board =
        || ApiError::invalid("board must be issues, locks/ENVIRONMENT or deploys/ENVIRONMENT");
    let board = board.map(|name| Board::parse(&name).ok_or_else(no_board)).transpose()?;
    let query = PageQuery { limit, cursor };
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let (limit, before) = (query.limit()?, query.after(|cursor| cursor.parse().ok())?);
    let place = (before.unwrap_or(i64::MAX), limit + 1);
    let tasks = tx.list_built_in_tasks(project.id, (is_done, board.as_ref()), place).await?;
    let numbers = || tasks.iter().map(|task| task.number);
    let range = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
    let mut boards = tx.list_built_in_places(project.id, range).await?;
    let shown = |task: BuiltInTask| {
        let boards = boards.remove(&task.number).unwrap_or_default();
        TaskResponse::new((&api, &project.slug), task, boards, Vec::new())
    };
    Ok(HttpResponse::Ok().json(page(tasks, limit, |task| task.number.to_string(), shown)))
}

/// A task of the tracker that is part of Airlock, with what was said on it.
#[utoipa::path(tag = "tasks", responses((status = 200, body = TaskResponse), (status = 404)))]
#[get("/api/v1/projects/{slug}/tasks/{number}")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let (slug, number) = path.into_inner();
    show_task(&api, &bearer, (&slug, &number)).await
}

async fn show_task(
    api: &Api,
    bearer: &Bearer,
    (slug, number): (&str, &str),
) -> Result<HttpResponse, ApiError> {
    let missing = || ApiError::not_found(format!("task {number:?}"));
    let number = number.parse().map_err(|_| missing())?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, slug).await?;
    let task = tx.find_built_in_task(project.id, number).await?.ok_or_else(missing)?;
    let acts = tx.list_built_in_acts(project.id, number).await?;
    let boards = tx.list_built_in_places(project.id, (number, number)).await?;
    let boards = boards.into_values().flatten().collect();
    let shown = TaskResponse::new((api, &project.slug), task, boards, acts);
    Ok(HttpResponse::Ok().json(shown))
}

/// Whose a task is to be.
#[derive(Debug, Default)]
enum AssigneeChange {
    #[default]
    Same,
    Nobody,
    To(String),
}

/// Tells null, which takes the task from everybody, from a field that is not there.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<AssigneeChange, D::Error> {
    let to = Option::<String>::deserialize(value)?;
    Ok(to.map_or(AssigneeChange::Nobody, AssigneeChange::To))
}

/// What a person changes of a task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskPatch {
    /// `open` or `done`.
    state: Option<String>,
    /// Null for nobody.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    assignee: AssigneeChange,
    /// All on which it is to be: `issues`, `locks/…`, `deploys/…`.
    boards: Option<Vec<String>>,
}

/// A task that locks an environment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTask {
    /// Why.
    title: String,
    /// `locks/…` of an environment.
    board: String,
    /// More about it.
    text: Option<String>,
    assignee: Option<String>,
}

/// Something to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewComment {
    text: String,
}

/// A task on which somebody does something, in a transaction in which nobody else does.
async fn task_of(
    api: &Api,
    bearer: &Bearer,
    (slug, number): (&str, &str),
) -> Result<(Tx, Project, BuiltInTask), ApiError> {
    bearer.require(Scope::Triage)?;
    let missing = || ApiError::not_found(format!("task {number:?}"));
    let known = number.parse().map_err(|_| missing())?;
    let mut tx = api.store.write().await?;
    let project = bearer.project(&mut tx, slug).await?;
    if !tx.touch_built_in_task(project.id, known, api.clock.now()).await? {
        return Err(missing());
    }
    let task = tx.find_built_in_task(project.id, known).await?.ok_or_else(missing)?;
    Ok((tx, project, task))
}

fn check_assignee(assignee: Option<&String>) -> Result<(), ApiError> {
    let is_usable =
        |name: &String| (1..=MOST_ASSIGNEE_CHARS).contains(&name.trim().chars().count());
    if assignee.is_none_or(is_usable) {
        return Ok(());
    }
    let detail = format!("assignee must have 1 to {MOST_ASSIGNEE_CHARS} characters, or be null");
    Err(ApiError::invalid(detail))
}

/// The board of a project that has this name.
fn board_of(project: &Project, name: &str) -> Result<Board, ApiError> {
    let is_there = |board: &Board| match board {
        Board::Issues => true,
        Board::Locks(environment) | Board::Deploys(environment) => {
            project.environments.iter().any(|one| one.name == *environment)
        }
    };
    Board::parse(name).filter(is_there).ok_or_else(|| {
        let detail = format!("there is no board {name:?}: issues, locks/… and deploys/… are some");
        ApiError::invalid(detail)
    })
}

/// Notes what somebody did on a task, and that it is looked at.
async fn did(
    (api, bearer): (&Api, &Bearer),
    tx: &mut Tx,
    (project, number): (ProjectId, i64),
    all: Vec<Did>,
) -> Result<(), ApiError> {
    let now = api.clock.now();
    for did in all {
        let (key, author) = (api.clock.id().to_string(), Some(bearer.actor().to_owned()));
        let act = BuiltInAct { key, author, did, at: now };
        tx.insert_built_in_act(project, number, &act).await?;
    }
    // In another tracker the issue has another task.
    if tx.find_tracker(project).await?.is_none() {
        let (place, ids) = (TrackerSettings::BuiltIn {}.place(), [number.to_string()]);
        tx.hint_tasks((project, &place), &ids, false, now).await?;
    }
    Ok(())
}

/// Makes a task that locks an environment.
#[utoipa::path(tag = "tasks", request_body = NewTask,
    responses((status = 201, body = TaskResponse), (status = 404), (status = 409), (status = 422)))]
#[post("/api/v1/projects/{slug}/tasks")]
pub(super) async fn create(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<NewTask>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Triage)?;
    let NewTask { title, board, text, assignee } = body.0;
    check_assignee(assignee.as_ref())?;
    if !(1..=MOST_REASON_CHARS).contains(&title.trim().chars().count()) {
        let detail = format!("title must have 1 to {MOST_REASON_CHARS} characters");
        return Err(ApiError::invalid(detail));
    }
    if text.as_ref().is_some_and(|text| text.chars().count() > MOST_COMMENT_CHARS) {
        let detail = format!("text must have at most {MOST_COMMENT_CHARS} characters");
        return Err(ApiError::invalid(detail));
    }
    let mut tx = api.store.write().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let board = board_of(&project, &board)?;
    let Board::Locks(environment) = &board else {
        return Err(ApiError::invalid("board must be locks/ENVIRONMENT"));
    };
    if let Some(other) = tx.find_tracker(project.id).await? {
        let detail = format!("its tasks are in {}: make it there", other.settings.kind());
        return Err(ApiError::new(Code::InvalidTransition, detail));
    }
    // Gates come before tasks in every transaction.
    tx.raise_gate(project.id, environment).await?;
    let (key, body) = (api.clock.id().to_string(), text.map(Block::Text).into_iter().collect());
    let wanted = Wanted { title, body, is_done: false, assignee, fix: None };
    let now = api.clock.now();
    let number = tx.insert_built_in_task(project.id, &board, (&key, &wanted), now).await?;
    let seen = Seen {
        url: api.url(&format!("/api/v1/projects/{}/tasks/{number}", project.slug)),
        title: wanted.title,
        author: Some(By::Person(bearer.actor().to_owned())),
        assignee: wanted.assignee,
        ..Seen::default()
    };
    let settings = TrackerSettings::BuiltIn {};
    let of = (project.id, environment.as_str());
    let from = (settings.kind(), settings.place());
    let task = (number.to_string(), seen);
    let made = adopt(&mut tx, &api.clock, of, (from.0, &from.1), (&task.0, &task.1)).await?;
    made.ok_or_else(|| ApiError::invalid(InvalidLock::TooMany.to_string()))?;
    tx.commit().await?;
    let mut shown = show_task(&api, &bearer, (&slug, &task.0)).await?;
    *shown.status_mut() = StatusCode::CREATED;
    Ok(shown)
}

/// Completes a task of the tracker that is part of Airlock, opens it again, gives it to somebody, or puts it
/// on other boards; the same is done with what it stands for.
#[utoipa::path(tag = "tasks", request_body = TaskPatch,
    responses((status = 200, body = TaskResponse), (status = 404), (status = 422)))]
#[patch("/api/v1/projects/{slug}/tasks/{number}")]
pub(super) async fn change(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    body: Json<TaskPatch>,
) -> Result<HttpResponse, ApiError> {
    let (slug, number) = path.into_inner();
    let is_done = match body.0.state.as_deref() {
        None => None,
        Some("open") => Some(false),
        Some("done") => Some(true),
        Some(_) => return Err(ApiError::invalid("state must be open or done")),
    };
    let TaskPatch { assignee, boards, .. } = body.0;
    let assignee = match assignee {
        AssigneeChange::Same => None,
        AssigneeChange::Nobody => Some(None),
        AssigneeChange::To(name) => Some(Some(name)),
    };
    check_assignee(assignee.as_ref().and_then(Option::as_ref))?;
    let (mut tx, project, task) = task_of(&api, &bearer, (&slug, &number)).await?;
    let is_done = is_done.filter(|is_done| *is_done != task.is_done);
    let assignee = assignee.filter(|to| *to != task.assignee);
    let state = is_done.map(|is_done| if is_done { Did::Completed } else { Did::Reopened });
    let mut acts: Vec<Did> =
        state.into_iter().chain(assignee.iter().map(|_| Did::Assigned)).collect();
    if let Some(boards) = boards {
        let wanted = boards.iter().map(|name| board_of(&project, name));
        let wanted: BTreeSet<Board> = wanted.collect::<Result<_, _>>()?;
        let range = (task.number, task.number);
        let known = tx.list_built_in_places(project.id, range).await?.into_values().flatten();
        let known: BTreeSet<Board> = known.filter_map(|name| Board::parse(&name)).collect();
        for board in wanted.symmetric_difference(&known) {
            let place = (project.id, task.number);
            tx.set_built_in_place(place, board, wanted.contains(board)).await?;
        }
        acts.extend((wanted != known).then_some(Did::Moved));
    }
    if !acts.is_empty() {
        let changed = Patch { is_done, assignee, ..Patch::default() };
        tx.update_built_in_task(project.id, task.number, &changed, api.clock.now()).await?;
        did((&api, &bearer), &mut tx, (project.id, task.number), acts).await?;
        tx.commit().await?;
    }
    show_task(&api, &bearer, (&slug, &number)).await
}

/// Says something on a task of the tracker that is part of Airlock; `fixed in SHA` names the fix of its
/// issue.
#[utoipa::path(tag = "tasks", request_body = NewComment,
    responses((status = 200, body = TaskResponse), (status = 404), (status = 422)))]
#[post("/api/v1/projects/{slug}/tasks/{number}/comment")]
pub(super) async fn say(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    body: Json<NewComment>,
) -> Result<HttpResponse, ApiError> {
    let ((slug, number), text) = (path.into_inner(), body.0.text);
    if text.trim().is_empty() || text.chars().count() > MOST_COMMENT_CHARS {
        let detail = format!("text must have 1 to {MOST_COMMENT_CHARS} characters");
        return Err(ApiError::invalid(detail));
    }
    let (mut tx, project, task) = task_of(&api, &bearer, (&slug, &number)).await?;
    did((&api, &bearer), &mut tx, (project.id, task.number), vec![Did::Said(text)]).await?;
    tx.commit().await?;
    show_task(&api, &bearer, (&slug, &number)).await
}

/// Deletes a task of the tracker that is part of Airlock: its issue has none until it comes back.
#[utoipa::path(tag = "tasks", responses((status = 204), (status = 404)))]
#[delete("/api/v1/projects/{slug}/tasks/{number}")]
pub(super) async fn delete(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (slug, number) = path.into_inner();
    let (mut tx, project, task) = task_of(&api, &bearer, (&slug, &number)).await?;
    did((&api, &bearer), &mut tx, (project.id, task.number), Vec::new()).await?;
    tx.delete_built_in_task(project.id, task.number).await?;
    tx.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Something that must happen outside.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EffectResponse {
    id: String,
    project: String,
    /// Whose task: `issue/…`, `lock/…`, `deploy/…`, or `storm` for issues that wait for tasks. In order
    /// within one.
    lane: String,
    /// What people are told, beside what the task shows.
    say: Option<String>,
    /// `planned`, `sending`, `unsure`, `done` or `parked`.
    state: &'static str,
    tries: u32,
    error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl EffectResponse {
    fn new(slug: &str, effect: StoredEffect) -> Self {
        Self {
            id: effect.id.to_string(),
            project: slug.to_owned(),
            lane: effect.subject.to_string(),
            say: effect.effect.say,
            state: effect.state.as_str(),
            tries: effect.n_tries,
            error: effect.error,
            created_at: effect.created_at,
            changed_at: effect.changed_at,
        }
    }
}

/// Which effects.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OutboxQuery {
    /// Of which project; of all without.
    project: Option<String>,
    /// `planned` (by default), `sending`, `unsure`, `done` or `parked`.
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// What must happen outside: project by project, in the order in which it was planned.
#[utoipa::path(tag = "tasks", params(OutboxQuery),
    responses((status = 200, body = Page<EffectResponse>), (status = 404), (status = 422)))]
#[get("/api/v1/outbox")]
pub(super) async fn outbox(
    api: Data<Api>,
    bearer: Bearer,
    query: Query<OutboxQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let OutboxQuery { project, state, limit, cursor } = query.0;
    let state = EffectState::parse(state.as_deref().unwrap_or("planned")).ok_or_else(|| {
        ApiError::invalid("state must be planned, sending, unsure, done or parked")
    })?;
    let query = PageQuery { limit, cursor };
    let limit = query.limit()?;
    let last = query.after(ProjectItemId::parse)?;
    let mut tx = api.store.read().await?;
    let mut projects = match (&project, last) {
        (Some(slug), _) => vec![bearer.project(&mut tx, slug).await?],
        (None, Some(last)) => tx.find_project_by_id(last.project).await?.into_iter().collect(),
        (None, None) => tx.list_projects("", MOST_PROJECTS).await?,
    };
    let wanted = usize::try_from(limit).unwrap_or_default() + 1;
    let mut found = Vec::new();
    while let Some(slug) = projects.last().map(|project| project.slug.clone()) {
        for project in projects.iter().filter(|project| bearer.0.token.covers(project.id)) {
            let after = last.filter(|last| last.project == project.id);
            let place = (after.map_or(Uuid::nil(), |last| last.id), limit + 1);
            let effects = tx.list_effects(project.id, state, place).await?;
            found.extend(effects.into_iter().map(|effect| (project.slug.clone(), effect)));
            if found.len() >= wanted {
                break;
            }
        }
        if project.is_some() || found.len() >= wanted {
            break;
        }
        projects = tx.list_projects(&slug, MOST_PROJECTS).await?;
    }
    found.truncate(wanted);
    let cursor = |(_, effect): &(String, StoredEffect)| effect.id.to_string();
    let shown = |(slug, effect): (String, StoredEffect)| EffectResponse::new(&slug, effect);
    Ok(HttpResponse::Ok().json(page(found, limit, cursor, shown)))
}

/// Tries a parked effect again.
#[utoipa::path(tag = "tasks",
    responses((status = 200, body = EffectResponse), (status = 404), (status = 409)))]
#[post("/api/v1/outbox/{id}/retry")]
pub(super) async fn retry(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Triage)?;
    let (project, id) = item_of(&api, &bearer, "effect", &id).await?;
    let missing = || ApiError::not_found(format!("effect {id}"));
    let mut tx = api.store.write().await?;
    if !tx.retry_effect(id, api.clock.now()).await? {
        let known = tx.find_effect(id).await?.ok_or_else(missing)?;
        let detail = format!("it is {}: only what is parked is tried again", known.state.as_str());
        return Err(ApiError::new(Code::InvalidTransition, detail));
    }
    let effect = tx.find_effect(id).await?.ok_or_else(missing)?;
    tx.commit().await?;
    Ok(HttpResponse::Ok().json(EffectResponse::new(&project.slug, effect)))
}
