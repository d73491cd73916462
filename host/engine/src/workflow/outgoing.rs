//! Imagesets on their way into a bucket: [`Outgoing`].
//!
//! An imageset is made in a directory of the workspace and sealed there, so each byte is on the local disk once. Then its chunks
//! go up in parts, of which nothing can be seen; the chain's record is committed; the uploads are completed, chunk 0 last; the
//! local chunks are removed. So what can be seen in a bucket is committed, a run that loses to another has shown nothing, and
//! whatever stops a run, the next one in this workspace goes on: what the store has is noted beside the chunks.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use oc_mirror_model::digest::Digest;
use uuid::Uuid;

use super::{Run, WorkflowError, WorkflowErrorKind};
use crate::archive::{self, ImagesetFiles};
use crate::bucket::{Bucket, PART, Part, Revision};
use crate::content::ContentError;
use crate::fsx;
use crate::report::{Event, Moving};

/// The notes of what the store has: a line for the imageset, one for each upload, one for each part.
const NOTES: &str = ".uploads";
/// The object that says which chain a prefix belongs to.
const CHAIN: &str = "mirror-chain.json";
/// So many parts are under way at once, each in memory.
const PARALLEL: usize = 4;
/// No store takes more parts for one object.
const MAX_PARTS: u64 = 10_000;

/// The way of sealed imagesets from a directory of the workspace into a bucket.
pub(super) struct Outgoing<'a> {
    pub(super) run: &'a Run,
    pub(super) bucket: &'a Arc<Bucket>,
    pub(super) dir: &'a Path,
}

/// To whom a prefix belongs.
pub(super) enum Claim {
    /// To this chain.
    Ours,
    /// To none. If somebody has claimed it before, this is what their claim was.
    Free(Option<Revision>),
}

/// An imageset whose parts are with the store.
pub(super) struct Uploaded {
    /// By chunk: its file, its name, and its upload; none where the object is there already.
    chunks: Vec<(PathBuf, String, u64, Option<Upload>)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Upload {
    id: String,
    parts: BTreeMap<usize, Part>,
}

impl Outgoing<'_> {
    /// Refuses a prefix of another chain, before anything is committed.
    pub(super) async fn check_claim(&self, uid: Uuid) -> Result<Claim, WorkflowError> {
        let Some((bytes, revision)) = self.bucket.get(CHAIN, 4096).await? else {
            return Ok(Claim::Free(None));
        };
        match uid_of(&bytes) {
            Some(there) if there == uid => Ok(Claim::Ours),
            Some(there) if !super::imagesets::in_bucket(self.bucket).await?.is_empty() => {
                Err(self.claimed(there, uid))
            }
            // A claim without any imageset is what a run left that never got so far.
            _ => Ok(Claim::Free(revision)),
        }
    }

    /// Claims the prefix for a chain whose imageset is committed.
    pub(super) async fn claim(&self, uid: Uuid, claim: Claim) -> Result<(), WorkflowError> {
        let Claim::Free(revision) = claim else { return Ok(()) };
        let bytes = Bytes::from(format!("{}\n", serde_json::json!({ "uid": uid })));
        if self.bucket.put_if(CHAIN, bytes, revision.as_ref()).await? {
            return Ok(());
        }
        let there = self.bucket.get(CHAIN, 4096).await?.and_then(|(bytes, _)| uid_of(&bytes));
        match there {
            Some(there) if there == uid => Ok(()),
            there => Err(self.claimed(there.unwrap_or_default(), uid)),
        }
    }

    fn claimed(&self, found: Uuid, wanted: Uuid) -> WorkflowError {
        let path = self.bucket.url().to_string();
        WorkflowErrorKind::PlaceOfOtherChain { path, found, wanted }.into()
    }

    /// Puts everything with the store that is not there yet. Nothing can be seen of it.
    pub(super) async fn upload(
        &self,
        set: &ImagesetFiles,
        identity: &Digest,
    ) -> Result<Uploaded, WorkflowError> {
        let path = self.dir.join(NOTES);
        let known = self.known(&path, identity).await?;
        let notes = Notes::open(&path, identity, known.is_none()).map_err(|e| failed(&path, e))?;
        let mut known = known.unwrap_or_default();
        let bytes = set.chunks.values().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
        let items = Some(set.chunks.len() as u64);
        self.run.events.event(Event::Phase { name: "uploading", items, bytes: Some(bytes) });
        let mut chunks = Vec::new();
        for file in set.chunks.values() {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let size = file.metadata().map_err(|e| failed(file, e))?.len();
            let there = self.bucket.head(&name).await?;
            let upload = match there {
                Some(there) if there.size == size => {
                    self.expect(-(size as i64));
                    None
                }
                _ => {
                    let _moving = Moving::begin(self.run.events.as_ref(), &name);
                    Some(self.chunk(file, &name, size, known.remove(&name), &notes).await?)
                }
            };
            self.run.events.event(Event::ItemDone { name: &name });
            chunks.push((file.clone(), name, size, upload));
        }
        Ok(Uploaded { chunks })
    }

