//! The root exports every type that a group's interface uses, so that a program need not depend on
//! other crates to name one.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use bytes::Bytes;
use gaggle::{
    Answer, BuildError, ByteBudget, Clock, Contact, Entry, Error, Field, Freshness,
    FreshnessPolicy, Group, GroupBuilder, Groups, Hint, HotCopies, Key, Limits, Load, Loaded,
    LocalOnly, Metadata, Missed, NoHotCopies, Origin, OriginError, OriginFault, PagedStore,
    Removal, Router, Settings, Source, Stats, Store, async_trait,
};

/// An origin written with the root's names alone.
struct Echo;

#[async_trait]
impl Origin for Echo {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let key: &Key = load.key;
        if key.is_empty() {
            return Err(OriginError::failed("an empty key").known_as(OriginFault::Key));
        }
        let metadata = Metadata::default().with(Field::ContentType, "text/plain");
        let ttl = std::time::Duration::from_secs(60);
        Ok(Loaded::value(key.clone())
            .with_freshness(Hint::ttl(ttl))
            .with_metadata(metadata))
    }
}

fn build(clock: &Clock) -> Result<Group, BuildError> {
    let store = || -> Arc<dyn Store> { Arc::new(PagedStore::new(1 << 20, clock.clone())) };
    let router: Arc<dyn Router> = Arc::new(LocalOnly::default());
    let builder: GroupBuilder = Group::builder("echo")
        .origin(Echo)
        .clock(clock.clone())
        .limits(Limits::default())
        .freshness(FreshnessPolicy::default())
        .hot_copies(NoHotCopies)
        .router(router)
        .stores(store(), store())
        .in_flight(ByteBudget::unlimited());
    builder.build()
}

#[tokio::test]
async fn a_program_names_all_that_a_group_takes_and_gives() {
    let clock = Clock::manual();
    let group = build(&clock).unwrap();
    let answer: Answer = group.lookup("Tom").await.unwrap();
    assert_eq!(answer.source, Source::Origin);
    let error: Error = group.get("").await.unwrap_err();
    assert!(matches!(error, Error::Origin { source, .. } if source.fault() == OriginFault::Key));
    let entry: Entry = Entry::value("630").with_freshness(Freshness::until(None));
    let removal: Removal = group.put("Tom", entry).await.unwrap();
    let missed: Vec<Missed> = removal.missed;
    assert!(missed.is_empty());
    assert_eq!(group.get("Tom").await.unwrap(), Bytes::from("630"));
    let stats: Stats = group.stats();
    assert_eq!(stats.origin.ok, 1);
    let contacts: Vec<Contact> = group.contacts();
    assert!(contacts.is_empty());
    let settings: Settings = group.settings();
    group.reconfigure(settings).unwrap();
    let policy: Arc<dyn HotCopies> = Arc::new(NoHotCopies);
    group.set_hot_copies(policy);
    let groups: Groups = Groups::new([group]).unwrap();
    assert_eq!(groups.len(), 1);
}
