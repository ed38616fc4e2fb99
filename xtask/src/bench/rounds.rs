//! Things to be compared are measured in turns, so that a machine that slows
//! down for a while slows all of them.

use std::time::{Duration, Instant};

use super::machine;

/// How often things are measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) least: usize,
    pub(crate) most: usize,
    /// After so many seconds no round begins beyond the least.
    pub(crate) seconds: f64,
}

/// One thing: runs once and returns the seconds that count.
pub(crate) struct Task<'a> {
    run: Box<dyn FnMut() -> anyhow::Result<f64> + 'a>,
    most: usize,
    program: usize,
    has_run: bool,
}

impl<'a> Task<'a> {
    pub(crate) fn new(run: impl FnMut() -> anyhow::Result<f64> + 'a) -> Self {
        Self {
            run: Box::new(run),
            most: usize::MAX,
            program: 0,
            has_run: false,
        }
    }

    /// Was run already: no other time is needed beforehand.
    pub(crate) fn has_run(mut self) -> Self {
        self.has_run = true;
        self
    }

    /// Is done by another program than the first, 0.
    pub(crate) fn by(mut self, program: usize) -> Self {
        self.program = program;
        self
    }

    /// Takes part in the first rounds only.
    pub(crate) fn at_most(mut self, rounds: usize) -> Self {
        self.most = rounds;
        self
    }
}

/// A run that took no longer is repeated if the machine was taken away in it.
const REPEATED_SECONDS: f64 = 10.0;
/// How often.
const REPEATS: usize = 4;
/// What the system counts taken time by.
const TICK: f64 = 0.01;
/// The part of a run's processor time that may be taken away.
const TAKEN: f64 = 0.02;

impl Task<'_> {
    /// Runs, and again where others had the processors meanwhile: a virtual
    /// machine shares them. The seconds of the run that lost least.
    ///
    /// `taken`: seconds that others had them, up to now.
    fn undisturbed(&mut self, taken: &dyn Fn() -> f64) -> anyhow::Result<f64> {
        let mut best = (f64::INFINITY, f64::INFINITY);
        for _ in 0..=REPEATS {
            let before = taken();
            let seconds = (self.run)()?;
            let lost = taken() - before;
            if lost < best.0 {
                best = (lost, seconds);
            }
            // A tick may have begun before, and sums of ticks are rounded.
            let bearable = (1.5 * TICK).max(TAKEN * seconds * machine::cores() as f64);
            if lost <= bearable || seconds > REPEATED_SECONDS {
                break;
            }
        }
        Ok(best.1)
    }
}

/// Threads of one library that still spin for more work would take time from
/// the next.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs all tasks in turns, each once beforehand unless it has run, and returns
/// their seconds, one a round.
///
/// What follows the work of another program finds cold caches and threads that
/// sleep: where the program changes, the first task of the one that is next
/// runs once more, and its seconds are dropped.
pub(crate) fn interleave(tasks: &mut [Task<'_>], rounds: Rounds) -> anyhow::Result<Vec<Vec<f64>>> {
    interleave_undisturbed(tasks, rounds, &machine::taken_seconds)
}

fn interleave_undisturbed(
    tasks: &mut [Task<'_>],
    rounds: Rounds,
    taken: &dyn Fn() -> f64,
) -> anyhow::Result<Vec<Vec<f64>>> {
    for task in tasks.iter_mut().filter(|task| !task.has_run) {
        (task.run)()?;
    }
    let mut program = (tasks.iter().rev())
        .find(|task| !task.has_run)
        .map_or(0, |task| task.program);
    let mut seconds = vec![Vec::new(); tasks.len()];
    let start = Instant::now();
    for round in 0..rounds.most {
        if round >= rounds.least && start.elapsed().as_secs_f64() > rounds.seconds {
            break;
        }
        for turn in 0..tasks.len() {
            // Nobody always comes first.
            let index = (turn + round) % tasks.len();
            if round < tasks[index].most {
                let next = tasks[index].program;
                if next != program
                    && let Some(first) = tasks.iter_mut().find(|task| task.program == next)
                {
                    (first.run)()?;
                }
                program = next;
                std::thread::sleep(PAUSE);
                seconds[index].push(tasks[index].undisturbed(taken)?);
            }
        }
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn tasks_take_turns_and_each_runs_once_beforehand() {
        let order = RefCell::new(String::new());
        let task = |name: char| {
            let order = &order;
            Task::new(move || {
                order.borrow_mut().push(name);
                Ok(order.borrow().len() as f64)
            })
        };
        let rounds = Rounds {
            least: 3,
            most: 5,
            seconds: 0.0,
        };
        let mut tasks = [task('a'), task('b'), task('c').at_most(1).has_run()];
        let seconds = interleave_undisturbed(&mut tasks, rounds, &|| 0.0).unwrap();
        assert_eq!(*order.borrow(), "ababcbaab");
        assert_eq!(
            seconds,
            [vec![3.0, 7.0, 8.0], vec![4.0, 6.0, 9.0], vec![5.0]]
        );
    }

    #[test]
    fn a_program_that_takes_over_begins_with_a_run_that_does_not_count() {
        let order = RefCell::new(String::new());
        let task = |name: char, program: usize| {
            let order = &order;
            let run = move || {
                order.borrow_mut().push(name);
                Ok(order.borrow().len() as f64)
            };
            Task::new(run).by(program)
        };
        let rounds = Rounds {
            least: 2,
            most: 2,
            seconds: 0.0,
        };
        let mut tasks = [task('a', 0), task('b', 0), task('c', 1), task('d', 1)];
        let seconds = interleave_undisturbed(&mut tasks, rounds, &|| 0.0).unwrap();
        assert_eq!(*order.borrow(), "abcdaabccdabccdaa");
        let counted = [
            vec![6.0, 17.0],
            vec![7.0, 12.0],
            vec![9.0, 14.0],
            vec![10.0, 15.0],
        ];
        assert_eq!(seconds, counted);
    }

    #[test]
    fn a_run_is_repeated_while_the_machine_is_taken_away() {
        let clock = Cell::new(0.0);
        let mut lost = [0.5, 0.2, 0.01, 0.0].into_iter();
        let run = || {
            let lost: f64 = lost.next().unwrap();
            clock.set(clock.get() + lost);
            Ok(lost)
        };
        let seconds = Task::new(run).undisturbed(&|| clock.get()).unwrap();
        assert_eq!(seconds, 0.01);

        // Never undisturbed: the run that lost least. Long ones are not repeated.
        for (seconds, runs) in [(1.0, 1 + REPEATS), (2.0 * REPEATED_SECONDS, 1)] {
            let count = Cell::new(0);
            let run = || {
                count.set(count.get() + 1);
                clock.set(clock.get() + 100.0);
                Ok(seconds)
            };
            let found = Task::new(run).undisturbed(&|| clock.get()).unwrap();
            assert_eq!((found, count.get()), (seconds, runs));
        }
    }
}
