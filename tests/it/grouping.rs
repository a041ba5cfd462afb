//! Which reports are one issue.

mod labelled;
