//! Stories of the spool as a whole.
