//! Headwater's own chores, as `cargo xtask COMMAND`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod accuracy;
mod bench;
mod checksum;
mod child;
mod fixtures;
#[cfg(unix)]
mod fuzz;
mod memory;
mod minilm;
mod outside;
mod random_model;
mod report_test;
mod reproduce;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the papers' experiments and write their tables and figures beside the published numbers
    Reproduce(Box<reproduce::Options>),
    /// Write docs/REPRODUCTION.md from the bundled models and all-MiniLM-L6-v2
    ReproduceDocs,
    /// Print how far every quantity is from another implementation's float64
    Accuracy(accuracy::Options),
    /// Check the fixtures against their checksums; nothing is written
    Fixtures,
    /// Damage the bundled models' files at random, and see that the program stays sound
    #[cfg(unix)]
    Fuzz(fuzz::Options),
    /// Fetch all-MiniLM-L6-v2 into target/models and print its directory
    Minilm,
    /// Print the peak memory of an analysis with a model of a given size
    Memory(memory::Options),
    /// Measure time, memory and throughput beside their goals, and write docs/PERFORMANCE.md
    Bench(bench::Options),
    /// One measurement of `bench`, in a process of its own
    #[command(hide = true)]
    BenchStartUp(bench::StartUpOptions),
    /// Build a program outside of this workspace with the lines of the README, and time it
    Outside(outside::Options),
    /// Open reports in headless Chromium, compare what they show with the analysis files, and print how fast they are
    ReportTest(report_test::Options),
}

fn main() -> ExitCode {
    headwater::prepare_process();
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("{error:#}").replace('\n', " ");
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Reproduce(options) => reproduce::run(&options),
        Command::ReproduceDocs => reproduce::write_docs(),
        Command::Accuracy(options) => accuracy::run(&options),
        Command::Fixtures => fixtures::check(&repository().join("fixtures")),
        #[cfg(unix)]
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Minilm => {
            println!("{}", minilm::directory()?.display());
            Ok(())
        }
        Command::Memory(options) => memory::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::BenchStartUp(options) => bench::start_up_parts(&options),
        Command::Outside(options) => outside::run(&options),
        Command::ReportTest(options) => report_test::run(&options),
    }
}

/// The root of the repository that this program was built from.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the repository")
}

/// Where Cargo puts what it builds.
fn cargo_target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => repository().join(folder),
        None => target(),
    }
}

/// Where what is made goes.
fn target() -> PathBuf {
    repository().join("target")
}
