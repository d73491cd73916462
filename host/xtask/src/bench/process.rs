//! What a process uses up: [`Usage`], read from `/proc` while it runs.
//!
//! The peaks of memory are read every few milliseconds, and what came after the last look is missed; the time is read
//! when the process has ended and before it is forgotten.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::Tool;

/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(4);
/// How many looks at the whole process there are for each one at its memory map, which is more work to read.
const LOOKS_PER_MAP: u32 = 8;
/// Ticks of user time in a second, the same on every Linux that shows its `/proc` to programs.
const TICKS: f64 = 100.0;
/// A guest's memory is the beginning of a reservation at least this large, so that no pointer of its reaches beyond.
const RESERVATION: u64 = 2 << 30;

/// What one process used up.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// Seconds from its start to its end.
    pub(super) wall: f64,
    /// Seconds of processor time outside the kernel, of all its threads.
    pub(super) user: f64,
    /// Seconds of processor time, of all its threads and of the processes it started and waited for.
    pub(super) cpu: f64,
    /// Bytes it and those processes had the kernel write to disk, less what was gone again before it came to that.
    pub(super) written: u64,
    /// The most bytes of memory at one time.
    pub(super) memory: u64,
    /// The most bytes of memory of a guest at one time; 0 where there is none, or none for long.
    pub(super) guest: u64,
    /// What it printed.
    pub(super) printed: String,
}

impl Usage {
    /// Runs a program with this input to its end.
    pub(super) fn of(tool: Tool, input: &str) -> Result<Self, String> {
        Self::watched(tool, input, watched)
    }

    /// Runs a program, or a script that runs one after the other, to its end. The memory is that of the largest process.
    /// It is looked at as little as may be, since it is to be as fast as without.
    pub(super) fn of_all(tool: Tool) -> Result<Self, String> {
        Self::watched(tool, "", watched_from_afar)
    }

    fn watched(tool: Tool, input: &str, watch: fn(&Child) -> Self) -> Result<Self, String> {
        let mut command = tool.into_command();
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().map_err(|e| format!("cannot run `{name}`: {e}"))?;
        let mut stdin = child.stdin.take().ok_or("its input is a pipe")?;
        // It may end without having read it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let printed = drained(child.stdout.take());
        let complaints = drained(child.stderr.take());
        let mut usage = watch(&child);
        usage.wall = start.elapsed().as_secs_f64();
        let status = child.wait().map_err(|e| format!("`{name}` cannot be waited for: {e}"))?;
        usage.printed = joined(printed);
        match status.success() {
            true => Ok(usage),
            false => Err(format!("`{name}` ended with {status}\n{}", joined(complaints).trim_end())),
        }
    }

    /// Takes the shorter times and the most memory of two runs.
    pub(super) fn better(mut self, other: Self) -> Self {
        self.wall = self.wall.min(other.wall);
        self.user = self.user.min(other.user);
        self.cpu = self.cpu.min(other.cpu);
        self.written = self.written.max(other.written);
        self.memory = self.memory.max(other.memory);
        self.guest = self.guest.max(other.guest);
        self
    }
}

/// Reads a pipe to its end beside the process, which would stand still when it is full.
fn drained<R: std::io::Read + Send + 'static>(pipe: Option<R>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What cannot be read is not there.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn joined(reader: thread::JoinHandle<String>) -> String {
    reader.join().unwrap_or_default()
}

/// Looks at a process until it has ended.
fn watched(child: &Child) -> Usage {
    let proc = format!("/proc/{}", child.id());
    let mut usage = Usage::default();
    let mut looks = 0;
    // Its parent has not waited for it yet, so its number is not given to another.
    while let Ok(stat) = fs::read_to_string(format!("{proc}/stat")) {
        let Some(stat) = parse_stat(&stat) else { break };
        usage.user = stat.user;
        usage.cpu = stat.cpu;
        if matches!(stat.state, 'Z' | 'X') {
            break;
        }
        let status = fs::read_to_string(format!("{proc}/status")).unwrap_or_default();
        usage.memory = usage.memory.max(parse_peak(&status).unwrap_or(0));
        if looks % LOOKS_PER_MAP == 0 {
            let maps = fs::read_to_string(format!("{proc}/maps")).unwrap_or_default();
            usage.guest = usage.guest.max(guest_memory(&maps));
        }
        looks += 1;
        thread::sleep(LOOK);
    }
    usage
}

