//! Airlock from the outside, and guards over its source tree.

mod tidy;
