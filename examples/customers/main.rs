//! A small API of customers with tokenbooth in it: who is signed in sees them, administrators see more. And the same API as a
//! separate process, which asks a tokenbooth who is calling.
//!
//!     cargo run --example customers -- --mock                            # no account needed: a mock Google signs in anybody
//!     cargo run --example customers                                      # with your settings, as `tokenbooth serve` reads them
//!     cargo run --example customers -- --behind http://127.0.0.1:8080    # a process of its own, beside `tokenbooth demo`
//!
//! `inside.rs` is the first two, `behind.rs` the third. What separate processes trade: a request to tokenbooth for each of their
//! own, and nothing works while it is away; for that they share no secret, no database and no language with it, and who is
//! disabled is out at the next request here, too. (Tokens are signed with a secret: who has it to verify them can make them.)
//!
//! The customers are a list in the program: this is about who may see them.

mod behind;
mod customers;
mod inside;
mod single_page_app;

use std::path::PathBuf;

use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// Start a mock Google, GitHub and OpenID Connect issuer, too; nothing is kept
    #[arg(long)]
    mock: bool,
    /// Be a process of its own, and ask the tokenbooth at this URL who is calling
    #[arg(long, value_name = "URL", conflicts_with_all = ["mock", "app"])]
    behind: Option<String>,
    /// Where to listen with --behind; without, `server.port` of the settings
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// What the TypeScript compiler made of the single-page app (examples/clients/typescript); it is then at /app/
    #[arg(long, value_name = "FOLDER")]
    app: Option<PathBuf>,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    match arguments.behind {
        Some(tokenbooth) => behind::serve(tokenbooth, arguments.port).await,
        None => inside::serve(arguments.mock, arguments.app).await,
    }
}
