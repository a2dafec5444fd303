//! Two constructions of a cluster connection beside each other.

fn main() {}
