//! The fakes of other people's trackers are what they stand for: the trackers' own clients work
//! against them.

mod asana;
