//! Installs the schema `tenancy` and then an application's migrations, as the administrator:
//! `cargo run -p tenancy-sqlx --example install -- <admin's database URL> <migrations folder>`.

use std::path::Path;

use sqlx::migrate::Migrator;
use tenancy_sqlx::schema::Installer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: install <admin's database URL> <migrations folder>".into());
    };
    let application = Migrator::new(Path::new(&folder)).await?;
    Installer::new().run(&url, &application).await?;
    Ok(())
}
