//! `GET /metrics`: counters and the directory's size as OpenMetrics text.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode as encode_text;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::Pages;
use crate::status::{Counter, EngineStatus, Forwards, State};

/// The page, read at the moment of the call.
pub(super) fn encode(pages: Pages) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("netalias");
    registry.register_collector(Box::new(Scrape(pages)));
    let mut text = String::new();
    encode_text(&mut text, &registry)?;
    Ok(text)
}

struct Scrape(Pages);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

/// One counter of an engine: name, help, where it is.
type EngineCounter = (&'static str, &'static str, fn(&EngineStatus) -> &Counter);

const ENGINE_COUNTERS: [EngineCounter; 7] = [
    ("engine_attempts", "Attempts to reach the engine", |engine| &engine.attempts),
    ("engine_events", "Events read from the engine", |engine| &engine.events),
    ("engine_inspects", "Containers and networks inspected", |engine| &engine.inspects),
    ("engine_resyncs", "Times that everything was looked at", |engine| &engine.resyncs),
    ("engine_lost_streams", "Event streams that ended or failed", |engine| &engine.lost_streams),
    ("engine_drift", "Changes that a list showed and no event told", |engine| &engine.drift),
    ("invalid_names", "Names that no DNS message can carry", |engine| &engine.invalid_names),
];

/// A counter for each outcome.
fn by_outcome(
    name: &str,
    help: &str,
    outcomes: &[(&str, &Counter)],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (outcome, counter) in outcomes {
        let label = [("outcome", *outcome)];
        ConstCounter::new(counter.get()).encode(family.encode_family(&label)?)?;
    }
    Ok(())
}

/// Questions for names of others: what became of them.
fn forwards(forwards: &Forwards, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let outcomes = [
        ("answered", &forwards.answered),
        ("cached", &forwards.cached),
        ("failed", &forwards.failed),
        ("local", &forwards.local),
        ("disabled", &forwards.disabled),
        ("not_recursive", &forwards.not_recursive),
        ("no_way_out", &forwards.no_way_out),
        ("no_data", &forwards.no_data),
        ("looped", &forwards.looped),
        ("busy", &forwards.busy),
    ];
    let help = "Questions for names of others, by what became of them";
    by_outcome("forwards", help, &outcomes, encoder)?;
    let help = "Questions that wait for other servers";
    let metric = encoder.encode_descriptor("forwards_waiting", help, None, MetricType::Gauge)?;
    let waiting = i64::try_from(forwards.in_flight.get()).unwrap_or(i64::MAX);
    ConstGauge::new(waiting).encode(metric)
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Pages { directory, status, .. } = &self.0;
        let answers = &status.answers;
        let outcomes = [
            ("data", &answers.data),
            ("nodata", &answers.nodata),
            ("nxdomain", &answers.nxdomain),
            ("servfail", &answers.servfail),
            ("refused", &answers.refused),
            ("malformed", &answers.malformed),
        ];
        by_outcome("dns_answers", "Answers sent, by outcome", &outcomes, &mut encoder)?;
        for (name, help, counter) in [
            ("dns_answers_from_memory", "Answers that took no look-up", &answers.from_memory),
            ("dns_not_admitted", "Requests of clients that may not ask", &answers.not_admitted),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(counter.get()).encode(metric)?;
        }
        forwards(&status.forwards, &mut encoder)?;
        for (name, help, counter) in ENGINE_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for engine in &status.engines {
                let label = [("engine", engine.url.as_str())];
                ConstCounter::new(counter(engine).get()).encode(family.encode_family(&label)?)?;
            }
        }
        encode_states(&status.engines, &mut encoder)?;
        let survey = directory.survey();
        let collisions = survey.warnings.iter().filter(|w| w.is_collision()).count();
        for (name, help, value) in [
            ("names", "Names with at least one endpoint, by network", survey.names),
            ("name_endpoints", "Endpoints, counted once for each of their names", survey.endpoints),
            ("collisions", "Names that two owners claim", collisions),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)?;
        }
        Ok(())
    }
}

/// How each engine stands to us, and for how long what is answered may have been out of date.
fn encode_states(
    engines: &[Arc<EngineStatus>],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let help = "1 for the state that the engine is in";
    let mut family = encoder.encode_descriptor("engine_state", help, None, MetricType::Gauge)?;
    for engine in engines {
        let now = engine.link().state;
        for state in State::ALL {
            let labels = [("engine", engine.url.as_str()), ("state", state.as_str())];
            let value = i64::from(state == now);
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Seconds since the names were last known to be right; 0 while live";
    let unit = Unit::Seconds;
    let mut family =
        encoder.encode_descriptor("engine_staleness", help, Some(&unit), MetricType::Gauge)?;
    for engine in engines {
        let label = [("engine", engine.url.as_str())];
        let stale = engine.link().staleness(Instant::now()).as_secs_f64();
        ConstGauge::new(stale).encode(family.encode_family(&label)?)?;
    }
    Ok(())
}
