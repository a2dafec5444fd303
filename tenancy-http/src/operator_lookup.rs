//! What an extractor asks of a request of operators.

use tenancy_core::OperatorContext;

use crate::Error;

/// The operator whom a layer has found, or what is missing. `layer` names the adapter's.
///
/// # Errors
/// An [`Error`] of kind `Misconfigured` if no layer of operators covers the route.
pub fn operator_of(
    found: Option<&OperatorContext>,
    layer: &str,
    path: &str,
) -> Result<OperatorContext, Error> {
    found.cloned().ok_or_else(|| {
        Error::misconfigured(
            "operators-layer-missing",
            format!(
                "the extractor `Operator` is used for `{path}`, which no `{layer}` covers; put the routes of \
                 operators behind one"
            ),
        )
    })
}
