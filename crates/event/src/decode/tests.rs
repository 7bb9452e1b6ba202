//! The decoder, clause by clause.
