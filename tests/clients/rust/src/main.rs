//! A program that crashes with the stock `sentry` crate.
fn main() {}
