//! How the allocator of the C library is told to behave: [`settle`], [`give_back`].

/// What is freed at the end of the heap stays with the process up to so many bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 16 << 20;
/// What has more bytes than any buffer comes from the kernel and goes back to it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 4 << 20;

/// Has memory that was freed used again, instead of giving it back to the kernel and asking for it again.
///
/// What comes over the network passes through buffers of some hundred KiB, made and dropped for every piece. By default
/// each thread has a heap of its own, which shrinks and grows with them: a quarter of all pages that pass are then cleared by
/// the kernel first, which costs an eighth of the processor time of fetching large layers. One heap also holds less.
///
/// To be called before there are other threads. Other C libraries have no such settings, and keep theirs.
#[allow(unsafe_code)]
pub(crate) fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes numbers alone, no pointers, and changes settings of the allocator only. There is one thread
    // yet, so that nothing allocates at the same time. It refuses what it does not know, which leaves things as they were.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives memory that is free back to the kernel, wherever it is. To be called where much was let go of, which is between the parts of
/// a run: what one part has used and freed lies in pieces all over the heap, too small for some of what the next one needs.
#[allow(unsafe_code)]
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes a number alone and locks what it works on, as malloc and free do. It only tells the kernel of
    // pages that hold nothing.
    unsafe {
        libc::malloc_trim(0);
    }
}
