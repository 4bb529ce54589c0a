use super::*;
use crate::{TableMap, options};

const ID: u32 = 7;
const BYTEA: u32 = 17;
const BPCHAR: u32 = 1042;

fn translator(key: &str, payload: Option<&str>) -> Translator {
    let mut map = TableMap::new("t", key);
    map.payload = payload.map(Into::into);
    let table = options::tables(&[map]).unwrap().remove(0);
    let followed = Followed {
        table,
        oid: ID,
        types: HashMap::from([(20_000, BYTEA)]),
    };
    Translator::new(vec![followed], Lsn(101))
}

fn relation(table: &str, id: u32, columns: &[(&str, u32, bool)]) -> Relation {
    Relation {
        id,
        schema: "public".into(),
        table: table.into(),
        columns: columns
            .iter()
            .map(|&(name, kind, is_identity)| Column {
                name: name.into(),
                kind,
                is_identity,
            })
            .collect(),
    }
}

fn apply(to: &mut Translator, message: Logical<'_>) -> Result<Vec<Change>, PostgresError> {
    let mut changes = Vec::new();
    to.apply(message, Lsn(200), &mut |change| changes.push(change))?;
    Ok(changes)
}

fn key(key: &'static str) -> Change {
    Change::Key(key.into())
}

/// A table of a key, a type of text, and a value.
fn ready(kind: u32) -> Translator {
    let mut translator = translator("k:{id}", Some("value"));
    let columns = [("id", kind, true), ("value", 25, false)];
    let met = apply(
        &mut translator,
        Logical::Relation(relation("t", ID, &columns)),
    );
    assert_eq!(met.unwrap(), []);
    translator
}

fn row<'a>(cells: &[Cell<'a>]) -> Tuple<'a> {
    Tuple(cells.to_vec())
}

#[test]
fn a_changed_key_is_reported_with_the_old_one() {
    let mut translator = ready(25);
    let old = row(&[Cell::Text(b"a"), Cell::Null]);
    let new = row(&[Cell::Text(b"b"), Cell::Text(b"1")]);
    let update = Logical::Update {
        relation: ID,
        old: Some(old),
        new,
    };
    let changes = apply(&mut translator, update).unwrap();
    assert_eq!(changes, [key("k:a"), Change::Put("k:b".into(), "1".into())]);
    let same = Logical::Update {
        relation: ID,
        old: Some(row(&[Cell::Text(b"b"), Cell::Text(b"1")])),
        new: row(&[Cell::Text(b"b"), Cell::Null]),
    };
    assert_eq!(apply(&mut translator, same).unwrap(), [key("k:b")]);
}

#[test]
fn a_long_value_that_was_not_sent_is_never_taken_for_another() {
    let mut translator = ready(25);
    let unsent = |old| Logical::Update {
        relation: ID,
        old,
        new: row(&[Cell::Unchanged, Cell::Unchanged]),
    };
    let old = row(&[Cell::Text(b"a"), Cell::Null]);
    assert_eq!(
        apply(&mut translator, unsent(Some(old))).unwrap(),
        [key("k:a")]
    );
    assert_eq!(apply(&mut translator, unsent(None)).unwrap(), [Change::All]);
}

#[test]
fn a_null_in_the_key_is_no_key() {
    let mut translator = ready(25);
    let new = row(&[Cell::Null, Cell::Null]);
    let insert = Logical::Insert { relation: ID, new };
    assert_eq!(apply(&mut translator, insert).unwrap(), []);
}

#[test]
fn bytes_and_padded_texts_are_what_they_stand_for() {
    let insert = |text| Logical::Insert {
        relation: ID,
        new: row(&[Cell::Text(text), Cell::Null]),
    };
    let changes = apply(&mut ready(BYTEA), insert(b"\\x00ff61")).unwrap();
    assert_eq!(changes, [Change::Key(b"k:\x00\xffa".as_slice().into())]);
    let changes = apply(&mut ready(BPCHAR), insert(b"ab  ")).unwrap();
    assert_eq!(changes, [key("k:ab")]);
}

