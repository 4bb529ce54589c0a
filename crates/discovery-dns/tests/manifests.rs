//! The manifests for Kubernetes repeat some settings; these tests check that they agree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

const LISTENERS: [(&str, &str); 3] = [
    ("peer", "peer-addr"),
    ("api", "api-addr"),
    ("admin", "admin-addr"),
];

const ANTI_AFFINITY: &str = "/spec/template/spec/affinity/podAntiAffinity/\
     preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm";

/// What the cluster's DNS gives as a time to live, unless told otherwise.
const DNS_TTL: Duration = Duration::from_secs(5);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes")
}

/// Each manifest of the folder, by its name. Components have folders of their own.
fn manifests() -> BTreeMap<String, Value> {
    let mut manifests = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let manifest: Value =
            serde_saphyr::from_str(&text).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        manifests.insert(name, manifest);
    }
    manifests
}

fn manifest(name: &str) -> Value {
    manifests()
        .remove(name)
        .unwrap_or_else(|| panic!("no {name}"))
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value
        .pointer(pointer)
        .unwrap_or_else(|| panic!("no {pointer}"))
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    at(value, pointer)
        .as_str()
        .unwrap_or_else(|| panic!("{pointer} is no text"))
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    at(value, pointer)
        .as_array()
        .unwrap_or_else(|| panic!("{pointer} is no list"))
}

fn number(value: &Value, pointer: &str) -> u64 {
    at(value, pointer)
        .as_u64()
        .unwrap_or_else(|| panic!("{pointer} is no number"))
}

fn pod() -> Value {
    at(&manifest("statefulset.yaml"), "/spec/template/spec").clone()
}

fn container() -> Value {
    let pod = pod();
    assert_eq!(list(&pod, "/containers").len(), 1);
    at(&pod, "/containers/0").clone()
}

/// The container's ports by name.
fn ports() -> BTreeMap<String, u64> {
    list(&container(), "/ports")
        .iter()
        .map(|port| {
            (
                text(port, "/name").to_owned(),
                number(port, "/containerPort"),
            )
        })
        .collect()
}

fn config() -> toml::Table {
    let text = std::fs::read_to_string(folder().join("gaggle.toml")).unwrap();
    text.parse().expect("TOML")
}

/// A time of the configuration in whole seconds.
fn seconds(value: &toml::Value) -> Duration {
    let digits = value
        .as_str()
        .unwrap()
        .strip_suffix('s')
        .expect("whole seconds");
    Duration::from_secs(digits.parse().unwrap())
}

#[test]
fn every_manifest_is_an_object_that_the_kustomization_lists() {
    let mut files = manifests();
    let kustomization = files.remove("kustomization.yaml").unwrap();
    let mut kinds = BTreeSet::new();
    for (name, manifest) in &files {
        assert!(!text(manifest, "/apiVersion").is_empty(), "{name}");
        let kind = text(manifest, "/kind");
        assert!(
            kinds.insert((kind.to_owned(), text(manifest, "/metadata/name").to_owned())),
            "{name}: a second {kind} of that name"
        );
    }
    let listed: BTreeSet<&str> = list(&kustomization, "/resources")
        .iter()
        .map(|file| file.as_str().unwrap())
        .collect();
    assert_eq!(listed, files.keys().map(String::as_str).collect());
    let image = text(&container(), "/image").to_owned();
    let replaced = text(&kustomization, "/images/0/name");
    assert!(
        image.starts_with(&format!("{replaced}:")),
        "{image} is not replaced"
    );
}

#[test]
fn every_selector_selects_the_pods() {
    let set = manifest("statefulset.yaml");
    let labels = at(&set, "/spec/template/metadata/labels")
        .as_object()
        .unwrap();
    let (headless, front, budget, policy) = (
        manifest("service-headless.yaml"),
        manifest("service.yaml"),
        manifest("pdb.yaml"),
        manifest("networkpolicy.yaml"),
    );
    for selector in [
        at(&set, "/spec/selector/matchLabels"),
        at(
            &set,
            "/spec/template/spec/topologySpreadConstraints/0/labelSelector/matchLabels",
        ),
        at(
            &set,
            "/spec/template/spec/topologySpreadConstraints/1/labelSelector/matchLabels",
        ),
        at(&set, &format!("{ANTI_AFFINITY}/labelSelector/matchLabels")),
        at(&headless, "/spec/selector"),
        at(&front, "/spec/selector"),
        at(&budget, "/spec/selector/matchLabels"),
        at(&policy, "/spec/podSelector/matchLabels"),
        at(&policy, "/spec/ingress/0/from/0/podSelector/matchLabels"),
    ] {
        let selector = selector.as_object().unwrap();
        assert!(!selector.is_empty());
        for (label, value) in selector {
            assert_eq!(labels.get(label), Some(value), "{label}");
        }
    }
    assert_eq!(number(&budget, "/spec/maxUnavailable"), 1);
    let keys = [
        "/spec/template/spec/topologySpreadConstraints/0/topologyKey",
        "/spec/template/spec/topologySpreadConstraints/1/topologyKey",
        &format!("{ANTI_AFFINITY}/topologyKey"),
    ];
    assert_eq!(
        keys.map(|key| text(&set, key)),
        [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname"
        ]
    );
}

