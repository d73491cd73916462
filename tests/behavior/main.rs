//! One suite for every place that content can be put into and read from.
//!
//! A place is added with a module that implements [`place::Place`] and one line at the end of this file. What is
//! particular to a place is stated in its [`place::Rules`], not decided by the cases.

mod archive;
mod content;
mod memory;
mod place;
mod suite;

/// Runs all cases of the suite against one place.
macro_rules! behavior {
    ($module:ident, $place:expr) => {
        behavior!(@cases $module, $place,
            blobs_come_back_whole
            blobs_come_back_from_any_offset
            pieces_are_small
            manifests_keep_every_byte
            tags_lead_to_manifests
            what_is_not_there_is_not_found
            wrong_content_never_appears
            a_stream_that_fails_leaves_nothing
            a_put_that_is_dropped_leaves_nothing
            putting_again_changes_nothing
            many_at_once_do_not_disturb_each_other
            manifests_wait_for_their_blobs
            mounting_needs_the_blob
            repositories_are_apart
        );
    };
    (@cases $module:ident, $place:expr, $($case:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::suite::$case(&$place).await;
                }
            )*
        }
    };
}

behavior!(in_memory, crate::memory::InMemory);
behavior!(in_one_chunk, crate::archive::InImageset { chunk_limit: None });
behavior!(in_many_chunks, crate::archive::InImageset { chunk_limit: Some(100 << 10) });
