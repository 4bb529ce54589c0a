use proptest::prelude::*;

use super::*;

fn update() -> Vec<u8> {
    [
        b"U\0\0\0\x07K".as_slice(),
        b"\0\x02t\0\0\0\x01an",
        b"N\0\x03t\0\0\0\x02bbnu",
    ]
    .concat()
}

#[test]
fn an_update_has_both_rows() {
    let expected = Logical::Update {
        relation: 7,
        old: Some(Tuple(vec![Cell::Text(b"a"), Cell::Null])),
        new: Tuple(vec![Cell::Text(b"bb"), Cell::Null, Cell::Unchanged]),
    };
    assert_eq!(Logical::parse(&update()).unwrap(), expected);
}

#[test]
fn a_table_has_columns() {
    let message = [
        b"R\0\0\0\x07public\0players\0d\0\x02".as_slice(),
        b"\x01id\0\0\0\0\x17\xff\xff\xff\xff",
        b"\x00score\0\0\0\0\x19\xff\xff\xff\xff",
    ]
    .concat();
    let Logical::Relation(relation) = Logical::parse(&message).unwrap() else {
        panic!("no relation");
    };
    assert_eq!(relation.schema, "public");
    let columns: Vec<_> = relation
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.kind, column.is_identity))
        .collect();
    assert_eq!(columns, [("id", 23, true), ("score", 25, false)]);
}

#[test]
fn the_envelope_is_opened() {
    let mut message = vec![b'w'];
    message.extend([1_u64, 2].map(u64::to_be_bytes).concat());
    message.extend(3_i64.to_be_bytes());
    message.extend(b"data");
    let expected = Streamed::Data {
        end: Lsn(2),
        sent: 3,
        data: b"data",
    };
    assert_eq!(Streamed::parse(&message).unwrap(), expected);
}

#[test]
fn a_claim_of_many_tables_costs_nothing() {
    let message = b"T\xff\xff\xff\xff\0\0\0\0\x07";
    assert!(Logical::parse(message).is_err());
}

proptest! {
    #[test]
    fn no_message_is_too_much(message: Vec<u8>, tag in 0_usize..10) {
        let tagged = [&[b"BCRIUDTYOM"[tag]], message.as_slice()].concat();
        for message in [&message, &tagged] {
            let _ = Streamed::parse(message);
            let _ = Logical::parse(message);
            let _ = table_of_row(message);
        }
    }

    #[test]
    fn what_is_cut_short_is_refused(cut in 0_usize..28) {
        let update = update();
        prop_assume!(cut < update.len());
        prop_assert!(Logical::parse(&update[..cut]).is_err());
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_change(at in 0_usize..28, byte: u8) {
        let mut update = update();
        prop_assume!(at < update.len());
        update[at] = byte;
        let _ = Logical::parse(&update);
    }
}
