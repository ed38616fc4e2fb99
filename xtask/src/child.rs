//! Programs run in processes of their own, and what they took.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use anyhow::{Context, ensure};

/// What a process took until its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Wall time.
    pub(crate) seconds: f64,
    /// Processor time of all threads, in the program and in the system.
    pub(crate) cpu_seconds: f64,
    /// The largest resident set, in bytes.
    pub(crate) peak: u64,
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be run, or it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Usage> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let (status, mut usage) = wait(child)?;
    usage.seconds = start.elapsed().as_secs_f64();
    ensure!(status.success(), "{program} failed: {status}");
    Ok(usage)
}

/// The `headwater` program beside this one, built first.
pub(crate) fn headwater() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let status = Command::new(env!("CARGO"))
        // The whole workspace, so that Cargo resolves the same features again.
        .args(["build", "--quiet", "--workspace", "--bin", "headwater"])
        .current_dir(crate::repository())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "headwater-cli does not build");
    let program = own.with_file_name(format!("headwater{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        program.is_file(),
        "{} is not there; run this as `cargo xtask`",
        program.display()
    );
    Ok(program)
}

/// Runs a program to its end, or ends it when its time is over: `None`.
///
/// # Errors
/// It cannot be run.
#[cfg(unix)]
pub(crate) fn run_for(
    command: &mut Command,
    time: std::time::Duration,
) -> anyhow::Result<Option<(ExitStatus, Usage)>> {
    let start = Instant::now();
    let mut child = command.spawn().context("cannot run the program")?;
    loop {
        if let Some((status, mut usage)) = wait_with(&child, libc::WNOHANG)? {
            usage.seconds = start.elapsed().as_secs_f64();
            return Ok(Some((status, usage)));
        }
        if start.elapsed() > time {
            child.kill().context("cannot end the program")?;
            child.wait().context("cannot wait for the program")?;
            return Ok(None);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Waits for a child; its wall time is left to the caller.
#[cfg(unix)]
fn wait(child: Child) -> anyhow::Result<(ExitStatus, Usage)> {
    wait_with(&child, 0)?.context("a child that was waited for has not ended")
}

/// What a child took, or `None` if it is still at work and the options say not
/// to wait. Whoever got an answer must not ask again.
#[cfg(unix)]
fn wait_with(child: &Child, options: libc::c_int) -> anyhow::Result<Option<(ExitStatus, Usage)>> {
    use std::os::unix::process::ExitStatusExt;

    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live locals of the types that wait4 fills
    // in; the child is this process's own and has not been waited for.
    let waited = unsafe {
        libc::wait4(
            child.id() as libc::pid_t,
            &mut status,
            options,
            usage.as_mut_ptr(),
        )
    };
    if waited == 0 {
        return Ok(None);
    }
    ensure!(
        waited > 0,
        "cannot wait for a child process: {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: wait4 succeeded, and all zeros are a valid rusage besides.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    // Linux counts in kilobytes, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let usage = Usage {
        seconds: 0.0,
        cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak: usage.ru_maxrss as u64 * unit,
    };
    Ok(Some((ExitStatus::from_raw(status), usage)))
}

#[cfg(not(unix))]
fn wait(_: Child) -> anyhow::Result<(ExitStatus, Usage)> {
    anyhow::bail!("what a process takes is measured on Unix only")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_sleeps_takes_wall_time_and_no_processor() {
        let usage = run(Command::new("sleep").arg("0.2")).unwrap();
        assert!(usage.seconds >= 0.2, "{usage:?}");
        assert!(usage.cpu_seconds < 0.1, "{usage:?}");
        assert!(usage.peak > 100_000, "{usage:?}");
        assert!(run(&mut Command::new("false")).is_err());
    }
}
