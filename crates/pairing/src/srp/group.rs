//! The 3072-bit group of RFC 5054 and the constant-time arithmetic in it.

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams as _};
use crypto_bigint::{U512, U1024, U1536, U3072, const_monty_params};

use super::SrpError;

/// Length of a group element on the wire, in bytes. Source: protocol.md §5.5.
pub const ELEMENT_LEN: usize = 384;

/// The generator. Source: RFC 5054 appendix A, 3072-bit group; protocol.md §5.5.
pub(super) const GENERATOR: u8 = 5;

mod modulus {
    #![allow(unreachable_pub, missing_docs)]
    use super::{U3072, const_monty_params};

    const_monty_params!(
        Rfc5054,
        U3072,
        "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
         020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
         4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
         ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05\
         98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
         9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
         e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718\
         3995497cea956ae515d2261898fa051015728e5a8aaac42dad33170d04507a33\
         a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7\
         abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864\
         d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad946e2\
         08e24fa074e5ab3143db5bfce0fd108e4b82d120a93ad2caffffffffffffffff",
        "N of the 3072-bit group of RFC 5054, which is the one of RFC 3526."
    );
}
use modulus::Rfc5054;

/// An element of the group, in Montgomery form.
pub(super) type Element = ConstMontyForm<Rfc5054, { U3072::LIMBS }>;

/// An exponent of at most 512 bits: a private value, `u` or `x`.
pub(super) type Exponent = U512;

/// The modulus as 384 bytes.
pub(super) fn modulus_bytes() -> [u8; ELEMENT_LEN] {
    let mut out = [0; ELEMENT_LEN];
    out.copy_from_slice(Rfc5054::PARAMS.modulus().as_ref().to_be_bytes().as_ref());
    out
}

/// The generator as an element.
pub(super) fn generator() -> Element {
    Element::new(&U3072::from_u8(GENERATOR))
}

/// The element of 1 to 384 big-endian bytes; what is not below N is reduced.
///
/// # Errors
/// [`SrpError::PublicKeyLength`] for another length, [`SrpError::ZeroPublicKey`] for a multiple of N: with one of those
/// the shared secret would not depend on the PIN.
pub(super) fn public_element(bytes: &[u8]) -> Result<Element, SrpError> {
    let mut padded = [0u8; ELEMENT_LEN];
    let start = ELEMENT_LEN
        .checked_sub(bytes.len())
        .filter(|_| !bytes.is_empty())
        .ok_or(SrpError::PublicKeyLength { got: bytes.len() })?;
    if let Some(tail) = padded.get_mut(start..) {
        tail.copy_from_slice(bytes);
    }
    let element = Element::new(&U3072::from_be_slice(&padded));
    if bool::from(element.retrieve().is_nonzero()) { Ok(element) } else { Err(SrpError::ZeroPublicKey) }
}

/// Whether the powers of an element are no secret whatever the exponent: those of 0, 1 and -1, whose square is 0 or 1.
/// N is a safe prime, so no other element generates fewer than (N-1)/2.
pub(super) fn is_trivial(element: &Element) -> bool {
    let square = element.square();
    square == Element::ZERO || square == Element::ONE
}

/// The 384 big-endian bytes of an element.
pub(super) fn to_bytes(element: &Element) -> [u8; ELEMENT_LEN] {
    let mut out = [0; ELEMENT_LEN];
    out.copy_from_slice(element.retrieve().to_be_bytes().as_ref());
    out
}

/// An exponent from a SHA-512 digest or from 64 random bytes.
pub(super) fn exponent(bytes: &[u8; 64]) -> Exponent {
    U512::from_be_slice(bytes)
}

/// An element from a SHA-512 digest.
pub(super) fn element_of_digest(bytes: &[u8; 64]) -> Element {
    Element::new(&U512::from_be_slice(bytes).resize::<{ U3072::LIMBS }>())
}

/// `base` to the power of `exponent`, in constant time.
pub(super) fn pow(base: &Element, exponent: &Exponent) -> Element {
    base.pow(exponent)
}

/// `base` to the power of `a + u * x`, in constant time: all 1025 bits that the sum can have are walked.
pub(super) fn pow_sum(base: &Element, a: &Exponent, u: &Exponent, x: &Exponent) -> Element {
    let product: U1024 = u.concatenating_mul(x);
    let sum: U1536 = product.resize::<{ U1536::LIMBS }>().wrapping_add(&a.resize::<{ U1536::LIMBS }>());
    base.pow_bounded_exp(&sum, 1025)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_multiples_of_n_are_typed_errors() {
        assert_eq!(public_element(&[]).unwrap_err(), SrpError::PublicKeyLength { got: 0 });
        assert_eq!(public_element(&[1; 385]).unwrap_err(), SrpError::PublicKeyLength { got: 385 });
        assert_eq!(public_element(&[0; 384]).unwrap_err(), SrpError::ZeroPublicKey);
        assert_eq!(public_element(&[0]).unwrap_err(), SrpError::ZeroPublicKey);
        assert_eq!(public_element(&modulus_bytes()).unwrap_err(), SrpError::ZeroPublicKey);
        assert_eq!(to_bytes(&public_element(&[5]).unwrap()), to_bytes(&generator()));
    }

    #[test]
    fn the_sum_exponent_is_the_product_of_the_powers() {
        let (a, u, x) = (exponent(&[0xff; 64]), exponent(&[0xfe; 64]), exponent(&[0xfd; 64]));
        let g = generator();
        let expected = pow(&g, &a) * pow(&pow(&g, &u), &x);
        assert_eq!(to_bytes(&pow_sum(&g, &a, &u, &x)), to_bytes(&expected));
    }
}
