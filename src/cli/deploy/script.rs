//! `airlock deploy start`, `output`, `finish` and `record`: for scripts that cannot wrap a command.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::Context;
use super::super::answer;
use super::super::candidate::CandidateArgs;
use super::super::checkout::{Checkout, CheckoutArgs};
use super::super::failure::Failure;
use super::super::gate::patience::{OnUnavailable, Patience, PatienceArgs};
use super::super::gate::unchecked;
use super::super::output::Output;
use super::super::place::Place;
use super::super::span::{self, moment};
use super::super::text::one_line;
use super::begin::{Begun, Wish, begin, key};
use super::entry::{About, Finish};
use super::flush::has_left;
use super::recorder::{Recorded, Recorder};
use super::sender::output_end;
use super::shown::Deploy;
use super::signals::{Signals, exit_code};
use super::spool::Spool;
use super::unheard;
use super::utf8::Decoder;
use crate::domain::time::Timestamp;

/// How much of a file is read ahead of what was sent.
const MOST_AHEAD: u64 = 1 << 20;

/// How much is read at once.
const PIECE: usize = 64 << 10;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 started, 1 blocked, 2 wrong usage or not allowed, 3 cannot tell, \
                  4 still blocked when the wait ended, 5 unreachable."
)]
pub(super) struct StartArgs {
    /// The project and the environment to deploy to
    #[arg(value_name = "PROJECT/ENVIRONMENT")]
    target: Place,
    #[command(flatten)]
    candidate: CandidateArgs,
    #[command(flatten)]
    checkout: CheckoutArgs,
    /// What people call what is deployed
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// How long the environment is kept if nothing more is heard: 2h
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    lease: Option<Duration>,
    /// Deploy in spite of locks and freezes; everybody sees the reason
    #[arg(long = "override", value_name = "REASON")]
    reason: Option<String>,
    #[command(flatten)]
    patience: PatienceArgs,
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// The deploy, as `airlock deploy start` printed it
    id: String,
    /// Where it belongs, in bytes [default: at the end]
    #[arg(long, value_name = "N")]
    offset: Option<u64>,
    /// A file with it [default: what is read from stdin]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct FinishArgs {
    /// The deploy, as `airlock deploy start` printed it
    id: String,
    /// How it ended
    #[arg(long, value_enum)]
    status: End,
    /// The exit code of what deployed
    #[arg(long, value_name = "N")]
    exit_code: Option<u8>,
}

#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// The project and the environment that was deployed to
    #[arg(value_name = "PROJECT/ENVIRONMENT")]
    target: Place,
    /// How it ended
    #[arg(long, value_enum)]
    status: End,
    #[command(flatten)]
    candidate: CandidateArgs,
    #[command(flatten)]
    checkout: CheckoutArgs,
    /// What people call what was deployed
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// When it began: 2026-11-21T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    started_at: Option<Timestamp>,
    /// When it ended [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    finished_at: Option<Timestamp>,
    /// Who deployed [default: the token's owner]
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

/// How a deploy ended.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum End {
    Succeeded,
    Failed,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

