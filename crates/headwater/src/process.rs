//! What a program sets for itself before it analyses.

/// Prepares the process for analyses from the thread that calls this, which
/// programs do first thing in `main`.
///
/// * The calling thread becomes one of rayon's global pool. From outside of it,
///   each of an analysis's many small operations would be handed to another
///   thread, and waited for. Where there is a global pool already, or one with a
///   single thread is asked for (which another thread may need while this one
///   waits for it), it stays as it is.
/// * The allocator keeps what is freed for what is allocated next. A layer's
///   arrays are megabytes, made and dropped layer after layer. The GNU C library
///   gives memory of that size back to the system each time, and getting it
///   anew, page by page, can cost a tenth of an analysis. Elsewhere than on
///   Linux with the GNU C library nothing is set.
///
/// Both are for the whole process, which is why the library does not do it on
/// its own.
pub fn prepare_process() {
    join_thread_pool();
    keep_freed_memory();
}

fn join_thread_pool() {
    let asked_for = std::env::var("RAYON_NUM_THREADS")
        .ok()
        .and_then(|threads| threads.parse().ok())
        .filter(|&threads: &usize| threads > 0);
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if asked_for.unwrap_or_else(cores) < 2 {
        return;
    }
    // An error says that there is a pool: it is used then.
    let _ = rayon::ThreadPoolBuilder::new()
        .use_current_thread()
        .build_global();
}

fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: libc::c_int = 1 << 30;
        const STEP: libc::c_int = 64 << 20;
        // SAFETY: `mallopt` takes any numbers; what it refuses stays as it is.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TOP_PAD, STEP);
        }
    }
}
