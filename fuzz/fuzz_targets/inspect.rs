//! `cargo fuzz run inspect`
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| netalias_fuzz::inspect_json(octets));
