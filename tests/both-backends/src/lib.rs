//! Nothing: the tests are what this is for.
