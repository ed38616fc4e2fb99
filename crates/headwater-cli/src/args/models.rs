use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// Print JSON in place of a table
    #[arg(long)]
    pub(crate) json: bool,
}
