//! The program as users run it: whole commands against Debian's `docker-registry`, checked with `skopeo` and `tar`.
//!
//! One module for each workflow or promise. What the modules share is in [`lab`].

mod access;
mod blocked;
mod companions;
mod credentials;
mod deletion;
mod depot;
mod differential;
mod dry_run;
mod examples;
mod imageset;
mod interrupted;
mod lab;
mod layouts;
mod mirror_to_mirror;
mod names;
mod operator_loss;
mod operator_opm;
mod operator_oracle;
mod operator_traps;
mod operators;
mod platforms;
mod real_image;
mod real_signatures;
mod refusals;
mod registries_conf;
mod release_genuine;
mod release_graph;
mod release_lists;
mod release_okd;
mod release_real;
mod release_servers;
mod release_signatures;
mod releases;
mod resources;
mod resources_kept;
mod round_trip;
mod secure_policy;
mod serve;
mod shop;
mod small_commands;
mod summary;
mod wrong_inputs;
