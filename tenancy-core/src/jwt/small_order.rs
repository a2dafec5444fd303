//! Recognizes Ed25519 points of small order, under which anyone can sign.
//!
//! Such a point is among the eight whose multiple by 8 is the neutral element (RFC 8032 §5.1). Under
//! the neutral element itself, one signature counts for every message.

/// The y-coordinates of these points, little-endian, and the two that are one of them plus the
/// field's prime, which a lenient reader takes for the same.
const ORDINATES: [[u8; 32]; 7] = [
    ordinate(0x00, 0x00, 0x00),
    ordinate(0x01, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    ordinate(0xec, 0xff, 0x7f),
    ordinate(0xed, 0xff, 0x7f),
    ordinate(0xee, 0xff, 0x7f),
];

const fn ordinate(first: u8, between: u8, last: u8) -> [u8; 32] {
    let [a, b, c] = [first, between, last];
    [
        a, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b,
        b, c,
    ]
}

/// Whether an encoded point is one of them, with either sign of x.
pub(super) fn is_point(encoded: &[u8]) -> bool {
    let Some((last, rest)) = encoded.split_last() else {
        return false;
    };
    // The highest bit is the sign of x.
    let last = last & 0x7f;
    ORDINATES.iter().any(|ordinate| {
        ordinate
            .split_last()
            .is_some_and(|(top, lower)| *top == last && lower == rest)
    })
}
