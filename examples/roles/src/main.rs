//! Prints what each role of the three services may do.

use std::error::Error;

use roles::{crawler, repositories, scraper, table};

fn main() -> Result<(), Box<dyn Error>> {
    for (service, roles) in [
        ("a scraper", scraper::roles()?),
        ("test runs of repositories", repositories::roles()?),
        ("a crawler", crawler::roles()?),
    ] {
        println!("{service}\n{}", table::of(&roles));
    }
    Ok(())
}
