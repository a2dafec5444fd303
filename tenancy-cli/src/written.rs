//! Files that say something, such as plans, prices or roles.

use std::{fmt::Display, fs, path::Path};

use tenancy_core::ConfigError;

use crate::failure::Failure;

/// What a file says; an error begins with its name.
///
/// # Errors
/// That the file can't be read, or what is wrong with what it says.
pub(crate) fn read<T>(
    file: &Path,
    parse: impl FnOnce(&str) -> Result<T, ConfigError>,
) -> Result<T, Failure> {
    let named = |error: &dyn Display| Failure::told(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| named(&error))?;
    parse(&text).map_err(|error| named(&error))
}
