//! `cargo fuzz run event`
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| netalias_fuzz::event_json(octets));
