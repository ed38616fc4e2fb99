//! Says so where the kernels are built without optimisation: a text then takes
//! seconds in place of a tenth of one, and profiles of this workspace do not
//! reach the programs that depend on it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("OPT_LEVEL").as_deref() == Ok("0") {
        println!(
            "cargo::warning=headwater's arithmetic is built without optimisation and will be \
             slow; Cargo.toml needs [profile.dev.package.\"*\"] with opt-level = 2"
        );
    }
}
