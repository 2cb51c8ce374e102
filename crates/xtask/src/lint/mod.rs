//! The rules of the house, each a check that can fail.

pub(crate) mod docs;
pub(crate) mod flake;
pub(crate) mod gaps;
pub(crate) mod layers;
pub(crate) mod lengths;
pub(crate) mod lock;
pub(crate) mod marks;
pub(crate) mod printing;
pub(crate) mod purity;
pub(crate) mod source;
