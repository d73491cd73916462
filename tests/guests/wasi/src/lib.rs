//! A guest that imports WASI, as one that is compiled for `wasm32-wasip2` does, and tells what it is given: the host
//! must give it no file, no address, no environment, no arguments, and a clock that stands still.
//!
//! [`Wasi`] answers as a content source by warnings and as a static policy by findings, with the codes `wasi.<what>`.

mod bindings;

use oc_mirror_plugin_sdk::{
    ContentSource, Error, ImageRequest, Plugin, Problem, Sink, StaticPolicy, Summary, Verdict, export_plugin,
    finding,
};
use serde::Deserialize;

use crate::bindings::wasi::cli::{environment, stdout};
use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::bindings::wasi::filesystem::preopens;
use crate::bindings::wasi::random::random;
use crate::bindings::wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use crate::bindings::wasi::sockets::{instance_network, tcp_create_socket};

/// Where it tries to connect to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// A port of this machine.
    #[serde(default = "discard")]
    port: u16,
}

fn discard() -> u16 {
    9
}

/// The guest.
struct Wasi(Settings);

impl Plugin for Wasi {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self(settings))
    }
}

impl Wasi {
    fn answers(&self) -> Vec<(&'static str, String)> {
        let files: Vec<String> = preopens::get_directories().into_iter().map(|(_, path)| path).collect();
        let now = wall_clock::now();
        vec![
            ("environment", environment::get_environment().len().to_string()),
            ("arguments", environment::get_arguments().len().to_string()),
            ("preopens", files.len().to_string()),
            ("connect", self.connect()),
            ("wall-clock", format!("{}.{:09}", now.seconds, now.nanoseconds)),
            ("monotonic-clock", monotonic_clock::now().to_string()),
            ("random", random::get_random_bytes(8).iter().map(|b| format!("{b:02x}")).collect()),
            ("stdout", say("a line on standard output\n")),
        ]
    }

    fn connect(&self) -> String {
        let socket = match tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4) {
            Ok(socket) => socket,
            Err(code) => return format!("no socket: {code:?}"),
        };
        let address = Ipv4SocketAddress { port: self.0.port, address: (127, 0, 0, 1) };
        let network = instance_network::instance_network();
        match socket.start_connect(&network, IpSocketAddress::Ipv4(address)) {
            Ok(()) => "started".to_owned(),
            Err(code) => format!("refused: {code:?}"),
        }
    }
}

fn say(text: &str) -> String {
    match stdout::get_stdout().blocking_write_and_flush(text.as_bytes()) {
        Ok(()) => "written".to_owned(),
        Err(_) => "closed".to_owned(),
    }
}

impl ContentSource for Wasi {
    fn collect(&self, out: &Sink) -> Result<Summary, Error> {
        for (what, answer) in self.answers() {
            out.warn(&format!("wasi.{what}"), &answer);
        }
        Ok(Summary { images: 0, generated: 0, skipped: 0 })
    }
}

impl StaticPolicy for Wasi {
    fn evaluate_reference(&self, _: &ImageRequest) -> Verdict {
        let answers = self.answers().into_iter();
        Verdict::Warn(answers.map(|(what, answer)| finding(&format!("wasi.{what}"), answer, [])).collect())
    }
}

export_plugin!(Wasi: source, static_policy);
