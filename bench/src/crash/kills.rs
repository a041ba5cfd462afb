//! Kills at random moments under load.
//!
//! A killed process takes nothing with it that the kernel already has: this finds what is answered
//! before it is written, what is counted twice or not at all when a batch is digested again, and
//! files that a start does not understand. What the kernel has is not lost with the process: power
//! cuts are [`super::power`]'s.

use std::time::{Duration, Instant};

use super::book::Book;
use super::check::check;
use super::traffic::Traffic;
use super::victim::Victim;
use super::{Common, begin};
use crate::Failure;
use crate::events::Random;
use crate::server::Kind;

/// How often, and where
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct KillsArgs {
    /// Kills, for each kind of store
    #[arg(long, default_value_t = 200)]
    kills: u64,
    #[command(flatten)]
    common: Common,
}

/// When the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// While reports come.
    Load,
    /// Before it accepts connections, or right after.
    Start,
    /// After a burst, while it digests.
    Drain,
    /// While it stops because it was told to.
    Stop,
}

const MOMENTS: [Moment; 4] = [Moment::Load, Moment::Start, Moment::Drain, Moment::Stop];

impl Moment {
    /// Half of all are under load.
    fn random(random: &mut Random) -> Self {
        let index = random.below(6) as usize;
        MOMENTS.get(index).copied().unwrap_or(Self::Load)
    }
}

pub(crate) fn run(args: &KillsArgs) -> Result<(), Failure> {
    let seed = args.common.seed();
    for kind in args.common.kinds() {
        println!("{}: {} kills, seed {seed}", kind.name(), args.kills);
        kill_often(&kind, args, seed)?;
    }
    Ok(())
}

fn kill_often(kind: &Kind, args: &KillsArgs, seed: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut victim = Victim::new(kind, folder.path(), folder.path().join("data"))?;
    let path = victim.set_up()?;
    let book = Book::new(seed, args.common.issues, begin()?);
    let traffic = Traffic::start(book, &path, args.common.connections);
    let mut random = Random::new(seed);
    let began = Instant::now();
    let mut n_kills = MOMENTS.map(|moment| (moment, 0_u64));
    for _ in 0..args.kills {
        let moment = Moment::random(&mut random);
        kill_once(&mut victim, &traffic, &mut random, moment, args.common.reports)?;
        if let Some((_, n)) = n_kills.iter_mut().find(|(of, _)| *of == moment) {
            *n += 1;
        }
    }
    let book = traffic.stop()?;
    let [(_, load), (_, start), (_, drain), (_, stop)] = n_kills;
    println!(
        "{}: killed {load} times under load, {start} while starting, {drain} while digesting, \
         {stop} while stopping, in {:.0} s",
        kind.name(),
        began.elapsed().as_secs_f64(),
    );
    let address = victim.start()?;
    let found = check(&mut victim, address, &book)?;
    found.conclude(kind.name(), &book)
}

/// One life of the server, from its start to its violent end.
fn kill_once(
    victim: &mut Victim,
    traffic: &Traffic,
    random: &mut Random,
    moment: Moment,
    n_reports: u64,
) -> Result<(), Failure> {
    let mut pause = |most_millis: u64| {
        std::thread::sleep(Duration::from_micros(random.below(most_millis * 1_000)));
    };
    match moment {
        Moment::Start => {
            victim.spawn()?;
            pause(200);
        }
        Moment::Load => {
            traffic.send(victim.start()?, n_reports);
            pause(600);
        }
        Moment::Drain => {
            traffic.send(victim.start()?, n_reports);
            pause(200);
            traffic.rest();
            pause(200);
        }
        Moment::Stop => {
            traffic.send(victim.start()?, n_reports);
            pause(300);
            victim.terminate()?;
            pause(100);
        }
    }
    victim.kill()?;
    traffic.rest();
    Ok(())
}
