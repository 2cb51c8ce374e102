//! The interfaces of this computer and their link-local addresses, followed as they come and go.
//!
//! | file | what |
//! |---|---|
//! | [`interface`] | one interface at one moment |
//! | [`selection`] | which interfaces are meant |

pub mod interface;
pub mod selection;

pub use interface::{Interface, Kind};
pub use selection::{Pattern, PatternError, Selection};
