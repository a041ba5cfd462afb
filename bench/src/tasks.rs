//! How long a report takes to become a task, alone and beside a tracker that is slow and has much to
//! do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use crate::server::{Kind, Server};
use crate::{Failure, api};

/// Sizes and numbers.
#[derive(Debug, clap::Args)]
pub(crate) struct TasksArgs {
    /// Effects that wait for the slow tracker
    #[arg(long, default_value_t = 10_000)]
    pending: usize,
    /// Reports that are measured each time
    #[arg(long, default_value_t = 21)]
    reports: usize,
    /// How long the slow tracker takes for each answer, in milliseconds
    #[arg(long, default_value_t = 2_000)]
    slow_ms: u64,
    /// A server of PostgreSQL, to measure on that, too
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Milliseconds from a report to its task
    #[arg(long, default_value_t = 2_000.0)]
    goal: f64,
    /// Milliseconds more beside the slow tracker
    #[arg(long, default_value_t = 1_000.0)]
    goal_more: f64,
}

/// Issues of the slow project: no more become tasks within an hour.
const ISSUES: usize = 1_000;

/// Nobody waits longer for a task.
const PATIENCE: Duration = Duration::from_mins(2);

/// What stands for a tracker: as much of Redmine's API as making tasks needs.
#[derive(Debug, Default)]
struct Fake {
    delay: Duration,
    /// Titles of its issues.
    titles: Mutex<Vec<String>>,
    /// When each was made.
    made: Mutex<Option<mpsc::Sender<(String, Instant)>>>,
}

impl Fake {
    fn make(&self, title: &str) -> u64 {
        let mut titles = self.titles.lock().unwrap_or_else(PoisonError::into_inner);
        titles.push(title.to_owned());
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref() {
            // Nobody may listen.
            let _ = made.send((title.to_owned(), Instant::now()));
        }
        titles.len() as u64
    }

    fn shown(&self, number: usize) -> Value {
        let titles = self.titles.lock().unwrap_or_else(PoisonError::into_inner);
        let title = number.checked_sub(1).and_then(|at| titles.get(at));
        json!({"issue": {"id": number, "subject": title, "status": {"id": 1, "is_closed": false}}})
    }
}

async fn answer(fake: Data<Arc<Fake>>, request: HttpRequest, body: Bytes) -> HttpResponse {
    actix_web::rt::time::sleep(fake.delay).await;
    let path: Vec<&str> = request.path().trim_end_matches(".json").split('/').skip(1).collect();
    let is_post = request.method() == Method::POST;
    match path.as_slice() {
        ["issues"] if is_post => {
            let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
            match asked.pointer("/issue/subject").and_then(Value::as_str) {
                Some(title) => {
                    let number = fake.make(title);
                    HttpResponse::Created().json(fake.shown(number as usize))
                }
                None => HttpResponse::UnprocessableEntity()
                    .json(json!({"errors": ["Subject cannot be blank"]})),
            }
        }
        ["issues"] => HttpResponse::Ok().json(json!({"issues": [], "total_count": 0})),
        ["issues", _] if request.method() == Method::PUT => HttpResponse::NoContent().finish(),
        ["issues", number] => HttpResponse::Ok().json(fake.shown(number.parse().unwrap_or(0))),
        ["users", "current"] => HttpResponse::Ok().json(json!({"user": {"id": 1, "admin": true}})),
        ["projects", _] => HttpResponse::Ok().json(json!({"project": {"id": 1, "status": 1}})),
        _ => HttpResponse::Ok().json(json!({})),
    }
}

/// Starts one; it ends with this process.
fn start(delay: Duration) -> Result<(Arc<Fake>, SocketAddr), Failure> {
    let fake = Arc::new(Fake { delay, ..Fake::default() });
    let (said, address) = mpsc::channel();
    let served = Data::new(Arc::clone(&fake));
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let tracker = HttpServer::new(move || {
                App::new().app_data(Data::clone(&served)).default_service(web::to(answer))
            });
            let tracker = tracker.workers(1).disable_signals().bind(("127.0.0.1", 0))?;
            said.send(tracker.addrs().first().copied()).map_err(std::io::Error::other)?;
            tracker.run().await
        })
    });
    let address = address.recv()?.ok_or("the tracker has no address")?;
    Ok((fake, address))
}

