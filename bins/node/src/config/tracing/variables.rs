//! The environment variables that [OpenTelemetry
//! names](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/) for
//! all programs. They stand in for fields of the `tracing` table that neither the file, nor a
//! variable of this program, nor a flag sets. An empty one counts as none.

use gaggle_telemetry::otlp;
use toml::Value;

use crate::config::ConfigError;
use crate::config::sources::{Layers, Source};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The whole URL for traces, where [`ENDPOINT`] and the table have the base of it.
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Where a collector takes traces, below its base URL.
const OF_TRACES: &str = "/v1/traces";
/// The attribute that has a field of its own.
const OF_SERVICE_NAME: &str = "service.name";

/// Whether a variable is one of them.
pub(in crate::config) fn is_meant(variable: &str) -> bool {
    [ENDPOINT, TRACES_ENDPOINT, SERVICE_NAME, RESOURCE_ATTRIBUTES].contains(&variable)
}

/// Has the variables set the fields that nothing else sets.
///
/// # Errors
///
/// If one that sets a field cannot be used.
pub(in crate::config) fn lay_below(
    layers: &mut Layers,
    variables: &[(String, String)],
) -> Result<(), ConfigError> {
    let given = |name: &str| {
        let mut variables = variables.iter();
        let (_, value) = variables.find(|(variable, _)| variable == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    };
    // In this order: what one has set, none that follows sets.
    if is_free(layers, "endpoint")
        && let Some(url) = given(TRACES_ENDPOINT)
    {
        let base = url.strip_suffix(OF_TRACES).ok_or_else(|| {
            let problem = format!("expected a URL that ends with {OF_TRACES}");
            ConfigError::new("tracing.endpoint", problem).set_by(TRACES_ENDPOINT)
        })?;
        set(layers, "endpoint", base, TRACES_ENDPOINT);
    }
    if let Some(url) = given(ENDPOINT) {
        set(layers, "endpoint", url, ENDPOINT);
    }
    if let Some(name) = given(SERVICE_NAME) {
        set(layers, "service-name", name, SERVICE_NAME);
    }
    if let Some(text) = given(RESOURCE_ATTRIBUTES) {
        // One that cannot be read is an error of the field that it sets.
        let attributes = otlp::resource_attributes(text).unwrap_or_default();
        let mut attributes = attributes.into_iter();
        if let Some((_, name)) = attributes.find(|(name, _)| name == OF_SERVICE_NAME) {
            set(layers, "service-name", &name, RESOURCE_ATTRIBUTES);
        }
        set(layers, "resource-attributes", text, RESOURCE_ATTRIBUTES);
    }
    Ok(())
}

/// Sets a field, unless something has set it.
fn set(layers: &mut Layers, field: &str, text: &str, variable: &str) {
    if is_free(layers, field) {
        let source = Source::Environment(variable.to_owned());
        layers.set(&path(field), Value::String(text.to_owned()), source);
    }
}

fn is_free(layers: &Layers, field: &str) -> bool {
    layers.sources.of(&path(field)).is_none()
}

fn path(field: &str) -> [String; 2] {
    ["tracing", field].map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use crate::config::{Given, Loaded, read};

    const SCORES: &str =
        "[groups.scores.origin]\nkind = \"http\"\nurl = \"http://127.0.0.1:7000/{key}\"\n";

    fn with(file: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let given = Given {
            file: Some(("gaggle.toml".into(), format!("{file}\n{SCORES}"))),
            environment: variables.iter().map(own).collect(),
            ..Given::default()
        };
        read(&given).map_err(|failure| failure.to_string())
    }

    const ALL: [(&str, &str); 4] = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://traces:4318/v1/traces",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=a,service.name=of-attributes",
        ),
        ("OTEL_SERVICE_NAME", "of-its-own"),
    ];

    /// The endpoint, the name of the service and the attributes.
    fn told(loaded: &Loaded) -> (Option<&str>, &str, Option<&str>) {
        let tracing = &loaded.config.tracing;
        (
            tracing.endpoint.as_deref(),
            &tracing.service_name,
            tracing.resource_attributes.as_deref(),
        )
    }

    #[test]
    fn they_set_what_nothing_else_sets_and_are_named_as_its_source() {
        let attributes = Some("team=a,service.name=of-attributes");
        let loaded = with("", &ALL).unwrap();
        let expected = (Some("http://traces:4318"), "of-its-own", attributes);
        assert_eq!(told(&loaded), expected);
        let printed = loaded.config.annotated(&loaded.sources).unwrap();
        for line in [
            "endpoint = \"http://traces:4318\"  # OTEL_EXPORTER_OTLP_TRACES_ENDPOINT\n",
            "service-name = \"of-its-own\"  # OTEL_SERVICE_NAME\n",
            "resource-attributes = \"team=a,service.name=of-attributes\"  # OTEL_RESOURCE_ATTRIBUTES\n",
        ] {
            assert!(printed.contains(line), "{line} in {printed}");
        }
        let options = loaded.config.tracing.options().unwrap();
        let team = ("team".to_owned(), "a".to_owned());
        assert!(options.resource_attributes.contains(&team));

        let loaded = with("", &[ALL[0], ALL[2]]).unwrap();
        let expected = (Some("http://base:4318"), "of-attributes", attributes);
        assert_eq!(told(&loaded), expected);

        let file = "[tracing]\nendpoint = \"http://file\"\nresource-attributes = \"b=c\"";
        let own = ("GAGGLE_TRACING__SERVICE_NAME", "own");
        let loaded = with(file, &[&ALL[..], &[own]].concat()).unwrap();
        assert_eq!(told(&loaded), (Some("http://file"), "own", Some("b=c")));
    }

    #[test]
    fn an_empty_one_counts_as_none() {
        let empty = ALL.map(|(name, _)| (name, " "));
        let loaded = with("", &empty).unwrap();
        assert_eq!(told(&loaded), (None, "gaggle", None));
    }

    #[test]
    fn one_that_cannot_be_used_is_an_error_that_names_it() {
        for (variable, value, field) in [
            (ALL[0].0, "collector:4318", "endpoint"),
            (ALL[0].0, "http://me:s3cret@collector", "endpoint"),
            (ALL[1].0, "http://collector:4318", "endpoint"),
            (ALL[1].0, "/v1/traces", "endpoint"),
            (ALL[2].0, "team", "resource-attributes"),
            (ALL[2].0, "team=%zz", "resource-attributes"),
        ] {
            let failure = with("", &[(variable, value)]).unwrap_err();
            assert!(
                failure.starts_with(&format!("tracing.{field}: ")),
                "{failure}"
            );
            assert!(
                failure.ends_with(&format!("(from {variable})")),
                "{failure}"
            );
            assert!(!failure.contains("s3cret"), "{failure}");
            // It is not looked at where the field is set.
            let file = "[tracing]\nendpoint = \"http://file\"\nresource-attributes = \"\"";
            with(file, &[(variable, value)]).unwrap();
        }
    }
}
