//! What protecting does as a migration for sqlx, with its way back.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
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
    let header = "-- Written by `tenancy protect --emit`, for the tables as they stood: what has changed since, the last \
                  statement mends or names. A lock is waited for as long as lock_timeout says; if it is not got, nothing \
                  is changed: run the migration again.\n";
    let up = folder.join(format!("{stem}.up.sql"));
    let down = folder.join(format!("{stem}.down.sql"));
    write_both(
        [&down, &up],
        [done.back_sql(back), format!("{header}{}", done.sql())],
    )?;
    let paths = [&up, &down].map(|path| path.display().to_string());
    let text = format!("written: {}", paths.join(", "));
    output.good(&text, &json!({ "files": paths })).await?;
    Ok(Verdict::Done)
}

/// Writes two files that were not there: both, or none.
fn write_both(paths: [&PathBuf; 2], texts: [String; 2]) -> Result<(), Failure> {
    let parts = paths.map(|path| path.with_extension("part"));
    let mut made = Vec::new();
    let mut all = || {
        for ((path, part), text) in paths.into_iter().zip(&parts).zip(&texts) {
            if path.try_exists().map_err(|error| about(path, &error))? {
                return Err(Failure::Told(format!(
                    "`{}` is there already",
                    path.display()
                )));
            }
            made.push(part);
            write_new(part, text).map_err(|error| about(part, &error))?;
        }
        for (path, part) in paths.into_iter().zip(&parts) {
            fs::rename(part, path).map_err(|error| about(path, &error))?;
            made.push(path);
        }
        Ok(())
    };
    let written = all();
    if written.is_err() {
        for path in made {
            // What went wrong is told already; one that was renamed is not there.
            let _ = fs::remove_file(path);
        }
    }
    written
}

/// A file that was not there, with its text on the disk.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn about(path: &Path, error: &io::Error) -> Failure {
    Failure::Told(format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> io::Result<Vec<String>> {
        let mut names = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    #[test]
    fn both_files_are_written_or_none_and_none_is_overwritten() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let [down, up] = ["1.down.sql", "1.up.sql"].map(|name| folder.path().join(name));
        let texts = || ["back".to_owned(), "forth".to_owned()];
        fs::write(&up, "kept")?;
        assert!(
            matches!(write_both([&down, &up], texts()), Err(Failure::Told(said)) if said.contains("1.up.sql` is there"))
        );
        assert_eq!(names(folder.path())?, ["1.up.sql"]);
        assert_eq!(fs::read_to_string(&up)?, "kept");

        fs::remove_file(&up)?;
        assert!(write_both([&down, &up], texts()).is_ok());
        assert_eq!(names(folder.path())?, ["1.down.sql", "1.up.sql"]);
        assert_eq!(fs::read_to_string(&down)?, "back");
        assert_eq!(fs::read_to_string(&up)?, "forth");
        Ok(())
    }
}