/// A project whose tasks are there; the path to which it sends reports.
fn open(server: &Server, slug: &str, tracker: SocketAddr) -> Result<String, Failure> {
    let path = api::make_project(server.address, slug)?.replace("envelope", "store");
    let base = format!("/api/v1/projects/{slug}");
    let rules = json!({"rules": [{"events": 1}], "most_tasks_per_hour": ISSUES});
    api::ask(server.address, "PUT", &format!("{base}/rules/filing"), &rules)?;
    let url = format!("http://{tracker}");
    let settings =
        json!({"kind": "redmine", "url": url, "token": "benchmark", "issue_project": "errors"});
    api::ask(server.address, "PUT", &format!("{base}/tracker"), &settings)?;
    Ok(path)
}

/// A name that no other number has, in letters: numbers alone make no other issue.
fn named(name: &str, number: usize) -> String {
    let letters: String = number.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
    format!("{name} {letters}")
}

fn event(name: &str) -> Value {
    json!({"platform": "other", "level": "error", "message": name, "fingerprint": [name]})
}

/// The milliseconds from each report to its task.
fn measure(
    (server, path, fake): (&Server, &str, &Fake),
    (name, n_reports): (&str, usize),
) -> Result<Vec<f64>, Failure> {
    let (sender, made) = mpsc::channel();
    *fake.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    let mut took = Vec::new();
    for number in 0..n_reports {
        // At different moments of whatever beats.
        std::thread::sleep(Duration::from_millis(300 + (number as u64 * 137) % 500));
        let name = named(name, number);
        let began = Instant::now();
        api::ask(server.address, "POST", path, &event(&name))?;
        loop {
            let (title, at) = made.recv_timeout(PATIENCE)?;
            if title.ends_with(&name) {
                took.push((at - began).as_secs_f64() * 1e3);
                break;
            }
        }
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}

/// Lets effects wait for the slow tracker.
fn fill(server: &Server, path: &str, n_pending: usize) -> Result<(), Failure> {
    let n_issues = n_pending.min(ISSUES);
    for number in 0..n_issues {
        api::ask(server.address, "POST", path, &event(&named("slow", number)))?;
    }
    server.drain()?;
    for number in n_issues..n_pending {
        let issue = format!("/api/v1/issues/SLOW-{}/comment", number % n_issues + 1);
        api::ask(server.address, "POST", &issue, &json!({"text": format!("note {number}")}))?;
    }
    let waiting = api::get(server.address, "/status.json")?["parts"]["outbox"]["backlog"].clone();
    println!("{waiting} effects wait for the slow tracker");
    Ok(())
}

pub(crate) fn run(args: &TasksArgs) -> Result<(), Failure> {
    let postgres = args.postgres.iter().cloned().map(Kind::Postgres);
    for kind in [Kind::Sqlite].into_iter().chain(postgres) {
        let server = Server::start(&kind)?;
        let (fast, fast_address) = start(Duration::ZERO)?;
        let (_slow, slow_address) = start(Duration::from_millis(args.slow_ms))?;
        let path = open(&server, "fast", fast_address)?;
        let slow_path = open(&server, "slow", slow_address)?;
        let alone = measure((&server, &path, &fast), ("alone", args.reports))?;
        fill(&server, &slow_path, args.pending)?;
        let beside = measure((&server, &path, &fast), ("beside", args.reports))?;
        let middle = |took: &[f64]| took.get(took.len() / 2).copied().unwrap_or_default();
        let most = |took: &[f64]| took.last().copied().unwrap_or_default();
        println!(
            "{}: from a report to its task {:.0} ms, {:.0} at most; beside the slow tracker {:.0}, {:.0} at most",
            kind.name(),
            middle(&alone),
            most(&alone),
            middle(&beside),
            most(&beside),
        );
        if most(&alone) > args.goal {
            return Err(format!("a task takes more than {} ms", args.goal).into());
        }
        if most(&beside) - middle(&alone) > args.goal_more {
            return Err(
                format!("a slow tracker costs others more than {} ms", args.goal_more).into()
            );
        }
    }
    Ok(())
}
