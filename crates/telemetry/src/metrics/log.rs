//! What a scrape reads of the log.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::Families;
use crate::Log;

#[derive(Debug)]
pub(super) struct LogCounts(pub(super) Log);

impl Collector for LogCounts {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { encoder };
        families.counter(
            "gaggle_log_lines_lost",
            "Log lines that could not be written: nobody read fast enough, or at all.",
            [([], self.0.lines_lost())],
        )?;
        families.counter(
            "gaggle_log_lines_left_out",
            "Log lines left out because others of their kind had just been written.",
            [([], self.0.lines_left_out())],
        )
    }
}
