//! Things to be compared are measured in turns, so that a machine that slows
//! down for a while slows all of them.

use std::time::{Duration, Instant};

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
                seconds[index].push((tasks[index].run)()?);
            }
        }
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

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
        let seconds = interleave(&mut tasks, rounds).unwrap();
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
        let seconds = interleave(&mut tasks, rounds).unwrap();
        assert_eq!(*order.borrow(), "abcdaabccdabccdaa");
        let counted = [
            vec![6.0, 17.0],
            vec![7.0, 12.0],
            vec![9.0, 14.0],
            vec![10.0, 15.0],
        ];
        assert_eq!(seconds, counted);
    }
}
