//! [`Counting`]: an allocator that refuses what goes beyond the limit of the target that runs.
//!
//! libFuzzer knows the memory of the whole process only, and asks for it once a second. This is exact, works without a sanitizer,
//! and refuses before the machine has to swap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The allocator of the system, with what it has given out counted.
#[derive(Debug)]
pub struct Counting;

/// What is given out.
static HELD: AtomicUsize = AtomicUsize::new(0);
/// What may be given out at the most.
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The most that was given out since a target began.
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn takes(bytes: usize) -> bool {
    let held = HELD.fetch_add(bytes, Relaxed).saturating_add(bytes);
    PEAK.fetch_max(held, Relaxed);
    // Whoever panics is already found out, and needs memory to say where.
    if held <= MOST.load(Relaxed) || std::thread::panicking() {
        return true;
    }
    HELD.fetch_sub(bytes, Relaxed);
    false
}

// SAFETY: every call is handed to the allocator of the system with the arguments that came, and what that returns is returned, so
// its guarantees hold. What is counted besides is in atomics, which do not allocate. A null pointer is how an allocator says that
// there is no memory; Rust ends the process then and says how much was asked for.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the contract is that of the allocator of the system, which is called with the same arguments.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !takes(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps to the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the contract is that of the allocator of the system, which is called with the same arguments.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !takes(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps to the contract of `alloc_zeroed`, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: the contract is that of the allocator of the system, which is called with the same arguments.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `System` with this layout, since all of this allocator's do.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: the contract is that of the allocator of the system, which is called with the same arguments.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !takes(size) {
            return std::ptr::null_mut();
        }
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `System` with this layout, and the caller keeps to the contract for the size.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Does something that may take so many bytes more than there are in use. The process ends if it takes more.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let held = HELD.load(Relaxed);
    PEAK.store(held, Relaxed);
    MOST.store(held.saturating_add(bytes), Relaxed);
    let done = work();
    MOST.store(usize::MAX, Relaxed);
    done
}

/// Returns how many bytes more than at its beginning the last target has held at once.
pub fn peak(before: usize) -> usize {
    PEAK.load(Relaxed).saturating_sub(before)
}

/// Returns how many bytes are given out.
pub fn held() -> usize {
    HELD.load(Relaxed)
}