    fn expect(&self, bytes: i64) {
        self.run.events.event(Event::Expected { items: 0, bytes });
    }

    /// Reads the notes, if they are about this imageset; uploads of another one are given up.
    async fn known(
        &self,
        path: &Path,
        identity: &Digest,
    ) -> Result<Option<BTreeMap<String, Upload>>, WorkflowError> {
        let Some((of, uploads)) = read_notes(path).map_err(|e| failed(path, e))? else { return Ok(None) };
        if of == identity.to_string() {
            return Ok(Some(uploads));
        }
        self.abort(&uploads).await;
        fsx::remove_if_there(path).map_err(|e| failed(path, e))?;
        Ok(None)
    }

    /// Gives up what nobody will go on with. One that stays costs room in the store and nothing else, so it is only told.
    async fn abort(&self, uploads: &BTreeMap<String, Upload>) {
        for (name, upload) in uploads {
            if let Err(error) = self.bucket.abort_upload(name, &upload.id).await {
                let subject = self.bucket.shown(name);
                let message = format!("an upload could not be given up: {}", error.kind());
                self.run.events.event(Event::Warning { subject: &subject, message: &message });
            }
        }
    }

    async fn chunk(
        &self,
        path: &Path,
        name: &str,
        size: u64,
        known: Option<Upload>,
        notes: &Notes,
    ) -> Result<Upload, WorkflowError> {
        if let Some(known) = known {
            match self.parts(path, name, size, known, notes).await {
                // Stores forget uploads that nobody went on with.
                Err(error) if error.is_not_found() => {}
                outcome => return Ok(outcome?),
            }
        }
        let id = self.bucket.begin_upload(name).await?;
        notes.add(&format!("upload {name} {id}")).map_err(|e| failed(path, e))?;
        let upload = Upload { id, parts: BTreeMap::new() };
        Ok(self.parts(path, name, size, upload, notes).await?)
    }

    async fn parts(
        &self,
        path: &Path,
        name: &str,
        size: u64,
        upload: Upload,
        notes: &Notes,
    ) -> Result<Upload, ContentError> {
        let length = PART.max(size.div_ceil(MAX_PARTS).next_multiple_of(1 << 20));
        let count = usize::try_from(size.div_ceil(length)).expect("bounded by MAX_PARTS");
        let file = File::open(path).map_err(|e| unreadable(path, e))?;
        let file = Arc::new(file);
        let there = upload.parts.keys().map(|number| length.min(size - *number as u64 * length)).sum::<u64>();
        self.expect(-(there as i64));
        let missing = (0..count).filter(|number| !upload.parts.contains_key(number));
        let sent: Vec<(usize, Part)> = futures_util::stream::iter(missing)
            .map(|number| {
                let (file, id) = (file.clone(), &upload.id);
                async move {
                    let at = number as u64 * length;
                    let len = usize::try_from(length.min(size - at)).expect("a part fits into memory");
                    let bytes = tokio::task::spawn_blocking(move || {
                        let mut bytes = vec![0; len];
                        fsx::read_exact_at(&file, &mut bytes, at).map(|()| bytes)
                    });
                    let bytes = bytes.await.expect("reading does not panic and is not aborted");
                    let bytes = Bytes::from(bytes.map_err(|e| unreadable(path, e))?);
                    let part = self.bucket.put_part(name, id, number, bytes).await?;
                    notes.add(&format!("part {name} {number} {}", part.0)).map_err(|e| {
                        ContentError::disk(path.display().to_string(), "it cannot be noted", e)
                    })?;
                    self.run.events.event(Event::Bytes { count: len as i64 });
                    Ok::<_, ContentError>((number, part))
                }
            })
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        let mut upload = upload;
        upload.parts.extend(sent);
        Ok(upload)
    }

    /// Makes the imageset appear, chunk 0 last, and removes what is local of it.
    pub(super) async fn publish(&self, uploaded: Uploaded) -> Result<(), WorkflowError> {
        for (_, name, size, upload) in uploaded.chunks.iter().rev() {
            if let Some(Upload { id, parts }) = upload {
                self.bucket.complete_upload(name, id, parts.values().cloned().collect(), *size).await?;
            }
        }
        // The chunks go last: without them, nobody knows that there is nothing left to do.
        self.clear(uploaded.chunks.iter().map(|(path, ..)| path))
    }