#[test]
fn the_identity_of_a_table_must_contain_its_keys() {
    for columns in [&[("id", 25, false)][..], &[("name", 25, true)][..], &[]] {
        let mut translator = translator("{id}", None);
        let met = apply(
            &mut translator,
            Logical::Relation(relation("t", ID, columns)),
        );
        assert!(
            matches!(met, Err(PostgresError::Changed { .. })),
            "{columns:?}"
        );
    }
}

#[test]
fn another_table_by_the_name_is_a_change_of_everything() {
    let mut translator = ready(25);
    let columns = [("id", 25, true), ("value", 25, false)];
    let replaced = Logical::Relation(relation("t", 8, &columns));
    assert_eq!(apply(&mut translator, replaced).unwrap(), [Change::All]);
    let renamed = Logical::Relation(relation("u", 8, &columns));
    assert!(matches!(
        apply(&mut translator, renamed),
        Err(PostgresError::Changed { .. })
    ));
}

#[test]
fn other_tables_are_ignored() {
    let mut translator = ready(25);
    let other = Logical::Relation(relation("other", 9, &[("id", 25, true)]));
    assert_eq!(apply(&mut translator, other).unwrap(), []);
    let new = row(&[Cell::Text(b"a")]);
    let insert = Logical::Insert { relation: 9, new };
    assert_eq!(apply(&mut translator, insert).unwrap(), []);
    let truncate = |relations| Logical::Truncate { relations };
    assert_eq!(apply(&mut translator, truncate(vec![9])).unwrap(), []);
    let both = truncate(vec![9, ID]);
    assert_eq!(apply(&mut translator, both).unwrap(), [Change::All]);
}

#[test]
fn a_row_that_does_not_fit_is_an_error() {
    let mut translator = ready(25);
    let new = row(&[Cell::Text(b"a")]);
    assert!(apply(&mut translator, Logical::Insert { relation: ID, new }).is_err());
}

/// As [`apply`], of a transaction that ended before the tables were looked at.
fn apply_old(to: &mut Translator, message: Logical<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    to.apply(message, Lsn(100), &mut |change| changes.push(change))
        .unwrap();
    changes
}

#[test]
fn what_did_not_fit_and_was_put_right_changes_everything() {
    let columns = [("id", 25, true), ("value", 25, false)];
    for misfit in [
        relation("t", ID, &[("number", 25, true), ("value", 25, false)]),
        relation("t", ID, &[("id", 25, false), ("value", 25, false)]),
        relation("renamed", ID, &columns),
    ] {
        let mut translator = ready(25);
        let insert = || Logical::Insert {
            relation: ID,
            new: row(&[Cell::Text(b"a"), Cell::Null]),
        };
        let live = apply(&mut ready(25), Logical::Relation(misfit.clone()));
        assert!(matches!(live, Err(PostgresError::Changed { .. })));
        let met = apply_old(&mut translator, Logical::Relation(misfit));
        assert_eq!(met, [Change::All]);
        assert_eq!(apply_old(&mut translator, insert()), [Change::All]);
        let delete = Logical::Delete {
            relation: ID,
            old: row(&[Cell::Text(b"a"), Cell::Null]),
        };
        assert_eq!(apply_old(&mut translator, delete), [Change::All]);
        let fits = Logical::Relation(relation("t", ID, &columns));
        assert_eq!(apply_old(&mut translator, fits), []);
        assert_eq!(apply(&mut translator, insert()).unwrap(), [key("k:a")]);
    }
}

#[test]
fn a_domain_is_read_as_what_it_is_over() {
    let mut translator = ready(20_000);
    let insert = Logical::Insert {
        relation: ID,
        new: row(&[Cell::Text(b"\\x6162"), Cell::Null]),
    };
    assert_eq!(apply(&mut translator, insert).unwrap(), [key("k:ab")]);
    let unknown = relation("t", ID, &[("id", 20_001, true), ("value", 25, false)]);
    assert!(apply(&mut translator, Logical::Relation(unknown)).is_err());
}
