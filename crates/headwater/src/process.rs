//! What a program sets for itself before it analyses.

/// Prepares the process for analyses from the thread that calls this, which
/// programs do first thing in `main`.
///
/// * The calling thread becomes one of rayon's global pool. From outside of it,
///   each of an analysis's many small operations would be handed to another
///   thread, and waited for. Where there is a global pool already, or one with a
///   single thread is asked for (which another thread may need while this one
///   waits for it), it stays as it is.
/// * The allocator keeps what is freed for what is allocated next (older GNU C
///   libraries: of arrays up to 32 MiB). A layer's
///   arrays are megabytes, made and dropped layer after layer. The GNU C library
///   gives memory of that size back to the system each time, and getting it
///   anew, page by page, can cost a tenth of an analysis.
/// * The system may back the memory that comes first, half a gigabyte, with huge
///   pages as it is touched. The addresses of a layer's arrays are too many
///   pages of 4 KiB for a processor to remember. What is never touched takes no
///   memory.
///
/// All of it is for the whole process, which is why the library does not do it
/// on its own. The last two do nothing elsewhere than on Linux with the GNU C
/// library.
pub fn prepare_process() {
    join_thread_pool();
    keep_freed_memory();
    use_huge_pages();
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
        /// Older versions refuse all above half of a thread's heap.
        const LARGEST_EVERYWHERE: libc::c_int = 32 << 20;
        const STEP: libc::c_int = 64 << 20;
        const REFUSED: libc::c_int = 0;
        // SAFETY: `mallopt` takes any numbers; what it refuses stays as it is.
        unsafe {
            if libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) == REFUSED {
                libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_EVERYWHERE);
            }
            libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TOP_PAD, STEP);
        }
    }
}

fn use_huge_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LENGTH: usize = 512 << 20;
        const PAGE: usize = 2 << 20;
        // SAFETY: advice for memory that is allocated here and never looked at;
        // freed, it stays part of the heap, which is all that is wanted of it.
        unsafe {
            let memory = libc::malloc(LENGTH);
            if memory.is_null() {
                return;
            }
            let before = memory.align_offset(PAGE).min(LENGTH);
            let whole_pages = (LENGTH - before) / PAGE * PAGE;
            libc::madvise(memory.byte_add(before), whole_pages, libc::MADV_HUGEPAGE);
            libc::free(memory);
        }
    }
}
