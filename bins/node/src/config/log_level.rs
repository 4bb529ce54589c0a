//! Which log lines are written.

use super::ConfigError;

/// Whether the log accepts that level. The filter reads directives without a level (`foo=`) as the
/// lowest level, which is not intended.
pub(super) fn check(level: &str) -> Result<(), ConfigError> {
    let refused =
        |problem: &dyn std::fmt::Display| Err(ConfigError::new("node.log-level", problem));
    let bare = level
        .split(',')
        .map(str::trim)
        .find(|directive| directive.ends_with('=') || directive.starts_with('='));
    if let Some(bare) = bare {
        return refused(&format!(
            "{level:?} is no log level: {bare:?} needs a target and a level, such as gaggle_group=debug"
        ));
    }
    let options = gaggle_telemetry::LogOptions {
        level: level.to_owned(),
        ..Default::default()
    };
    match gaggle_telemetry::logging::subscriber(&options, std::io::sink) {
        Ok(_) => Ok(()),
        Err(failure) => refused(&failure),
    }
}
