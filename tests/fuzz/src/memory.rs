//! How much memory a call takes.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The most memory that a call has at any moment, in bytes. Other threads must not allocate meanwhile.
pub(crate) fn taken_by(call: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    call();
    ALLOCATOR.peak_usage().saturating_sub(before)
}
