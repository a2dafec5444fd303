//! Tests of keys that need no engine.
