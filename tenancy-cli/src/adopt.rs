//! `tenancy adopt`: a schema of one customer, with its data, becomes one of many, while the old application runs.

mod decision;
