//! `cargo fuzz run config`
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| netalias_fuzz::config(octets));
