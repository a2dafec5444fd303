//! The conformance suite of counters.
