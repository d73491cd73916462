//! Bugs that are planted to find out whether the simulation finds them.

/// A change of one place in the engine that makes it wrong.
pub(super) struct Mutant {
    /// What it does.
    pub(super) name: &'static str,
    /// The file, below `host/engine/src`.
    pub(super) file: &'static str,
    /// What stands there, once.
    pub(super) from: &'static str,
    /// What stands there in the mutant.
    pub(super) to: &'static str,
}

/// All of them. A change of the engine that moves such a place has to move it here, too: otherwise the run says so.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "finished entries are journalled without a sync",
        file: "archive/writer.rs",
        from: "let result = self.sync(chunks).and_then(|()| match journal.as_mut() {",
        to: "let result = io::Result::Ok(drop(chunks)).and_then(|()| match journal.as_mut() {",
    },
    Mutant {
        name: "chunks get their names without a sync",
        file: "archive/writer.rs",
        from: "self.sync(0..sealed.len()).and_then(|()| journal.sealing())",
        to: "journal.sealing()",
    },
    Mutant {
        name: "chunk 0 gets its name first",
        file: "archive/writer.rs",
        from: "sealed.iter().enumerate().rev()",
        to: "sealed.iter().enumerate()",
    },
    Mutant {
        name: "the names of the chunks are not made durable before that of chunk 0",
        file: "archive/writer.rs",
        from: "if chunk <= 1 {",
        to: "if chunk == 0 && self.index.chunks.len() > 99 {",
    },
    Mutant {
        name: "a disk that failed a sync is trusted afterwards",
        file: "archive/writer.rs",
        from: "        result.map_err(|error| {\n            self.state().lost = true;\n            write_failed(&self.dir, error)\n        })",
        to: "        let _ = result;\n        Ok(())",
    },
    Mutant {
        name: "a file is replaced without a sync of the new one",
        file: "fsx/mod.rs",
        from: ".and_then(|()| sync_all(&file))",
        to: "",
    },
    Mutant {
        name: "what is only noted as written is not hashed",
        file: "archive/recover.rs",
        from: "hasher.is_ok_and(|hasher| hasher.finish() == entry.digest)",
        to: "hasher.is_ok()",
    },
    Mutant {
        name: "what a failed sync may have dropped is not written again",
        file: "archive/recover.rs",
        from: "fsx::write_all_at(&file, &buffer[..len], place)?;",
        to: "",
    },
    Mutant {
        name: "the journal says of a chunk what it said of one before",
        file: "archive/prepare.rs",
        from: "Journal::replace(&journal_path, record, |number| chunks.keeps(plan.index, number))",
        to: "Journal::replace(&journal_path, record, |_| true)",
    },
    Mutant {
        name: "an earlier plan's journal is set aside while its chunks may still have their names",
        file: "archive/salvage.rs",
        from: "rename(path, &unnamed(*number)))?;\n    fsx::fsync_dir(dir).map_err(|e| failed(dir, e))",
        to: "rename(path, &unnamed(*number)))",
    },
    Mutant {
        name: "what an earlier plan has left is not hashed",
        file: "archive/salvage.rs",
        from: "if hasher.finish() == to.digest { Copied::Whole }",
        to: "if hasher.finish() == to.digest || to.size > 0 { Copied::Whole }",
    },
    Mutant {
        name: "the length that a registry says is enough, and no digest is compared",
        file: "content/verify.rs",
        from: "Some(actual) if actual != expected => {",
        to: "Some(actual) if actual != expected && this.seen == u64::MAX => {",
    },
    Mutant {
        name: "a manifest is not compared with its digest",
        file: "registry/pull.rs",
        from: "            Some(digest) => manifest.verify(&digest).map_err(|e| invalid_manifest(&subject, e)),\n            None => Ok(manifest),",
        to: "            _ => Ok(manifest),",
    },
    Mutant {
        name: "a body that stands still is waited for",
        file: "net/client.rs",
        from: "while timer.as_mut().poll(cx).is_ready() {",
        to: "while timer.as_mut().poll(cx).is_ready() && this.bytes == u64::MAX {",
    },
    Mutant {
        name: "the record says that an imageset is made before its chunks have their names",
        file: "workflow/to_disk.rs",
        from: "let paths = writer.seal().await?;",
        to: "let state = prepared.plugin_state.clone();\n    let extras = Extras { state, files: file_records(&prepared) };\n    let early = Index::clone(&index);\n    let early = advance_over(chain.clone(), early, Some(&identity), &Names::default(), extras);\n    workspace.commit_record(&early, found.as_ref()).await?;\n    let paths = writer.seal().await?;",
    },
    Mutant {
        name: "an imageset that was sealed and not recorded is not taken up",
        file: "workflow/to_disk.rs",
        from: "if set.sequence != chain.sequence() + 1 || !set.chunks.contains_key(&0) {",
        to: "if set.sequence < u64::MAX {",
    },
    Mutant {
        name: "an imageset that is taken up is not made durable",
        file: "workflow/to_disk.rs",
        from: "fsx::fsync_dir(&to.dir).map_err(failed)?;",
        to: "std::fs::read_dir(&to.dir).map_err(failed)?;",
    },
    Mutant {
        name: "chunks without the one that holds the index are taken for an imageset",
        file: "workflow/to_disk.rs",
        from: " || !set.chunks.contains_key(&0) {",
        to: " {",
    },
    Mutant {
        name: "a publisher that lost does not look at tags when it comes again",
        file: "workflow/from_disk.rs",
        from: "let overtaken = !run.dry_run && workspace.was_overtaken(&destination.target, revision)?;",
        to: "let overtaken = run.dry_run && workspace.was_overtaken(&destination.target, revision)?;",
    },
    Mutant {
        name: "a directory that a killed run made is taken for durable",
        file: "fsx/disk.rs",
        from: "match fsync_dir(&super::parent(path)) {",
        to: "match Ok::<(), io::Error>(()) {",
    },
    Mutant {
        name: "images that fail are taken for published",
        file: "transfer/publish.rs",
        from: "        failed.extend(more.into_iter().map(|(number, error)| {",
        to: "        failed.extend(more.into_iter().take(0).map(|(number, error)| {",
    },
    Mutant {
        name: "a blob is taken for there whatever the target says",
        file: "transfer/publish.rs",
        from: "        if there {\n            self.note(&blob.digest, &image.repository);\n            self.count(|t| t.skipped_blobs += 1);\n        }\n        Ok(there)",
        to: "        let _ = there;\n        self.note(&blob.digest, &image.repository);\n        Ok(true)",
    },
    Mutant {
        name: "a tag that is there is taken for the right one",
        file: "transfer/publish.rs",
        from: "if tagged.is_none_or(|t| t.digest != image.root.digest) {",
        to: "if tagged.is_none() {",
    },
];