#[test]
fn ports_have_one_name_and_one_number_everywhere() {
    let ports = ports();
    let config = config();
    assert_eq!(ports.len(), LISTENERS.len());
    for (port, field) in LISTENERS {
        let addr: SocketAddr = config["node"][field].as_str().unwrap().parse().unwrap();
        assert_eq!(ports[port], u64::from(addr.port()), "{field}");
        assert!(
            addr.ip().is_unspecified(),
            "{field} is not reached from outside"
        );
    }
    for (file, port) in [("service-headless.yaml", "peer"), ("service.yaml", "api")] {
        let service = manifest(file);
        assert_eq!(list(&service, "/spec/ports").len(), 1, "{file}");
        assert_eq!(text(&service, "/spec/ports/0/name"), port, "{file}");
        assert_eq!(text(&service, "/spec/ports/0/targetPort"), port, "{file}");
        assert_eq!(
            number(&service, "/spec/ports/0/port"),
            ports[port],
            "{file}"
        );
    }
}

#[test]
fn nodes_look_for_each_other_where_they_are() {
    let headless = manifest("service-headless.yaml");
    assert_eq!(text(&headless, "/spec/clusterIP"), "None");
    let name = text(&headless, "/metadata/name");
    assert_eq!(
        text(&manifest("statefulset.yaml"), "/spec/serviceName"),
        name
    );

    let config = config();
    let discovery = &config["cluster"]["discovery"];
    assert_eq!(discovery["kind"].as_str(), Some("dns"));
    assert_eq!(discovery["name"].as_str(), Some(name));
    let port = ports()["peer"];
    assert_eq!(discovery["port"].as_integer(), i64::try_from(port).ok());

    // Nodes look for each other before they are ready.
    assert_eq!(
        at(&headless, "/spec/publishNotReadyAddresses"),
        &Value::Bool(true)
    );

    let container = container();
    let env: Vec<&str> = list(&container, "/env")
        .iter()
        .map(|variable| text(variable, "/name"))
        .collect();
    assert_eq!(
        env,
        [
            "POD_IP",
            "GAGGLE_NODE__NAME",
            "GAGGLE_ADVERTISE",
            "GAGGLECTL_TOKEN_FILE"
        ],
        "only what is set before can be used"
    );
    assert_eq!(
        text(&container, "/env/0/valueFrom/fieldRef/fieldPath"),
        "status.podIP"
    );
    // A pod of a StatefulSet returns with its name, and not with its address.
    assert_eq!(text(&manifest("statefulset.yaml"), "/kind"), "StatefulSet");
    assert_eq!(
        text(&container, "/env/1/valueFrom/fieldRef/fieldPath"),
        "metadata.name"
    );
    assert_eq!(
        text(&container, "/env/2/value"),
        format!("http://$(POD_IP):{port}")
    );
}

#[test]
fn a_node_is_ready_when_it_has_seen_the_list_twice() {
    let config = config();
    let every = seconds(&config["cluster"]["discovery"]["every"]);
    let quiet = seconds(&config["cluster"]["quiet"]);
    let settle = seconds(&config["cluster"]["settle"]);
    assert!(quiet > every.mul_f64(1.1) && settle > quiet);
    // The next pod is stopped when the others know this one: their next question, and an answer of
    // that age.
    let ready = Duration::from_secs(number(
        &manifest("statefulset.yaml"),
        "/spec/minReadySeconds",
    ));
    assert!(ready > every.mul_f64(1.1) + DNS_TTL);
}

#[test]
fn peers_and_operators_need_a_token_and_a_place_in_the_policy() {
    let config = config();
    let security = config["security"].as_table().unwrap();
    assert_eq!(
        security["token-file"].as_str(),
        Some("/run/secrets/gaggle/token")
    );
    assert!(!security.contains_key("insecure"));
    assert_eq!(
        text(&container(), "/env/3/value"),
        "/run/secrets/gaggle/token"
    );

    let policy = manifest("networkpolicy.yaml");
    assert_eq!(list(&policy, "/spec/policyTypes"), ["Ingress"]);
    let rules = list(&policy, "/spec/ingress");
    assert_eq!(rules.len(), 2);
    let ports = |rule: &Value| -> Vec<String> {
        list(rule, "/ports")
            .iter()
            .map(|port| text(port, "/port").to_owned())
            .collect()
    };
    assert_eq!(list(&rules[0], "/from").len(), 1);
    assert_eq!(ports(&rules[0]), ["peer", "admin"]);
    assert!(rules[1].get("from").is_none());
    assert_eq!(ports(&rules[1]), ["api"]);
}