/// Looks at a process and those it starts, now and then, until it has ended.
fn watched_from_afar(child: &Child) -> Usage {
    let proc = format!("/proc/{}", child.id());
    let mut usage = Usage::default();
    while let Ok(stat) = fs::read_to_string(format!("{proc}/stat")) {
        let Some(stat) = parse_stat(&stat) else { break };
        usage.user = stat.user;
        usage.cpu = stat.cpu;
        if matches!(stat.state, 'Z' | 'X') {
            // What its children wrote has been added to its own when it waited for them.
            usage.written =
                fs::read_to_string(format!("{proc}/io")).ok().as_deref().and_then(parse_io).unwrap_or(0);
            break;
        }
        let children = fs::read_to_string(format!("{proc}/task/{}/children", child.id())).unwrap_or_default();
        let parts = children.split_ascii_whitespace().map(|child| format!("/proc/{child}"));
        for part in parts.chain([proc.clone()]) {
            let status = fs::read_to_string(format!("{part}/status")).unwrap_or_default();
            usage.memory = usage.memory.max(parse_peak(&status).unwrap_or(0));
        }
        thread::sleep(LOOK);
    }
    usage
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    state: char,
    /// Seconds of its own outside the kernel.
    user: f64,
    /// Seconds in and outside the kernel, with those of children it has waited for.
    cpu: f64,
}

/// Reads a line of the kernel's. The name in front may have spaces and parentheses in it.
fn parse_stat(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let times: Vec<f64> =
        fields.skip(10).take(4).map(|ticks| ticks.parse()).collect::<Result<_, _>>().ok()?;
    Some(Stat { state, user: times.first()? / TICKS, cpu: times.iter().sum::<f64>() / TICKS })
}

/// Returns the bytes written to disk, less those that were not to be written after all.
fn parse_io(io: &str) -> Option<u64> {
    let field = |name: &str| io.lines().find_map(|line| line.strip_prefix(name))?.trim().parse::<u64>().ok();
    Some(field("write_bytes:")?.saturating_sub(field("cancelled_write_bytes:")?))
}

/// Returns the bytes of `VmHWM`, which is in KiB.
fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Returns the bytes of the largest memory of a guest: what can be written to, with a reservation behind it.
fn guest_memory(maps: &str) -> u64 {
    let mut largest = 0;
    let mut before: Option<(u64, u64)> = None;
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let Some((start, end)) = parse_range(range) else { continue };
        match (rights, before) {
            ("---p", Some((first, last))) if last == start && end - start > RESERVATION => {
                largest = largest.max(last - first);
            }
            // What was mapped from one file at once may be listed in several pieces.
            ("rw-p", Some((first, last))) if last == start => before = Some((first, end)),
            ("rw-p", _) => before = Some((start, end)),
            _ => before = None,
        }
    }
    largest
}

fn parse_range(range: &str) -> Option<(u64, u64)> {
    let (start, end) = range.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_measured() {
        let script = "read line; echo got $line; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let usage = Usage::of(Tool::new("sh").args(["-c", script]), "this\n").unwrap();
        assert_eq!(usage.printed, "got this\n");
        assert!(usage.user > 0.0 && usage.wall > 0.0, "{usage:?}");
        assert!(usage.memory > 100_000, "{usage:?}");
        let error = Usage::of(Tool::new("sh").args(["-c", "echo no >&2; exit 3"]), "").unwrap_err();
        assert_eq!(error, "`sh` ended with exit status: 3\nno");
    }

    #[test]
    fn a_script_is_measured_with_what_it_runs() {
        let script = "dd if=/dev/zero of=\"$0\" bs=1M count=8 conv=fsync 2>&1; rm \"$0\"";
        // Below the directory that cargo builds into, as there may be no disk below /tmp.
        let file = crate::run::target().join(format!("xtask-measured-{}", std::process::id()));
        let usage = Usage::of_all(Tool::new("sh").args(["-c", script]).path(&file)).unwrap();
        assert!(usage.written >= 8 << 20, "{usage:?}");
        assert!(usage.memory > 100_000, "{usage:?}");
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 30 20 20 0 1 0 9 9 9";
        assert_eq!(parse_stat(stat), Some(Stat { state: 'S', user: 2.5, cpu: 3.5 }));
        let io = "rchar: 9\nwchar: 8\nwrite_bytes: 4096\ncancelled_write_bytes: 1096\n";
        assert_eq!(parse_io(io), Some(3000));
        assert_eq!(parse_peak("Name:\tx\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn the_memory_of_a_guest_is_the_writable_part_of_a_reservation() {
        let maps = "\
            10000-20000 r-xp 00000000 00:00 0 /bin/x\n\
            100000-300000 rw-p 00000000 00:00 0\n\
            300000-200000000 ---p 00000000 00:00 0\n\
            300000000-300900000 rw-p 00000000 00:00 0 [heap]\n\
            300900000-300901000 ---p 00000000 00:00 0\n";
        assert_eq!(guest_memory(maps), 0x200000);
    }
}
