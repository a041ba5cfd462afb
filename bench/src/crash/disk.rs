//! A disk of its own: an ext4 file system in a file, mounted through a loop device.
//!
//! *What a power cut is here*: the file system is shut down without writing its journal or any page
//! it still holds (`EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH`, as the file systems' own crash tests do),
//! unmounted, and mounted again, which replays the journal. What was not synced, and what the kernel
//! had not written back by itself, is gone: bytes, sizes, names, renames and removals. Until the
//! process is killed, all it asks of the disk fails.
//!
//! *What it is not*: the device itself loses nothing that reached it, so nothing is torn within what
//! a sync was writing but at the borders of the kernel's own requests, and writes are not reordered
//! behind the kernel's back. Other file systems may keep less than ext4 with ordered data does.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FallocateFlags, fallocate};
use tempfile::TempDir;

use crate::Failure;

/// Source: `include/uapi/linux/ext4.h`. Rust has no safe way to it; Perl is part of every Debian.
const SHUT_DOWN: &str = r#"
    open(my $folder, "<", $ARGV[0]) or die "open: $!";
    my $without_log = pack("L", 2);
    $| = 1;
    print "ready\n";
    <STDIN>;
    ioctl($folder, 0x8004587d, $without_log) or die "ioctl: $!";
"#;

/// A file system in a file, mounted as long as it lives.
#[derive(Debug)]
pub(super) struct Disk {
    folder: TempDir,
    /// The loop device. It is kept from cut to cut, so that nobody else takes it meanwhile.
    device: String,
}

impl Disk {
    /// Makes one of so many bytes and mounts it. Only root may.
    pub(super) fn new(n_bytes: u64) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let image = folder.path().join("image");
        File::create(&image)?.set_len(n_bytes)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(&image))?;
        let disk = Self { folder, device: device.trim().to_owned() };
        std::fs::create_dir(disk.path())?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn mount(&self) -> Result<(), Failure> {
        run(Command::new("mount").arg(&self.device).arg(self.path()))?;
        Ok(())
    }

    /// Gets ready to cut the power: the cut itself then takes some milliseconds.
    pub(super) fn switch(&self) -> Result<Switch, Failure> {
        let mut command = Command::new("perl");
        command.args(["-e", SHUT_DOWN]).arg(self.path());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let said = process.stdout.take().ok_or("perl has no output")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        Ok(Switch(process))
    }

    /// Switches the power on again; nobody may have a file open.
    pub(super) fn revive(&self) -> Result<(), Failure> {
        run(Command::new("umount").arg(self.path()))?;
        self.mount()
    }

    /// Bytes that can still be written.
    pub(super) fn n_free(&self) -> Result<u64, Failure> {
        let disk = rustix::fs::statvfs(self.path())?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Fills it up to so many free bytes, until the [`Ballast`] is dropped.
    pub(super) fn fill(&self, n_left: u64) -> Result<Ballast, Failure> {
        let path = self.path().join("ballast");
        let file = File::create(&path)?;
        let mut ballast = Ballast { path, n_bytes: 0 };
        // Blocks that are reserved by writers meanwhile are nobody's to give: some tries.
        for _ in 0..20 {
            let Some(room) = self.n_free()?.checked_sub(n_left).filter(|room| *room > 0) else {
                break;
            };
            let n_bytes = ballast.n_bytes + room;
            if fallocate(&file, FallocateFlags::empty(), 0, n_bytes).is_ok() {
                ballast.n_bytes = n_bytes;
            }
        }
        Ok(ballast)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Its folder cannot be removed while it is mounted.
        let _ = run(Command::new("umount").arg(self.path()));
        let _ = run(Command::new("losetup").args(["--detach", &self.device]));
    }
}

/// What cuts the power of a [`Disk`].
#[derive(Debug)]
pub(super) struct Switch(Child);

impl Switch {
    /// Cuts it: when this returns, everything fails.
    pub(super) fn cut(mut self) -> Result<(), Failure> {
        drop(self.0.stdin.take());
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(format!("perl ended: {status}").into()) }
    }
}

/// A file that takes up space until it is dropped.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    n_bytes: u64,
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Why no disk can be made here; `None` when one can.
pub(super) fn unavailable() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may mount a file system");
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("there are no loop devices");
    }
    None
}

/// Runs a command; gives what it printed.
fn run(command: &mut Command) -> Result<String, Failure> {
    // Debian keeps what only root needs where others do not look.
    let path = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
    let output = command.env("PATH", path).output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
