//! What must not compile: a context made by hand, the pool underneath, a transaction after its end.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile/*.rs");
}
