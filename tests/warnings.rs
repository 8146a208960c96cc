//! What people are told about names: two owners, labels that disagree, clients that sort.
#![allow(clippy::expect_used)] // A test that cannot go on ends.

use netalias::directory::{self, Reader};
use netalias::model::{
    Answers, Domains, Name, Overrides, Policy, Rules, StaticData, StaticNames, StaticRecord,
};
use netalias::source::scenario::{Player, parse};

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

/// A directory that has played these lines, with this domain and this static name.
fn played(scenario: &str, domain: &str, static_name: &str, general: Overrides) -> Reader {
    let record = StaticRecord {
        owner: name(static_name),
        wildcard: false,
        ttl: None,
        data: StaticData::Txt("x".to_owned()),
    };
    let policy = Policy {
        domains: Domains::new(vec![name(domain)]),
        statics: StaticNames::new(&[record]).expect("records"),
        rules: Rules { general, ..Rules::default() },
        ..Policy::default()
    };
    let (publisher, reader) = directory::new(1, policy);
    let mut player = Player::new(publisher);
    for line in parse("warnings", scenario).expect("a scenario") {
        player.play(&line.command).expect("a command");
    }
    reader
}

fn told(scenario: &str) -> Vec<String> {
    let reader = played(scenario, "rr.internal", "static.test", Overrides::default());
    reader.warnings().iter().map(ToString::to_string).collect()
}

const NETWORKS: &str = "docker network create n1\ndocker network create n2\n";

#[test]
fn sharing_an_alias_on_one_network_is_no_collision() {
    let scenario = "
        docker run -d --name c1 --net n1 --net-alias app busybox
        docker run -d --name c2 --net n1 --net-alias app busybox";
    assert_eq!(told(&format!("{NETWORKS}{scenario}")), [""; 0]);
}

#[test]
fn one_container_on_two_networks_is_no_collision() {
    let scenario = "
        docker run -d --name c1 --net n1 busybox
        docker network connect n2 c1";
    assert_eq!(told(&format!("{NETWORKS}{scenario}")), [""; 0]);
}

#[test]
fn one_alias_on_two_networks_is_told() {
    let scenario = "
        docker run -d --name c1 --net n1 --net-alias app busybox
        docker run -d --name c2 --net n2 --net-alias app busybox";
    let expected = "app: c1 on n1 answers, and hides c2 on n2";
    assert_eq!(told(&format!("{NETWORKS}{scenario}")), [expected]);
}

#[test]
fn an_alias_equal_to_anothers_name_is_told() {
    let scenario = "
        docker run -d --name web --net n1 busybox
        docker run -d --name c2 --net n1 --net-alias web busybox";
    let expected = "web: the name of web and an alias of c2 on n1";
    assert_eq!(told(&format!("{NETWORKS}{scenario}")), [expected]);
}

#[test]
fn an_alias_equal_to_the_name_of_a_container_on_the_hosts_network_is_told() {
    let scenario = "
        docker run -d --name web --network host busybox
        docker run -d --name c2 --net n1 --net-alias web busybox";
    // On the other networks it is alone, and hides nobody: there it comes last.
    let expected = "web: the name of web and an alias of c2 on n1";
    assert_eq!(told(&format!("{NETWORKS}{scenario}")), [expected]);
}

#[test]
fn who_shares_a_network_is_hidden_by_who_has_one() {
    let scenario = "
        docker run -d --name c1 --net n1 busybox
        docker run -d --name app --network container:c1 busybox
        docker run -d --name c2 --net n2 --net-alias app busybox";
    let expected = "app: c2 on n2 answers, and hides app on n1";
    assert_eq!(told(&format!("{NETWORKS}{scenario}")), [expected]);
}

/// All on the host's network have the host's name, and lead to its one address.
#[test]
fn who_shares_a_network_and_so_an_address_is_no_collision() {
    let scenario = "
        docker run -d --name h1 --network host busybox
        docker run -d --name h2 --network host busybox
        docker run -d --name c1 --net n1 busybox
        docker run -d --name c2 --network container:c1 busybox";
    assert_eq!(told(&format!("{NETWORKS}{scenario}")), [""; 0]);
}

#[test]
fn who_is_on_both_networks_is_not_hidden() {
    let scenario = "
        docker run -d --name c1 --net n1 --net-alias app busybox
        docker run -d --name c2 --net n1 --net-alias app busybox
        docker network connect --alias app n2 c2";
    assert_eq!(told(&format!("{NETWORKS}{scenario}")), [""; 0]);
}

#[test]
fn of_many_owners_the_first_few_are_named() {
    let run = |n| format!("docker run -d --name a{n} --net n1 --net-alias app busybox\n");
    let many: String = (0..100).map(run).collect();
    let scenario =
        format!("{NETWORKS}{many}docker run -d --name b1 --net n2 --net-alias app busybox");
    let expected = "app: a0, a1, a2 and 97 more on n1 answers, and hides b1 on n2";
    assert_eq!(told(&scenario), [expected]);
}

#[test]
fn a_domain_equal_to_a_network_and_a_record_equal_to_a_container_are_told() {
    let scenario = format!("{NETWORKS}docker run -d --name web --net n2 busybox");
    let reader = played(&scenario, "n1", "web", Overrides::default());
    let told: Vec<String> = reader.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "n1: the configured domain answers, and hides the network n1",
            "web: the configuration's record answers, and hides web on n2",
        ]
    );
}

#[test]
fn a_collision_that_has_ended_is_told_no_more() {
    let scenario = "
        docker run -d --name c1 --net n1 --net-alias app busybox
        docker run -d --name c2 --net n2 --net-alias app busybox
        docker stop c2";
    assert_eq!(told(&format!("{NETWORKS}{scenario}")), [""; 0]);
}

#[test]
fn all_answers_where_clients_sort_them_are_told() {
    let scenario = "
        docker network create --ipv6 --subnet fd00:1::/64 dual
        docker run -d --name c1 --net dual --net-alias app busybox
        docker run -d --name c2 --net dual --net-alias app busybox";
    let told = |answers: Answers| {
        let general = Overrides { answers: Some(answers), ..Overrides::default() };
        let reader = played(scenario, "rr.internal", "static.test", general);
        reader.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let expected = "app: answers = all on dual, which has IPv4 and IPv6: clients that sort \
                    (getaddrinfo) all take the same one; sortproof or 1 spreads them";
    assert_eq!(told(Answers::All), [expected]);
    assert_eq!(told(Answers::Auto), [""; 0]);
}