pub(super) async fn start(
    context: &Context,
    spool: &Spool,
    args: StartArgs,
) -> Result<ExitCode, Failure> {
    let candidate = args.candidate.find().await?;
    let api = context.api()?;
    let mut signals = Signals::listen()
        .map_err(|cause| Failure::Usage(format!("cannot listen for signals: {cause}")))?;
    let mut known = candidate.body();
    known.insert("key".to_owned(), json!(key(&context.clock)));
    known.extend(args.version.map(|version| ("version".to_owned(), json!(version))));
    let mut body = known.clone();
    let optional = [
        ("lease_seconds", args.lease.map(|lease| json!(lease.as_secs()))),
        ("override", args.reason.map(|reason| json!(reason))),
    ];
    body.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let was_waited = args.patience.wait.is_some();
    let checkout = Checkout::find(&candidate, &args.checkout).await;
    let (place, clock) = (&args.target, &context.clock);
    let wish = Wish { place, candidate: &candidate, checkout, body, clock, was_waited };
    let mut patience = Patience::new(args.patience.wait, context.clock.clone());
    match begin(&api, &wish, &mut patience, &mut signals).await {
        Ok(Begun::Running(found, deploy)) => {
            deploy.say_warnings();
            // Nothing but the id on stdout: `id=$(airlock deploy start …)`.
            context.output.result(&found, |_| one_line(&deploy.id) + "\n")?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(Begun::Stopped(signal)) => {
            Output::note("airlock: interrupted; nothing was started");
            Ok(ExitCode::from(exit_code(signal)))
        }
        Err(Failure::Unreachable(why)) if args.patience.on_unavailable == OnUnavailable::Allow => {
            Output::note(&unchecked(&args.target, &why));
            let id = unheard::begin(context, spool, api.address(), &args.target, known)?;
            let json = json!({"id": id, "unavailable": why, "allowed": true});
            context.output.result(&json, |_| id + "\n")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => Err(failure),
    }
}

pub(super) async fn output(
    context: &Context,
    spool: &Spool,
    args: OutputArgs,
) -> Result<(), Failure> {
    if let Some(entry) = unheard::find(spool, &args.id)? {
        let n_bytes = unheard::add(entry, open(args.file.as_deref())?)?;
        say_kept(true);
        let json = json!({"deploy": args.id, "bytes": n_bytes, "kept": true});
        return context.output.result(&json, |_| String::new());
    }
    let api = Arc::new(context.api()?);
    // What waits comes first, and where that ends nobody knows yet.
    let begins_at = match args.offset {
        Some(offset) => Some(offset),
        None if has_left(spool, &args.id) => None,
        None => match output_end(&api, &args.id).await {
            Ok(end) => Some(end),
            Err(Failure::Unreachable(_)) => None,
            Err(failure) => return Err(failure),
        },
    };
    let (pieces, mut read) = mpsc::channel(1);
    let is_file = args.file.is_some();
    let input = open(args.file.as_deref())?;
    let reader = std::thread::spawn(move || read_all(input, &pieces));
    let about = About::part(api.address().as_str(), &args.id, begins_at);
    let recorder = Recorder::start(&api, spool.create(&context.clock, about), None);
    let (tap, mut decoder, mut n_bytes) = (recorder.tap(), Decoder::default(), 0);
    while let Some(piece) = read.recv().await {
        let text = decoder.text(&piece);
        n_bytes += text.len();
        tap.append(&text);
        if is_file {
            tap.room(MOST_AHEAD).await;
        }
    }
    tap.append(&decoder.end());
    drop(tap);
    if let Ok(Err(cause)) = reader.join() {
        Output::note(&format!("airlock: not all of the output could be read: {cause}"));
    }
    let is_kept = match recorder.end(None).await {
        Recorded::All(_) => false,
        Recorded::Later => true,
        Recorded::Lost => {
            let why = "the output could neither be sent nor kept";
            return Err(Failure::Unreachable(why.to_owned()));
        }
    };
    say_kept(is_kept);
    let json = json!({"deploy": args.id, "bytes": n_bytes, "kept": is_kept});
    context.output.result(&json, |_| String::new())
}

/// A file, or stdin if none is named.
fn open(file: Option<&Path>) -> Result<Box<dyn Read + Send>, Failure> {
    let Some(path) = file else { return Ok(Box::new(std::io::stdin())) };
    let opened = std::fs::File::open(path);
    let file = opened
        .map_err(|cause| Failure::Usage(format!("cannot read {}: {cause}", path.display())))?;
    Ok(Box::new(file))
}

/// Reads to the end, a piece at a time.
fn read_all(mut input: impl Read, pieces: &mpsc::Sender<Vec<u8>>) -> std::io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE];
        let n_bytes = match input.read(&mut piece) {
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        piece.truncate(n_bytes);
        if n_bytes == 0 || pieces.blocking_send(piece).is_err() {
            return Ok(());
        }
    }
}

pub(super) async fn finish(
    context: &Context,
    spool: &Spool,
    args: FinishArgs,
) -> Result<(), Failure> {
    let finish = Finish {
        status: args.status.name().to_owned(),
        exit_code: args.exit_code,
        finished_at: Some(context.clock.now()),
    };
    if let Some(mut entry) = unheard::find(spool, &args.id)? {
        entry.close(Some(finish));
        drop(entry);
        super::flush::first(context, spool).await;
        let is_kept = unheard::find(spool, &args.id)?.is_some();
        say_kept(is_kept);
        let json = json!({"id": args.id, "status": args.status.name(), "kept": is_kept});
        return context.output.result(&json, |_| String::new());
    }
    let api = context.api()?;
    let sent = if has_left(spool, &args.id) {
        Err(Failure::Unreachable("what was kept before could not be sent".to_owned()))
    } else {
        api.post(&["deploys", &args.id, "finish"], json!(finish)).await
    };
    match sent {
        Ok(found) => {
            let deploy: Deploy = answer::read(&found)?;
            context.output.result(&found, |_| deploy.ended() + "\n")
        }
        Err(Failure::Unreachable(why)) => {
            let about = About::part(api.address().as_str(), &args.id, None);
            let mut entry = spool.create(&context.clock, about);
            entry.close(Some(finish));
            if entry.folder().is_none() {
                return Err(Failure::Unreachable(why));
            }
            Output::note(&format!("airlock: {why}"));
            say_kept(true);
            let json = json!({"id": args.id, "status": args.status.name(), "kept": true});
            context.output.result(&json, |_| String::new())
        }
        Err(failure) => Err(failure),
    }
}

fn say_kept(is_kept: bool) {
    if is_kept {
        Output::note(
            "airlock: it is kept; the next airlock deploy sends it, or: airlock deploy flush",
        );
    }
}

pub(super) async fn record(context: &Context, args: RecordArgs) -> Result<(), Failure> {
    let candidate = args.candidate.find().await?;
    let mut body = candidate.body();
    body.insert("status".to_owned(), json!(args.status.name()));
    let optional = [
        ("version", args.version.map(|version| json!(version))),
        ("started_at", args.started_at.map(|at| json!(at))),
        ("finished_at", args.finished_at.map(|at| json!(at))),
        ("by", args.by.map(|by| json!(by))),
    ];
    body.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let path = args.target.path(&["deploys"]);
    let api = context.api()?;
    if let Some(checkout) = Checkout::find(&candidate, &args.checkout).await {
        checkout.offer(&api, &args.target.project).await;
    }
    let made = api.post(&path, Value::Object(body)).await?;
    let deploy: Deploy = answer::read(&made)?;
    context.output.result(&made, |_| deploy.ended() + "\n")
}
