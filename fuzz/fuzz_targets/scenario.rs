//! `cargo fuzz run scenario`
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| netalias_fuzz::scenario(octets));
