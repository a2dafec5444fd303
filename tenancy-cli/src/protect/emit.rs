//! What protecting does as a migration for sqlx, with its way back.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::json;

use super::Done;
use crate::{
    failure::{Failure, Verdict},
    output::Output,
};

/// Writes `…_protect_tables.up.sql` and `…_protect_tables.down.sql` into a folder that exists.
///
/// # Errors
/// A file that is there already, or a folder that can't be written to.
pub(super) async fn write(
    folder: &Path,
    done: &Done,
    back: &str,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    if done.statements.is_empty() {
        output.remark("nothing to do, and nothing is written");
        return Ok(Verdict::Done);
    }
    let stem = Timestamp::now()
        .strftime("%Y%m%d%H%M%S_protect_tables")
        .to_string();
    let up = folder.join(format!("{stem}.up.sql"));
    let down = folder.join(format!("{stem}.down.sql"));
    let (mut up_file, mut down_file) = (create(&up)?, create(&down)?);
    let header = "-- Written by `tenancy protect --emit`, for the tables as they stood: what has changed since, the last \
                  statement mends or names.\n";
    up_file.write_all(format!("{header}{}", done.sql()).as_bytes())?;
    down_file.write_all(format!("{back};\n").as_bytes())?;
    let paths = [&up, &down].map(|path| path.display().to_string());
    let text = format!("written: {}", paths.join(", "));
    output.good(&text, &json!({ "files": paths })).await?;
    Ok(Verdict::Done)
}

/// A file that was not there.
fn create(path: &PathBuf) -> Result<File, Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    opened.map_err(|error| Failure::Told(format!("`{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_overwritten() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("1_protect_tables.up.sql");
        std::fs::write(&path, "kept")?;
        assert!(
            matches!(create(&path), Err(Failure::Told(said)) if said.contains("1_protect_tables.up.sql"))
        );
        assert_eq!(std::fs::read_to_string(&path)?, "kept");
        Ok(())
    }
}
