//! What a scrape reads of the log.

use super::families::{Families, Source};
use crate::Log;

pub(super) struct LogCounts(pub(super) Log);

impl Source for LogCounts {
    fn collect(&self, families: &mut Families) {
        families.counter(
            "gaggle_log_lines_lost",
            "Log lines that could not be written: nobody read fast enough, or at all.",
            [],
            [([], self.0.lines_lost())],
        );
        families.counter(
            "gaggle_log_lines_left_out",
            "Log lines left out because others of their kind had just been written.",
            [],
            [([], self.0.lines_left_out())],
        );
    }
}
