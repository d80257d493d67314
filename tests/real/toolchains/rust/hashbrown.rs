//! What the SDK uses of the crate `hashbrown`, out of the standard library: the crate's own needs are too new.
pub use std::collections::{hash_map, HashMap, HashSet};
