/// Tells the allocator to keep what is freed for what is allocated next.
///
/// A layer's arrays are megabytes, made and dropped layer after layer. The GNU
/// C library gives memory of that size back to the system each time, and
/// getting it anew, page by page, can cost a tenth of an analysis. A program
/// that does not choose its own allocator should call this first thing in
/// `main`; elsewhere than on Linux with the GNU C library it does nothing.
///
/// The setting is for the whole process, which is why the library does not
/// make it on its own.
pub fn keep_freed_memory() {
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
