//! The filter of the log, as one of several layers' filters.

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::reload;

use super::level::Level;

/// A filter that can change, and that is asked about each event that it may want.
///
/// tracing-subscriber notes for each thread which layers' filters have refused the span or event
/// at hand, and clears the note as the layers are called. The note is left over where a program
/// only asks whether something is enabled (`span_enabled!`, which the read path uses). Where all
/// filters always want an event nobody is asked again. The log would then take the note for the
/// answer about the next event, and lose a line. This filter never claims to want something
/// always.
pub(super) struct Asked<S>(reload::Layer<EnvFilter, S>);

impl<S: Subscriber> Asked<S> {
    pub(super) fn of(filter: EnvFilter) -> (Self, Level)
    where
        S: 'static,
    {
        let (filter, handle) = reload::Layer::new(filter);
        (Self(filter), Level::of(handle))
    }
}

impl<S: Subscriber> Filter<S> for Asked<S> {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        Filter::enabled(&self.0, metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = Filter::callsite_enabled(&self.0, metadata);
        if interest.is_always() {
            Interest::sometimes()
        } else {
            interest
        }
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        Filter::event_enabled(&self.0, event, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::max_level_hint(&self.0)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Filter::on_new_span(&self.0, attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Filter::on_record(&self.0, id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Filter::on_enter(&self.0, id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Filter::on_exit(&self.0, id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Filter::on_close(&self.0, id, context);
    }
}