    /// Gives up an imageset that lost to another: nothing of it remains here or there.
    pub(super) async fn give_up(&self, set: &ImagesetFiles) -> Result<(), WorkflowError> {
        let path = self.dir.join(NOTES);
        if let Some((_, uploads)) = read_notes(&path).map_err(|e| failed(&path, e))? {
            self.abort(&uploads).await;
        }
        self.clear(set.chunks.values())
    }

    fn clear<'p>(&self, chunks: impl Iterator<Item = &'p PathBuf>) -> Result<(), WorkflowError> {
        let remove = |path: &Path| fsx::remove_if_there(path).map_err(|e| failed(path, e));
        remove(&self.dir.join(NOTES))?;
        for path in chunks {
            remove(path)?;
        }
        Ok(())
    }

    /// Lists the sealed imagesets that earlier runs did not get through.
    pub(super) fn waiting(&self) -> Result<Vec<ImagesetFiles>, WorkflowError> {
        if self.dir.is_dir() { Ok(archive::find_imagesets(self.dir)?) } else { Ok(Vec::new()) }
    }
}

fn failed(path: &Path, source: io::Error) -> WorkflowError {
    WorkflowErrorKind::Workspace { path: path.display().to_string(), source }.into()
}

fn unreadable(path: &Path, source: io::Error) -> ContentError {
    ContentError::disk(path.display().to_string(), "it cannot be read", source)
}

fn uid_of(bytes: &[u8]) -> Option<Uuid> {
    #[derive(serde::Deserialize)]
    struct Claimed {
        uid: Uuid,
    }
    serde_json::from_slice::<Claimed>(bytes).ok().map(|claimed| claimed.uid)
}

/// The open file of notes. A line that is lost costs one part, so it is not synced.
struct Notes {
    file: Mutex<File>,
}

impl Notes {
    fn open(path: &Path, identity: &Digest, new: bool) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let notes = Self { file: Mutex::new(file) };
        // A line that a killed run did not finish is closed, so that it spoils no other.
        notes.add(&if new { format!("imageset {identity}") } else { String::new() })?;
        Ok(notes)
    }

    fn add(&self, line: &str) -> io::Result<()> {
        let file = self.file.lock().expect("no holder of this lock panics");
        fsx::append(&file, format!("{line}\n").as_bytes())
    }
}

/// Reads of which imageset the notes are, and what they say; nothing if there are none. A torn last line is left out.
fn read_notes(path: &Path) -> io::Result<Option<(String, BTreeMap<String, Upload>)>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse_notes(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_notes(text: &str) -> Option<(String, BTreeMap<String, Upload>)> {
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let identity = lines.next()?.strip_prefix("imageset ")?.to_owned();
    let mut uploads: BTreeMap<String, Upload> = BTreeMap::new();
    for line in lines {
        match line.split(' ').collect::<Vec<_>>()[..] {
            // A later upload of the same chunk takes the place of one that the store forgot.
            ["upload", name, id] => {
                uploads.insert(name.to_owned(), Upload { id: id.to_owned(), parts: BTreeMap::new() });
            }
            ["part", name, number, tag] => {
                if let (Some(upload), Ok(number)) = (uploads.get_mut(name), number.parse()) {
                    upload.parts.insert(number, Part(tag.to_owned()));
                }
            }
            _ => {}
        }
    }
    Some((identity, uploads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_that_are_cut_anywhere_say_less_and_nothing_wrong() {
        let text =
            "imageset sha256:a\nupload x 1\npart x 0 \"e0\"\npart x 1 \"e1\"\nupload y 2\npart y 0 \"e2\"\n";
        let (identity, whole) = parse_notes(text).expect("whole");
        assert_eq!((identity.as_str(), whole.len(), whole["x"].parts.len()), ("sha256:a", 2, 2));
        for cut in 0..text.len() {
            if let Some((identity, uploads)) = parse_notes(&text[..cut]) {
                assert_eq!(identity, "sha256:a");
                for (name, upload) in uploads {
                    assert_eq!(upload.id, whole[&name].id);
                    assert!(upload.parts.iter().all(|(n, part)| whole[&name].parts[n] == *part));
                }
            }
        }
    }

    #[test]
    fn what_was_begun_anew_has_none_of_the_old_parts() {
        let text = "imageset a\nupload x 1\npart x 0 e0\nupl\nupload x 2\npart x 1 e1\n";
        let (_, uploads) = parse_notes(text).expect("whole");
        assert_eq!(uploads["x"].id, "2");
        assert_eq!(uploads["x"].parts.keys().collect::<Vec<_>>(), [&1]);
    }
}
