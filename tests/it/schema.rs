//! The store on two engines: one schema, and statements that both understand and answer from an
//! index.

mod plans;
mod statements;
mod tables;
