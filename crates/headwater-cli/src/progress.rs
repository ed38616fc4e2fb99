//! Bars on standard error for whatever takes longer than two seconds.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How much is said beside results and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Nothing.
    Quiet,
    /// Progress and summaries.
    Normal,
}

/// What is quicker than this needs no bar.
const PATIENCE: Duration = Duration::from_secs(2);
const REDRAW: Duration = Duration::from_millis(200);

/// When the program began, as far as a user can tell.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The bar on the screen, for whoever ends the process.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Layers that have been run, for the bar.
static LAYERS_RUN: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);

/// What a model is told to call after every layer.
pub(crate) fn count_layer(_: headwater::Progress) -> ControlFlow<()> {
    LAYERS_RUN.fetch_add(1, Ordering::Relaxed);
    ControlFlow::Continue(())
}

/// How many layers have been run so far.
pub(crate) fn layers_run() -> Arc<AtomicU64> {
    LAYERS_RUN.clone()
}

/// Starts the clock.
pub(crate) fn start() {
    LazyLock::force(&START);
}

/// Takes the bar off the screen.
pub(crate) fn clear() {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = shown {
        bar.finish_and_clear();
    }
}

/// A bar that follows a counter, on a thread of its own; gone when dropped.
pub(crate) struct Bar {
    bar: ProgressBar,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// A bar from what the counter shows now to `total` more; without a total
    /// it only shows that time passes.
    pub(crate) fn follow(
        verbosity: Verbosity,
        what: &str,
        total: Option<u64>,
        counter: Arc<AtomicU64>,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden())
            .with_style(style(total))
            .with_message(what.to_owned());
        let mut following = Self {
            bar,
            stop: None,
            thread: None,
        };
        if verbosity == Verbosity::Normal && std::io::stderr().is_terminal() && !is_dumb() {
            let (stop, stopped) = channel();
            let bar = following.bar.clone();
            following.stop = Some(stop);
            following.thread = Some(std::thread::spawn(move || draw(&bar, &counter, &stopped)));
        }
        following
    }

    pub(crate) fn set_message(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Prints something without the bar in the way.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // The thread ends when nobody is left to send.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic but draw.
            let _ = thread.join();
        }
        clear();
    }
}

fn draw(bar: &ProgressBar, counter: &AtomicU64, stopped: &Receiver<()>) {
    let begin = counter.load(Ordering::Relaxed);
    // The last step seen, and when.
    let mut last = (0, Duration::ZERO);
    let mut wait = PATIENCE.saturating_sub(START.elapsed());
    while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        }
        let done = counter.load(Ordering::Relaxed) - begin;
        if done != last.0 {
            last = (done, bar.elapsed());
        }
        bar.set_prefix(left(last, bar.length(), bar.elapsed()));
        bar.set_position(bar.length().map_or(done, |total| done.min(total)));
        bar.tick();
        wait = REDRAW;
    }
}

/// A terminal that cannot move its cursor.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn style(total: Option<u64>) -> ProgressStyle {
    ProgressStyle::with_template(match total {
        Some(_) => "{msg}  {bar:30} {percent:>3}%  {prefix}",
        None => "{spinner} {msg}  {prefix}",
    })
    .expect("the template is a constant")
}

/// The time left if what is left goes as fast as what is done was until its
/// last step; steps may be many seconds apart.
fn left((done, at): (u64, Duration), total: Option<u64>, elapsed: Duration) -> String {
    match total {
        Some(total) if done > 0 => {
            let whole = at.mul_f64(total.max(done) as f64 / done as f64);
            let left = whole.saturating_sub(elapsed).max(Duration::from_secs(1));
            format!("{} left", HumanDuration(left))
        }
        _ => format!("{} so far", HumanDuration(elapsed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_is_done() {
        let seconds = Duration::from_secs;
        let after = |now| left((3, seconds(20)), Some(12), seconds(now));
        assert_eq!(after(20), "60 seconds left");
        assert_eq!(after(30), "50 seconds left");
        assert_eq!(after(200), "1 second left");
        assert_eq!(
            left((0, seconds(0)), Some(12), seconds(5)),
            "5 seconds so far"
        );
        assert_eq!(left((7, seconds(5)), None, seconds(5)), "5 seconds so far");
    }
}