#[test]
fn probes_ask_the_admin_port() {
    let container = container();
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("readinessProbe", "/readyz"),
        ("livenessProbe", "/livez"),
    ] {
        assert_eq!(text(&container, &format!("/{probe}/httpGet/path")), path);
        assert_eq!(text(&container, &format!("/{probe}/httpGet/port")), "admin");
    }
}

#[test]
fn a_pod_has_the_time_that_its_drain_takes() {
    let config = config();
    let delay = seconds(&config["node"]["drain-delay"]);
    let timeout = seconds(&config["node"]["drain-timeout"]);
    let grace = Duration::from_secs(number(&pod(), "/terminationGracePeriodSeconds"));
    // From the signal to the end, the delay included.
    assert!(
        grace > timeout && timeout > delay,
        "{grace:?}, {timeout:?}, {delay:?}"
    );
    // Other nodes are notified. Programs that look up the front door cache the answer for that
    // time.
    assert!(delay > DNS_TTL, "{delay:?}");
}

#[test]
fn what_is_mounted_is_what_is_read() {
    let pod = pod();
    let container = container();
    let mut mounts = BTreeMap::new();
    for mount in list(&container, "/volumeMounts") {
        let volume = list(&pod, "/volumes")
            .iter()
            .find(|volume| at(volume, "/name") == at(mount, "/name"))
            .unwrap_or_else(|| panic!("no volume for {mount}"));
        let source = ["/configMap/name", "/secret/secretName"]
            .iter()
            .find_map(|name| volume.pointer(name)?.as_str());
        let may_write = mount.get("readOnly") != Some(&Value::Bool(true));
        assert_eq!(may_write, volume.get("emptyDir").is_some(), "{mount}");
        mounts.insert(text(mount, "/mountPath"), source);
    }
    assert_eq!(mounts["/run/secrets/gaggle"], Some("gaggle-token"));
    assert_eq!(mounts.len(), list(&pod, "/volumes").len());
    assert_eq!(
        list(&container, "/args"),
        ["serve", "--config", "/etc/gaggle/gaggle.toml"]
    );
    // A ConfigMap whose name changes with its content: a change restarts the pods.
    let kustomization = manifest("kustomization.yaml");
    let generator = at(&kustomization, "/configMapGenerator/0");
    assert_eq!(mounts["/etc/gaggle"], Some(text(generator, "/name")));
    assert_eq!(list(generator, "/files"), ["gaggle.toml"]);
    assert!(
        generator
            .pointer("/options/disableNameSuffixHash")
            .is_none()
    );

    let files = manifests();
    let keys = |config_map: &str| -> Vec<String> {
        let found = files.values().find(|manifest| {
            manifest["kind"] == "ConfigMap" && text(manifest, "/metadata/name") == config_map
        });
        let data = at(found.unwrap_or_else(|| panic!("no {config_map}")), "/data");
        data.as_object().unwrap().keys().cloned().collect()
    };
    let config = config();
    let scores = &config["groups"]["scores"];
    let root = scores["origin"]["root"].as_str().unwrap();
    assert_eq!(keys(mounts[root].unwrap()).len(), 3);
    // Snapshots need a place that can be written to.
    let snapshot = PathBuf::from(scores["snapshot"].as_str().unwrap());
    let place = snapshot.parent().unwrap().to_str().unwrap();
    assert_eq!(mounts.get(place), Some(&None), "{place}");
}

#[test]
fn a_node_has_no_rights_that_it_does_not_need() {
    let (pod, container) = (pod(), container());
    let yes = Value::Bool(true);
    let no = Value::Bool(false);
    assert_eq!(at(&pod, "/securityContext/runAsNonRoot"), &yes);
    assert_eq!(number(&pod, "/securityContext/runAsUser"), 65532);
    assert_eq!(
        text(&pod, "/securityContext/seccompProfile/type"),
        "RuntimeDefault"
    );
    assert_eq!(at(&pod, "/automountServiceAccountToken"), &no);
    assert_eq!(
        at(&container, "/securityContext/allowPrivilegeEscalation"),
        &no
    );
    assert_eq!(
        at(&container, "/securityContext/readOnlyRootFilesystem"),
        &yes
    );
    assert_eq!(
        list(&container, "/securityContext/capabilities/drop"),
        ["ALL"]
    );
    assert!(container.pointer("/resources/limits/memory").is_some());
}
