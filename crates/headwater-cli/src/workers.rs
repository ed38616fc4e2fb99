//! Threads that work on inputs side by side.

use std::sync::atomic::{AtomicUsize, Ordering};

use headwater::DeviceName;
use rayon::ThreadPool;

/// What shares out inputs among the cores.
///
/// An input rarely keeps several cores busy: its matrices are small, and every
/// operation ends with the slowest thread. Several inputs with a core each do.
pub(crate) struct Workers {
    /// A pool of one thread for each worker, so that the kernels that a worker
    /// runs stay on its core. None with one worker, whose kernels use all cores.
    pools: Vec<ThreadPool>,
}

impl Workers {
    /// A worker for each core, but not more than `most`. Where the work is done
    /// by another device there is one, which keeps that device's queue in order.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn new(device: DeviceName, most: usize) -> anyhow::Result<Self> {
        let workers = match device.is_cpu() {
            true => rayon::current_num_threads().min(most),
            false => 1,
        };
        let pools = match workers {
            0 | 1 => 0,
            workers => workers,
        };
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(1).build();
        Ok(Self {
            pools: (0..pools).map(pool).collect::<Result<_, _>>()?,
        })
    }

    /// How many tasks are worked on at the same time.
    pub(crate) fn count(&self) -> usize {
        self.pools.len().max(1)
    }

    /// Works on each task, begun in the order given; the results are in that
    /// order too.
    pub(crate) fn map<T: Sync, R: Send>(
        &self,
        tasks: &[T],
        work: impl Fn(&T) -> R + Sync,
    ) -> Vec<R> {
        if self.pools.is_empty() || tasks.len() < 2 {
            return tasks.iter().map(work).collect();
        }
        let next = AtomicUsize::new(0);
        let take = || {
            let mut results = Vec::new();
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some(task) = tasks.get(index)
            {
                results.push((index, work(task)));
            }
            results
        };
        let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
            let pools = self.pools.iter().take(tasks.len());
            let threads: Vec<_> = pools
                .map(|pool| scope.spawn(|| pool.install(take)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            // A panic goes on where it would have been without threads.
            joined
                .flat_map(|results| {
                    results.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        results.sort_unstable_by_key(|&(index, _)| index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn workers(count: usize) -> Workers {
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(1).build();
        Workers {
            pools: (0..count).map(|index| pool(index).unwrap()).collect(),
        }
    }

    #[test]
    fn results_are_in_the_order_of_tasks() {
        let tasks: Vec<u64> = (0..50).collect();
        for count in [0, 2, 3] {
            let results = workers(count).map(&tasks, |&task| {
                // The first tasks end last.
                std::thread::sleep(std::time::Duration::from_micros(500 - 10 * task));
                task * task
            });
            let expected: Vec<u64> = tasks.iter().map(|task| task * task).collect();
            assert_eq!(results, expected, "{count} workers");
        }
    }

    #[test]
    fn workers_are_at_work_together_each_on_one_thread() {
        // Both have to come to the barrier before either goes on.
        let barrier = Barrier::new(2);
        let threads = workers(2).map(&[(), ()], |()| {
            barrier.wait();
            rayon::current_num_threads()
        });
        assert_eq!(threads, [1, 1]);
    }

    #[test]
    fn never_more_workers_than_inputs_at_a_time() {
        let cpu = DeviceName::ENABLED.iter().find(|device| device.is_cpu());
        let Some(&device) = cpu else { return };
        assert_eq!(Workers::new(device, 1).unwrap().count(), 1);
        let cores = rayon::current_num_threads();
        assert_eq!(Workers::new(device, 1000).unwrap().count(), cores.min(1000));
    }
}
