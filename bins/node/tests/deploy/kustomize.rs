//! The manifests as `kubectl kustomize` renders them: the base, each component, and all together.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::deploy;
use crate::kubernetes::{COMPONENTS, at};

/// Renders the base with these components, from a copy that adds them as README.md says.
fn render(components: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    copy(&deploy("kubernetes"), dir.path());
    if !components.is_empty() {
        let path = dir.path().join("kustomization.yaml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("components:\n");
        for component in components {
            text.push_str(&format!("  - {component}\n"));
        }
        std::fs::write(&path, text).unwrap();
    }
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(dir.path())
        .output()
        .expect("kubectl");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stderr.is_empty(),
        "{components:?}: {stderr}"
    );
    serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn of_kind<'v>(objects: &'v [Value], kind: &str) -> Vec<&'v Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

fn pod(objects: &[Value]) -> &Value {
    at(of_kind(objects, "StatefulSet")[0], "/spec/template/spec")
}

/// The names of the volumes, each of which has one mount.
fn volumes(objects: &[Value]) -> Vec<String> {
    let names = |list: &Value| {
        let list = list.as_array().unwrap().iter();
        let mut names: Vec<String> = list
            .map(|element| at(element, "/name").as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let set = of_kind(objects, "StatefulSet")[0];
    let mut volumes = names(at(pod(objects), "/volumes"));
    if let Some(claims) = set.pointer("/spec/volumeClaimTemplates") {
        let claims = claims.as_array().unwrap().iter();
        volumes
            .extend(claims.map(|claim| at(claim, "/metadata/name").as_str().unwrap().to_owned()));
        volumes.sort();
    }
    let mounts = names(at(pod(objects), "/containers/0/volumeMounts"));
    assert_eq!(mounts, volumes);
    volumes
}

/// The name of the configuration in the pods, which a ConfigMap has.
fn config_name(objects: &[Value]) -> String {
    let volumes = at(pod(objects), "/volumes").as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "config");
    let name = at(volume.unwrap(), "/configMap/name").as_str().unwrap();
    let maps = of_kind(objects, "ConfigMap");
    assert!(maps.iter().any(|map| at(map, "/metadata/name") == name));
    name.to_owned()
}

#[test]
#[ignore = "needs kubectl (with kustomize): https://kubernetes.io/docs/tasks/tools"]
fn the_base_renders_and_its_configuration_names_itself_by_its_content() {
    let objects = render(&[]);
    assert_eq!(objects.len(), 7);
    assert_eq!(
        volumes(&objects),
        ["config", "scores", "snapshots", "token"]
    );
    let plain = config_name(&objects);
    assert!(plain.starts_with("gaggle-config-"), "{plain}");
    // Another content has another name. That changes the pods' template and causes a rolling
    // restart.
    assert_ne!(plain, config_name(&render(&["database"])));
    assert_eq!(plain, config_name(&render(&["tls"])));
}

#[test]
#[ignore = "needs kubectl (with kustomize): https://kubernetes.io/docs/tasks/tools"]
fn each_component_renders_alone_and_with_all_others() {
    let database = render(&["database"]);
    assert_eq!(
        volumes(&database),
        ["config", "database", "snapshots", "token"]
    );
    assert_eq!(
        of_kind(&database, "ConfigMap").len(),
        1,
        "the example is gone"
    );

    let monitoring = render(&["monitoring"]);
    assert_eq!(of_kind(&monitoring, "ServiceMonitor").len(), 1);
    assert_eq!(of_kind(&monitoring, "PrometheusRule").len(), 1);
    let policy = of_kind(&monitoring, "NetworkPolicy")[0];
    assert_eq!(at(policy, "/spec/ingress").as_array().unwrap().len(), 3);
    let from = at(policy, "/spec/ingress/2/from").as_array().unwrap();
    assert_eq!(from.len(), 1, "both selectors at once");

    let snapshots = render(&["snapshots"]);
    let set = of_kind(&snapshots, "StatefulSet")[0];
    let claims = at(set, "/spec/volumeClaimTemplates").as_array().unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(
        volumes(&snapshots),
        ["config", "scores", "snapshots", "token"]
    );

    let tls = render(&["tls"]);
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let scheme = format!("/containers/0/{probe}/httpGet/scheme");
        assert_eq!(at(pod(&tls), &scheme), "HTTPS");
    }

    let all = render(&COMPONENTS);
    assert_eq!(
        volumes(&all),
        ["config", "database", "snapshots", "tls", "token"]
    );
    let named = all
        .iter()
        .all(|object| object.pointer("/metadata/name").is_some());
    assert!(named && all.len() > 10);
}
