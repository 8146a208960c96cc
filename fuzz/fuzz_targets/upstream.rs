//! `cargo fuzz run upstream`
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| netalias_fuzz::upstream(octets));
